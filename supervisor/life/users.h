/* users.h - users without privileges, of wispd's own, that programs run as: one each.
 *
 * Loop thread, within a transaction. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_LIFE_USERS_H
#define SUPERVISOR_LIFE_USERS_H

#include "vmm/base/error.h"

struct wispd;

/* One for an instance, or for what has another name, unless it has one: a row of uid_lease, to be
 * deleted with whose it is. -EUSERS: all are taken. */
int users_lease(struct wispd *d, const char *whose, struct error *err);

#endif
