/* pace.h - how a thread that moves data shares its processor with others.
 *
 * A thread that sleeps much is let in as soon as it is woken, in place of whoever runs
 * there. For a request now and then that is right. While much is moved it is not: where
 * the vCPU shares the processor, each frame that it sends is taken from its hands at
 * once, and costs a kick, an interrupt and two switches of its own; left alone for a
 * moment, it sends ten that share them. So in bulk the thread is SCHED_BATCH: it does
 * not cut in on others, and waits for them to sleep, or for its turn. Where a processor
 * is idle it is woken as before.
 *
 * A thread that is not SCHED_OTHER to begin with was put there by somebody, and stays.
 * Every call is made on the thread itself.
 *
 * System calls: sched_getscheduler, sched_setscheduler.
 */
#ifndef VMM_BASE_PACE_H
#define VMM_BASE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero to begin with. */
struct pace {
	bool bulk;
	bool yields; /* SCHED_BATCH, by us */
	uint64_t since_us;
	uint64_t bytes; /* since then */
};

/* So much was moved up to now (clock_now_us()): 512 KiB in 5 ms are bulk, less in 5 ms
 * is not. */
void pace_moved(struct pace *p, size_t bytes, uint64_t now_us);

/* The end of it: the thread is as it was. */
void pace_rest(struct pace *p);

#endif
