/* vsock_device.h - a vsock device from the inside, for the files that it is made of.
 *
 * vsock.c is the device and the theory of it. The others have one idea each, in the order
 * below, and call downwards: what happens on a socket or in a queue ends in the table.
 * Everything here runs on the main thread with the device's lock held.
 */
#ifndef DEVICES_VIRTIO_VSOCK_DEVICE_H
#define DEVICES_VIRTIO_VSOCK_DEVICE_H

#include <linux/virtio_vsock.h>

#include "devices/virtio/device.h"
#include "devices/virtio/vsock_conn.h"
#include "devices/virtio/vsock_host.h"

enum { VSOCK_QUEUE_RX, VSOCK_QUEUE_TX, VSOCK_QUEUE_EVENT, VSOCK_QUEUES };

enum {
	VSOCK_BURST = 64,  /* packets a turn, either way */
	VSOCK_GATHER = 20, /* receive buffers that one payload may fill */
	VSOCK_BUCKETS = 256,
	VSOCK_MAX_RESETS = 64,
	VSOCK_HOST_CID = 2,
	VSOCK_TIMEOUT_US = 2000 * 1000,
	VSOCK_SHUTDOWN_BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND,
};

TAILQ_HEAD(vsock_list, vsock_conn);
LIST_HEAD(vsock_bucket, vsock_conn);

/* A reset that is owed to a pair of ports without a connection. */
struct vsock_stray {
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct virtio_vsock {
	struct virtio_dev dev;
	uint32_t guest_cid;
	struct vsock_host host;
	int timer, wake; /* wake: an eventfd, signalled by any thread */
	struct virtio_watch *listen_watch, *timer_watch, *wake_watch;
	bool timer_armed, listen_muted;
	bool stale;	     /* every connection is to be freed on the main thread */
	bool event_due;	     /* the driver has yet to hear of a transport reset */
	bool event_unread;   /* it was told, and may not have looked */
	uint16_t event_mark; /* what it had offered then */

	struct vsock_list all, ready;
	struct vsock_bucket bucket[VSOCK_BUCKETS];
	unsigned count;
	uint32_t next_port;
	struct vsock_stray stray[VSOCK_MAX_RESETS];
	unsigned strays;
	struct iovec spans[VSOCK_GATHER][VIRTQ_MAX_SIZE]; /* of receive buffers in hand */
};

/* vsock_event.c: tells the driver of a transport reset, when that is due and the driver
 * has left a buffer for it. */
void vsock_event_serve(struct virtio_vsock *v);

/* Whether the driver may not yet have acted on the last event. It kicks when it has. */
bool vsock_event_is_unread(struct virtio_vsock *v);

/* vsock_tx.c: packets from the guest, a burst of them. True when the budget ran out
 * before the ring did. */
bool vsock_tx_serve(struct virtio_vsock *v);

/* vsock_socket.c: the host's sockets. The first takes fd over, also when it fails, and
 * returns NULL then; the second is the listener's watch. */
struct vsock_conn *vsock_socket_add(struct virtio_vsock *v, int fd, enum vsock_state state);
bool vsock_socket_on_listen(void *arg, uint32_t events);

/* vsock_rx.c: packets to the guest, a burst of them. True when the budget ran out before
 * the packets did; the second asks for another turn itself. */
bool vsock_rx_serve(struct virtio_vsock *v);
void vsock_rx_turn(struct virtio_vsock *v);

/* vsock_deadline.c: what takes too long. A deadline stands until it is cleared, so that
 * a guest that repeats itself gains no time. The first makes the timer go off at a time,
 * the last is its watch. */
void vsock_deadline_arm(struct virtio_vsock *v, uint64_t at_us);
void vsock_deadline_set(struct virtio_vsock *v, struct vsock_conn *c);
bool vsock_deadline_on_timer(void *arg, uint32_t events);

/* vsock_table.c: the connections. find: NULL when there is none. free_port: a host port
 * that no connection to the guest's port has. */
struct vsock_conn *vsock_table_find(struct virtio_vsock *v, uint32_t host_port,
				    uint32_t guest_port);
void vsock_table_name(struct virtio_vsock *v, struct vsock_conn *c, uint32_t host_port,
		      uint32_t guest_port);
uint32_t vsock_table_free_port(struct virtio_vsock *v, uint32_t guest_port);

/* Frees a connection, or all, without a word to the guest. */
void vsock_table_drop(struct virtio_vsock *v, struct vsock_conn *c);
void vsock_table_drop_all(struct virtio_vsock *v);

/* Lets clients in again that had to wait for want of descriptors. */
void vsock_table_admit(struct virtio_vsock *v);

/* Closes the socket; the guest is owed a reset. */
void vsock_table_reset(struct vsock_conn *c);

/* The host will write no more; if it hung up, it reads no more either. */
void vsock_table_end_of_input(struct virtio_vsock *v, struct vsock_conn *c);

/* Bytes from the host still have a way to go. */
bool vsock_table_wants_input(const struct vsock_conn *c);

/* To be called after every change of a connection: what it waits for from now on. */
void vsock_table_settle(struct virtio_vsock *v, struct vsock_conn *c);

#endif
