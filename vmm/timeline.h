/* timeline.h - when the stages of a machine's life were reached.
 *
 * Each stage is stamped once, by the first thread that reaches it, with
 * CLOCK_MONOTONIC in microseconds: the clock of the --start-time-us that a
 * caller may give, so that stages before main() are seen too.
 */
#ifndef VMM_TIMELINE_H
#define VMM_TIMELINE_H

#include <stdint.h>

enum timeline_stage {
	TIMELINE_EXEC,		    /* the process was started (given, else main) */
	TIMELINE_MAIN,		    /* main() was entered */
	TIMELINE_START,		    /* the start of the machine was asked for */
	TIMELINE_KVM_READY,	    /* the VM, its memory and its vCPUs exist */
	TIMELINE_FIRST_INSTRUCTION, /* the first vCPU enters the guest */
	TIMELINE_KERNEL,	    /* the guest's first exit to wisp: its kernel is alive */
	TIMELINE_INIT,		    /* the guest's init wrote to the boot timer */
	TIMELINE_EXIT,		    /* the guest ended, or was ended */
	TIMELINE_STAGES,
};

struct timeline {
	uint64_t at_us[TIMELINE_STAGES]; /* 0: not reached; written atomically */
	uint64_t start_cpu_us;		 /* CPU time of this process at TIMELINE_START */
};

/* Stamps a stage with the present time unless it has a stamp. Any thread. */
void timeline_mark(struct timeline *t, enum timeline_stage stage);

/* Microseconds from TIMELINE_EXEC to the stage, or -1 when it was not reached. */
int64_t timeline_since_exec(const struct timeline *t, enum timeline_stage stage);

/* The stage's name in reports: "kvm_ready". */
const char *timeline_name(enum timeline_stage stage);

#endif
