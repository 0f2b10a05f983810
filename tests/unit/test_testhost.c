/* test_testhost.c - the test host's parts that need no machine: the order of
 * modules, the mark that ends a stream, the quoting of a job, a log's last lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/testhost/endmark.h"
#include "tests/testhost/job.h"
#include "tests/testhost/moddep.h"
#include "tests/testhost/options.h"
#include "tests/testhost/tail.h"
#include "vmm/base/error.h"

static const char token[] = "0123456789abcdef0123456789abcdef";

/* Appends "path " to a text of 256 bytes. */
static int note_path(void *arg, const char *path)
{
	char *text = arg;
	size_t used = strlen(text);

	snprintf(text + used, 256 - used, "%s ", path);
	return 0;
}

static struct moddep *parse(const char *text)
{
	struct moddep *d = NULL;

	assert_int_equal(moddep_parse(text, strlen(text), &d), 0);
	return d;
}

static void test_moddep_order(void **state)
{
	static const struct {
		const char *text, *name, *order;
	} rows[] = {
		{ "a/x.ko:\n", "x", "a/x.ko " },
		{ "a/x.ko: b/y.ko\nb/y.ko:\n", "x", "b/y.ko a/x.ko " },
		/* a whole list, in either order, or only the nearest */
		{ "x.ko: y.ko z.ko\ny.ko: z.ko\nz.ko:\n", "x", "z.ko y.ko x.ko " },
		{ "x.ko: z.ko y.ko\ny.ko: z.ko\nz.ko:\n", "x", "z.ko y.ko x.ko " },
		{ "x.ko: y.ko\ny.ko: z.ko\nz.ko:", "x", "z.ko y.ko x.ko " },
		/* names */
		{ "kvm_amd.ko:\n", "kvm-amd", "kvm_amd.ko " },
		{ "kvm-amd.ko:\n", "kvm_amd", "kvm-amd.ko " },
		{ "a/9pnet.ko:\na/9p.ko.xz:\n", "9p", "a/9p.ko.xz " },
		{ "a/x.kox:\na/x.ko:\n", "x", "a/x.ko " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct moddep *d = parse(rows[i].text);
		char order[256] = "";

		assert_int_equal(moddep_take(d, rows[i].name, note_path, order), 0);
		assert_string_equal(order, rows[i].order);
		moddep_destroy(d);
	}
}

static void test_moddep_takes_once(void **state)
{
	struct moddep *d = parse("x.ko: z.ko\ny.ko: z.ko\nz.ko:\n");
	char order[256] = "";

	(void)state;
	assert_int_equal(moddep_take(d, "x", note_path, order), 0);
	assert_int_equal(moddep_take(d, "y", note_path, order), 0);
	assert_int_equal(moddep_take(d, "x", note_path, order), 0);
	assert_string_equal(order, "z.ko x.ko y.ko ");
	moddep_destroy(d);
}

static int refuse_path(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return -EXDEV;
}

static void test_moddep_errors(void **state)
{
	static const struct {
		const char *text, *name;
		int wanted;
	} rows[] = {
		{ "x.ko:\n", "y", -ENOENT },
		{ "", "x", -ENOENT },
		{ "x.ko: y.ko\n", "x", -ENOENT },
		{ "x.ko: yy.ko\ny.ko:\n", "x", -ENOENT },
		{ "x.ko: y.ko\ny.ko: x.ko\n", "x", -ELOOP },
		{ "x.ko: x.ko\n", "x", -ELOOP },
	};
	char order[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct moddep *d = parse(rows[i].text);

		assert_int_equal(moddep_take(d, rows[i].name, note_path, order), rows[i].wanted);
		assert_string_equal(order, "");
		moddep_destroy(d);
	}

	struct moddep *d = parse("x.ko:\n");

	assert_int_equal(moddep_take(d, "x", refuse_path, NULL), -EXDEV);
	moddep_destroy(d);
	d = NULL;
	assert_int_equal(moddep_parse("x.ko\n", 5, &d), -EINVAL);
	assert_null(d);
	moddep_destroy(NULL);
}

/* Feeds in in two pieces, cut at `cut`; the data goes to out as a string. */
static size_t feed(struct endmark *m, const char *in, size_t len, size_t cut, char *out)
{
	size_t used;

	endmark_init(m, token);
	used = endmark_feed(m, in, cut, out);
	used += endmark_feed(m, in + cut, len - cut, out + used);
	return used;
}

static void test_endmark_wherever_cut(void **state)
{
	char in[128], out[256];
	int len =
		snprintf(in, sizeof(in), "data%c%.5s more%c%c%s 139\nlate", 0, token, 0, 0, token);
	size_t data_len = 4 + 1 + 5 + 5 + 1;
	struct endmark m;

	(void)state;
	for (size_t cut = 0; cut <= (size_t)len; cut++) {
		assert_int_equal(feed(&m, in, (size_t)len, cut, out), data_len);
		assert_memory_equal(out, in, data_len);
		assert_true(m.complete);
		assert_int_equal(m.status, 139);
	}
}

static void test_endmark_absent(void **state)
{
	char in[64], out[128];
	int len = snprintf(in, sizeof(in), "data%c%.31s", 0, token);
	struct endmark m;

	(void)state;
	size_t used = feed(&m, in, (size_t)len, 6, out);

	assert_false(m.complete);
	assert_int_equal(used, 4);
	used += endmark_rest(&m, out + used);
	assert_int_equal(used, len);
	assert_memory_equal(out, in, used);
}

static void test_job_quotes(void **state)
{
	char *const command[] = { (char[]){ "a=b" }, (char[]){ "it's $(x)" }, (char[]){ "" },
				  NULL };
	char *const env[] = { (char[]){ "A=1\n2" }, (char[]){ "broken" }, (char[]){ "f%%=()" },
			      NULL };
	struct options o = { .command = command,
			     .vfio = true,
			     .modules = { "tun" },
			     .nmodules = 1,
			     .shares = { (char[]){ "/a b" } },
			     .nshares = 1 };
	const struct job_context context = { .cwd = "/c'd", .environ = env, .token = token };
	char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(job_text(&o, &context, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	assert_non_null(strstr(text, "modules=' tun vfio-pci'\n"));
	assert_non_null(strstr(text, "mount_share share0 '/a b'\n"));
	assert_non_null(strstr(text, "cd '/c'\\''d' || exit 125\n"));
	assert_non_null(strstr(text, " 'A=1\n2' 'f%%=()' WISP_TESTHOST=1 "));
	assert_non_null(strstr(text, " -- 'a=b' 'it'\\''s $(x)' ''\n"));
	assert_null(strstr(text, "broken"));
	free(text);
}

static void test_options_defaults(void **state)
{
	char *const argv[] = { (char[]){ "--mem=512" }, (char[]){ "--icount" }, (char[]){ "--" },
			       (char[]){ "true" },	(char[]){ "--smp" },	NULL };
	struct options o;
	struct error e = { 0 };

	(void)state;
	assert_int_equal(options_parse(argv, &o, &e), 0);
	assert_int_equal(o.mem_mib, 512);
	assert_int_equal(o.smp, 1);
	assert_int_equal(o.timeout_s, 600);
	assert_string_equal(o.cpu, "EPYC");
	assert_string_equal(o.command[1], "--smp");
	options_clear(&o);
}

static void test_tail(void **state)
{
	struct tail t = { 0 };

	(void)state;
	assert_string_equal(tail_last_line(&t), "");
	tail_add(&t, "one\r\ntwo\x1b\nthree\n", 16);
	assert_string_equal(tail_lines(&t, 2), "two?\nthree\n");
	assert_string_equal(tail_lines(&t, 9), "one\ntwo?\nthree\n");
	assert_string_equal(tail_last_line(&t), "three");

	char line[101];

	memset(line, '.', sizeof(line));
	line[100] = '\n';
	for (int i = 0; i < 1000; i++)
		tail_add(&t, line, sizeof(line));
	assert_true(t.used >= TAIL_KEEP_BYTES);
	assert_int_equal(strlen(tail_lines(&t, 3)), 3 * sizeof(line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moddep_order),
		cmocka_unit_test(test_moddep_takes_once),
		cmocka_unit_test(test_moddep_errors),
		cmocka_unit_test(test_endmark_wherever_cut),
		cmocka_unit_test(test_endmark_absent),
		cmocka_unit_test(test_job_quotes),
		cmocka_unit_test(test_options_defaults),
		cmocka_unit_test(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
