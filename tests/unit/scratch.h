/* scratch.h - a folder for one test, and files in it. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct scratch {
	char dir[32];
	char path[PATH_MAX];
};

/* cmocka's set-up and tear-down; *state is the struct scratch. */
static inline int scratch_make(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	*state = s;
	snprintf(s->dir, sizeof(s->dir), "/tmp/wisp-unit-XXXXXX");
	return mkdtemp(s->dir) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
	struct scratch *s = *state;
	char command[64];
	int r;

	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	r = system(command);
	free(s);
	return r;
}

/* Valid until the next call. */
static inline const char *scratch_path(struct scratch *s, const char *name)
{
	snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, name);
	return s->path;
}

#endif
