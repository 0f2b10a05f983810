/* where.h - what an instance has of the host's machine, by the kernel's word.
 *
 * Processors, memory, interfaces, disks and devices with their places, and what was left to
 * a default. Nothing in it is taken from the VMM, whose guest may have it, but the names of
 * its threads. Loop thread; a few files of sysfs and procfs.
 */
#ifndef SUPERVISOR_WHERE_H
#define SUPERVISOR_WHERE_H

#include <jansson.h>

#include "supervisor/books/instance.h"

struct wispd;

/* The caller owns the reference; NULL and *err. */
json_t *where_describe(struct wispd *d, const struct instance *i, struct error *err);

#endif
