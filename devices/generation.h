/* generation.h - how a guest learns that it was copied: VMGenID and VMClock.
 *
 * Two pages of guest memory that the ACPI tables point at. The first holds the
 * generation ID, 16 random bytes that no two lives of a machine share: a guest mixes
 * a new one into its random numbers. The second is VMClock's (Linux,
 * include/uapi/linux/vmclock-abi.h): it counts the same, and says that whatever the
 * guest knew of its clock is no longer so. It gives no time.
 *
 * Guests may write to both pages; nothing is ever read back from them.
 */
#ifndef DEVICES_GENERATION_H
#define DEVICES_GENERATION_H

#include "devices/acpi_pm.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/state.h"

enum {
	GENERATION_PAGE_BYTES = 4096,
	GENERATION_ID_BYTES = 16, /* from the start of the first page on */
};

struct generation_config {
	const struct gmem *mem; /* must outlive the device, as pm must */
	gpa_t id_page, clock_page;
	struct acpi_pm *pm; /* tells the guest */
};

struct generation;

/* Fills both pages: the first life. 0 and *ret, -EFAULT when a page is not RAM, or
 * another negative errno. Before the guest starts; main thread. */
int generation_create(const struct generation_config *config, struct generation **ret);

/* Accepts NULL. */
void generation_destroy(struct generation *g);

/* Another life begins: a new ID, a new count, and an event for each. 0, or a negative
 * errno and nothing has changed. For a machine that is started from a snapshot, after
 * its memory is back and before its vCPUs run; main thread. */
int generation_renew(struct generation *g);

/* Saves or loads its section (vmm/snapshot/state.h). Loading: the lives before the
 * one that was saved; generation_renew() then begins the next. Main thread. */
void generation_state(struct generation *g, struct state *s);

#endif
