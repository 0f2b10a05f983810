/* virtio_probe.h - a virtio device for tests: it touches every byte it is given.
 *
 * Two queues. A request's readable bytes are added up, its writable bytes are
 * filled with PROBE_FILL, and all of those count as written.
 */
#ifndef TESTS_UNIT_VIRTIO_PROBE_H
#define TESTS_UNIT_VIRTIO_PROBE_H

#include "devices/virtio/device.h"

enum {
	PROBE_ID = 63,
	PROBE_FILL = 0xa5,
	PROBE_BURST = 8, /* requests a turn */
	PROBE_CONFIG_LEN = 10,
	PROBE_QUEUE0 = 256,
	PROBE_QUEUE1 = 16,
};

struct probe {
	struct virtio_dev dev;
	unsigned char config[PROBE_CONFIG_LEN];
	unsigned char behind_config[8]; /* no access may get here */
	bool refuse_activation;
	unsigned activated, quiesced;
	uint64_t readable_bytes, writable_bytes, sum;
	unsigned last_out, last_in; /* spans of the last request */
};

/* Its struct virtio_dev goes to a transport, which frees the probe. */
struct probe *probe_create(void);

#endif
