/* endmark.h - finding, in a stream from the guest, the mark that ends it.
 *
 * The guest's init writes "\0TOKEN STATUS\n" into each output stream behind the
 * command's last byte. TOKEN is random and known to nobody but that init, so a
 * command cannot end its own stream by accident; and since the mark travels the
 * way of the data, whoever has read it has read everything.
 */
#ifndef TESTS_TESTHOST_ENDMARK_H
#define TESTS_TESTHOST_ENDMARK_H

#include <stdbool.h>
#include <stddef.h>

enum {
	ENDMARK_TOKEN_LEN = 32,
	ENDMARK_HELD_MAX = ENDMARK_TOKEN_LEN + 2, /* may be held back between calls */
};

struct endmark {
	char mark[ENDMARK_HELD_MAX]; /* NUL, token, space */
	size_t matched;		     /* of mark, so far */
	int status;		     /* the exit code; of meaning once complete */
	bool complete;
};

/* token: ENDMARK_TOKEN_LEN characters, none of them NUL or space. */
void endmark_init(struct endmark *m, const char *token);

/* Copies to out what of in is data; out has room for len + ENDMARK_HELD_MAX bytes.
 * Returns the count. What follows the mark is dropped; m->complete tells. */
size_t endmark_feed(struct endmark *m, const char *in, size_t len, char *out);

/* At the end of a stream without a mark: the bytes held back. Room as above. */
size_t endmark_rest(struct endmark *m, char *out);

#endif
