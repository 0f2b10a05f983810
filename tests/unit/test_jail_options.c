/* test_jail_options.c - the command line of wisp-jailer: what it takes, and every name
 * that it must not take. The documentation has every option. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jailer/options.h"

enum { ARGS_MAX = 20 };

static int parse(const char *const *args, struct jail_options *o, struct error *err)
{
	static char *argv[ARGS_MAX + 1];
	int argc = 1;

	argv[0] = (char *)"wisp-jailer";
	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	argv[argc] = NULL;
	*err = (struct error){ 0 };
	return jail_options_parse(argc, argv, o, err);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ENOUGH	  "--id=a", "--exec-file=/bin/x", "--uid=1", "--gid=1"

static void good_lines(void **state)
{
	struct jail_options o;
	struct error err;

	(void)state;
	assert_int_equal(
		parse(ARGS(ENOUGH, "--cgroup", "cpu.max=5 10", "--cgroup=a.b_c=1",
			   "--parent-cgroup", "x/y-z", "--resource-limit", "fsize=9",
			   "--resource-limit=memlock=7", "--system-program", "--", "--id", "b"),
		      &o, &err),
		0);
	assert_string_equal(o.id, "a");
	assert_int_equal(o.cgroup_count, 2);
	assert_string_equal(o.cgroup[0].file, "cpu.max");
	assert_string_equal(o.cgroup[0].value, "5 10");
	assert_string_equal(o.base, "/srv/jailer");
	assert_int_equal(o.no_file, 2048);
	assert_int_equal(o.fsize, 9);
	assert_int_equal(o.memlock, 7);
	assert_true(o.system_program);
	assert_string_equal(o.extra[0], "--id");
	assert_null(o.extra[2]);
	assert_int_equal(parse(ARGS(ENOUGH), &o, &err), 0);
	assert_null(o.extra[0]);
	assert_int_equal(parse(ARGS("--cleanup", "--id=a", "--exec-file=x"), &o, &err), 0);
	assert_int_equal(parse(ARGS("--version"), &o, &err), 0);
}

/* They come in rising order, each once. */
static void passed_descriptors(void **state)
{
	struct jail_options o;
	struct error err;

	(void)state;
	assert_int_equal(
		parse(ARGS(ENOUGH, "--pass-fd", "9", "--pass-fd=3", "--pass-fd=300", "--pass-fd=5"),
		      &o, &err),
		0);
	assert_int_equal(o.pass_count, 4);
	assert_int_equal(o.pass_fd[0], 3);
	assert_int_equal(o.pass_fd[1], 5);
	assert_int_equal(o.pass_fd[2], 9);
	assert_int_equal(o.pass_fd[3], 300);
	assert_int_equal(parse(ARGS(ENOUGH, "--pass-fd=9", "--pass-fd=3", "--pass-fd=9"), &o, &err),
			 -EINVAL);
	assert_string_equal(err.field, "pass-fd");
}

static void hostile_lines(void **state)
{
	static const struct {
		const char *arg, *field;
	} rows[] = {
		{ "--pass-fd=2", "pass-fd" },
		{ "--pass-fd=-1", "pass-fd" },
		{ "--pass-fd=x", "pass-fd" },
		{ "--pass-fd=2147483647", "pass-fd" },
		{ "--user-ns=1", "user-ns" },
		{ "--read-only-root=1", "read-only-root" },
		{ "--id=../x", "id" },
		{ "--id=..", "id" },
		{ "--id=a/b", "id" },
		{ "--id=/etc", "id" },
		{ "--id=a b", "id" },
		{ "--id=a\nb", "id" },
		{ "--id=\xc3\xa9", "id" },
		{ "--id=01234567890123456789012345678901234567890123456789012345678901234", "id" },
		{ "--id=", "id" },
		{ "--uid=0", "uid" },
		{ "--uid=-1", "uid" },
		{ "--uid=4294967295", "uid" },
		{ "--uid=4294967296", "uid" },
		{ "--uid=root", "uid" },
		{ "--uid= 1", "uid" },
		{ "--gid=0", "gid" },
		{ "--gid=1x", "gid" },
		{ "--parent-cgroup=/x", "parent-cgroup" },
		{ "--parent-cgroup=..", "parent-cgroup" },
		{ "--parent-cgroup=a/../b", "parent-cgroup" },
		{ "--parent-cgroup=a//b", "parent-cgroup" },
		{ "--parent-cgroup=a/", "parent-cgroup" },
		{ "--parent-cgroup=.", "parent-cgroup" },
		{ "--cgroup=cpu.max", "cgroup" },
		{ "--cgroup=cpu.max=", "cgroup" },
		{ "--cgroup=cpu=1", "cgroup" },
		{ "--cgroup=../cpu.max=1", "cgroup" },
		{ "--cgroup=a/b.c=1", "cgroup" },
		{ "--cgroup=.x=1", "cgroup" },
		{ "--cgroup==1", "cgroup" },
		{ "--cgroup-version=3", "cgroup-version" },
		{ "--resource-limit=no-file=0", "resource-limit" },
		{ "--resource-limit=fsize=0", "resource-limit" },
		{ "--resource-limit=fsize=-1", "resource-limit" },
		{ "--resource-limit=fsize=9223372036854775808", "resource-limit" },
		{ "--resource-limit=core=1", "resource-limit" },
		{ "--daemonize=yes", "daemonize" },
		{ "--netns", "netns" },
		{ "--nope", "" },
		{ "x", "" },
	};
	struct jail_options o;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = parse(ARGS(rows[i].arg), &o, &err);

		if (r != -EINVAL || strcmp(err.field, rows[i].field) != 0 || !err.text[0])
			fail_msg("%s: %d [%s] %s", rows[i].arg, r, err.field, err.text);
	}
}

static void incomplete_lines(void **state)
{
	struct jail_options o;
	struct error err;

	(void)state;
	assert_int_equal(parse(ARGS("--exec-file=x", "--uid=1", "--gid=1"), &o, &err), -EINVAL);
	assert_string_equal(err.field, "id");
	assert_int_equal(parse(ARGS("--id=a", "--uid=1", "--gid=1"), &o, &err), -EINVAL);
	assert_string_equal(err.field, "exec-file");
	assert_int_equal(parse(ARGS("--id=a", "--exec-file=x", "--uid=1"), &o, &err), -EINVAL);
	assert_string_equal(err.field, "gid");
	assert_int_equal(parse(ARGS(ENOUGH, "--id=b"), &o, &err), -EINVAL);
	assert_string_equal(err.field, "id");
}

static void man_page_has_all(void **state)
{
	static char text[32768];
	FILE *f = fopen(WISP_MAN_PAGE, "re");
	char *to = text;

	(void)state;
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	for (const char *from = text; *from; from++)
		if (from[0] != '\\' || from[1] != '-')
			*to++ = *from;
	*to = '\0';
	for (size_t i = 0; jail_options_name(i); i++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "--%s", jail_options_name(i));
		if (!strstr(text, wanted))
			fail_msg("the man page lacks %s", wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines),	    cmocka_unit_test(passed_descriptors),
		cmocka_unit_test(hostile_lines),    cmocka_unit_test(incomplete_lines),
		cmocka_unit_test(man_page_has_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
