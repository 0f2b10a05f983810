/* snapshot_disks.h - whether a machine's disks are still what they were when it was saved.
 *
 * A guest keeps in memory what it has read of its disks. When one has changed meanwhile,
 * what it goes on with belongs to another disk, and it ruins the file system. To know for
 * sure would take a digest of every disk at every save and load: minutes for what takes
 * milliseconds. So the manifest has of each file its size, its inode, and when
 * it was last written to. The file that was saved must not have been written to since.
 * Another file, a copy, must have the size: what is in it, whoever copied it knows.
 *
 * Loop thread.
 */
#ifndef API_SNAPSHOT_DISKS_H
#define API_SNAPSHOT_DISKS_H

#include <jansson.h>

#include "api/schema.h"
#include "vmm/vm.h"

/* Of all drives and pmem that are regular files; the caller's. NULL: out of memory. */
json_t *snapshot_disks(const struct vm *vm);

/* Compares the files that d names now with that list; NULL, of an older manifest, has
 * nothing to compare. written_to: those that were written to are accepted. 0, or -ESTALE
 * and *err. */
int snapshot_check_disks(const json_t *list, const struct machine_description *d, bool written_to,
			 struct error *err);

#endif
