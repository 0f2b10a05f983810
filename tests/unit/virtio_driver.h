/* virtio_driver.h - a guest driver in host memory, for tests.
 *
 * Talks to a device as a guest does: registers through the bus operations, rings
 * in guest RAM, kicks through QueueNotify and the event loop. It obeys the rules
 * unless a test breaks them by hand, for which every address is public.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include <linux/virtio_ring.h>

#include "devices/virtio/mmio.h"

/* RAM is [0, DRIVER_GAP) and [DRIVER_HIGH, DRIVER_HIGH_END). The rings of queue 0
 * and the indirect table are below DRIVER_BUFFERS. */
enum {
	DRIVER_DESC = 0x1000,
	DRIVER_AVAIL = 0x3000,
	DRIVER_USED = 0x5000,
	DRIVER_TABLE = 0x8000,
	DRIVER_BUFFERS = 0x10000,
	DRIVER_GAP = 0x200000,
	DRIVER_HIGH = 0x800000,
	DRIVER_HIGH_END = 0x2800000,
	DRIVER_WINDOW = 0x10000000, /* memory that the device brings */
};

struct driver {
	struct gmem *mem;
	struct loop *loop;
	struct lanes *lanes;	/* NULL: everything is on the loop */
	struct virtio_dev *dev; /* owned by transport */
	struct virtio_transport *transport;
	uint16_t size, avail_idx, used_idx;
	unsigned memslots; /* of the window, that are there */
};

struct driver_buffer {
	uint64_t addr;
	uint32_t len;
	bool writable;
};

/* Takes dev over. Fails the test when it cannot. */
void driver_create(struct driver *d, struct virtio_dev *dev);
void driver_destroy(struct driver *d);

/* Spreads the device's queues over lanes, whose threads run from now on: before the start. */
void driver_spread(struct driver *d, unsigned vcpus);

/* Registers, 4 bytes each. */
uint32_t driver_get(struct driver *d, uint64_t reg);
void driver_put(struct driver *d, uint64_t reg, uint32_t value);

/* Reset, negotiation of exactly these features and of VERSION_1, up to FEATURES_OK.
 * What Status reads then. */
uint32_t driver_negotiate(struct driver *d, uint64_t features);
uint64_t driver_offered(struct driver *d);
void driver_set_queue(struct driver *d, const struct virtq_layout *l);

/* All of it, with queue 0 of this size at the usual place, up to DRIVER_OK. */
void driver_start(struct driver *d, uint64_t features, uint16_t size);

/* Guest memory. */
void *driver_at(struct driver *d, uint64_t addr, size_t len);
struct vring_avail *driver_avail(struct driver *d);
struct vring_used *driver_used_ring(struct driver *d);

/* Descriptor i of the table at a guest address. */
void driver_desc(struct driver *d, uint64_t table, unsigned i, struct vring_desc desc);

/* Writes a chain of n buffers into descriptors first, first + 1, ... */
void driver_chain(struct driver *d, uint16_t first, const struct driver_buffer *b, unsigned n);

/* Puts a head on the available ring. */
void driver_offer(struct driver *d, uint16_t head);

/* QueueNotify, then the loop until nothing is left to do. */
void driver_kick(struct driver *d, unsigned queue);
void driver_run(struct driver *d);

/* Chain, offer, kick, and the used entry; false when none came. */
bool driver_request(struct driver *d, const struct driver_buffer *b, unsigned n,
		    struct vring_used_elem *used);

/* The next used entry, false when there is none. */
bool driver_used(struct driver *d, struct vring_used_elem *e);

/* Edges since the last call. */
unsigned driver_interrupts(struct driver *d);

#endif
