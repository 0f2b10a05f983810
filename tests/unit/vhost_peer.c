/* vhost_peer.c - a vhost-user back end for tests. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/vhost_peer.h"
#include "vmm/base/fd.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { INFLIGHT_BYTES = 4096 };

static void must(bool good)
{
	if (!good)
		abort();
}

/* --- memory and rings --- */

static void *find(const struct peer *p, bool guest, uint64_t at)
{
	for (unsigned i = 0; i < p->regions; i++) {
		const struct vhost_region *r = &p->region[i];
		uint64_t off = at - (guest ? r->guest_address : r->user_address);

		if (off < r->size)
			return (char *)p->map[i] + off;
	}
	return NULL;
}

static void unmap(struct peer *p)
{
	for (unsigned i = 0; i < p->regions; i++)
		munmap(p->map[i], p->region[i].size);
	p->regions = 0;
}

static void fill(struct peer *p, const struct vring_desc *desc, uint16_t head)
{
	uint16_t i = head;

	for (;;) {
		if (desc[i].flags & VRING_DESC_F_WRITE)
			memset(find(p, true, desc[i].addr), PEER_FILL, desc[i].len);
		if (!(desc[i].flags & VRING_DESC_F_NEXT))
			return;
		i = desc[i].next;
	}
}

void peer_finish(struct peer *p, unsigned q, unsigned n)
{
	struct peer_ring *r = &p->ring[q];
	struct vring_used *used = find(p, false, r->addr.used_user_addr);
	uint16_t head = r->taken[n];

	memmove(&r->taken[n], &r->taken[n + 1], (--r->taken_count - n) * sizeof(head));
	fill(p, find(p, false, r->addr.desc_user_addr), head);
	used->ring[r->used % r->size] = (struct vring_used_elem){ .id = head, .len = 1 };
	__atomic_store_n(&used->idx, ++r->used, __ATOMIC_SEQ_CST);
	p->finished++;
	fd_event_signal(r->call);
}

static void serve(struct peer *p, unsigned q)
{
	struct peer_ring *r = &p->ring[q];
	struct vring_avail *avail = find(p, false, r->addr.avail_user_addr);

	while (r->base != __atomic_load_n(&avail->idx, __ATOMIC_SEQ_CST)) {
		must(r->taken_count < PEER_TAKEN);
		r->taken[r->taken_count++] = avail->ring[r->base++ % r->size];
	}
	while (!p->rules.hold && r->taken_count > 0)
		peer_finish(p, q, 0);
}

static void ring_clear(struct peer_ring *r)
{
	fd_close(r->kick);
	fd_close(r->call);
	*r = (struct peer_ring){ .kick = -1, .call = -1 };
}

/* --- requests --- */

struct message {
	struct vhost_header header;
	union vhost_payload payload;
	int fds[VHOST_USER_MAX_REGIONS];
	unsigned nfds;
};

/* False at the end of the connection. Takes payload and descriptors in any number. */
static bool read_message(int fd, struct message *m)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(m->fds))];
	} control;
	struct iovec iov = { &m->header, sizeof(m->header) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	memset(m, 0, sizeof(*m));
	if (recvmsg(fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(m->header))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		m->nfds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(m->fds, CMSG_DATA(c), m->nfds * sizeof(int));
	}
	must(m->header.size <= sizeof(m->payload));
	return m->header.size == 0 ||
	       recv(fd, &m->payload, m->header.size, MSG_WAITALL) == (ssize_t)m->header.size;
}

/* The answer of m->payload, with its first descriptor when it has one. */
static void answer(struct peer *p, struct message *m)
{
	bool spoilt = p->rules.spoil && p->rules.spoil_request == m->header.request;
	enum peer_spoil how = spoilt ? p->rules.spoil : SPOIL_NOTHING;
	struct vhost_header h = m->header;
	struct iovec iov[] = { { &h, sizeof(h) }, { &m->payload, h.size } };

	h.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	switch (how) {
	case SPOIL_SILENCE:
		return;
	case SPOIL_HANG_UP:
		peer_die(p);
		return;
	case SPOIL_REQUEST:
		h.request++;
		break;
	case SPOIL_VERSION:
		h.flags ^= VHOST_USER_VERSION_MASK;
		break;
	case SPOIL_NO_REPLY_FLAG:
		h.flags = VHOST_USER_VERSION;
		break;
	case SPOIL_LONG:
		iov[1].iov_len += 8;
		break;
	case SPOIL_HUGE:
		h.size = UINT32_MAX;
		break;
	case SPOIL_SHORT:
		h.size = 0;
		iov[1].iov_len = 0;
		break;
	case SPOIL_VALUE:
		memset(&m->payload, 0xff, h.size);
		break;
	case SPOIL_FD:
		m->nfds = !m->nfds;
		m->fds[0] = p->listener;
		break;
	case SPOIL_NOTHING:
	default:
		break;
	}
	if (iov[1].iov_len == h.size) {
		vhost_send(p->fd, &h, &m->payload, m->fds, m->nfds);
		return;
	}
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	sendmsg(p->fd, &msg, MSG_NOSIGNAL);
}

static void answer_u64(struct peer *p, struct message *m, uint64_t value)
{
	m->payload.u64 = value;
	m->header.size = sizeof(value);
	answer(p, m);
}

static void map_memory(struct peer *p, struct message *m)
{
	unmap(p);
	must(m->nfds == m->payload.memory.count);
	for (unsigned i = 0; i < m->nfds; i++) {
		p->region[i] = m->payload.memory.region[i];
		p->map[i] = mmap(NULL, p->region[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				 m->fds[i], (off_t)p->region[i].file_offset);
		must(p->map[i] != MAP_FAILED);
	}
	p->regions = m->nfds;
}

static void set_ring_fd(int *at, struct message *m)
{
	must(m->nfds == 1);
	fd_close(*at);
	*at = m->fds[0];
	m->nfds = 0;
}

static void stop_ring(struct peer *p, struct message *m)
{
	struct peer_ring *r = &p->ring[m->payload.state.index % PEER_QUEUES];

	m->payload.state.num = r->base;
	answer(p, m);
	r->enabled = false;
	r->kick = fd_close(r->kick);
}

static void give_inflight(struct peer *p, struct message *m)
{
	m->fds[0] = memfd_create("inflight", MFD_CLOEXEC);
	m->nfds = 1;
	m->payload.inflight.file_size = INFLIGHT_BYTES;
	m->payload.inflight.file_offset = 0;
	answer(p, m);
}

static void take_inflight(struct peer *p, const struct message *m)
{
	struct stat st;

	must(m->nfds == 1 && fstat(m->fds[0], &st) == 0);
	must(m->payload.inflight.file_size == INFLIGHT_BYTES);
	p->inflight_file = st.st_ino;
}

static void enable_ring(struct peer *p, const struct message *m)
{
	struct peer_ring *r = &p->ring[m->payload.state.index % PEER_QUEUES];
	struct vring_used *used = find(p, false, r->addr.used_user_addr);

	r->used = used->idx;
	r->enabled = m->payload.state.num;
}

/* Those that ask for something have been answered when this returns true. */
static bool take_request(struct peer *p, struct message *m)
{
	struct peer_ring *r = &p->ring[m->payload.state.index % PEER_QUEUES];

	switch ((enum vhost_request)m->header.request) {
	case VHOST_USER_GET_FEATURES:
		answer_u64(p, m, p->rules.features);
		return true;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer_u64(p, m, p->rules.protocol);
		return true;
	case VHOST_USER_GET_QUEUE_NUM:
		answer_u64(p, m, p->rules.queues);
		return true;
	case VHOST_USER_GET_CONFIG:
		memcpy(m->payload.config.data, p->rules.config, m->payload.config.size);
		answer(p, m);
		return true;
	case VHOST_USER_GET_VRING_BASE:
		stop_ring(p, m);
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		give_inflight(p, m);
		return true;
	case VHOST_USER_SET_FEATURES:
		p->set_features = m->payload.u64;
		return false;
	case VHOST_USER_SET_CONFIG:
		p->written_config = m->payload.config.data[0];
		return false;
	case VHOST_USER_SET_MEM_TABLE:
		map_memory(p, m);
		return false;
	case VHOST_USER_SET_VRING_NUM:
		r->size = m->payload.state.num;
		return false;
	case VHOST_USER_SET_VRING_BASE:
		r->base = (uint16_t)m->payload.state.num;
		p->started_at[m->payload.state.index % PEER_QUEUES] = r->base;
		return false;
	case VHOST_USER_SET_VRING_ADDR:
		r->addr = m->payload.addr;
		return false;
	case VHOST_USER_SET_VRING_CALL:
		set_ring_fd(&r->call, m);
		return false;
	case VHOST_USER_SET_VRING_KICK:
		set_ring_fd(&r->kick, m);
		return false;
	case VHOST_USER_SET_VRING_ENABLE:
		enable_ring(p, m);
		return false;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		set_ring_fd(&p->back, m);
		return false;
	case VHOST_USER_SET_INFLIGHT_FD:
		take_inflight(p, m);
		return false;
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	default:
		return false;
	}
}

static void on_request(struct peer *p)
{
	struct message m;

	if (!read_message(p->fd, &m)) {
		peer_die(p);
		return;
	}
	p->seen[m.header.request % PEER_REQUESTS]++;

	bool acknowledge = m.header.flags & VHOST_USER_NEED_REPLY;

	if (!take_request(p, &m) && acknowledge) {
		while (m.nfds > 0)
			fd_close(m.fds[--m.nfds]);
		answer_u64(p, &m, 0);
	}
	while (m.nfds > 0 && m.fds[m.nfds - 1] != p->listener)
		fd_close(m.fds[--m.nfds]);
}

/* --- the thread --- */

void peer_die(struct peer *p)
{
	for (unsigned q = 0; q < PEER_QUEUES; q++)
		ring_clear(&p->ring[q]);
	unmap(p);
	p->back = fd_close(p->back);
	p->fd = fd_close(p->fd);
}

enum { AT_WAKE, AT_SOCKET, AT_RINGS, POLLED = AT_RINGS + PEER_QUEUES };

static void prepare(struct peer *p, struct pollfd *fds)
{
	fds[AT_WAKE] = (struct pollfd){ p->wake, POLLIN, 0 };
	fds[AT_SOCKET] = (struct pollfd){ p->fd >= 0 ? p->fd : p->listener, POLLIN, 0 };
	for (unsigned q = 0; q < PEER_QUEUES; q++)
		fds[AT_RINGS + q] = (struct pollfd){
			p->ring[q].enabled ? p->ring[q].kick : -1,
			POLLIN,
			0,
		};
}

static void react(struct peer *p, const struct pollfd *fds)
{
	/* What a poll said is old when a test has intervened. */
	if (fd_event_drain(p->wake))
		return;
	if (fds[AT_SOCKET].revents && p->fd >= 0) {
		on_request(p);
	} else if (fds[AT_SOCKET].revents) {
		p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
		p->connections += p->fd >= 0;
	}
	for (unsigned q = 0; q < PEER_QUEUES; q++) {
		if (fds[AT_RINGS + q].revents && p->ring[q].enabled &&
		    fd_event_drain(p->ring[q].kick))
			serve(p, q);
	}
}

static void *run(void *arg)
{
	struct peer *p = arg;
	struct pollfd fds[POLLED];

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		prepare(p, fds);
		pthread_mutex_unlock(&p->lock);
		poll(fds, POLLED, -1);
		pthread_mutex_lock(&p->lock);
		react(p, fds);
	}
	peer_die(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void peer_lock(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
}

void peer_unlock(struct peer *p)
{
	fd_event_signal(p->wake);
	pthread_mutex_unlock(&p->lock);
}

void peer_ask_back(struct peer *p, uint32_t request, uint32_t flags, uint32_t size)
{
	struct {
		struct vhost_header header;
		uint8_t zeros[64];
	} m = { .header = { request, VHOST_USER_VERSION | flags, size } };
	size_t len = sizeof(m.header) + (size < sizeof(m.zeros) ? size : sizeof(m.zeros));

	must(send(p->back, &m, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void listen_at(struct peer *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/wisp-peer-XXXXXX";

	must(mkdtemp(dir));
	snprintf(p->path, sizeof(p->path), "%s/s", dir);
	memcpy(address.sun_path, p->path, sizeof(p->path));
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(bind(p->listener, (const struct sockaddr *)&address, sizeof(address)) == 0);
	must(listen(p->listener, 8) == 0);
}

void peer_create(struct peer *p)
{
	struct virtio_blk_config config = { .capacity = 2048, .num_queues = PEER_QUEUES };

	memset(p, 0, sizeof(*p));
	p->fd = p->back = -1;
	for (unsigned q = 0; q < PEER_QUEUES; q++)
		p->ring[q].kick = p->ring[q].call = -1;
	p->rules.features = ~UINT64_C(0);
	p->rules.protocol = ~UINT64_C(0) & ~BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	p->rules.queues = PEER_QUEUES;
	memcpy(p->rules.config, &config, sizeof(config));
	listen_at(p);
	p->wake = fd_event();
	must(pthread_mutex_init(&p->lock, NULL) == 0);
	must(pthread_create(&p->thread, NULL, run, p) == 0);
}

void peer_destroy(struct peer *p)
{
	peer_lock(p);
	p->ending = true;
	peer_unlock(p);
	pthread_join(p->thread, NULL);
	pthread_mutex_destroy(&p->lock);
	fd_close(p->listener);
	fd_close(p->wake);
	unlink(p->path);
	*strrchr(p->path, '/') = '\0';
	rmdir(p->path);
}
