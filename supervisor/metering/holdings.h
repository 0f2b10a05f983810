/* holdings.h - what is there and has a meter, but was there before it had one.
 *
 * Whoever gives or takes what is billed by its existence says so in that transaction
 * (meter_hold()). What an older wispd gave, before that had a meter, nobody has said: a volume
 * would be free for as long as it lives. So when wispd starts, each such thing that is not told
 * of is told of, and is on the bill from then on; when all are, nothing is written.
 *
 * Loop thread; (T) wants a transaction open. Errors as of store.h.
 */
#ifndef SUPERVISOR_HOLDINGS_H
#define SUPERVISOR_HOLDINGS_H

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* (T) How many things were told of. */
int holdings_tell(struct truth *t, struct error *err);

#endif
