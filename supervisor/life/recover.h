/* recover.h - after a start: what there is, made to agree with what is written down. */
#ifndef SUPERVISOR_RECOVER_H
#define SUPERVISOR_RECOVER_H

#include "vmm/base/error.h"

struct wispd;

/* Takes up every VMM that lives, notes those that do not, removes what belongs to nobody,
 * and writes an event that says how much of each there was. Instances are then kicked, so
 * that what was under way goes on. Loop thread, once, before anything is served. */
int recover(struct wispd *d, struct error *err);

#endif
