/* report.h - what a run cost: its timeline, its exits, its memory, as JSON.
 *
 *   {"id": "my-vm",
 *    "timeline_us": {"exec": 0, "main": 310, ..., "init": 61234, "exit": 70210},
 *    "exits": {"io": 120, "mmio": 88, ..., "total": 310},
 *    "memory_kib": {"guest": 131072, "guest_resident": 30100, "vmm_private": 804,
 *                   "vmm_resident": 1900}}
 *
 * Stages that were not reached, and memory where /proc is absent, are null.
 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include "vmm/memory/gmem.h"
#include "vmm/timeline.h"
#include "vmm/vcpu.h"

struct report {
	const char *id;
	const struct timeline *timeline;
	uint64_t exits[VCPU_EXIT_KINDS];
	const struct gmem *memory; /* NULL: the machine never started */
};

/* Writes one line of JSON to fd. 0 or a negative errno. Main thread. */
int report_write(const struct report *r, int fd);

#endif
