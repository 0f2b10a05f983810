/* argv.c - a command line that is built up piece by piece. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "benches/argv.h"

void argv_add(struct argv *a, const char *fmt, ...)
{
	va_list ap;
	int r;

	if (a->error)
		return;
	if (a->n == ARGV_MAX) {
		a->error = -E2BIG;
		return;
	}
	va_start(ap, fmt);
	r = vasprintf(&a->v[a->n], fmt, ap);
	va_end(ap);
	if (r < 0) {
		a->v[a->n] = NULL;
		a->error = -ENOMEM;
		return;
	}
	a->n++;
}

void argv_add_words(struct argv *a, const char *const *words)
{
	for (; *words; words++)
		argv_add(a, "%s", *words);
}

void argv_free(struct argv *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	*a = (struct argv){ 0 };
}
