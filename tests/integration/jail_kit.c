/* jail_kit.c - jails made by wisp-jailer for a test, in the test's folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/jail_kit.h"

enum { SKIPPED = 77 };

int jail_make_base(void **state)
{
	(void)state;
	return mkdir(jail_base(), 0755);
}

const char *jail_base(void)
{
	return fixture_path("base");
}

const char *jail_path(const char *id, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "base/wisp/%s/%s", id, name);
	return fixture_path(path);
}

void jail_shell(const char *format, ...)
{
	char command[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

int jail_missing(void)
{
	if (geteuid() != 0)
		puts("skipped: a jail can only be made by root");
	else if (!fixture_has_kvm())
		puts("skipped: /dev/kvm cannot be opened here");
	else
		return 0;
	return SKIPPED;
}

struct session *jail_start(const char *id, const char *const *options, const char *const *rest)
{
	const char *argv[JAIL_ARGS_MAX] = {
		fixture_program("wisp-jailer"),
		"--id",
		id,
		"--exec-file",
		fixture_program("wisp"),
		"--uid",
		JAIL_USER_TEXT,
		"--gid",
		JAIL_USER_TEXT,
		"--chroot-base-dir",
		jail_base(),
	};
	unsigned n = 11;

	for (; *options && n < JAIL_ARGS_MAX; options++)
		argv[n++] = *options;
	if (n < JAIL_ARGS_MAX)
		argv[n++] = "--";
	for (; *rest && n < JAIL_ARGS_MAX; rest++)
		argv[n++] = *rest;
	assert_true(n < JAIL_ARGS_MAX);
	return session_start(argv);
}

int jail_clean_up(const char *id, const char **output)
{
	static char kept[1024];
	const char *const argv[] = {
		fixture_program("wisp-jailer"),
		"--cleanup",
		"--id",
		id,
		"--exec-file",
		fixture_program("wisp"),
		"--chroot-base-dir",
		jail_base(),
		"--parent-cgroup",
		JAIL_PARENT,
		NULL,
	};
	struct session *s = session_start(argv);
	int status = session_wait(s, JAIL_LIMIT_S);

	snprintf(kept, sizeof(kept), "%s", session_output(s));
	if (output)
		*output = kept;
	session_end(s);
	return status;
}
