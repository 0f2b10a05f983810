/* vhost_link.h - a connection to a vhost-user back end: requests, and their answers.
 *
 * One request waits for an answer at most; an answer is taken only if it is to that
 * request, has the length that it must have, and has a descriptor exactly if it must.
 * Any error means that the connection is of no use any more: close it.
 *
 * Not thread-safe; the caller's lock is enough.
 */
#ifndef DEVICES_VIRTIO_VHOST_LINK_H
#define DEVICES_VIRTIO_VHOST_LINK_H

#include <stdbool.h>

#include "devices/virtio/vhost_wire.h"

struct vhost_link {
	int fd;			  /* -1: closed */
	uint32_t awaited;	  /* the request whose answer is due; 0: none */
	uint32_t answer_len;	  /* what its payload must have */
	bool answer_has_fd;	  /* and whether a descriptor comes with it */
	struct vhost_inbox inbox; /* the answer, until the next request */
};

struct vhost_call {
	uint32_t request;
	const void *payload;
	uint32_t len;
	const int *fds; /* stay the caller's */
	unsigned nfds;
	uint32_t answer_len; /* 0: no answer */
	bool answer_has_fd;
	bool acknowledge; /* ask for an answer of one u64, 0 for success */
};

/* A link that is not open. */
void vhost_link_init(struct vhost_link *l);

/* Connects to whoever listens at path, or takes over the connected socket that "fd:N"
 * names, once. 0, or a negative errno: -EAGAIN when the listener has no room. */
int vhost_link_open(struct vhost_link *l, const char *path);

/* Idempotent. */
void vhost_link_close(struct vhost_link *l);

/* 0 or a negative errno. -EBUSY while an answer is due, unless the call has none. */
int vhost_link_send(struct vhost_link *l, const struct vhost_call *c);

/* 1 and the answer in the inbox, 0 when it is not there yet; -EPROTO for a wrong one
 * or one that nobody asked for, -EPIPE when the other end is gone, or another negative
 * errno. Never blocks. */
int vhost_link_receive(struct vhost_link *l);

/* Waits until there is something to receive, at most until a time of clock_now_us().
 * 0, -ETIMEDOUT, or another negative errno. */
int vhost_link_wait(const struct vhost_link *l, uint64_t deadline_us);

#endif
