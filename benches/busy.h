/* busy.h - a processor that is never idle.
 *
 * Under deterministic time the test host's clock leaps to the next timer when the
 * machine is idle. While a VMM waits for one of its files, which takes real time and
 * none of the machine's, that would leap over seconds. A process that runs only when
 * nothing else wants to keeps the clock at its pace.
 */
#ifndef BENCHES_BUSY_H
#define BENCHES_BUSY_H

#include <sys/types.h>

/* Its pid, for busy_stop(), or a negative errno. It ends with its parent. */
pid_t busy_start(void);

/* Kills and reaps it. Nothing to do when pid is not positive. */
void busy_stop(pid_t pid);

#endif
