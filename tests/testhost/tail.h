/* tail.h - the last few thousand bytes of a text that may be endless. */
#ifndef TESTS_TESTHOST_TAIL_H
#define TESTS_TESTHOST_TAIL_H

#include <stddef.h>
#include <sys/types.h>

enum { TAIL_KEEP_BYTES = 16 * 1024 };

/* Zero-initialised is empty. No allocation, so nothing to destroy. */
struct tail {
	size_t used;
	char text[2 * TAIL_KEEP_BYTES + 1];
};

/* Appends; once the room is used up, all but the last TAIL_KEEP_BYTES go. */
void tail_add(struct tail *t, const char *data, size_t len);

/* Appends what one read(2) of fd gives: its count, 0 at the end, or -errno. */
ssize_t tail_read(struct tail *t, int fd);

/* What is kept, NUL-terminated; without carriage returns, and with '?' for control
 * bytes other than newline and tab. Valid until the next call that appends. */
const char *tail_text(struct tail *t);

/* The last n lines of it. */
const char *tail_lines(struct tail *t, unsigned n);

/* The last line that is not empty, without its newline, or "". Drops what
 * follows it. */
const char *tail_last_line(struct tail *t);

#endif
