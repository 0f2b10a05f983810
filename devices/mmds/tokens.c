/* tokens.c - the session tokens of the metadata service.
 *
 * System call: getrandom.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "devices/mmds/tokens.h"

enum { US_PER_S = 1000000 };

/* A free place has the least moment of all, so it is taken first, then what has expired. */
static struct token *find_place(struct tokens *t)
{
	struct token *best = &t->token[0];

	for (unsigned i = 1; i < TOKENS_MAX; i++)
		if (t->token[i].expires_us < best->expires_us)
			best = &t->token[i];
	return best;
}

int tokens_issue(struct tokens *t, uint32_t ttl_s, uint64_t now_us, char ret[TOKEN_CHARS + 1])
{
	struct token *place = find_place(t);
	uint8_t random[TOKEN_BYTES];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	for (unsigned i = 0; i < TOKEN_BYTES; i++)
		snprintf(ret + (size_t)i * 2, 3, "%02x", random[i]);
	memcpy(place->text, ret, sizeof(place->text));
	place->expires_us = now_us + (uint64_t)ttl_s * US_PER_S;
	return 0;
}

bool tokens_valid(const struct tokens *t, const char *text, size_t len, uint64_t now_us)
{
	bool valid = false;

	if (len != TOKEN_CHARS)
		return false;
	for (unsigned i = 0; i < TOKENS_MAX; i++) {
		unsigned differ = 0;

		for (unsigned c = 0; c < TOKEN_CHARS; c++)
			differ |= (unsigned char)(t->token[i].text[c] ^ text[c]);
		valid |= differ == 0 && now_us < t->token[i].expires_us;
	}
	return valid;
}
