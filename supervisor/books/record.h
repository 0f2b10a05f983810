/* record.h - one event as it is kept, and what is proved of it: its hash and its id.
 *
 * The hash is SHA-256 over the hash of the event before and the event in one canonical form:
 * each field in a fixed order, numbers as eight bytes, big-endian, texts with their length
 * before them. The body is JSON with sorted keys and without blanks, kept as the text that
 * was hashed.
 *
 * An id is a hash over host, instance, its number among the instance's events and its type:
 * the same happening written twice has the same id, and (instance, subject_n) is unique.
 *
 * Any thread, but record_of_row(): that of the store.
 */
#ifndef SUPERVISOR_RECORD_H
#define SUPERVISOR_RECORD_H

#include <stdint.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"

struct record {
	int64_t seq, subject_n, boot_ns, wall_ns, incarnation;
	const char *boot_id, *type, *tenant, *instance, *actor, *body;
};

void record_hash(const struct record *r, const uint8_t previous[LEDGER_HASH_BYTES],
		 uint8_t ret[LEDGER_HASH_BYTES]);
void record_id(const struct record *r, const char *host_id, uint8_t ret[LEDGER_HASH_BYTES]);

/* What record_of_row() reads, and where in it id and hash are. */
#define RECORD_COLUMNS                                                                    \
	"seq, subject_n, boot_id, boot_ns, wall_ns, type, tenant, instance, incarnation," \
	" actor, body, event_id, hash"
enum { RECORD_ID_COLUMN = 11, RECORD_HASH_COLUMN };

/* Its texts are valid until the next row. */
struct record record_of_row(const struct rows *rows);

/* Whether a column of the row is this hash. */
bool record_same_hash(const struct rows *rows, int column, const uint8_t hash[LEDGER_HASH_BYTES]);

#endif
