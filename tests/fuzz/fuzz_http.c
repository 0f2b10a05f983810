/* fuzz_http.c - any bytes, cut anywhere, through the HTTP reader.
 *
 * Input: one byte of seed for the cuts, then what the client sends. The same bytes
 * are read twice, whole and in pieces: both must give the same requests.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_reader.h"

enum { BODY_LIMIT = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* FNV-1a, over what a handler would see. */
static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t mix_request(uint64_t hash, const struct http_reader *r)
{
	const struct http_request *req = &r->request;

	if (req->body_len > BODY_LIMIT || strlen(req->path) >= HTTP_LINE_BYTES)
		abort();
	hash = mix(hash, http_verb_name(req->verb), 3);
	hash = mix(hash, req->path, strlen(req->path) + 1);
	return mix(hash, req->body, req->body_len);
}

/* piece 0: as much as possible at once. */
static uint64_t read_all(const char *data, size_t size, unsigned piece)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	struct http_reader r;
	size_t at = 0, used;

	http_reader_init(&r, BODY_LIMIT);
	while (at < size) {
		size_t len = piece && piece < size - at ? piece : size - at;
		enum http_read event = http_reader_feed(&r, data + at, len, &used);

		if (used > len || (event == READ_MORE && used != len))
			abort();
		if (event == READ_BAD) {
			if (!r.error[0] || strpbrk(r.error, "\"\\\n"))
				abort();
			break;
		}
		if (event == READ_REQUEST)
			hash = mix_request(hash, &r);
		at += used;
	}
	http_reader_free(&r);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;

	const char *text = (const char *)data + 1;
	uint64_t whole = read_all(text, size - 1, 0);

	if (read_all(text, size - 1, 1 + data[0] % 64) != whole)
		abort();
	return 0;
}
