/* root_disk.h - the writable root disk of an instance, in its VMM's folder.
 *
 * Whoever has taken the VMM over decides what lies there: it is opened only if it is a file
 * of that VMM's own. Any thread, one at a time for an instance; negative errno and *err.
 */
#ifndef SUPERVISOR_ROOT_DISK_H
#define SUPERVISOR_ROOT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/life/launch.h"

bool root_disk_is_own(const struct launch *l); /* it has one that it can write to */

/* For reading and writing; a descriptor to be closed. -ENOENT. */
int root_disk_open(const struct launch *l, struct error *err);

/* At least so large; it never becomes smaller. */
int root_disk_grow(const struct launch *l, int64_t size_mib, struct error *err);

/* How large an image's is, in MiB, rounded up; 0: it has none that can be written to. */
int root_disk_of_image(const struct config *c, const char *rootfs, bool read_only, int64_t *ret,
		       struct error *err);

#endif
