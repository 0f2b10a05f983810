/* backend.h - a virtio device at work without a guest: its driver is in this process.
 *
 * The driver keeps a number of requests in some of the device's queues, in guest memory
 * of its own, and talks to it as a guest does: registers, rings, event indices, kicks
 * and interrupts by eventfd. What it does for a queue is done on the thread that serves the
 * queue: one for all, or one for each. What is measured is the device, its transport and
 * the loop, and the little that the driver does. Whoever is at
 * the device's other end (a peer of a socket, say) belongs in another process, so that
 * its work is not counted.
 */
#ifndef BENCHES_BACKEND_H
#define BENCHES_BACKEND_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "benches/report.h"
#include "devices/virtio/device.h"
#include "vmm/base/error.h"

enum { BACKEND_MAX_DEPTH = 64, BACKEND_MAX_SEGMENTS = 4, BACKEND_MAX_QUEUES = 3 };

/* The driver's work with one queue. arg is the job's. */
struct backend_queue {
	unsigned index;	   /* the device's */
	unsigned depth;	   /* requests in it, at most BACKEND_MAX_DEPTH */
	uint64_t count;	   /* requests in all; 0: as many as the others need */
	size_t slot_bytes; /* guest memory for one request; a multiple of 4096 */

	/* On the queue's thread. Writes request n into its slot (at in the guest, host here) and describes it in
	 * up to BACKEND_MAX_SEGMENTS descriptors: address, length, VRING_DESC_F_WRITE.
	 * Returns their number; 0: it has to wait, and is asked again after each answer of
	 * any queue, with one thread. */
	unsigned (*describe)(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc);
	/* Whether the request in this slot was answered well. */
	bool (*answered)(void *arg, const void *host);
};

struct backend_job {
	uint64_t features; /* beside VERSION_1, indirect descriptors and event indices */
	struct backend_queue queues[BACKEND_MAX_QUEUES];
	unsigned nqueues;
	unsigned threads; /* at most, to serve them: as a machine with so many vCPUs has */
	int tracefs;	  /* for counting system calls; -1: they are not counted */
	void *arg;
};

struct backend_result {
	uint64_t count;	  /* requests of queues that have a count */
	uint64_t ns;	  /* from the first kick to the last answer */
	uint64_t cpu_ns;  /* of this process, the kernel's work for it included */
	int64_t cycles;	  /* the same; -1 where the processor's counters cannot be used */
	int64_t syscalls; /* without the driver's own; -1: not counted */
	uint64_t interrupts, kicks[BACKEND_MAX_QUEUES];
};

/* Runs one job on a device, which is taken over and freed. 0 and *ret, or a negative
 * errno and *err. */
int backend_run(struct virtio_dev *dev, const struct backend_job *job, struct backend_result *ret,
		struct error *err);

/* Adds what was found to a report, each metric's name after prefix: requests per second
 * under the name `rate`, the rest per request. 0 or a negative errno and *err. */
int backend_report(struct report *report, const char *row, const char *prefix, const char *rate,
		   const struct backend_result *result, struct error *err);

#endif
