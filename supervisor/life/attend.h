/* attend.h - instances that last no longer than the client that made them.
 *
 * A client that is killed says no word, and `run --rm` is to leave nothing. So it attends its
 * instance: it keeps a connection open, and when that ends, and nobody else attends it, the
 * instance is deleted. A client has client_grace_ms to come: after the instance was made, and
 * again after wispd has begun anew, since connections end with wispd. That an instance is attended
 * is a row, so no crash makes of it one that stays.
 *
 * Loop thread. (T) as in instance.h. Errors as of store.h.
 */
#ifndef SUPERVISOR_ATTEND_H
#define SUPERVISOR_ATTEND_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/books/instance.h"
#include "vmm/base/error.h"

struct attendance;
struct wispd;

/* Those that an earlier wispd had. The second accepts NULL. */
int attendance_create(struct wispd *d, struct attendance **ret, struct error *err);
void attendance_destroy(struct attendance *a);

/* (T) From now on it is one of them; (T) no more, for it is gone. */
int attend_make(struct wispd *d, const struct instance *i, struct error *err);
int attend_forget(struct wispd *d, const struct instance *i, struct error *err);

/* -EINVAL: it lasts by itself. */
int attend_check(const struct attendance *a, const struct instance *i, struct error *err);
/* Of one that is checked: one end of a connection, whose other end is watched; it is attended
 * until this one is closed. */
int attend_open(struct attendance *a, const struct instance *i, struct error *err);

/* How many attend it, as JSON; null: it lasts by itself. */
json_t *attend_describe(const struct attendance *a, const char *id);
/* Nobody attends it any more, and it can be deleted. a: NULL, nothing is known yet. */
bool attend_is_over(const struct attendance *a, const struct instance *i);

#endif
