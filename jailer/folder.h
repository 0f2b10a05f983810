/* folder.h - files and folders that nobody but root can have moved.
 *
 * A jail's folder is made and later removed by root along a path of which strangers may
 * know every part. So each part on the way is opened from the one before, without
 * following links, and must belong to root and be closed to others' changes.
 */
#ifndef JAILER_FOLDER_H
#define JAILER_FOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/error.h"

/* Opens a folder that is there. Links in path are resolved first; then every folder from
 * the root on must be root's and writable by root alone, or sticky, as /tmp is. A
 * descriptor (not O_PATH), or a negative errno. field: the option that named it. */
int folder_open_trusted(const char *path, const char *field, struct error *err);

/* Makes (mode) or opens the folder name in parent. One that was there must belong to root
 * or to owner, and be writable by its owner alone. */
int folder_make(int parent, const char *name, mode_t mode, uid_t owner, struct error *err);

/* Removes name in parent, whatever it is, with all that is below it, without following
 * links or entering mounts. 0, also when nothing was there, or a negative errno. */
int folder_remove(int parent, const char *name);

/* Writes text to an existing file in the folder. 0 or a negative errno. */
int folder_write(int parent, const char *name, const char *text);

#endif
