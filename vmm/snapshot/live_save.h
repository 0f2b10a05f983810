/* live_save.h - RAM written to a file as it was at one moment, while the guest goes on.
 *
 *   prepare   the thread reads every page once, so that each is there to be protected, writes
 *             what a file was mapped over, and write-protects all other memory
 *             (userfaultfd). The guest runs; where it stores, protection is lifted.
 *   freeze    the main thread, with the machine paused: what was changed of mapped files is
 *             written again, and what was stored into is protected again.
 *   write     the thread writes block by block and lifts the protection behind it. Whoever
 *             stores into a block that is not written yet, vCPU, device or kernel, waits in
 *             the fault until it is, and comes before all others.
 *   sync      nothing is protected any more; the file goes to disk.
 *
 * A thread that fails lifts all protection at once: the guest loses nothing but the
 * snapshot. RAM must be private memory of this process (gmem_is_private), served by nobody,
 * and held (gmem_hold) for as long as this lives.
 *
 * Main thread, but for the thread that is inside.
 */
#ifndef VMM_SNAPSHOT_LIVE_SAVE_H
#define VMM_SNAPSHOT_LIVE_SAVE_H

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/memory_file.h"

struct live_save;

enum live_stage {
	LIVE_PREPARING,
	LIVE_PREPARED, /* waits for live_save_freeze() */
	LIVE_WRITING,
	LIVE_WRITTEN, /* and on disk */
	LIVE_FAILED,
};

/* Begins to prepare. memory_fd: the file; state_fd: the state's, which is synced, too. Both
 * stay the caller's and must outlive it. 0 and *ret, or a negative errno and *err. */
int live_save_create(struct gmem *mem, int memory_fd, int state_fd,
		     const struct memory_label *label, struct live_save **ret, struct error *err);

/* Readable when the stage is another one; live_save_stage() takes note of it. */
int live_save_fd(const struct live_save *s);
enum live_stage live_save_stage(struct live_save *s);

/* When LIVE_PREPARED, with the machine paused: from its return on, the guest may run. 0 or
 * a negative errno and *err; then nothing is protected, and it is over. */
int live_save_freeze(struct live_save *s, struct error *err);

/* Once, after a freeze and when the state file is written: it may be synced. */
void live_save_finish(struct live_save *s);

struct live_figures {
	uint64_t bytes;	 /* of data */
	uint64_t faults; /* of writers that had to wait */
};
struct live_figures live_save_figures(const struct live_save *s); /* when LIVE_WRITTEN */

/* Why it failed, when LIVE_FAILED: a negative errno, and *err. */
int live_save_error(const struct live_save *s, struct error *err);

/* Ends it at any stage; nothing is protected any more. Accepts NULL. */
void live_save_destroy(struct live_save *s);

#endif
