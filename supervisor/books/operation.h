/* operation.h - long work that was asked for: what it is, and how it went.
 *
 * An operation on an instance has a goal, a state: it is done when the instance gets there,
 * and has failed when it comes to rest anywhere else. One on something else (an import) is
 * ended by whoever does it. Loop thread; (T) as in instance.h; errors as of store.h.
 */
#ifndef SUPERVISOR_OPERATION_H
#define SUPERVISOR_OPERATION_H

#include <jansson.h>

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

enum { OPERATION_ID_BYTES = 24, OPERATION_NO_GOAL = -1 };

/* (T) subject: an instance's id or what else it is about. id is chosen here. */
int operation_begin(struct truth *t, const char *tenant, const char *subject, const char *verb,
		    int goal, char id[OPERATION_ID_BYTES], struct error *err);

/* (T) The instance rests in this state: ends its operations. */
int operation_settle(struct truth *t, const char *subject, int state, const char *code,
		     const char *message, struct error *err);

/* (T) Ends one: code NULL: done, with result. */
int operation_end(struct truth *t, const char *id, const char *code, const char *message,
		  const char *result, struct error *err);

/* (T) At the start: what nobody goes on with has failed. Returns how many. */
int operation_fail_orphans(struct truth *t, struct error *err);

/* As the API shows it, of a tenant or (NULL) of any; NULL and -ENOENT in err. */
json_t *operation_describe(struct truth *t, const char *tenant, const char *id, struct error *err);

#endif
