/* test_bench_run.c - one run of a program that stands in for a VMM. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "benches/run.h"

static int run_shell(const char *script, struct run_spec spec, struct run_result *ret,
		     struct error *err)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };

	*err = (struct error){ 0 };
	spec.argv = argv;
	spec.tracefs = -1;
	spec.timeout_s = 60;
	return run_once(&spec, ret, err);
}

/* The harness leaves no child behind, however a run ended. */
static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_has_marker(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} rows[] = {
		{ "", false },
		{ "INI", false },
		{ "INIT", true },
		{ "xINIT", true },
		{ "a\nINIT\r\n", true },
		{ "wisp.marker=INIT quiet", false },
		{ "wisp.marker=INIT quiet\nINIT\n", true },
		{ "=INITINIT", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(run_has_marker(rows[i].text, strlen(rows[i].text), "INIT"),
				 rows[i].want);
}

static void test_phases(void **state)
{
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(run_shell("echo one; echo two IN; echo words >&2; exit 42",
				   (struct run_spec){ .marker = "two IN" }, &r, &err),
			 0);
	assert_true(r.console_us >= 0);
	assert_true(r.marker_us >= r.console_us);
	assert_true(r.exit_us >= r.marker_us);
	assert_int_equal(r.exit_code, 42);
	assert_string_equal(r.console.data, "one\ntwo IN\n");
	assert_string_equal(r.err.data, "words\n");
	assert_no_children();
}

/* A marker that comes in two writes, with more before it than the tail keeps. */
static void test_split_marker(void **state)
{
	static const char script[] = "i=0; while [ $i -lt 300 ]; do echo 0123456789abcdef;"
				     "i=$((i+1)); done; printf MARK; sleep 0; printf ER";
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(run_shell(script, (struct run_spec){ .marker = "MARKER" }, &r, &err), 0);
	assert_true(r.marker_us >= 0);
	assert_int_equal(r.console.len, RUN_TAIL_BYTES);
}

static void test_marker_ends(void **state)
{
	const struct run_spec spec = { .marker = "up", .end = RUN_TO_MARKER };
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(run_shell("echo up; exec sleep 1000", spec, &r, &err), 0);
	assert_int_equal(r.signal, SIGKILL);
	assert_no_children();
}

static void test_no_marker(void **state)
{
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(
		run_shell("echo other; exit 3", (struct run_spec){ .marker = "up" }, &r, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, "exit code 3"));
	assert_string_equal(r.console.data, "other\n");
}

static void test_killed(void **state)
{
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(
		run_shell("echo last words >&2; kill -SEGV $$", (struct run_spec){ 0 }, &r, &err),
		-ECANCELED);
	assert_int_equal(r.signal, SIGSEGV);
	assert_string_equal(r.err.data, "last words\n");
	assert_no_children();
}

/* A limit that is over at once: no test waits for one. */
static void test_time_limit(void **state)
{
	char *argv[] = { (char *)"/bin/sleep", (char *)"1000", NULL };
	const struct run_spec spec = { .argv = argv, .timeout_s = 0, .tracefs = -1 };
	struct error err = { 0 };
	struct run_result r;

	(void)state;
	assert_int_equal(run_once(&spec, &r, &err), -ETIMEDOUT);
	assert_no_children();
}

static void test_not_executable(void **state)
{
	char *argv[] = { (char *)"/dev/null/none", NULL };
	const struct run_spec spec = { .argv = argv, .timeout_s = 60, .tracefs = -1 };
	struct error err = { 0 };
	struct run_result r;

	(void)state;
	assert_int_equal(run_once(&spec, &r, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "/dev/null/none"));
	assert_no_children();
}

/* Memory of a stand-in has no mapping of a guest's size: the run fails, and ends. */
static void test_memory_not_found(void **state)
{
	const struct run_spec spec = { .marker = "up",
				       .memory = true,
				       .guest_bytes = UINT64_C(1) << 40 };
	struct run_result r;
	struct error err;

	(void)state;
	assert_int_equal(run_shell("echo up; exec sleep 1000", spec, &r, &err), -ENOENT);
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_has_marker),	 cmocka_unit_test(test_phases),
		cmocka_unit_test(test_split_marker),	 cmocka_unit_test(test_marker_ends),
		cmocka_unit_test(test_no_marker),	 cmocka_unit_test(test_killed),
		cmocka_unit_test(test_time_limit),	 cmocka_unit_test(test_not_executable),
		cmocka_unit_test(test_memory_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
