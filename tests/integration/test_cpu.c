/* test_cpu.c - wisp-cpu on real KVM: what it dumps, strips, verifies and compares.
 *
 * All files lie in the test's folder, which is the working directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77 };

/* clang-format off */
#define ARGS(...) ((const char *const[]){ fixture_program("wisp-cpu"), __VA_ARGS__, NULL })
/* clang-format on */

/* A bit of KVM's name, which no processor forces on a guest. */
static const char renamed[] =
	"{\"cpuid_modifiers\": [{\"leaf\": \"0x40000000\", \"subleaf\": \"0x0\", \"flags\": 0, "
	"\"modifiers\": [{\"register\": \"ebx\", \"bitmap\": \"0bxxxx_xxx0\"}]}]}";

/* The APIC id, which each processor gets after the template. */
static const char overwritten[] =
	"{\"cpuid_modifiers\": [{\"leaf\": \"0x1\", \"subleaf\": \"0x0\", \"flags\": 0, "
	"\"modifiers\": [{\"register\": \"ebx\", \"bitmap\": "
	"\"0b1xxxxxxx_xxxxxxxx_xxxxxxxx_xxxxxxxx\"}]}]}";

static int make_files(void **state)
{
	(void)state;
	assert_int_equal(chdir(fixture_dir()), 0);
	fixture_file("renamed.json", renamed);
	fixture_file("overwritten.json", overwritten);
	fixture_file("nothing.json", "{\"colour\": 5}");
	return 0;
}

static void expect(const char *const args[], int status, const char *words)
{
	struct session *s = session_start(args);
	int got = session_wait(s, LIMIT_S);

	if (got != status || !strstr(session_output(s), words))
		fail_msg("%s %s: ended with %d, not %d, \"%s\":\n%s", args[1], args[2], got, status,
			 words, session_output(s));
	session_end(s);
}

static json_t *load(const char *path)
{
	json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(j);
	return j;
}

static void test_dump_is_a_template(void **state)
{
	json_t *dump;

	(void)state;
	expect(ARGS("template", "dump", "-o", "plain.json"), 0, "");
	expect(ARGS("template", "verify", "-t", "plain.json"), 0, "");
	dump = load("plain.json");
	assert_true(json_array_size(json_object_get(dump, "cpuid_modifiers")) > 10);
	assert_true(json_array_size(json_object_get(dump, "msr_modifiers")) > 5);
	json_decref(dump);
}

static void test_verify(void **state)
{
	(void)state;
	expect(ARGS("template", "verify", "--template", "renamed.json"), 0, "");
	expect(ARGS("template", "verify", "-t", "overwritten.json"), 1,
	       "CPUID leaf 0x1, subleaf 0, ebx: bits 0x80000000 are otherwise");
	expect(ARGS("template", "verify", "-t", "nothing.json"), 2, "unknown field `colour`");
}

/* Of two processors that differ in one bit, that bit is left of each. */
static void test_strip(void **state)
{
	static const char *const stripped[] = { "plain_only.json", "other_only.json" };
	static const char bits[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	(void)state;
	expect(ARGS("template", "dump", "--output", "plain.json"), 0, "");
	expect(ARGS("template", "dump", "-t", "renamed.json", "-o", "other.json"), 0, "");
	expect(ARGS("template", "strip", "-p", "plain.json", "other.json", "-s", "_only"), 0, "");
	for (unsigned i = 0; i < 2; i++) {
		json_t *j = load(stripped[i]), *leaves = json_object_get(j, "cpuid_modifiers");
		json_t *leaf = json_array_get(leaves, 0);
		json_t *row = json_array_get(json_object_get(leaf, "modifiers"), 0);
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "0b%s%u", bits, i == 0);
		assert_int_equal(json_array_size(leaves), 1);
		assert_int_equal(json_array_size(json_object_get(j, "msr_modifiers")), 0);
		assert_int_equal(json_array_size(json_object_get(leaf, "modifiers")), 1);
		assert_string_equal(json_string_value(json_object_get(leaf, "leaf")), "0x40000000");
		assert_string_equal(json_string_value(json_object_get(row, "register")), "ebx");
		assert_string_equal(json_string_value(json_object_get(row, "bitmap")), wanted);
		json_decref(j);
	}
}

static void test_fingerprint(void **state)
{
	json_t *j;

	(void)state;
	expect(ARGS("fingerprint", "dump", "-o", "before.json"), 0, "");
	expect(ARGS("fingerprint", "dump", "-t", "renamed.json", "-o", "now.json"), 0, "");
	expect(ARGS("fingerprint", "compare", "-p", "before.json", "-c", "before.json"), 0, "");
	expect(ARGS("fingerprint", "compare", "--prev", "before.json", "--curr", "now.json"), 1,
	       "guest_cpu_config: differs\n");
	expect(ARGS("fingerprint", "compare", "-p", "before.json", "-c", "now.json", "-f",
		    "kernel_version", "cpu_model"),
	       0, "");
	expect(ARGS("fingerprint", "compare", "-p", "before.json", "-c", "now.json", "-f",
		    "colour"),
	       2, "no field colour");
	j = load("now.json");
	json_object_set_new(j, "kernel_version", json_string("1.0"));
	assert_int_equal(json_dump_file(j, "now.json", 0), 0);
	json_decref(j);
	expect(ARGS("fingerprint", "compare", "-p", "before.json", "-c", "now.json", "-f",
		    "kernel_version"),
	       1, ", now \"1.0\"\n");
}

static void test_bad_usage(void **state)
{
	(void)state;
	expect(ARGS("template", "explode"), 153, "no such command");
	expect(ARGS("template", "verify"), 153, "something is missing");
	expect(ARGS("template", "dump", "-s", "x"), 153, "not an option");
	expect(ARGS("template", "dump", "x"), 153, "unexpected: x");
	expect(ARGS("template", "dump", "-o", "no/such/folder"), 2, "cannot be written");
	expect(ARGS("template", "show", "T9"), 2, "unknown variant `T9`");
	expect(ARGS("--help", "me"), 0, "Usage: wisp-cpu");
}

/* On a KVM that lets a guest's features be hidden, which the test host's does. */
static void test_names(void **state)
{
	static const char *const names[] = { "C3", "T2", "T2S", "T2CL", "T2A" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect(ARGS("template", "verify", "-t", names[i]), 0, "");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_is_a_template),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_strip),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_bad_usage),
	};
	const struct CMUnitTest in_test_host[] = { cmocka_unit_test(test_names) };

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1 && strcmp(argv[1], "test_names") == 0)
		return cmocka_run_group_tests(in_test_host, make_files, NULL);
	return cmocka_run_group_tests(tests, make_files, NULL);
}
