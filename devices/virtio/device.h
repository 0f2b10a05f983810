/* device.h - what a virtio device supplies, and what the core does for it.
 *
 * A device embeds struct virtio_dev, fills in its ops, and answers requests. The
 * core (device.c) negotiates features, checks and owns the queues, bounds what
 * the driver can ask for, and stops calling a device whose driver misbehaved; a
 * transport (mmio.h) carries all this to the guest. docs/devices.md walks through
 * a whole device.
 *
 * Every op but destroy is called with the device's lock held, one at a time; kick of a
 * device with lanes with one lane's lock only, at the same time as another lane's.
 */
#ifndef DEVICES_VIRTIO_DEVICE_H
#define DEVICES_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio/counters.h"
#include "devices/virtio/queue.h"
#include "devices/virtio/watch.h"

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct virtio_dev;
struct virtio_sink;

struct virtio_ops {
	const char *name;	     /* "rng": logs and reports */
	uint32_t id;		     /* VIRTIO_ID_* */
	unsigned nqueues;	     /* at most VIRTIO_MAX_QUEUES */
	const uint16_t *queue_sizes; /* nqueues maxima, powers of two */
	size_t config_len;	     /* bytes of configuration space */

	/* Another process serves the queues: it must be able to map guest memory
	 * (GMEM_MEMFD and its like), and features decides on the core's bits too. */
	bool remote;

	/* And it does so by the eventfds that the sink lends (life.h): kick is not called. */
	bool direct;

	/* Neighbouring queues that belong together: each such group may be served by a thread
	 * of its own, beside the others (lanes.h). 0: the main thread serves all queues. */
	unsigned lane_queues;

	/* Of a device with lanes: this queue's turns need the whole device, and every lane
	 * stands still meanwhile. With its lane's lock. NULL: none does. */
	bool (*needs_all)(const struct virtio_dev *d, unsigned q);

	/* Device-specific bits on offer, constant for the device's life; the core
	 * adds its own, unless the device is remote. NULL: none. vCPU thread. */
	uint64_t (*features)(const struct virtio_dev *d);

	/* Memory of the device's own (window.h), handed over to the machine, which puts it
	 * in its place before the driver can see the device. Asked again, the device says
	 * which it was. NULL: it has none. */
	struct window *(*hand_over)(struct virtio_dev *d);

	/* Where that memory was, by the device's section of a state that is loaded, all of
	 * which it reads. NULL: it is blocks (snapshot/plugged.h). Before hand_over. */
	uint64_t (*saved_base)(struct virtio_dev *d, struct state *s);

	/* Configuration space, in range always. read: vCPU thread; NULL when
	 * config_len is 0. write: vCPU thread; NULL: nothing is writable. */
	void (*config_read)(const struct virtio_dev *d, size_t off, void *dst, size_t len);
	void (*config_write)(struct virtio_dev *d, size_t off, const void *src, size_t len);

	/* The device is on a loop: it may make watches (watch.h) on d->events. Once,
	 * before the guest runs. A negative errno ends the machine's start. detach: the
	 * watches must go. NULL: it has none. Main thread. */
	int (*attach)(struct virtio_dev *d);
	void (*detach)(struct virtio_dev *d);

	/* DRIVER_OK: d->accepted is final, the queues are up. A negative errno fails
	 * the device. NULL: nothing to do. vCPU thread. */
	int (*activate)(struct virtio_dev *d);

	/* Serves queue q up to a budget of the device's own and publishes. True when
	 * work is left: called again after the others' turns. NULL only when the device
	 * is direct. The thread of the queue's lane, with that lane's lock. */
	bool (*kick)(struct virtio_dev *d, unsigned q);

	/* Finishes and publishes every request in hand that needs no more of the
	 * driver: no guest memory is touched before the next kick or watch. Before a
	 * pause, with the driver up, also when the device has failed meanwhile. NULL:
	 * kick leaves no such request. Main thread. */
	void (*drain)(struct virtio_dev *d);

	/* Finishes or drops every request in hand: none may be pushed afterwards, no
	 * guest memory is touched before the next kick. Before reset, before a queue
	 * is taken away, before destroy. NULL: kick leaves nothing in hand. */
	void (*quiesce)(struct virtio_dev *d);

	/* The section of a saved state that is the device's (vmm/snapshot/state.h), and what
	 * it has in there, saved or loaded; before loading, the device was activated if its
	 * driver was up. STATE_NO_SECTION: it cannot be saved; NULL: nothing but what the
	 * core knows. The machine is paused; main thread. */
	enum state_section section;
	void (*state)(struct virtio_dev *d, struct state *s);

	void (*destroy)(struct virtio_dev *d);
};

enum { VIRTIO_MAX_QUEUES = 16 };

/* What there is to tell of a device since it was last asked: however much happens
 * meanwhile, it is one notice. */
struct virtio_notice {
	const char *fault; /* what went wrong last, a literal; NULL: nothing */
	bool changed;	   /* what the driver reads in the configuration space, or wrote there */
};

/* Whoever wants to know is told that there is a notice: any thread, with the device's
 * lock held. virtio_dev_take_notice() has it. */
struct virtio_listener {
	void (*tell)(const struct virtio_listener *l);
};

struct virtio_dev {
	/* Set by the device before it is handed to a transport. */
	const struct virtio_ops *ops;

	/* The device reads these, and counts errors and payload bytes. */
	struct virtq *vq[VIRTIO_MAX_QUEUES]; /* ops->nqueues of them */
	uint64_t accepted;		     /* features, final from FEATURES_OK on */
	struct virtio_counters counters;     /* of the first lane, and of no lane */
	const struct gmem *mem;

	struct virtio_events *events; /* from attach to detach */

	/* Whoever made the device will use it again behind another transport: a
	 * virtio_dev_destroy() only lets go of it. Set on the main thread. */
	bool kept;

	/* Set before the device is handed to a transport, if at all. */
	const struct virtio_listener *listener;

	/* The core's own. */
	struct virtio_lane_counters more[LANES_MAX - 1]; /* of the other lanes */
	struct virtio_notice notice;
	const struct virtio_sink *sink;
	uint8_t status; /* VIRTIO_CONFIG_S_*; a lane that fails the device: atomically */
	bool accepted_unknown;
	uint32_t config_generation;
};

/* The driver broke the rules, or the device cannot go on: DEVICE_NEEDS_RESET, a
 * configuration interrupt when the driver is up, a line in the log, and no more
 * kicks until reset (2.1.2). why is for a person. Only the first call counts. */
void virtio_dev_fail(struct virtio_dev *d, const char *why);

/* For the listener: the device did not fail, but something has gone wrong with it; or
 * part of the configuration space that is no concern of the driver's has changed. With
 * the lock held, and once the device has been handed over. */
void virtio_dev_note_fault(struct virtio_dev *d, const char *why);
void virtio_dev_note_change(struct virtio_dev *d);

/* Asks for a turn of queue q < nqueues on its own thread. Any thread; the driver was up once
 * since the device was handed over. */
void virtio_dev_poke(struct virtio_dev *d, unsigned q);

/* The configuration space now reads otherwise: a new generation, and an interrupt
 * when the driver is up (2.5, 4.2.2.1). */
void virtio_dev_config_changed(struct virtio_dev *d);

static inline bool virtio_dev_has(const struct virtio_dev *d, unsigned feature)
{
	return (d->accepted >> feature) & 1;
}

#endif
