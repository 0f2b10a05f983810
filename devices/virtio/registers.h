/* registers.h - what the transports have in common: the part of their registers
 * that differs in place and width only, and the struct behind transport.h.
 *
 * A transport embeds struct virtio_transport as its first member, gives it its
 * ops, and decodes its own registers into these calls. They need the lock, except
 * where they say otherwise.
 */
#ifndef DEVICES_VIRTIO_REGISTERS_H
#define DEVICES_VIRTIO_REGISTERS_H

#include "devices/virtio/transport.h"

struct virtio_transport_ops {
	/* Tells the driver. With the lock of the queue's lane held, or of any lane for the
	 * configuration: two lanes may call at once. */
	void (*interrupt)(struct virtio_transport *t, enum virtio_cause cause, unsigned queue);

	/* The eventfd that interrupts the driver for a queue (life.h). With the lock
	 * held, while the driver is up. */
	int (*call_fd)(struct virtio_transport *t, unsigned queue);

	/* The device was reset: forgets what the driver wrote. With the lock held. */
	void (*reset)(struct virtio_transport *t);

	/* Saves or loads its own registers. Loading: the device's status is in place. With
	 * the lock held. */
	void (*state)(struct virtio_transport *t, struct state *s);

	/* Calls virtio_transport_fini() and frees what it embeds. */
	void (*destroy)(struct virtio_transport *t);
};

struct virtio_transport_queue {
	struct virtio_transport *transport;
	unsigned index, lane;
	int kick_fd;
	struct loop_source *source; /* its lane's thread; NULL while detached */
	bool kept;		    /* kicked while paused; its lane's lock */
	struct virtq_layout layout; /* as the driver wrote it, unchecked; lock */
};

struct virtio_transport {
	const struct virtio_transport_ops *ops;
	struct virtio_dev *dev;
	struct virtio_sink sink;
	struct lanes *lanes;	     /* NULL: every queue is on the main loop */
	struct virtio_events events; /* with the device's lock in it */

	/* Under the lock: the registers that both have. */
	uint32_t device_features_sel, driver_features_sel, queue_sel;

	unsigned nqueues;
	struct virtio_transport_queue queue[VIRTIO_MAX_QUEUES];
};

/* Takes dev behind a transport that is all zero. 0; or a negative errno, dev stays
 * the caller's, and nothing is left to undo. mem must outlive it. Main thread. */
int virtio_transport_init(struct virtio_transport *t, const struct virtio_transport_ops *ops,
			  struct virtio_dev *dev, const struct gmem *mem);

/* All but the device and t itself. Main thread. */
void virtio_transport_fini(struct virtio_transport *t);

/* An access that is not for any register: counted, logged, without effect. */
void virtio_transport_reject(struct virtio_transport *t, const char *what, uint64_t off,
			     size_t len);

/* The 32 bits of the features on offer that the driver selected. */
uint32_t virtio_transport_offered(const struct virtio_transport *t);

/* The queue that the driver selected, NULL when it does not exist; what it can hold
 * at most, 0 when it does not exist; whether it is in use. */
struct virtio_transport_queue *virtio_transport_selected(struct virtio_transport *t);
uint32_t virtio_transport_max_size(struct virtio_transport *t);
bool virtio_transport_ready(struct virtio_transport *t);

/* The same when its layout may be changed: NULL while the queue is in use, so that
 * what was checked is what is used. */
struct virtio_transport_queue *virtio_transport_writable(struct virtio_transport *t);

/* The low or the high half of an address. */
void virtio_transport_set_half(gpa_t *address, bool high, uint32_t value);

/* The driver writes the status byte; 0 is a reset. */
void virtio_transport_set_status(struct virtio_transport *t, uint32_t value);

/* QueueNotify without an ioeventfd. False for a queue that does not exist. Takes no
 * lock; any thread. */
bool virtio_transport_notify(struct virtio_transport *t, uint32_t queue);

#endif
