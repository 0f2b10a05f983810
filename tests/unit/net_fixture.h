/* net_fixture.h - a network interface under test: a driver with all its queues, and a
 * socket that stands for the host's network.
 */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include "devices/virtio/net.h"
#include "tests/unit/virtio_driver.h"

enum {
	NET_QUEUES = 5,
	NET_BUFFER = DRIVER_HIGH,     /* buffers for tests; the rest of high RAM is theirs */
	NET_BUFFER_BYTES = 64 * 1024, /* each */
	NET_MTU = 1400,
};

/* One queue of the driver's; queue 0 is the one that virtio_driver.h has, too. */
struct net_ring {
	struct driver *d;
	unsigned index;
	uint64_t desc, avail, used;
	uint16_t size, avail_idx, used_idx, next_desc;
};

struct net_fixture {
	struct driver d;
	struct net_ring ring[NET_QUEUES];
	int host[2]; /* the far ends of the back end's descriptors */
};

extern const uint8_t net_mac[6];

/* A device on sockets of this type, with `pairs` pairs; adopt says by which back end. */
typedef int (*net_adopt_fn)(const int *fds, unsigned pairs, struct net_backend **ret);
void net_create(struct net_fixture *f, int type, unsigned pairs, net_adopt_fn adopt,
		const struct virtio_net_options *options);
void net_destroy(struct net_fixture *f);

/* The same, with the metadata service on it. */
void net_create_served(struct net_fixture *f, int type, unsigned pairs, net_adopt_fn adopt,
		       const struct virtio_net_options *options, struct mmds *m, in_addr_t address);

/* Negotiates and sets up all queues, of this size. */
void net_start(struct net_fixture *f, uint64_t features, uint16_t size);

/* Guest memory for buffer i, and a chain of these buffers put on the ring, not kicked:
 * descriptors are taken round robin. Returns the chain's head. */
uint64_t net_buffer(unsigned i);
uint16_t net_offer(struct net_ring *r, const struct driver_buffer *b, unsigned n);

/* The next used entry; false when there is none. */
bool net_used(struct net_ring *r, struct vring_used_elem *e);

/* Writes a header of zeroes and an Ethernet frame of len bytes, from our MAC and filled
 * with a pattern, to guest or host memory of NET_HEADER_BYTES + len. */
void net_frame(void *at, size_t len, unsigned seed);

/* The same, offered for transmission in one buffer (buffer i) and kicked. */
void net_transmit(struct net_fixture *f, unsigned pair, unsigned i, size_t len);

bool net_needs_reset(struct net_fixture *f);

#endif
