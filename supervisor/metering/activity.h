/* activity.h - what each VMM that lives is doing: its last sample (sample.h), for people.
 *
 * Sums since the VMM began, and when they were sampled: who asks twice has a rate. Loop
 * thread.
 */
#ifndef SUPERVISOR_ACTIVITY_H
#define SUPERVISOR_ACTIVITY_H

#include <jansson.h>

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* An array, an object a VMM; a counter that nobody could read is not in it. tenant: whose;
 * NULL: everybody's. The caller's; NULL with *err as of store.h. */
json_t *activity_describe(struct truth *t, const char *tenant, struct error *err);

#endif
