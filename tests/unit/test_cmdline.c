/* test_cmdline.c - the VMM's words in the user's kernel command line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/loader/cmdline.h"

static void test_words(void **state)
{
	static const struct {
		const char *line, *want; /* with root=/dev/vda and ro added */
	} rows[] = {
		{ "", "root=/dev/vda ro" },
		{ "quiet", "quiet root=/dev/vda ro" },
		{ "quiet ", "quiet root=/dev/vda ro" },
		{ "quiet -- single x", "quiet root=/dev/vda ro -- single x" },
		{ "quiet --", "quiet root=/dev/vda ro --" },
		{ "-- single", "root=/dev/vda ro -- single" },
		{ "--", "root=/dev/vda ro --" },
		{ "a  --  b -- c", "a  root=/dev/vda ro --  b -- c" },
		/* not separators */
		{ "a --b", "a --b root=/dev/vda ro" },
		{ "a b--", "a b-- root=/dev/vda ro" },
		{ "a---b", "a---b root=/dev/vda ro" },
		{ "a=\"x -- y\" b", "a=\"x -- y\" b root=/dev/vda ro" },
		{ "a=\"x -- y\" -- b", "a=\"x -- y\" root=/dev/vda ro -- b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cmdline c;

		assert_int_equal(cmdline_init(&c, rows[i].line, NULL), 0);
		assert_string_equal(c.text, rows[i].line);
		assert_int_equal(cmdline_addf(&c, NULL, "root=/dev/%s", "vda"), 0);
		assert_int_equal(cmdline_add(&c, NULL, "ro"), 0);
		assert_string_equal(c.text, rows[i].want);
		assert_int_equal(c.len, strlen(rows[i].want));
	}
}

static void test_bad_lines(void **state)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{ "a\tb", "the kernel command line has byte 0x09 at offset 1" },
		{ "quiet\n", "the kernel command line has byte 0x0a at offset 5" },
		{ "\x7f", "the kernel command line has byte 0x7f at offset 0" },
		{ "caf\xc3\xa9", "the kernel command line has byte 0xc3 at offset 3" },
		{ "a=\"b c", "the kernel command line has a quote that is never closed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };
		struct cmdline c;

		assert_int_equal(cmdline_init(&c, rows[i].line, &err), -EINVAL);
		assert_string_equal(err.field, "boot_args");
		assert_string_equal(err.text, rows[i].text);
	}
}

static void test_bad_words(void **state)
{
	static const char *const words[] = { "", "a b", "a\"", "a\n", "\x80" };
	struct cmdline c;

	(void)state;
	assert_int_equal(cmdline_init(&c, "quiet -- x", NULL), 0);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct error err = { 0 };

		assert_int_equal(cmdline_add(&c, &err, words[i]), -EINVAL);
		assert_string_equal(err.field, "boot_args");
		assert_string_equal(c.text, "quiet -- x");
	}
}

static void test_limit(void **state)
{
	char line[VM_MAX_CMDLINE + 1];
	struct error err = { 0 };
	struct cmdline c;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[VM_MAX_CMDLINE] = '\0';
	assert_int_equal(cmdline_init(&c, line, &err), -EINVAL);
	assert_string_equal(err.text, "the kernel command line is longer than 2047 bytes");
	assert_int_equal(cmdline_addf(&c, &err, "%s", line), -EINVAL);
	line[VM_MAX_CMDLINE - 1] = '\0';
	assert_int_equal(cmdline_init(&c, line, NULL), 0);
	assert_int_equal(cmdline_add(&c, NULL, "y"), -EINVAL);
	assert_string_equal(c.text, line);

	/* two bytes are left: a space and one more */
	line[VM_MAX_CMDLINE - 3] = '\0';
	assert_int_equal(cmdline_init(&c, line, NULL), 0);
	assert_int_equal(cmdline_add(&c, NULL, "yy"), -EINVAL);
	assert_int_equal(cmdline_add(&c, NULL, "y"), 0);
	assert_int_equal(c.len, VM_MAX_CMDLINE - 1);
	assert_int_equal(strlen(c.text), c.len);

	/* the same in front of a separator, which takes a space more */
	memcpy(line, "-- ", 3);
	assert_int_equal(cmdline_init(&c, line, NULL), 0);
	assert_int_equal(cmdline_add(&c, NULL, "yy"), -EINVAL);
	assert_int_equal(cmdline_add(&c, NULL, "y"), 0);
	assert_memory_equal(c.text, "y -- x", 6);
	assert_int_equal(strlen(c.text), VM_MAX_CMDLINE - 1);
}

static void test_default(void **state)
{
	struct cmdline c;

	(void)state;
	assert_int_equal(cmdline_init(&c, CMDLINE_DEFAULT, NULL), 0);
	assert_string_equal(c.text, "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux "
				    "i8042.nomux i8042.dumbkbd swiotlb=noforce");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	  cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_words), cmocka_unit_test(test_limit),
		cmocka_unit_test(test_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
