/* runtime.c - the list of runtimes, and building a command. */
#include <errno.h>
#include <string.h>

#include "supervisor/life/runtime.h"
#include "supervisor/life/runtimes.h"

const struct runtime *const runtimes[] = { &runtime_wisp, &runtime_qemu, NULL };

const struct runtime *runtime_find(const char *name)
{
	for (const struct runtime *const *r = runtimes; *r; r++)
		if (strcmp((*r)->name, name) == 0)
			return *r;
	return NULL;
}

static int add(struct runtime_command *c, const char *text, struct error *err)
{
	size_t len = strlen(text) + 1;

	if (c->count == RUNTIME_ARGS_MAX || len > sizeof(c->texts) - c->used)
		return error_set(err, -E2BIG, NULL, NULL, "The VMM's command line is too long");
	memcpy(c->texts + c->used, text, len);
	c->argv[c->count++] = c->texts + c->used;
	c->argv[c->count] = NULL;
	c->used += len;
	return 0;
}

int runtime_command_add(struct runtime_command *c, const char *const texts[], struct error *err)
{
	int r = 0;

	for (; *texts && r == 0; texts++)
		r = add(c, *texts, err);
	return r;
}
