/* given.h - which instance has been given which network namespace (netns.h), as it is written
 * down: a row for the instance's life. An interface is one instance's.
 *
 * Loop thread. Errors as of store.h. (T): within a transaction.
 */
#ifndef SUPERVISOR_NETWORK_GIVEN_H
#define SUPERVISOR_NETWORK_GIVEN_H

#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/network/netns.h"

/* (T) -EEXIST: another instance has it. What is asked for has been found right. */
int given_take(struct truth *t, const struct instance *i, const char *path, const char *link,
	       const char *actor, struct error *err);
int given_drop(struct truth *t, const struct instance *i, struct error *err);

/* ret->path is "" if it has none. */
int given_load(struct truth *t, const char *instance, struct netns *ret, struct error *err);

/* As the API shows it; null: none. */
json_t *given_describe(struct truth *t, const char *instance, struct error *err);

#endif
