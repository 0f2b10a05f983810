/* proof.h - is the ledger as it was written? Its chain of hashes, walked from the first event.
 *
 * Where events were rolled up (cut.h) the walk goes on with the hash that was kept of the last
 * of them, and holds what it passed against the event that told of the roll-up. With the
 * archive it proves those events, too, one by one, so the whole chain from its beginning;
 * without it, that they were not touched rests on that event.
 *
 * Loop thread, or that of a copy's own store. Errors as of store.h.
 */
#ifndef SUPERVISOR_PROOF_H
#define SUPERVISOR_PROOF_H

#include <stdint.h>

#include "supervisor/books/ledger.h"
#include "vmm/base/error.h"

/* What is to be proved beside. */
struct proof_wish {
	int64_t anchor_seq;	/* 0: none; else the event of that number has this hash */
	const char *anchor_hex; /* NULL without it */
	const char *archive;	/* the folder; NULL: rolled-up events are not looked at */
	int64_t last;		/* only so many, the newest; 0: all. Without anchor and archive. All
				 * are walked, too, if any of these was rolled up */
	/* Called now and then with the number of an event that the walk has passed; what it returns
	 * below 0 ends the walk, and is what that returns. NULL: nobody is. */
	int (*passed)(void *ctx, int64_t seq);
	void *ctx;
};

struct proof_report {
	int64_t checked;   /* events that are as they were written */
	int64_t rolled_up; /* others, which are not there and were not looked at */
	int64_t bad_seq;   /* the first that is not; 0: none */
	char fault[160];   /* "": the chain is whole */
};

/* wish: NULL for none. 0 when the walk came to an end, whatever it found. -EINVAL: the anchor
 * is no hash; -ENODATA: its event was rolled up, and there is no archive to look into. */
int proof_walk(struct ledger *l, const struct proof_wish *wish, struct proof_report *ret,
	       struct error *err);

#endif
