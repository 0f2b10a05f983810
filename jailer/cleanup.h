/* cleanup.h - removes what a jail leaves behind. */
#ifndef JAILER_CLEANUP_H
#define JAILER_CLEANUP_H

#include "jailer/options.h"
#include "vmm/base/error.h"

/* The folder <base>/<name>/<id> with all in it, and the control groups. 0, also when there
 * is nothing (any more); -EBUSY while the microVM runs. */
int cleanup_jail(const struct jail_options *o, struct error *err);

#endif
