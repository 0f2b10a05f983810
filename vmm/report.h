/* report.h - what a run cost: its timeline, its exits, its memory, as JSON.
 *
 *   {"id": "my-vm",
 *    "timeline_us": {"exec": 0, "main": 310, ..., "init": 61234, "exit": 70210},
 *    "restarts": 0,
 *    "exits": {"io": 120, "mmio": 88, ..., "total": 310},
 *    "devices": [{"kind": "drives", "id": "root", "requests": 410, "read_bytes": 9437184,
 *                 "write_bytes": 4096, "errors": 0, "kicks": 380, "interrupts": 377,
 *                 "violations": 0, "rejected": 0}, ...],
 *    "memory_kib": {"guest": 131072, "guest_resident": 30100, "vmm_private": 804,
 *                   "vmm_resident": 1900}}
 *
 * Stages that were not reached, and memory where /proc is absent, are null.
 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include "vmm/memory/gmem.h"
#include "vmm/slots.h"
#include "vmm/timeline.h"
#include "vmm/vcpu.h"

struct report {
	const char *id;
	const struct timeline *timeline;
	uint64_t exits[VCPU_EXIT_KINDS];
	const struct gmem *memory; /* NULL: the machine never started */
	const struct slots *slots;
	uint64_t restarts;
};

/* Writes one line of JSON to fd. 0 or a negative errno. Main thread. */
int report_write(const struct report *r, int fd);

#endif
