/* idempotency.h - one effect for one key, however often it is asked for.
 *
 * The answer to a request that brought a key is kept with what it asked, in the transaction
 * of its effect. The same key again gets the same answer; with another request it is
 * refused (-EKEYREJECTED). Kept for a day. Loop thread, within a transaction.
 */
#ifndef SUPERVISOR_IDEMPOTENCY_H
#define SUPERVISOR_IDEMPOTENCY_H

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

struct api_answer;
struct api_request;

enum { IDEMPOTENCY_KEY_MAX = 128 };

/* 1 and *answer: it was answered; 0: do it. */
int idempotency_find(struct truth *t, const char *tenant, const struct api_request *request,
		     struct api_answer *answer, struct error *err);
int idempotency_keep(struct truth *t, const char *tenant, const struct api_request *request,
		     const struct api_answer *answer, struct error *err);

#endif
