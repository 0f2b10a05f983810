/* record.c - the canonical form of an event, and the hashes over it. */
#include <nettle/sha2.h>
#include <string.h>

#include "supervisor/books/record.h"

static void add_number(struct sha256_ctx *hash, int64_t n)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
	sha256_update(hash, sizeof(bytes), bytes);
}

static void add_text(struct sha256_ctx *hash, const char *text)
{
	size_t len = strlen(text);

	add_number(hash, (int64_t)len);
	sha256_update(hash, len, (const uint8_t *)text);
}

void record_hash(const struct record *r, const uint8_t previous[LEDGER_HASH_BYTES],
		 uint8_t ret[LEDGER_HASH_BYTES])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, LEDGER_HASH_BYTES, previous);
	add_number(&hash, r->seq);
	add_number(&hash, r->subject_n);
	add_text(&hash, r->boot_id);
	add_number(&hash, r->boot_ns);
	add_number(&hash, r->wall_ns);
	add_text(&hash, r->type);
	add_text(&hash, r->tenant);
	add_text(&hash, r->instance);
	add_number(&hash, r->incarnation);
	add_text(&hash, r->actor);
	add_text(&hash, r->body);
	sha256_digest(&hash, LEDGER_HASH_BYTES, ret);
}

void record_id(const struct record *r, const char *host_id, uint8_t ret[LEDGER_HASH_BYTES])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	add_text(&hash, host_id);
	add_text(&hash, r->instance);
	add_number(&hash, r->incarnation);
	add_number(&hash, r->subject_n);
	add_text(&hash, r->type);
	sha256_digest(&hash, LEDGER_HASH_BYTES, ret);
}

struct record record_of_row(const struct rows *rows)
{
	return (struct record){
		.seq = rows_int(rows, 0),
		.subject_n = rows_int(rows, 1),
		.boot_id = rows_string(rows, 2),
		.boot_ns = rows_int(rows, 3),
		.wall_ns = rows_int(rows, 4),
		.type = rows_string(rows, 5),
		.tenant = rows_string(rows, 6),
		.instance = rows_string(rows, 7),
		.incarnation = rows_int(rows, 8),
		.actor = rows_string(rows, 9),
		.body = rows_string(rows, 10),
	};
}

bool record_same_hash(const struct rows *rows, int column, const uint8_t hash[LEDGER_HASH_BYTES])
{
	size_t len;
	const void *blob = rows_blob(rows, column, &len);

	return len == LEDGER_HASH_BYTES && memcmp(blob, hash, len) == 0;
}
