/* runtime.c - the list of runtimes, building a command, and a process of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/life/runtime.h"
#include "supervisor/life/runtimes.h"
#include "vmm/base/fd.h"

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

int runtime_spawn(const struct launch *l, struct process *ret, struct error *err)
{
	struct runtime_command *command = calloc(1, sizeof(*command));
	int log_fd = -1, r;

	if (command)
		command->gated = true;
	r = command ? l->runtime->command(l, command, err)
		    : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = log_fd = l->runtime->open_log(l, err);
	if (r >= 0)
		r = process_spawn(command->argv, log_fd, ret, err);
	fd_close(log_fd);
	free(command);
	return r;
}
