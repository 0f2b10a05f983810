/* counters.h - what a virtio device has done. */
#ifndef DEVICES_VIRTIO_COUNTERS_H
#define DEVICES_VIRTIO_COUNTERS_H

#include <stdint.h>

/* What has happened since the device was made; resets do not clear it. */
struct virtio_counters {
	uint64_t requests;    /* taken off a ring */
	uint64_t read_bytes;  /* payload given to the guest */
	uint64_t write_bytes; /* payload taken from the guest */
	uint64_t errors;      /* requests answered with an error */
	uint64_t kicks;	      /* turns given to the device */
	uint64_t interrupts;  /* raised, of both kinds */
	uint64_t violations;  /* broken rules that cost the driver its device */
	uint64_t rejected;    /* register accesses and driver steps that were ignored */
};

/* Those of one lane, written by its thread alone, and a line of the cache between them and
 * the next. */
struct virtio_lane_counters {
	struct virtio_counters counters;
	char apart[64];
};

#endif
