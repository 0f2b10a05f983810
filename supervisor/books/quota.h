/* quota.h - what each instance holds, against its tenant's quota and the host.
 *
 * A hold is a row; sums are taken from the rows and kept nowhere else, so that no counter
 * can drift. Changed within the transaction that changes the state (instance.h). Loop
 * thread; errors as of store.h, and -EDQUOT: more than the tenant may have, -EUSERS: more
 * than the host has.
 */
#ifndef SUPERVISOR_QUOTA_H
#define SUPERVISOR_QUOTA_H

#include <stdint.h>

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* Makes an instance's hold of one resource this large; 0: none. Only growth can be refused. */
int quota_hold(struct truth *t, const char *instance, const char *tenant, enum resource resource,
	       int64_t amount, struct error *err);

/* Whether that much more could be held: 0, or as above. tenant NULL: of the whole host. */
int quota_check(struct truth *t, const char *tenant, enum resource resource, int64_t more,
		struct error *err);

/* A tenant's limit; below 0: none. */
int quota_set_limit(struct truth *t, const char *tenant, enum resource resource, int64_t most,
		    struct error *err);

/* *most below 0: no limit. tenant NULL: the whole host. */
int quota_get(struct truth *t, const char *tenant, enum resource resource, int64_t *used,
	      int64_t *most, struct error *err);

#endif
