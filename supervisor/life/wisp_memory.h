/* wisp_memory.h - how much memory the guest of a running wisp has: its RAM, less what the
 * balloon holds, and what is plugged (virtio-mem).
 *
 * Below RAM the balloon takes, above it memory is plugged. Any thread, which waits for the
 * guest; 0 or a negative errno and *err. What the VMM says is its own word: it may be a
 * guest's that has taken it over, and changes nothing beyond the two sizes that were asked for.
 */
#ifndef SUPERVISOR_WISP_MEMORY_H
#define SUPERVISOR_WISP_MEMORY_H

#include <stdint.h>

#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

struct wisp;

/* From q->mem_from_mib to q->mem_mib; q->now_mib: what the guest has now. What fails is undone:
 * then that is the first again, or, where a guest keeps what it got, more. -ETIMEDOUT: the
 * guest did not do it; -EPROTO: the VMM refused. */
int wisp_memory_set(struct wisp *w, struct launch_resize *q, struct error *err);

#endif
