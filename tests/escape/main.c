/* main.c - wisp-escape: one attempt to get out, from inside a real jail.
 *
 *   wisp-escape ... --role NAME --attempt N
 *
 * It stands where the VMM would: wisp-jailer executes it. It takes the filter of the
 * role, or as "hardened" Landlock without a rule, and makes the attempt. Executed by an attempt (--worked), it says so. Its last
 * line is the outcome, its exit status 0 when the kernel refused and WORKED when it did
 * not; a filter ends it with a status of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/attempts.h"
#include "vmm/base/landlock.h"
#include "vmm/base/log.h"
#include "vmm/base/thread_filter.h"

enum { WORKED = 42, BROKEN = 43 };

static const char *argument(int argc, char *argv[], const char *name)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return "";
}

static enum thread_role find_role(const char *name)
{
	enum thread_role role = 0;

	while (role < THREAD_ROLES && strcmp(thread_role_name(role), name) != 0)
		role++;
	return role;
}

static int open_nothing(void)
{
	struct landlock *l;
	int r = landlock_create(&l);

	if (r < 0)
		return r;
	r = landlock_restrict(l);
	landlock_destroy(l);
	return r;
}

int main(int argc, char *argv[])
{
	const struct log_config log = { .id = "escape", .level = LOG_ERROR, .fd = STDERR_FILENO };
	size_t n = strtoul(argument(argc, argv, "--attempt"), NULL, 10);
	const char *name = argument(argc, argv, "--role");
	enum thread_role role = find_role(name);
	char line[128];
	int r;

	if (argc > 1 && strcmp(argv[1], "--worked") == 0) {
		puts("it worked");
		return WORKED;
	}
	log_setup(&log);
	if (n >= attempts_count || (attempts[n].prepare && attempts[n].prepare() < 0) ||
	    thread_filters_prepare(NULL, NULL, NULL) < 0 ||
	    (role < THREAD_ROLES && thread_filter_install(thread_filters_builtin(), role) < 0))
		return BROKEN;
	if (strcmp(name, "hardened") == 0 && open_nothing() < 0)
		return BROKEN;
	r = attempts[n].run();
	snprintf(line, sizeof(line), "%s\n", r < 0 ? strerrorname_np(-r) : "it worked");
	(void)!write(STDOUT_FILENO, line, strlen(line));
	syscall(SYS_exit_group, r < 0 ? 0 : WORKED);
}
