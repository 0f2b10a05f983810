/* prefetch.h - a loaded machine's working set, brought in while the machine starts.
 *
 * A thread of its own first has the disk read all of it, then fills this process's page
 * tables: with the file's pages where the guest read, with copies of them where it wrote,
 * which it is to own anyway. A page that the guest has reached first is left as it is, so
 * nothing waits for anything. Best effort: what fails, the guest does itself.
 *
 * Main thread, but for the thread that is inside.
 */
#ifndef VMM_SNAPSHOT_PREFETCH_H
#define VMM_SNAPSHOT_PREFETCH_H

#include "vmm/base/error.h"
#include "vmm/base/thread_filter.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/memory_file.h"

struct prefetch;

/* path: the working set's file, of the snapshot with this id, whose memory file has just
 * been mapped over all of RAM; the machine does not run yet. RAM must outlive it. 0 and
 * *ret, or a negative errno and *err (field "working_set_path"). */
int prefetch_start(const char *path, const struct snapshot_id *id, struct gmem *mem,
		   const struct thread_filters *filters, struct prefetch **ret, struct error *err);

/* Stops it, if it is not through yet. Accepts NULL. */
void prefetch_destroy(struct prefetch *p);

#endif
