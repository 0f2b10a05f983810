/* tsc.c - how fast this machine's time stamp counter runs.
 *
 * The emulator's counter is the machine's own. A kernel that boots in it would
 * measure the frequency against an emulated timer, and on a busy machine get it wrong
 * by a factor: its clock would then run so much too fast, and every time limit inside
 * would be shorter than it says. Told the frequency, it does not measure.
 */
#include <stdint.h>
#include <time.h>
#include <x86intrin.h>

#include "tests/testhost/tsc.h"

enum {
	NS_PER_MS = 1000000,
	MEASURE_NS = 20 * NS_PER_MS,
	READINGS = 16,
};

struct instant {
	uint64_t ns, ticks;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec;
}

/* Both at once: the reading with the least time between two of the clock. */
static struct instant read_both(void)
{
	struct instant best = { 0 };
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		uint64_t before = now_ns(), ticks = __rdtsc(), took = now_ns() - before;

		if (took >= best_ns)
			continue;
		best_ns = took;
		best = (struct instant){ before + took / 2, ticks };
	}
	return best;
}

unsigned tsc_khz(void)
{
	struct instant start = read_both(), end;

	do
		end = read_both();
	while (end.ns - start.ns < MEASURE_NS);
	return (unsigned)((end.ticks - start.ticks) * NS_PER_MS / (end.ns - start.ns));
}
