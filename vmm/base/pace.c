/* pace.c - how a thread that moves data shares its processor with others. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/base/pace.h"

enum { WINDOW_US = 5000, SILENCE_US = 2 * WINDOW_US, BULK_BYTES = 512 * 1024 };

static bool set_policy(int policy)
{
	const struct sched_param none = { 0 };

	if (sched_setscheduler(0, policy, &none) == 0)
		return true;
	log_debug("the main thread's scheduling cannot be changed: %s", strerror(errno));
	return false;
}

static void begin_bulk(struct pace *p)
{
	if (p->bulk)
		return;
	p->bulk = true;
	p->yields = sched_getscheduler(0) == SCHED_OTHER && set_policy(SCHED_BATCH);
}

void pace_rest(struct pace *p)
{
	if (p->yields)
		set_policy(SCHED_OTHER);
	p->bulk = p->yields = false;
}

void pace_moved(struct pace *p, size_t bytes, uint64_t now_us)
{
	uint64_t passed_us = now_us - p->since_us;

	if (passed_us >= WINDOW_US) {
		/* Not bulk either: much of it, and then nothing for a while. */
		if (p->bytes < BULK_BYTES || passed_us >= SILENCE_US)
			pace_rest(p);
		p->since_us = now_us;
		p->bytes = 0;
	}
	p->bytes += bytes;
	if (p->bytes >= BULK_BYTES)
		begin_bulk(p);
}
