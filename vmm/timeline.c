/* timeline.c - when the stages of a machine's life were reached. */
#include <stdbool.h>

#include "vmm/base/clock.h"
#include "vmm/timeline.h"

static const char *const names[TIMELINE_STAGES] = {
	[TIMELINE_EXEC] = "exec",
	[TIMELINE_MAIN] = "main",
	[TIMELINE_START] = "start",
	[TIMELINE_KVM_READY] = "kvm_ready",
	[TIMELINE_FIRST_INSTRUCTION] = "first_instruction",
	[TIMELINE_KERNEL] = "kernel",
	[TIMELINE_INIT] = "init",
	[TIMELINE_EXIT] = "exit",
};

void timeline_mark(struct timeline *t, enum timeline_stage stage)
{
	uint64_t never = 0;

	if (__atomic_load_n(&t->at_us[stage], __ATOMIC_RELAXED) != 0)
		return;
	__atomic_compare_exchange_n(&t->at_us[stage], &never, clock_now_us(), false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

int64_t timeline_since_exec(const struct timeline *t, enum timeline_stage stage)
{
	uint64_t at = __atomic_load_n(&t->at_us[stage], __ATOMIC_RELAXED);

	return at == 0 ? -1 : (int64_t)(at - t->at_us[TIMELINE_EXEC]);
}

const char *timeline_name(enum timeline_stage stage)
{
	return names[stage];
}
