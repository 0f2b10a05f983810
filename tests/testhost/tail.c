/* tail.c - the last few thousand bytes of a text that may be endless. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/testhost/tail.h"

void tail_add(struct tail *t, const char *data, size_t len)
{
	if (len > TAIL_KEEP_BYTES) {
		data += len - TAIL_KEEP_BYTES;
		len = TAIL_KEEP_BYTES;
	}
	if (t->used + len > sizeof(t->text) - 1) {
		size_t keep = TAIL_KEEP_BYTES;

		memmove(t->text, t->text + t->used - keep, keep);
		t->used = keep;
	}
	memcpy(t->text + t->used, data, len);
	t->used += len;
}

ssize_t tail_read(struct tail *t, int fd)
{
	char chunk[4096];
	ssize_t n;

	do
		n = read(fd, chunk, sizeof(chunk));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	tail_add(t, chunk, (size_t)n);
	return n;
}

const char *tail_text(struct tail *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->used; i++) {
		unsigned char c = (unsigned char)t->text[i];

		if (c == '\r')
			continue;
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			c = '?';
		t->text[kept++] = (char)c;
	}
	t->used = kept;
	t->text[kept] = '\0';
	return t->text;
}

const char *tail_lines(struct tail *t, unsigned n)
{
	const char *start = tail_text(t);
	size_t at = t->used;

	while (at > 0) {
		if (start[at - 1] == '\n' && at != t->used && n-- <= 1)
			break;
		at--;
	}
	return start + at;
}

const char *tail_last_line(struct tail *t)
{
	tail_text(t);
	while (t->used > 0 && strchr("\n ", t->text[t->used - 1]))
		t->text[--t->used] = '\0';

	const char *newline = strrchr(t->text, '\n');

	return newline ? newline + 1 : t->text;
}
