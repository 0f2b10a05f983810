/* memory_handler.c - memory whose pages another process brings.
 *
 * The watch has two stages. While the handler lives it looks once a second whether a fault
 * waits that was not taken, and whether any fault of this process was answered meanwhile:
 * a busy handler is never taken for a stuck one. When the handler is gone, every waiting
 * fault is sent round once more: it comes back, as one that nobody will take, if its page
 * had not been brought.
 *
 * It has the room of devices' blocks, too (window.h), plugged or not: what is plugged later is
 * zero in the memory file, and what is unplugged the handler hears of.
 *
 * Our own copy of the userfaultfd stays open: with the last one closed, the kernel would
 * answer all faults with zeros.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/memory/userfault.h"
#include "vmm/snapshot/memory_handler.h"

enum {
	EXIT_NO_MEMORY = 1,
	LOOK_MS = 1000,
	CONNECT_S = 5,
	MESSAGE_BYTES = 1024,
	PIECE_BYTES = 160, /* of a message: one mapping */
	STACK_BYTES = 64 * 1024,
};

struct memory_handler {
	struct sockaddr_un address;
	const struct gmem *mem;
	const struct thread_filters *filters;
	int faults;  /* the userfaultfd */
	int peer;    /* the connection; the watch closes it when it is of no use any more */
	int process; /* a pidfd of whoever listened; -1: cannot be had */
	int stop;    /* an eventfd: the watch is over */
	pthread_t thread;
	bool watched;
};

/* --- the watch, on its own thread --- */

static void give_up(const struct memory_handler *h, const char *why)
{
	log_error("snapshot: the memory handler at %.128s %s; the microVM cannot go on",
		  h->address.sun_path, why);
	/* Other threads may be in a fault that never ends. */
	_exit(EXIT_NO_MEMORY);
}

static bool is_ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

static uint64_t faults_answered(void)
{
	struct rusage u = { 0 };

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)u.ru_minflt + (uint64_t)u.ru_majflt;
}

/* The connection alone tells nothing where the process can be seen. */
static bool is_gone(struct memory_handler *h, bool hung_up, bool ended)
{
	if (h->process >= 0) {
		if (hung_up)
			h->peer = fd_close(h->peer);
		return ended;
	}
	return hung_up;
}

/* Until the handler is gone: true; or the watch is over. */
static bool watch_handler(struct memory_handler *h)
{
	uint64_t answered = 0;
	unsigned looks = 0;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = h->stop, .events = POLLIN },
			{ .fd = h->peer },
			{ .fd = h->process, .events = POLLIN },
		};
		uint64_t now;

		if (poll(p, sizeof(p) / sizeof(p[0]), LOOK_MS) < 0)
			continue;
		if (p[0].revents)
			return false;
		if (is_gone(h, p[1].revents & (POLLHUP | POLLERR), p[2].revents & POLLIN))
			return true;
		now = faults_answered();
		looks = now == answered && is_ready(h->faults) ? looks + 1 : 0;
		answered = now;
		if (looks == MEMORY_HANDLER_PATIENCE_S * 1000 / LOOK_MS)
			give_up(h, "takes no page fault");
	}
}

static void wake_all(const struct memory_handler *h)
{
	struct gmem_region r = { 0 };

	while (gmem_next_room(h->mem, &r))
		userfault_wake(h->faults, r.host, r.len);
}

static void *watch(void *arg)
{
	struct memory_handler *h = arg;
	struct pollfd p[] = {
		{ .fd = h->stop, .events = POLLIN },
		{ .fd = h->faults, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "memory-watch");
	if (thread_filter_install(h->filters, THREAD_WORKER) < 0)
		give_up(h, "cannot be watched by a confined thread");
	if (!watch_handler(h))
		return NULL;
	log_warn("snapshot: the memory handler at %.128s is gone", h->address.sun_path);
	wake_all(h);
	while (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0)
		;
	if (!p[0].revents)
		give_up(h, "is gone, and a page is missing");
	return NULL;
}

static int start_watch(struct memory_handler *h)
{
	pthread_attr_t attr;
	int r;

	h->stop = fd_event();
	if (h->stop < 0)
		return h->stop;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&h->thread, &attr, watch, h);
	pthread_attr_destroy(&attr);
	h->watched = r == 0;
	return -r;
}

/* --- the handshake --- */

static int connect_to(struct memory_handler *h, const char *path, struct error *err)
{
	const struct timeval limit = { .tv_sec = CONNECT_S };

	if (strlen(path) >= sizeof(h->address.sun_path))
		return error_set(err, -ENAMETOOLONG, "mem_backend", "give a shorter one",
				 "The path of the memory handler's socket is too long");
	strcpy(h->address.sun_path, path);
	h->peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->peer < 0 ||
	    setsockopt(h->peer, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(h->peer, (const struct sockaddr *)&h->address, sizeof(h->address)) < 0)
		return error_errno(err, "mem_backend", "is a handler listening there?",
				   "The memory handler at %.128s cannot be reached",
				   h->address.sun_path);
	return 0;
}

/* Best effort: across PID namespaces there is no number for it. */
static void find_process(struct memory_handler *h)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(h->peer, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0)
		h->process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

/* Pages of blocks are small, whatever RAM's are. */
static size_t page_bytes(const struct gmem *mem, const struct gmem_region *r)
{
	return r->fd < 0 ? (size_t)sysconf(_SC_PAGESIZE) : gmem_page_bytes(mem);
}

/* 0: there are more mappings than a message has room for. */
static size_t describe(const struct gmem *mem, char text[MESSAGE_BYTES])
{
	struct gmem_region r = { 0 };
	size_t n = 0;

	while (gmem_next_room(mem, &r)) {
		size_t page = page_bytes(mem, &r);

		if (MESSAGE_BYTES - n < PIECE_BYTES)
			return 0;
		n += (size_t)snprintf(text + n, PIECE_BYTES,
				      "%s{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":%zu,"
				      "\"offset\":%" PRIu64 ",\"page_size\":%zu,"
				      "\"page_size_kib\":%zu}",
				      n ? "," : "[", (uintptr_t)r.host, r.len, r.fd_offset, page,
				      page);
	}
	return n + (size_t)snprintf(text + n, MESSAGE_BYTES - n, "]");
}

static int hand_over(const struct memory_handler *h, struct error *err)
{
	char text[MESSAGE_BYTES];
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec io = { .iov_base = text, .iov_len = describe(h->mem, text) };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	if (io.iov_len == 0)
		return error_set(err, -E2BIG, "mem_backend", "load it from its file",
				 "A memory handler cannot be told of so many pieces of memory");
	memcpy(CMSG_DATA(&control.head), &h->faults, sizeof(h->faults));
	do
		n = sendmsg(h->peer, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)io.iov_len)
		return 0;
	if (n >= 0)
		errno = EPIPE;
	return error_errno(err, "mem_backend", "look at the handler",
			   "The memory handler at %.128s takes no memory", h->address.sun_path);
}

static int register_memory(struct memory_handler *h, struct error *err)
{
	uint64_t features = UFFD_FEATURE_EVENT_REMOVE;
	struct gmem_region region = { 0 };
	int r;

	if (!gmem_is_private(h->mem))
		features |= UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MISSING_SHMEM;
	r = userfault_open(features, &h->faults, err);
	while (r == 0 && gmem_next_room(h->mem, &region)) {
		r = userfault_register(h->faults, region.host, region.len,
				       UFFDIO_REGISTER_MODE_MISSING);
		if (r < 0)
			error_set(err, r, "mem_backend", NULL,
				  "Memory cannot be given to a handler: %s", strerror(-r));
	}
	return r;
}

int memory_handler_start(const char *path, struct gmem *mem, const struct thread_filters *filters,
			 struct memory_handler **ret, struct error *err)
{
	struct memory_handler *h = malloc(sizeof(*h));
	int r;

	if (!h)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	*h = (struct memory_handler){
		.address = { .sun_family = AF_UNIX },
		.mem = mem,
		.filters = filters,
		.faults = -1,
		.peer = -1,
		.process = -1,
		.stop = -1,
	};
	r = connect_to(h, path, err);
	if (r == 0)
		r = register_memory(h, err);
	if (r == 0)
		r = hand_over(h, err);
	if (r < 0)
		goto fail;
	gmem_set_served(mem);
	find_process(h);
	r = start_watch(h);
	if (r < 0) {
		error_set(err, r, NULL, NULL, "The memory handler cannot be watched: %s",
			  strerror(-r));
		goto fail;
	}
	*ret = h;
	return 0;

fail:
	memory_handler_destroy(h);
	return r;
}

void memory_handler_destroy(struct memory_handler *h)
{
	if (!h)
		return;
	if (h->watched) {
		fd_event_signal(h->stop);
		pthread_join(h->thread, NULL);
	}
	fd_close(h->stop);
	fd_close(h->process);
	fd_close(h->peer);
	fd_close(h->faults);
	free(h);
}
