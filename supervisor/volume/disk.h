/* disk.h - the files of volumes: state_dir/volumes/ID, root's own unless a VMM has them.
 *
 * While an instance may run, its VMM's folder has a second name for the file, and its user
 * owns it: the same file system is needed, as for images. Everything bears to be done again.
 * Any thread, one at a time for a volume; 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_VOLUME_DISK_H
#define SUPERVISOR_VOLUME_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/config.h"
#include "supervisor/volume/erasure.h"
#include "vmm/base/error.h"

/* A file without a block in it, or an empty ext4. */
int disk_make(const struct config *c, const char *id, int64_t size_mib, bool ext4,
	      struct error *err);
/* The same bytes, sharing blocks if the file system can; *shared: it could. */
int disk_copy(const struct config *c, const char *from, const char *id, bool *shared,
	      struct error *err);
/* Out of a file that is open. */
int disk_fill(const struct config *c, const char *id, int from, bool *shared, struct error *err);
/* As name in a folder, whatever has that name there; of this mode. -EPERM: it is larger than a
 * volume of that size, as a VMM alone can have made it. */
int disk_copy_out(const struct config *c, const char *id, int64_t size_mib, int folder,
		  const char *name, mode_t mode, struct error *err);
/* To a file that is not there yet. */
int disk_back_up(const struct config *c, const char *id, const char *path, struct error *err);
int disk_grow(const struct config *c, const char *id, int64_t size_mib, struct error *err);
int disk_remove(const struct config *c, const char *id, struct error *err);

/* The file stays, so that it can be done again with the same result. -EIO: what was read
 * again was not zero. */
int disk_erase(const struct config *c, const char *id, struct erasure *ret, struct error *err);

/* A name in a VMM's folder, and the user's; and back. */
int disk_lend(const struct config *c, const char *id, int folder, const char *name, uid_t owner,
	      bool read_only, struct error *err);
int disk_take_back(const struct config *c, const char *id, int folder, const char *name,
		   struct error *err);

/* Calls fn for each file; true: it is to be removed. How many were. */
int disk_sweep(const struct config *c, bool (*is_nobodys)(void *ctx, const char *id), void *ctx,
	       struct error *err);

/* Whether there is room for so much more. -ENOSPC. */
int disk_check_room(const struct config *c, int64_t more_mib, struct error *err);

#endif
