/* test_bench_report.c - options in, results out and in again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "benches/options.h"
#include "benches/report.h"

static int parse(struct options *o, const char **name, struct error *err, const char *const *words)
{
	char *argv[16] = { (char *)"wisp-bench" };
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	*err = (struct error){ 0 };
	return options_parse(argc, argv, o, name, err);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_options(void **state)
{
	struct options o;
	struct error err;
	const char *name;

	(void)state;
	assert_int_equal(parse(&o, &name, &err,
			       WORDS("--runs", "7", "boot", "--warmup=0", "--cmdline", "a=b --",
				     "--kernel", "/dev/null", "--json=x.json", "--kvm")),
			 0);
	assert_string_equal(name, "boot");
	assert_int_equal(o.runs, 7);
	assert_int_equal(o.warmup, 0);
	assert_int_equal(o.inspect, -1);
	assert_string_equal(o.cmdline, "a=b --");
	assert_string_equal(o.kernel, "/dev/null");
	assert_int_equal(o.json[0], '/');
	assert_true(o.kvm);
	options_free(&o);
}

/* What the copy inside the test host is given: all but where results go. */
static void test_options_written(void **state)
{
	struct options o;
	struct error err;
	const char *name;
	struct argv argv = { 0 };

	(void)state;
	unsetenv("QEMU");
	unsetenv("FIRECRACKER");
	assert_int_equal(parse(&o, &name, &err,
			       WORDS("--testhost", "--warmup", "0", "--cmdline", "a b", "--details",
				     "--json", "x", "--plot", "x.svg")),
			 0);
	options_write(&o, &argv);
	assert_int_equal(argv.n, 3);
	assert_string_equal(argv.v[0], "--warmup=0");
	assert_string_equal(argv.v[1], "--details");
	assert_string_equal(argv.v[2], "--cmdline=a b");
	argv_free(&argv);
	options_free(&o);
}

static void test_bad_options(void **state)
{
	static const struct {
		const char *words[4];
		const char *want; /* part of the message */
	} rows[] = {
		{ { "--nothing" }, "--nothing" },
		{ { "--runs" }, "needs a value" },
		{ { "--runs", "0" }, "from 1" },
		{ { "--runs", "-1" }, "from 1" },
		{ { "--runs", "3x" }, "3x" },
		{ { "--runs", "99999999999999999999" }, "from 1" },
		{ { "--runs", "" }, "from 1" },
		{ { "--kvm=yes" }, "--kvm=yes" },
		{ { "--kvm", "--testhost" }, "exclude" },
		{ { "--kernel", "/no/such/file" }, "No such file" },
		{ { "--end", "never" }, "never" },
		{ { "boot", "startup" }, "startup" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o;
		struct error err;
		const char *name;

		assert_true(parse(&o, &name, &err, rows[i].words) < 0);
		assert_non_null(strstr(err.text, rows[i].want));
		options_free(&o);
	}
}

static void test_environment(void **state)
{
	struct options o;
	struct error err;
	const char *name;

	(void)state;
	setenv("FIRECRACKER", "/dev/null", 1);
	assert_int_equal(parse(&o, &name, &err, WORDS("boot")), 0);
	assert_string_equal(o.firecracker, "/dev/null");
	options_free(&o);
	assert_int_equal(parse(&o, &name, &err, WORDS("--firecracker", "/dev/zero")), 0);
	assert_string_equal(o.firecracker, "/dev/zero");
	options_free(&o);
	unsetenv("FIRECRACKER");
}

static void test_unit(void **state)
{
	(void)state;
	assert_string_equal(report_unit("exec_to_guest_us"), "us");
	assert_string_equal(report_unit("private_kib"), "kib");
	assert_string_equal(report_unit("io_exits"), "exits");
}

static void fill(struct report *r)
{
	report_init(r, "boot");
	for (int64_t i = 1; i <= 4; i++) {
		assert_int_equal(report_add(r, "wisp", "exec_to_init_us", i), 0);
		assert_int_equal(report_add(r, "qemu", "exec_to_init_us", i * 10), 0);
	}
	assert_int_equal(report_add(r, "wisp", "never_seen_us", -1), 0);
	report_finish(r);
}

static void test_save_and_load(void **state)
{
	char path[] = "/tmp/test-bench-report-XXXXXX";
	int fd = mkstemp(path);
	struct error err = { 0 };
	struct report r, loaded;
	const struct report_row *row;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	fill(&r);
	assert_int_equal(report_save(&r, path, &err), 0);
	report_init(&loaded, "other");
	assert_int_equal(report_load(&loaded, path, &err), 0);
	assert_string_equal(loaded.bench, "boot");
	assert_string_equal(loaded.host.kernel, r.host.kernel);
	assert_int_equal(loaded.nrows, 2);
	row = report_find(&loaded, "qemu", "exec_to_init_us");
	assert_non_null(row);
	assert_int_equal(row->summary.n, 4);
	assert_int_equal(row->summary.median, 20);
	assert_int_equal(row->summary.p99, 40);
	report_free(&loaded);
	report_free(&r);
	unlink(path);
}

static void test_load_refuses(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"bench\": 1}",
		"{\"bench\": \"b\", \"machine\": {}, \"results\": []}",
		("{\"bench\": \"b\", \"machine\": {\"kvm\": \"svm\", \"testhost\": false, "
		 "\"kernel\": \"k\", \"cpus\": 1}, \"results\": [{\"vmm\": \"wisp\"}]}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char path[] = "/tmp/test-bench-report-XXXXXX";
		int fd = mkstemp(path);
		struct error err = { 0 };
		struct report r;

		assert_int_equal(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
		close(fd);
		report_init(&r, "b");
		assert_true(report_load(&r, path, &err) < 0);
		assert_true(err.text[0] != '\0');
		report_free(&r);
		unlink(path);
	}
}

static void test_table(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct report r;

	(void)state;
	fill(&r);
	report_print(&r, f);
	fclose(f);
	assert_non_null(strstr(text, "  0.100\n"));
	assert_non_null(strstr(text, "exec_to_init_us"));
	assert_null(strstr(text, "never_seen_us"));
	free(text);
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),	     cmocka_unit_test(test_options_written),
		cmocka_unit_test(test_bad_options),  cmocka_unit_test(test_environment),
		cmocka_unit_test(test_unit),	     cmocka_unit_test(test_save_and_load),
		cmocka_unit_test(test_load_refuses), cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
