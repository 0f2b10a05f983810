/* hang.h - what can be seen from outside of a program that hangs.
 */
#ifndef TESTS_INTEGRATION_HANG_H
#define TESTS_INTEGRATION_HANG_H

#include <sys/types.h>

/* To stderr, a line for each: its threads; the counters that KVM keeps of its machines; when the
 * host's processors' next timers are due, and those for guests. What this process may not read
 * is left out. Called twice with some time between, it tells what still works. */
void hang_show(pid_t pid);

#endif
