/* description.h - a whole machine as one JSON object: what GET /vm/config tells, a
 * configuration file says, and a snapshot's manifest keeps. Loop thread.
 */
#ifndef API_DESCRIPTION_H
#define API_DESCRIPTION_H

#include <jansson.h>

#include "api/schema.h"
#include "vmm/vm.h"

/* What vm was asked to be; the caller's. NULL: out of memory. */
json_t *description_of(const struct vm *vm);

/* Configures vm by all parts of it that are given, but for the CPU template's file. 0, or
 * a negative errno, and err->field is the key, as in "drives[1].path_on_host"; parts before
 * the error stay put. */
int description_apply(struct vm *vm, const struct machine_description *d, struct error *err);

#endif
