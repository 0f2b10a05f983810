/* jail_probe.c - stands where the VMM would in bench_jail's jails: it writes down when it
 * was executed, CLOCK_MONOTONIC in us, and ends.
 */
#include <stdio.h>

#include "vmm/base/clock.h"

int main(void)
{
	return printf("%llu\n", (unsigned long long)clock_now_us()) > 0 ? 0 : 1;
}
