/* tokens.h - the session tokens of the metadata service.
 *
 * A token is 192 random bits that are valid until a moment. There is room for TOKENS_MAX;
 * the next takes the place of one that has expired, or else of the one that would expire
 * first. Main thread.
 */
#ifndef DEVICES_MMDS_TOKENS_H
#define DEVICES_MMDS_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOKENS_MAX = 1024,
	TOKENS_MIN_TTL_S = 1,
	TOKENS_MAX_TTL_S = 21600,
	TOKEN_BYTES = 24,
	TOKEN_CHARS = 2 * TOKEN_BYTES,
};

struct token {
	uint64_t expires_us; /* 0: the place is free */
	char text[TOKEN_CHARS];
};

struct tokens {
	struct token token[TOKENS_MAX];
};

/* Writes a new token, NUL-terminated. 0, or a negative errno when there is no randomness. */
int tokens_issue(struct tokens *t, uint32_t ttl_s, uint64_t now_us, char ret[TOKEN_CHARS + 1]);

/* Takes as long whatever is asked, so that nothing is learned of the others. */
bool tokens_valid(const struct tokens *t, const char *text, size_t len, uint64_t now_us);

#endif
