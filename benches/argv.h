/* argv.h - a command line that is built up piece by piece. */
#ifndef BENCHES_ARGV_H
#define BENCHES_ARGV_H

#include <stddef.h>

enum { ARGV_MAX = 128 };

/* Zero-initialised it is empty. The first failure to add sticks, so that a caller
 * adds everything and asks once. */
struct argv {
	char *v[ARGV_MAX + 1]; /* NULL-terminated, each string owned */
	size_t n;
	int error; /* 0, -ENOMEM or -E2BIG */
};

/* Adds one word, formatted. */
void argv_add(struct argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds each word of a NULL-ended list as it is. */
void argv_add_words(struct argv *a, const char *const *words);

/* Leaves an empty command line. */
void argv_free(struct argv *a);

#endif
