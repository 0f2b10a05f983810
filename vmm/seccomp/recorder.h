/* recorder.h - which system calls the threads make: a filter learnt from a run.
 *
 * In the place of its filter each thread gets one that asks a thread of the recorder's
 * before every call; that one, which has no filter, notes the call and lets it go on.
 * Nothing is refused. When the process ends by itself, what was noted is written as
 * JSON for wisp-seccomp(1). For once and all: a thread that asks cannot stop asking.
 * Kernel document: userspace-api/seccomp_filter, "Userspace Notification"; Linux 5.5.
 */
#ifndef VMM_SECCOMP_RECORDER_H
#define VMM_SECCOMP_RECORDER_H

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/base/thread_filter.h"

/* Main thread, once, before any other thread is started. */
int recorder_start(const char *path, struct error *err);

/* Whether recorder_start() went well. Any thread. */
bool recorder_runs(void);

/* The calling thread's calls are noted for this role from here on. 0 or a negative errno. */
int recorder_join(enum thread_role role);

#endif
