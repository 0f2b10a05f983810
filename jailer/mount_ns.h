/* mount_ns.h - a mount namespace with next to nothing in it, for jails to be copied from. */
#ifndef JAILER_MOUNT_NS_H
#define JAILER_MOUNT_NS_H

#include "vmm/base/error.h"

/* Makes the file path, which must not be there, and a mount namespace that is mounted on it
 * and holds a /proc: what --mount-ns takes. It is there until that is unmounted. 0, or a
 * negative errno and *err, and no file. */
int mount_ns_prepare(const char *path, struct error *err);

#endif
