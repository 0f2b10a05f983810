/* privileges.h - what a process gives up for good. */
#ifndef JAILER_PRIVILEGES_H
#define JAILER_PRIVILEGES_H

#include "jailer/options.h"
#include "vmm/base/error.h"

/* Before anything else but reading the options: descriptors from 3 on that are not to be
 * passed, the environment, core dumps. One to be passed must be open, and no folder: that
 * would be a way out of the jail. */
int privileges_drop_inherited(const struct jail_options *o, struct error *err);

/* Open files, file sizes and locked memory, soft and hard. */
int privileges_limit(const struct jail_options *o, struct error *err);

/* User, group, supplementary groups, every capability from all five sets, and the means
 * to gain any again. Until it executes a program it cannot be traced by its own user. */
int privileges_drop(const struct jail_options *o, struct error *err);

#endif
