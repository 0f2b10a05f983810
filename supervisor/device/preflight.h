/* preflight.h - whether PCI functions can be handed to a guest, and why not: before anything
 * is touched.
 *
 * One row a check (preflight_checks[]): a stable code, what was seen, and the remedy. All
 * rows are always run, so that an operator sees everything that is to be mended at once.
 * Pure functions of an inventory. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_PREFLIGHT_H
#define SUPERVISOR_DEVICE_PREFLIGHT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/device/inventory.h"

enum { PREFLIGHT_DEVICES_MAX = 8, PREFLIGHT_TEXT_BYTES = 200 };

enum preflight_verdict { PREFLIGHT_PASS, PREFLIGHT_WARN, PREFLIGHT_REFUSE };

/* What of a guest's memory and a device's node is asked to be the same. */
enum preflight_numa { PREFLIGHT_NUMA_PREFERRED, PREFLIGHT_NUMA_REQUIRED, PREFLIGHT_NUMA_ANY };

extern const char *const preflight_numa_names[]; /* NULL-ended */

struct preflight_request {
	int64_t mem_mib; /* of the guest */
	enum preflight_numa numa;
	int node; /* where its memory is to be; -1: anywhere */
	bool huge_pages;
	bool latency;	      /* nothing may be left to chance */
	const char *features; /* that it wants, separated by commas; NULL: none */
};

struct preflight {
	const struct inventory *inventory;
	const struct pci_function *device[PREFLIGHT_DEVICES_MAX];
	unsigned count; /* of those that go to one guest */
	struct preflight_request request;
	/* Without a device: why a microVM does not do (life/board.h); NULL: it does. */
	const char *needs;
	bool qemu; /* QEMU runs it, needed or not */
};

struct preflight_finding {
	enum preflight_verdict verdict;
	char text[PREFLIGHT_TEXT_BYTES];
};

struct preflight_check {
	const char *code;
	enum preflight_verdict (*check)(const struct preflight *p, char *text);
	const char *remedy;
	/* The machine is the matter: without a hypervisor the device would do. */
	bool bare_metal;
};

extern const struct preflight_check preflight_checks[];
extern const unsigned preflight_checks_count;

/* The worst of all; *first: the row that refuses first, where one does (it may be NULL). */
enum preflight_verdict preflight_run(const struct preflight *p,
				     const struct preflight_check **first,
				     char text[PREFLIGHT_TEXT_BYTES]);

/* {"verdict", "findings": [{"check", "verdict", "text", "remedy"}]}; the caller owns it. */
json_t *preflight_describe(const struct preflight *p);

/* The decision record: microVM, QEMU with VFIO, bare metal, a scheduler first; which, and
 * why not the others. count 0: no device is wanted. The caller owns it. */
json_t *preflight_explain(const struct preflight *p);

/* What a process must be able to lock for a guest that a device reaches. */
int64_t preflight_memlock_mib(int64_t mem_mib);

#endif
