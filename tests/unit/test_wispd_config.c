/* test_wispd_config.c - wispd's configuration, its manual page, and who may do what by it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/config.h"
#include "supervisor/http/principals.h"
#include "tests/unit/scratch.h"

static int read_text(struct scratch *dir, const char *text, struct config *c, struct error *err)
{
	FILE *f = fopen(scratch_path(dir, "config"), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	*err = (struct error){ 0 };
	return config_read(scratch_path(dir, "config"), c, err);
}

static void test_defaults(void **state)
{
	static struct config c;
	struct error err;

	assert_int_equal(read_text(*state, "{}", &c, &err), 0);
	assert_string_equal(c.state_dir, "/var/lib/wisp");
	assert_non_null(strstr(c.wisp, "/wisp"));
	assert_non_null(strstr(c.wisp_jailer, "/wisp-jailer"));
	/* What is not said is what the host has. */
	assert_true(c.vcpus > 0);
	assert_true(c.memory_mib > 0);
	assert_int_equal(c.nprincipals, 0);
	assert_int_equal(config_read(NULL, &c, &err), 0);
}

#define RANGE(first, count) "\"uid_first\": " #first ", \"uid_count\": " #count

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{ "", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{\"colour\": 1}", -EBADMSG },
		{ "{\"workers\": 0}", -ERANGE },
		{ "{\"uid_first\": 0}", -ERANGE },
		{ "{\"state_dir\": \"\"}", -ERANGE },
		{ "{\"log_level\": \"loud\"}", -EBADMSG },
		{ "{\"principals\": [{\"role\": \"admin\"}]}", -EINVAL },
		{ "{\"principals\": [{\"uid\": 1, \"gid\": 1, \"role\": \"admin\"}]}", -EINVAL },
		{ "{\"principals\": [{\"uid\": 1}]}", -ENODATA },
		{ "{\"shares\": [{\"path\": \"/srv\"}]}", -ENODATA },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 0}]}", -ERANGE },
		{ "{\"shares\": [{\"path\": \"srv\", \"user\": 1}]}", -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv/..\", \"user\": 1}]}", -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 1, " RANGE(5, 0) "}]}", -ERANGE },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 1, \"uid_first\": 5}]}", -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 1, \"uid_count\": 5}]}", -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 9, " RANGE(5, 5) "}]}", -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 9, " RANGE(4294967290, 6) "}]}",
		  -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 1, " RANGE(899999000, 1001) "}]}",
		  -EINVAL },
		{ "{\"shares\": [{\"path\": \"/srv\", \"user\": 1, " RANGE(910065535, 1) "}]}",
		  -EINVAL },
		{ "{\"principals\": [{\"uid\": 1, \"role\": \"king\"}]}", -EBADMSG },
	};
	static struct config c;
	struct error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = read_text(*state, bad[i].text, &c, &err);

		if (r != bad[i].error || !err.text[0])
			fail_msg("%s: %d %s", bad[i].text, r, err.text);
	}
	assert_true(config_read("/nonexistent", &c, &err) < 0);
	/* Next to them, on both sides. */
	assert_int_equal(
		read_text(
			*state,
			"{\"shares\": [{\"path\": \"/srv\", \"user\": 10, " RANGE(5, 5) "}, {\"path\": \"/opt\", \"user\": 1, " RANGE(
				899999000,
				1000) "}, {\"path\": \"/var\", \"user\": 1, " RANGE(910065536,
										    9) "}]}",
			&c, &err),
		0);
	assert_true(config_read("/dev/zero", &c, &err) < 0);
}

/* Every member stands in the manual page. */
static void test_manual(void **state)
{
	FILE *f = fopen(WISPD_MANUAL, "re");
	static char manual[65536];
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(manual, 1, sizeof(manual) - 1, f);
	fclose(f);
	manual[n] = '\0';
	for (size_t i = 0; i < config_table.nfields; i++)
		if (!strstr(manual, config_table.fields[i].name))
			fail_msg("wispd.8 does not tell of %s", config_table.fields[i].name);
	for (const char *const *name = config_role_names; *name; name++)
		assert_non_null(strstr(manual, *name));
}

static void test_roles(void **state)
{
	static struct config c;
	const gid_t none[] = { 7 }, staff[] = { 7, 50, 8 };
	struct caller who;
	struct error err;

	assert_int_equal(read_text(*state,
				   "{\"principals\": ["
				   "{\"gid\": 50, \"role\": \"viewer\", \"tenant\": \"a\"},"
				   "{\"uid\": 1001, \"role\": \"operator\", \"tenant\": \"b\"},"
				   "{\"uid\": 1002, \"role\": \"admin\"}]}",
				   &c, &err),
			 0);
	principals_judge(&c, 1000, none, 1, &who);
	assert_int_equal(who.role, ROLE_NONE);
	principals_judge(&c, 1000, staff, 3, &who);
	assert_int_equal(who.role, ROLE_VIEWER);
	assert_string_equal(who.tenant, "a");
	assert_string_equal(who.actor, "uid:1000");
	/* The most that any line gives, with that line's tenant. */
	principals_judge(&c, 1001, staff, 3, &who);
	assert_int_equal(who.role, ROLE_OPERATOR);
	assert_string_equal(who.tenant, "b");
	principals_judge(&c, 1002, none, 1, &who);
	assert_int_equal(who.role, ROLE_ADMIN);
	assert_string_equal(who.tenant, "");
	principals_judge(&c, 0, none, 1, &who);
	assert_int_equal(who.role, ROLE_ADMIN);
}

static void test_socket(void **state)
{
	static struct config c;
	struct caller who;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	principals_of_socket(&c, pair[0], &who);
	assert_int_equal(who.role, ROLE_ADMIN);
	principals_of_socket(&c, -1, &who);
	assert_int_equal(who.role, ROLE_NONE);
	close(pair[0]);
	close(pair[1]);
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_defaults),   SCRATCH_TEST(test_refused),
		cmocka_unit_test(test_manual), SCRATCH_TEST(test_roles),
		cmocka_unit_test(test_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
