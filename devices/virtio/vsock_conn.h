/* vsock_conn.h - one vsock connection: its socket, its credit, its buffer.
 *
 * Knows nothing of queues or of other connections. Credit is that of virtio 1.2,
 * 5.10.6.3: counters of 32 bits that wrap, and each side's word for how much it has
 * room for. Owner: the device (vsock_device.h), with the device's lock.
 */
#ifndef DEVICES_VIRTIO_VSOCK_CONN_H
#define DEVICES_VIRTIO_VSOCK_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "devices/virtio/iov.h"

enum {
	VSOCK_BUFFER_BYTES = 64 * 1024, /* what the guest may send ahead of the host */
	VSOCK_LINE_BYTES = 32,		/* "CONNECT <port>\n" at most */
};

enum vsock_state {
	VSOCK_GREETING,	 /* a host client has yet to say which port it wants */
	VSOCK_REQUESTED, /* the guest has yet to answer */
	VSOCK_OPEN,
	VSOCK_CLOSED, /* a reset is owed to the guest; the socket is gone */
};

/* Packets that are due to the guest, in the order in which they go. */
enum {
	VSOCK_DUE_REQUEST = 1,
	VSOCK_DUE_RESPONSE = 2,
	VSOCK_DUE_RESET = 4,
	VSOCK_DUE_UPDATE = 8,
	VSOCK_DUE_ASK = 16,
	VSOCK_DUE_SHUTDOWN = 32,
};

struct virtio_watch;

struct vsock_conn {
	/* the device's */
	TAILQ_ENTRY(vsock_conn) all, ready;
	LIST_ENTRY(vsock_conn) hash;
	void *owner;
	struct virtio_watch *watch; /* NULL once the host hung up */
	bool queued, hashed;
	uint32_t host_port, guest_port; /* valid while hashed */
	enum vsock_state state;
	unsigned due;	      /* VSOCK_DUE_* */
	uint64_t deadline_us; /* 0: none */
	uint32_t guest_shut;  /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest has given up */
	uint32_t host_shut;   /* the same for the host */
	bool readable;	      /* the socket may have more */
	bool listening;	      /* the watch tells of input */
	bool hung_up;	      /* the host closed both ways */
	bool asked;	      /* for credit, since it ran out */

	/* vsock_conn.c's */
	int fd;			  /* owned; -1: closed */
	uint32_t peer_alloc;	  /* the guest's room, and of what was sent */
	uint32_t peer_fwd, sent;  /* how much it has taken */
	uint32_t forwarded, told; /* taken by the host; as the guest knows it */
	uint32_t head, held;	  /* the buffer: held bytes from head on */
	char *buffer;		  /* owned; NULL while nothing is held */
	bool write_shut;
	uint32_t line_len; /* of a greeting, so far */
	char line[VSOCK_LINE_BYTES];
};

/* Owns fd. NULL: no memory; fd stays the caller's. */
struct vsock_conn *vsock_conn_create(int fd, enum vsock_state state);
void vsock_conn_destroy(struct vsock_conn *c); /* accepts NULL */

/* Closes the socket and drops what was held. */
void vsock_conn_close(struct vsock_conn *c);

/* Reads a host client's first line and nothing behind it. 1 and *port; 0: not all of it
 * is there yet; or a negative errno, -EPROTO for any other line. */
int vsock_conn_greeting(struct vsock_conn *c, uint32_t *port);

/* Tells a host client that the guest accepted. 0 or a negative errno. */
int vsock_conn_accepted(struct vsock_conn *c);

/* Bytes that the guest has room for; 0 when what it says makes no sense. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);

/* Takes len bytes at off of the guest's packet. -ENOBUFS when that is more than it was
 * given room for, or another negative errno when the host is gone. */
int vsock_conn_take(struct vsock_conn *c, const struct iov *v, size_t off, uint32_t len);

/* Gives the host what is held, then the guest's end of stream. 0 or a negative errno. */
int vsock_conn_flush(struct vsock_conn *c);

/* The guest believes that less than half of the buffer is free, and is wrong. */
bool vsock_conn_must_tell(const struct vsock_conn *c);

/* Nothing more can move either way. */
bool vsock_conn_finished(const struct vsock_conn *c);

#endif
