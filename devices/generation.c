/* generation.c - how a guest learns that it was copied: VMGenID and VMClock.
 *
 * What the guest may change is only ever written. The count is kept here, so a
 * guest that scribbles over its page cannot make two lives look like one.
 *
 * VMClock's fields are guarded by a sequence count, as a guest may read them at any
 * time: odd while they change, even and higher than before when they hold again.
 *
 * System calls: getrandom.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/generation.h"

/* include/uapi/linux/vmclock-abi.h, which came with Linux 6.13; two flags are newer. */
enum {
	VMCLOCK_MAGIC = 0x4b4c4356, /* "VCLK" */
	VMCLOCK_VERSION = 1,
	VMCLOCK_COUNTER_INVALID = 0xff,
	VMCLOCK_STATUS_UNKNOWN = 0,
	VMCLOCK_FLAG_VM_GEN_COUNTER_PRESENT = 1 << 8,
	VMCLOCK_FLAG_NOTIFICATION_PRESENT = 1 << 9, /* an event follows each change */
};

/* Little-endian, as our hosts are. */
struct vmclock {
	uint32_t magic;
	uint32_t size;
	uint16_t version;
	uint8_t counter_id;
	uint8_t time_type;
	uint32_t seq_count;
	uint64_t disruption_marker;
	uint64_t flags;
	uint8_t pad[2];
	uint8_t clock_status;
	uint8_t time_fields[69]; /* how counter and time relate: not told */
	uint64_t vm_generation_counter;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the pages are written in host order");
_Static_assert(offsetof(struct vmclock, seq_count) == 12, "as Linux lays it out");
_Static_assert(offsetof(struct vmclock, clock_status) == 34, "as Linux lays it out");
_Static_assert(offsetof(struct vmclock, vm_generation_counter) == 104, "as Linux lays it out");

struct generation {
	struct acpi_pm *pm;
	uint8_t *id;
	struct vmclock *clock;
	uint64_t count; /* lives before this one */
};

/* The host's random numbers do not run dry, so 16 bytes come whole or not at all. */
static int write_id(uint8_t *id)
{
	uint8_t fresh[GENERATION_ID_BYTES];
	ssize_t n;

	do
		n = getrandom(fresh, sizeof(fresh), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(fresh))
		return n < 0 ? -errno : -EIO;
	memcpy(id, fresh, sizeof(fresh));
	return 0;
}

static void fill_clock(struct vmclock *clock)
{
	memset(clock, 0, GENERATION_PAGE_BYTES);
	clock->magic = VMCLOCK_MAGIC;
	clock->size = GENERATION_PAGE_BYTES;
	clock->version = VMCLOCK_VERSION;
	clock->counter_id = VMCLOCK_COUNTER_INVALID;
	clock->flags = VMCLOCK_FLAG_VM_GEN_COUNTER_PRESENT | VMCLOCK_FLAG_NOTIFICATION_PRESENT;
	clock->clock_status = VMCLOCK_STATUS_UNKNOWN;
}

int generation_create(const struct generation_config *config, struct generation **ret)
{
	uint8_t *id = gmem_span(config->mem, config->id_page, GENERATION_PAGE_BYTES);
	struct vmclock *clock = gmem_span(config->mem, config->clock_page, GENERATION_PAGE_BYTES);
	struct generation *g;
	int r;

	if (!id || !clock)
		return -EFAULT;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	r = write_id(id);
	if (r < 0) {
		generation_destroy(g);
		return r;
	}
	fill_clock(clock);
	g->pm = config->pm;
	g->id = id;
	g->clock = clock;
	*ret = g;
	return 0;
}

void generation_destroy(struct generation *g)
{
	free(g);
}

void generation_state(struct generation *g, struct state *s)
{
	state_begin(s, STATE_GENERATION, 0);
	state_u64(s, &g->count);
	state_end(s);
}

int generation_renew(struct generation *g)
{
	struct vmclock *clock = g->clock;
	int r = write_id(g->id);

	if (r < 0)
		return r;
	g->count++;
	/* Acquired, so that what follows stays behind it; a fence TSan cannot see. */
	__atomic_exchange_n(&clock->seq_count, (uint32_t)(2 * g->count - 1), __ATOMIC_ACQUIRE);
	__atomic_store_n(&clock->disruption_marker, g->count, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->vm_generation_counter, g->count, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->seq_count, (uint32_t)(2 * g->count), __ATOMIC_RELEASE);
	acpi_pm_raise(g->pm, ACPI_PM_EVENT_GENERATION | ACPI_PM_EVENT_CLOCK);
	return 0;
}
