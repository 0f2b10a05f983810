/* anchor.h - signed heads of the ledger, kept where the ledger is not.
 *
 * A chain of hashes shows any change but one of its end: whoever can write the database can
 * also cut it, or write another chain. An anchor says that at some time the ledger had so
 * many events with this hash, and that this host said so:
 *
 *   SEQ:HASH:WALL_NS:SIGNATURE
 *
 * The signature is HMAC-SHA256, with a key of the host's own, over the host's id and the
 * first three. wispd appends anchors to a file (anchor_file) from time to time; they are
 * worth something where whoever may write the database cannot write, too.
 *
 * Loop thread.
 */
#ifndef SUPERVISOR_ANCHOR_H
#define SUPERVISOR_ANCHOR_H

#include <stdint.h>

#include "supervisor/books/ledger.h"
#include "vmm/base/error.h"

enum { ANCHOR_KEY_BYTES = 32, ANCHOR_TEXT_BYTES = 192 };

struct anchor_key {
	uint8_t bytes[ANCHOR_KEY_BYTES];
};

/* The key in <state_dir>/anchor.key, made when it is not there, for root alone. 0 or a
 * negative errno: -EUCLEAN, it is no key; -EACCES, others may read it. */
int anchor_load_key(const char *state_dir, struct anchor_key *ret, struct error *err);

/* The anchor of the ledger's present head. */
int anchor_make(struct ledger *l, const struct anchor_key *key, char ret[ANCHOR_TEXT_BYTES],
		struct error *err);

struct anchor {
	int64_t seq, wall_ns; /* wall_ns 0: it does not say, and is not signed */
	char hex[LEDGER_HEX_BYTES];
};

/* An anchor, or "SEQ:HASH". -EINVAL: neither; -EBADMSG: the signature is not this
 * host's. */
int anchor_read(const struct ledger *l, const struct anchor_key *key, const char *text,
		struct anchor *ret, struct error *err);

/* Adds the present head's to the end of a file, unless it is the last one there already. */
int anchor_append(struct ledger *l, const struct anchor_key *key, const char *path,
		  struct error *err);

#endif
