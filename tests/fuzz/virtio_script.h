/* virtio_script.h - fuzzer input as a guest driver that does as it pleases.
 *
 * The input is a list of steps: register accesses of any kind, writes to guest
 * memory, descriptors, ring indices, kicks. Shortcuts (a whole initialisation, a
 * plausible descriptor) let the fuzzer get behind the first check.
 */
#ifndef TESTS_FUZZ_VIRTIO_SCRIPT_H
#define TESTS_FUZZ_VIRTIO_SCRIPT_H

#include "devices/virtio/mmio.h"

struct virtio_script {
	struct gmem *mem;
	struct virtio_dev *dev; /* owned by transport */
	struct virtio_transport *transport;
};

/* Takes dev over; aborts when the host has no memory. */
void virtio_script_create(struct virtio_script *s, struct virtio_dev *dev);

/* Brings a driver up that accepts all features, with its queues at the usual place. */
void virtio_script_start(struct virtio_script *s);

/* Runs one input against the device, from reset and zeroed rings to reset. */
void virtio_script_run(struct virtio_script *s, const uint8_t *data, size_t size);

#endif
