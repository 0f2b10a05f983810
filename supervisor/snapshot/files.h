/* files.h - the files of a snapshot: state_dir/snapshots/ID/{state,memory,rootfs,volume0,...},
 * root's own.
 *
 * state and memory are what a VMM wrote, taken out of its folder; rootfs is a copy of its
 * writable root disk of the same moment, and missing where it has none; volumeN, of a volume
 * that it may write to, by its slot. They never change: clones map the one memory file, and
 * share what they do not write.
 *
 * Whoever has taken a VMM over decides what is in its folder. So no link is followed there,
 * what is taken is seen to be a file of that VMM's user with this one name and no larger
 * than it may be. It may still be open for writing there, as long as that VMM lives: what a
 * snapshot says is its VMM's word, and who loads one is as confined as who wrote it.
 *
 * Any thread, one at a time for a snapshot. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_SNAPSHOT_FILES_H
#define SUPERVISOR_SNAPSHOT_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

/* Where a VMM writes them, in the folder that it makes its sockets in, and where it finds
 * those that it is to load, in its own. */
#define SNAPSHOT_STATE	     "state"
#define SNAPSHOT_MEMORY	     "memory"
#define SNAPSHOT_LOAD_STATE  "load.state"
#define SNAPSHOT_LOAD_MEMORY "load.memory"

/* Until the VMM does not write any more what an earlier wispd has asked it for. -ECHILD: it has
 * ended; -ETIMEDOUT. */
int snapshot_files_await(const struct launch *l, struct error *err);
/* An empty folder; what an earlier attempt made is removed, there and with the VMM, but not
 * what the VMM is writing. */
int snapshot_files_begin(const struct launch *l, struct error *err);
/* The guest stands still: copies its disk and its volumes, as far as it has such. */
int snapshot_files_copy_disks(const struct launch *l, struct error *err);
/* The VMM has written: takes its files. *size_mib: what all of them take on the disk, rounded
 * up. */
int snapshot_files_take(const struct launch *l, int64_t *size_mib, struct error *err);

/* The root disk, into a VMM's folder, replacing what is there; its user's. */
int snapshot_files_give_disk(const struct launch *l, int folder, struct error *err);
/* The file of a volume, made of the snapshot's. *shared: by sharing blocks. */
int snapshot_files_give_volume(const struct launch *l, const struct launch_drive *d, bool *shared,
			       struct error *err);
/* State and memory, into a VMM's folder (SNAPSHOT_LOAD_...), for as long as it takes to load
 * them; the second removes them there. Both bear that they are there, or are not. */
int snapshot_files_lend(const struct launch *l, struct error *err);
int snapshot_files_take_back(const struct launch *l, struct error *err);
/* Whether they are there: nobody has taken them back. */
bool snapshot_files_are_lent(const struct launch *l);

int snapshot_files_remove(const struct config *c, const char *id, struct error *err);

/* Calls fn for each folder; true: it is to be removed. How many were. */
int snapshot_files_sweep(const struct config *c, bool (*is_nobodys)(void *ctx, const char *id),
			 void *ctx, struct error *err);

#endif
