/* cut.h - events that are taken out of the ledger's table, so that the chain still proves it.
 *
 * A range of events is gone through once. Those of it that are superseded (billing/rollup.h
 * says which) go into the archive (event_archive.h); of each run of them the numbers stay, and the
 * hash of the last one, so that the next event's hash can be proved:
 *
 *   cut     (from_seq, to_seq, hash)      a run of events that are not there
 *   rollup  (to_seq, from_seq, event_seq) a range, and the event that tells of it
 *
 * That event, ledger.rolled_up {from_seq, to_seq, removed, cuts, cuts_sha256, archive}, is part
 * of the chain. cuts_sha256 is over each run's numbers, the hash before it and its own: so
 * what stayed in the range cannot be changed, either. That what is in the archive is what was
 * there follows from the hashes alone (proof.h).
 *
 * Loop thread; (T) wants a transaction open. Errors as of store.h.
 */
#ifndef SUPERVISOR_CUT_H
#define SUPERVISOR_CUT_H

#include <nettle/sha2.h>
#include <stdint.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* A run of events that are not in the table. */
struct cut {
	int64_t from_seq, to_seq;
	uint8_t before[LEDGER_HASH_BYTES]; /* the hash before the first of them */
	uint8_t hash[LEDGER_HASH_BYTES];   /* of the last one */
};

/* For cuts_sha256: one after the other, in their order. */
void cut_digest(struct sha256_ctx *digest, const struct cut *c);

/* Up to where ranges were gone through; 0: none was. */
int cut_last(struct truth *t, int64_t *ret, struct error *err);

/* (T) Takes events out: seqs, count of them from 1 on, rising, all within the range, which
 * follows those that were gone through. They are in the archive, on the disk, when it returns.
 * -EUCLEAN: the range is not as it was written. After an error the transaction has to go. */
int cut_make(struct truth *t, const char *archive, int64_t from_seq, int64_t to_seq,
	     const int64_t *seqs, size_t count, struct error *err);

#endif
