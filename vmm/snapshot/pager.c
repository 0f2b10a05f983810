/* pager.c - wisp-pager: brings the memory of machines that were loaded with "Uffd" from a
 * memory file, page by page.
 *
 * The other end of memory_handler.h, and an example of one. Any number of machines, one
 * thread: it waits for a connection, for a machine's userfaultfd, for a machine's end.
 * What a machine says is checked against the file, and a machine that breaks the protocol
 * loses its pager and nobody else's.
 *
 * A fault is answered by the page of the file and some that follow it, or by zeros for
 * what the machine has given back since (UFFD_EVENT_REMOVE), which is kept in a bit a page.
 * While the kernel has such an event that was not read it refuses to fill pages (EAGAIN).
 * It also hands out faults before events: a fault that was sent round again at once could
 * keep an event waiting for ever. So refused faults are put aside until all that waits
 * was read, and are sent round then.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/listener.h"

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	MAX_MACHINES = 256,
	MAX_MAPPINGS = 8,
	MESSAGE_BYTES = 4096,
	SMALL_PAGE = 4096,
	LARGE_PAGE = 2 * 1024 * 1024,
	RUN_PAGES = 16,
	MAX_REFUSED = 64,
	BITS = 8,
};

struct mapping {
	uint64_t base, size, offset, page;
	uint8_t *removed; /* a bit a page */
};

struct machine {
	int peer, faults; /* faults -1: its message has not come */
	unsigned mappings;
	struct mapping mapping[MAX_MAPPINGS];
	unsigned refused; /* faults that could not be answered yet */
	struct uffdio_range refused_at[MAX_REFUSED];
};

struct pager {
	int memory; /* the file */
	uint64_t memory_bytes;
	struct listener listener;
	unsigned machines;
	struct machine *machine[MAX_MACHINES];
	char bytes[LARGE_PAGE]; /* in hand */
};

static void machine_destroy(struct machine *m)
{
	for (unsigned i = 0; i < m->mappings; i++)
		free(m->mapping[i].removed);
	fd_close(m->faults);
	fd_close(m->peer);
	free(m);
}

/* --- the message --- */

static bool is_mapping_good(const struct pager *p, const struct mapping *m)
{
	return (m->page == SMALL_PAGE || m->page == LARGE_PAGE) && m->size > 0 &&
	       (m->base | m->size | m->offset) % m->page == 0 && m->base + m->size > m->base &&
	       m->size <= p->memory_bytes && m->offset <= p->memory_bytes - m->size;
}

static int read_mapping(const struct pager *p, json_t *j, struct mapping *ret)
{
	json_int_t base, size, offset, page;

	if (json_unpack(j, "{s:I, s:I, s:I, s:I}", "base_host_virt_addr", &base, "size", &size,
			"offset", &offset, "page_size", &page) < 0)
		return -EBADMSG;
	*ret = (struct mapping){ (uint64_t)base, (uint64_t)size, (uint64_t)offset, (uint64_t)page,
				 NULL };
	if (base < 0 || size < 0 || offset < 0 || !is_mapping_good(p, ret))
		return -EBADMSG;
	ret->removed = calloc(ret->size / ret->page / BITS + 1, 1);
	return ret->removed ? 0 : -ENOMEM;
}

static int read_mappings(const struct pager *p, struct machine *m, const char *text, size_t len)
{
	json_t *list = json_loadb(text, len, 0, NULL), *j;
	size_t i;
	int r = json_array_size(list) > 0 && json_array_size(list) <= MAX_MAPPINGS ? 0 : -EBADMSG;

	json_array_foreach(list, i, j)
	{
		if (r == 0)
			r = read_mapping(p, j, &m->mapping[i]);
		if (r == 0)
			m->mappings++;
	}
	json_decref(list);
	return r;
}

/* One message: the mappings, and with them the descriptor. */
static int receive_message(const struct pager *p, struct machine *m)
{
	char text[MESSAGE_BYTES];
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(m->peer, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EBADMSG;
	memcpy(&m->faults, CMSG_DATA(c), sizeof(m->faults));
	return read_mappings(p, m, text, (size_t)n);
}

/* --- faults --- */

static struct mapping *find_mapping(struct machine *m, uint64_t address)
{
	for (unsigned i = 0; i < m->mappings; i++)
		if (address - m->mapping[i].base < m->mapping[i].size)
			return &m->mapping[i];
	return NULL;
}

static bool is_removed(const struct mapping *m, uint64_t n)
{
	return m->removed[n / BITS] & 1 << n % BITS;
}

static void wake(const struct machine *m, uint64_t at, uint64_t len)
{
	struct uffdio_range range = { at, len };

	(void)ioctl(m->faults, UFFDIO_WAKE, &range);
}

/* One too many is sent round at once. */
static void put_aside(struct machine *m, uint64_t at, uint64_t len)
{
	if (m->refused == MAX_REFUSED)
		wake(m, at, len);
	else
		m->refused_at[m->refused++] = (struct uffdio_range){ at, len };
}

static void send_round(struct machine *m)
{
	while (m->refused > 0) {
		m->refused--;
		wake(m, m->refused_at[m->refused].start, m->refused_at[m->refused].len);
	}
}

/* What a fill that failed means: 0, or a negative errno where the machine is lost. */
static int settle(struct machine *m, uint64_t at, uint64_t len, int error)
{
	switch (error) {
	case EEXIST: /* filled before; nobody woke who waits now */
		wake(m, at, len);
		return 0;
	case EAGAIN:
		put_aside(m, at, len);
		return 0;
	case ENOENT: /* not its memory any more */
		return 0;
	default:
		return -error;
	}
}

static int fill_zero(struct machine *m, uint64_t at)
{
	struct uffdio_zeropage zero = { .range = { at, SMALL_PAGE } };

	return ioctl(m->faults, UFFDIO_ZEROPAGE, &zero) == 0 ? 0 : settle(m, at, SMALL_PAGE, errno);
}

/* As many of the bytes in hand as are free there, from the first one on. */
static int fill_copy(const struct pager *p, struct machine *m, uint64_t at, uint64_t len)
{
	struct uffdio_copy copy = { .dst = at, .src = (uintptr_t)p->bytes, .len = len };

	if (ioctl(m->faults, UFFDIO_COPY, &copy) == 0 || copy.copy > 0)
		return 0;
	return settle(m, at, len, errno);
}

static bool is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, SMALL_PAGE - 1) == 0;
}

/* Page n and, where it has data, what follows it up to the next one without. */
static int fill_small(struct pager *p, struct machine *m, const struct mapping *map, uint64_t n)
{
	uint64_t at = map->base + n * SMALL_PAGE, pages = map->size / SMALL_PAGE - n, run = 1;
	int r;

	if (is_removed(map, n))
		return fill_zero(m, at);
	pages = pages < RUN_PAGES ? pages : RUN_PAGES;
	r = fd_pread_all(p->memory, p->bytes, pages * SMALL_PAGE,
			 (off_t)(map->offset + n * SMALL_PAGE));
	if (r < 0)
		return r;
	if (is_zero(p->bytes))
		return fill_zero(m, at);
	while (run < pages && !is_removed(map, n + run) && !is_zero(p->bytes + run * SMALL_PAGE))
		run++;
	return fill_copy(p, m, at, run * SMALL_PAGE);
}

static int fill_large(struct pager *p, struct machine *m, const struct mapping *map, uint64_t n)
{
	int r = 0;

	if (is_removed(map, n))
		memset(p->bytes, 0, LARGE_PAGE);
	else
		r = fd_pread_all(p->memory, p->bytes, LARGE_PAGE,
				 (off_t)(map->offset + n * LARGE_PAGE));
	return r < 0 ? r : fill_copy(p, m, map->base + n * LARGE_PAGE, LARGE_PAGE);
}

static void remove_pages(struct machine *m, uint64_t start, uint64_t end)
{
	struct mapping *map = find_mapping(m, start);

	if (!map || end <= start || end - map->base > map->size)
		return;
	for (uint64_t n = (start - map->base) / map->page; n < (end - map->base) / map->page; n++)
		map->removed[n / BITS] |= (uint8_t)(1 << n % BITS);
}

/* One event. 0, -EAGAIN when there is none, or another negative errno. */
static int serve_event(struct pager *p, struct machine *m)
{
	struct uffd_msg event;
	const struct mapping *map;

	if (read(m->faults, &event, sizeof(event)) != (ssize_t)sizeof(event))
		return errno == EAGAIN ? -EAGAIN : -EIO;
	if (event.event == UFFD_EVENT_REMOVE)
		remove_pages(m, event.arg.remove.start, event.arg.remove.end);
	if (event.event != UFFD_EVENT_PAGEFAULT)
		return 0;
	map = find_mapping(m, event.arg.pagefault.address);
	if (!map)
		return -EFAULT;
	return (map->page == LARGE_PAGE ? fill_large : fill_small)(
		p, m, map, (event.arg.pagefault.address - map->base) / map->page);
}

/* --- machines --- */

static void drop(struct pager *p, unsigned i, const char *why)
{
	fprintf(stderr, "wisp-pager: machine %s\n", why);
	machine_destroy(p->machine[i]);
	p->machine[i] = p->machine[--p->machines];
}

static int serve(struct pager *p, unsigned i, short peer, short faults)
{
	struct machine *m = p->machine[i];
	int r;

	if (faults & POLLIN) {
		do
			r = serve_event(p, m);
		while (r == 0);
		send_round(m);
		return r == -EAGAIN ? 0 : r;
	}
	if (m->faults < 0 && (peer & POLLIN))
		return receive_message(p, m);
	/* Nothing more is said; the end is. */
	return peer || faults ? -ESHUTDOWN : 0;
}

static void accept_machine(struct pager *p)
{
	struct machine *m = calloc(1, sizeof(*m));
	int fd = accept4(p->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 || !m || p->machines == MAX_MACHINES) {
		fd_close(fd);
		free(m);
		return;
	}
	m->peer = fd;
	m->faults = -1;
	p->machine[p->machines++] = m;
}

static void run_once(struct pager *p)
{
	struct pollfd fds[1 + 2 * MAX_MACHINES] = { { .fd = p->listener.fd, .events = POLLIN } };
	unsigned n = p->machines;

	for (unsigned i = 0; i < n; i++) {
		fds[1 + 2 * i] = (struct pollfd){ .fd = p->machine[i]->peer, .events = POLLIN };
		fds[2 + 2 * i] = (struct pollfd){ .fd = p->machine[i]->faults, .events = POLLIN };
	}
	if (poll(fds, 1 + 2 * (nfds_t)n, -1) <= 0)
		return;
	/* From the last one on: who is dropped changes places with one that had its turn. */
	for (unsigned i = n; i-- > 0;) {
		int r = serve(p, i, fds[1 + 2 * i].revents, fds[2 + 2 * i].revents);

		if (r < 0)
			drop(p, i, r == -ESHUTDOWN || r == -ESRCH ? "ended" : strerror(-r));
	}
	if (fds[0].revents)
		accept_machine(p);
}

/* --- the program --- */

static const char usage[] =
	"usage: wisp-pager SOCKET MEMORY   bring the memory file's pages to the machines that\n"
	"                                  are loaded with backend_type Uffd, backend_path SOCKET\n"
	"       wisp-pager --help | --version\n";

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static int prepare(struct pager *p, const char *socket, const char *memory, struct error *err)
{
	static const struct listener_name name = { "SOCKET", "pager's socket" };
	const struct sigaction action = { .sa_handler = on_signal };
	struct stat st;

	p->listener.fd = -1;
	p->memory = open(memory, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (p->memory < 0 || fstat(p->memory, &st) < 0)
		return error_errno(err, "MEMORY", "give a readable file", "%.128s cannot be opened",
				   memory);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "MEMORY", "give a snapshot's memory file",
				 "%.128s is no regular file", memory);
	p->memory_bytes = (uint64_t)st.st_size;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return listener_open(&p->listener, socket, 0, MAX_MACHINES, &name, err);
}

static int run(const char *socket, const char *memory)
{
	struct pager *p = calloc(1, sizeof(*p));
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint) + 8];
	int r = p ? prepare(p, socket, memory, &err)
		  : error_set(&err, -ENOMEM, NULL, NULL, "out of memory");

	if (r < 0)
		fprintf(stderr, "wisp-pager: %s\n", error_line(&err, line, sizeof(line)));
	while (p && r == 0 && !ended)
		run_once(p);
	if (p) {
		while (p->machines > 0)
			machine_destroy(p->machine[--p->machines]);
		listener_close(&p->listener);
		fd_close(p->memory);
		free(p);
	}
	return r < 0 ? EXIT_FAILED : 0;
}

int main(int argc, char *argv[])
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("wisp-pager v%s\n", WISP_VERSION) > 0 ? 0 : EXIT_FAILED;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) >= 0 ? 0 : EXIT_FAILED;
	if (argc == 3 && argv[1][0] != '-')
		return run(argv[1], argv[2]);
	fputs(usage, stderr);
	return EXIT_USAGE;
}
