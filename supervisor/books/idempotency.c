/* idempotency.c - keys and the answers that they stand for. */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

#include "supervisor/books/idempotency.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"

static const int64_t KEPT_NS = INT64_C(24) * 3600 * 1000000000;

static void add(struct sha256_ctx *hash, const char *text, size_t len)
{
	sha256_update(hash, sizeof(len), (const uint8_t *)&len);
	sha256_update(hash, len, (const uint8_t *)text);
}

static void hash_request(const struct api_request *q, uint8_t ret[SHA256_DIGEST_SIZE])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	add(&hash, q->verb, strlen(q->verb));
	add(&hash, q->path, strlen(q->path));
	add(&hash, q->body ? q->body : "", q->len);
	sha256_digest(&hash, SHA256_DIGEST_SIZE, ret);
}

static int check_key(const char *key, struct error *err)
{
	size_t len = strlen(key);

	if (len > 0 && len <= IDEMPOTENCY_KEY_MAX)
		return 0;
	return error_set(err, -EINVAL, "Idempotency-Key", "1 to 128 bytes",
			 "The key is too short or too long");
}

int idempotency_find(struct truth *t, const char *tenant, const struct api_request *request,
		     struct api_answer *answer, struct error *err)
{
	uint8_t hash[SHA256_DIGEST_SIZE];
	struct rows rows;
	size_t len;
	bool same;
	int r;

	if (!request->key)
		return 0;
	r = check_key(request->key, err);
	if (r < 0)
		return r;
	r = store_select(t->store, &rows, err,
			 "SELECT request, status, response FROM idempotency"
			 " WHERE tenant = ? AND key = ? AND wall_ns > ?",
			 "ssi", tenant, request->key, ledger_wall_ns() - KEPT_NS);
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r <= 0) {
		rows_end(&rows);
		return r;
	}
	hash_request(request, hash);
	same = memcmp(rows_blob(&rows, 0, &len), hash, sizeof(hash)) == 0;
	answer->status = (int)rows_int(&rows, 1);
	answer->text = strdup(rows_string(&rows, 2));
	answer->replayed = true;
	rows_end(&rows);
	if (!same)
		return error_set(err, -EKEYREJECTED, "Idempotency-Key", "choose another key",
				 "The key was used for another request");
	return answer->text ? 1 : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
}

int idempotency_keep(struct truth *t, const char *tenant, const struct api_request *request,
		     const struct api_answer *answer, struct error *err)
{
	uint8_t hash[SHA256_DIGEST_SIZE];
	int64_t now = ledger_wall_ns();
	int r;

	if (!request->key)
		return 0;
	hash_request(request, hash);
	r = store_run(t->store, err, "DELETE FROM idempotency WHERE wall_ns <= ?", "i",
		      now - KEPT_NS);
	if (r >= 0)
		r = store_run(t->store, err, "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?)",
			      "ssbisi", tenant, request->key, hash, sizeof(hash),
			      (int64_t)answer->status, answer->text, now);
	return r < 0 ? r : 0;
}
