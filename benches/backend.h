/* backend.h - a virtio device at work without a guest: its driver is in this process.
 *
 * The driver keeps a number of requests in the device's first queue, in guest memory
 * of its own, and talks to it as a guest does: registers, rings, event indices, kicks
 * and interrupts by eventfd, all on one loop and one thread. What is measured is the
 * device, its transport and the loop, and the little that the driver does.
 */
#ifndef BENCHES_BACKEND_H
#define BENCHES_BACKEND_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/device.h"
#include "vmm/base/error.h"

enum { BACKEND_MAX_DEPTH = 64, BACKEND_MAX_SEGMENTS = 4 };

struct backend_job {
	uint64_t features; /* beside VERSION_1, indirect descriptors and event indices */
	unsigned depth;	   /* requests in the queue, at most BACKEND_MAX_DEPTH */
	uint64_t count;	   /* requests in all, at least depth */
	size_t slot_bytes; /* guest memory for one request; a multiple of 4096 */
	int tracefs;	   /* for counting system calls; -1: they are not counted */

	/* Writes request n into its slot (at in the guest, host here) and describes it in
	 * up to BACKEND_MAX_SEGMENTS descriptors: address, length, VRING_DESC_F_WRITE.
	 * Returns their number. */
	unsigned (*describe)(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc);
	/* Whether the request in this slot was answered well. */
	bool (*answered)(void *arg, const void *host);
	void *arg;
};

struct backend_result {
	uint64_t ns;	  /* from the first kick to the last answer */
	uint64_t cpu_ns;  /* of this process, the kernel's work for it included */
	int64_t cycles;	  /* the same; -1 where the processor's counters cannot be used */
	int64_t syscalls; /* without the driver's own; -1: not counted */
	uint64_t interrupts, kicks;
};

/* Runs one job on a device, which is taken over and freed. 0 and *ret, or a negative
 * errno and *err. */
int backend_run(struct virtio_dev *dev, const struct backend_job *job, struct backend_result *ret,
		struct error *err);

#endif
