/* test_init_cmdline.c - wisp-init's reading of the kernel command line.
 *
 * The line comes from whoever started the guest; no line may make process 1 fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest-images/init/cmdline.h"

static void text_equal(const char *line, const char *what, const char *got, const char *want)
{
	if (got == want || (got && want && strcmp(got, want) == 0))
		return;
	fail_msg("\"%s\": %s is \"%s\", not \"%s\"", line, what, got ? got : "(none)",
		 want ? want : "(none)");
}

/* Exact size on the heap, so that reading past the end is seen by the sanitizer. */
static char *line_copy(const char *text)
{
	char *line = strdup(text);

	assert_non_null(line);
	return line;
}

static void commands_are_taken_verbatim(void **state)
{
	static const struct {
		const char *line;
		const char *command;
	} cases[] = {
		{ "", NULL },
		{ "quiet", NULL },
		{ "quiet --", NULL },
		{ "quiet -- \n", NULL },
		{ "-- echo hi\n", "echo hi" },
		{ "quiet --   echo  \"a  b\"  ", "echo  \"a  b\"" },
		{ "quiet\t--\techo", "echo" },
		{ "quiet -- sh -- -c x", "sh -- -c x" },
		{ "quiet --echo", NULL },
		{ "a--b -- true", "true" },
		{ "dyndbg=\"a -- b\" -- true", "true" },
		{ "dyndbg=\"a -- b", NULL },
		{ "-- echo root=/dev/vda", "echo root=/dev/vda" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *line = line_copy(cases[i].line);
		struct cmdline parsed;

		cmdline_parse(line, &parsed);
		text_equal(cases[i].line, "command", parsed.command, cases[i].command);
		assert_null(parsed.root);
		free(line);
	}
}

static void every_parameter_is_read(void **state)
{
	char line[] =
		"console=ttyS0 wisp.marker=\"up and running\" wisp.boot_timer "
		"wisp.exit_port=0xf4 root=/dev/vda rootfstype=ext4 rootflags=noload,data=ordered "
		"rootwait rw init=/bin/job virtio_mmio.device=4K@0xc0001000:6 -- run it\n";
	struct cmdline parsed;

	(void)state;
	cmdline_parse(line, &parsed);
	assert_string_equal(parsed.marker, "up and running");
	assert_true(parsed.boot_timer);
	assert_int_equal(parsed.exit_port, 0xf4);
	assert_string_equal(parsed.root, "/dev/vda");
	assert_string_equal(parsed.rootfstype, "ext4");
	assert_string_equal(parsed.rootflags, "noload,data=ordered");
	assert_true(parsed.rootwait);
	assert_true(parsed.root_writable);
	assert_string_equal(parsed.init, "/bin/job");
	assert_string_equal(parsed.command, "run it");
	assert_null(parsed.bad_name);
}

static void an_empty_line_asks_for_nothing(void **state)
{
	char line[] = "";
	struct cmdline parsed;
	static const struct cmdline nothing;

	(void)state;
	memset(&parsed, 0xff, sizeof(parsed));
	cmdline_parse(line, &parsed);
	text_equal("", "marker", parsed.marker, nothing.marker);
	text_equal("", "root", parsed.root, nothing.root);
	text_equal("", "init", parsed.init, nothing.init);
	text_equal("", "command", parsed.command, nothing.command);
	assert_int_equal(parsed.exit_port, 0);
	assert_false(parsed.boot_timer || parsed.rootwait || parsed.root_writable);
}

static void the_last_of_two_counts(void **state)
{
	char line[] = "root=/dev/vda rw root=/dev/vdb ro wisp.exit_port=1 wisp.exit_port=2";
	struct cmdline parsed;

	(void)state;
	cmdline_parse(line, &parsed);
	assert_string_equal(parsed.root, "/dev/vdb");
	assert_false(parsed.root_writable);
	assert_int_equal(parsed.exit_port, 2);
}

static void quotes_keep_blanks_together(void **state)
{
	char line[] = "\"wisp.marker=a b\" rootflags=x\" \"y";
	struct cmdline parsed;

	(void)state;
	cmdline_parse(line, &parsed);
	assert_string_equal(parsed.marker, "a b");
	assert_string_equal(parsed.rootflags, "x y");
}

static void bad_values_are_named_and_left_out(void **state)
{
	static const struct {
		const char *line;
		const char *bad_name;
		unsigned exit_port;
	} cases[] = {
		{ "wisp.exit_port", "wisp.exit_port", 0 },
		{ "wisp.exit_port=", "wisp.exit_port", 0 },
		{ "wisp.exit_port=0", "wisp.exit_port", 0 },
		{ "wisp.exit_port=f4", "wisp.exit_port", 0 },
		{ "wisp.exit_port=0xf4x", "wisp.exit_port", 0 },
		{ "wisp.exit_port=-1", "wisp.exit_port", 0 },
		{ "wisp.exit_port=0xfffc", NULL, 0xfffc },
		{ "wisp.exit_port=0xfffd", "wisp.exit_port", 0 },
		{ "wisp.exit_port=99999999999999999999", "wisp.exit_port", 0 },
		{ "wisp.exit_port=5 wisp.exit_port=x", "wisp.exit_port", 5 },
		{ "wisp.marker wisp.exit_port=x", "wisp.marker", 0 },
		{ "root=", "root", 0 },
		{ "init=", "init", 0 },
		{ "wisp.unknown=x exit_port=x roots=", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *line = line_copy(cases[i].line);
		struct cmdline parsed;

		cmdline_parse(line, &parsed);
		text_equal(cases[i].line, "bad_name", parsed.bad_name, cases[i].bad_name);
		assert_int_equal(parsed.exit_port, cases[i].exit_port);
		free(line);
	}
}

static void the_agent_has_a_port_of_its_own_unless_told(void **state)
{
	static const struct {
		const char *line;
		const char *bad_name;
		unsigned port;
	} cases[] = {
		{ "quiet", NULL, 0 },
		{ "wisp.agent", NULL, 1024 },
		{ "wisp.agent=99", NULL, 99 },
		{ "wisp.agent=4294967294", NULL, 4294967294 },
		{ "wisp.agent=4294967295", "wisp.agent", 0 }, /* any port, to the kernel */
		{ "wisp.agent=", "wisp.agent", 0 },
		{ "wisp.agent=0", "wisp.agent", 0 },
		{ "wisp.ports=0", "wisp.ports", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *line = line_copy(cases[i].line);
		struct cmdline parsed;

		cmdline_parse(line, &parsed);
		text_equal(cases[i].line, "bad_name", parsed.bad_name, cases[i].bad_name);
		assert_int_equal(parsed.agent_port, cases[i].port);
		free(line);
	}
}

static void commands_are_split_at_blanks(void **state)
{
	enum { MAX = 4 };
	static const struct {
		const char *command;
		size_t count;
		const char *words[MAX];
	} cases[] = {
		{ "", 0, { NULL } },
		{ "  \t\n", 0, { NULL } },
		{ "one", 1, { "one" } },
		{ " one\ttwo  three ", 3, { "one", "two", "three" } },
		{ "one two three four", 3, { "one", "two", "three" } },
		{ "\"one two\"", 2, { "\"one", "two\"" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *command = line_copy(cases[i].command), *words[MAX];

		assert_int_equal(cmdline_split(command, words, MAX), cases[i].count);
		for (size_t w = 0; w < cases[i].count; w++)
			text_equal(cases[i].command, "word", words[w], cases[i].words[w]);
		assert_null(words[cases[i].count]);
		free(command);
	}
}

/* Every line of the alphabet that the scanner treats specially, up to a length. */
static void no_line_confuses_the_scanner(void **state)
{
	static const char alphabet[] = "a =-\"\n";
	enum { LEN = 6, LETTERS = sizeof(alphabet) - 1 };
	unsigned total = 1;

	(void)state;
	for (int i = 0; i < LEN; i++)
		total *= LETTERS;
	for (unsigned n = 0; n < total; n++) {
		char text[LEN + 1] = "";
		unsigned rest = n;
		struct cmdline parsed;

		for (int i = 0; i < LEN; i++, rest /= LETTERS)
			text[i] = alphabet[rest % LETTERS];
		char *line = line_copy(text);
		cmdline_parse(line, &parsed);
		if (parsed.command)
			assert_true(strlen(parsed.command) > 0 &&
				    parsed.command + strlen(parsed.command) <= line + LEN);
		free(line);
	}
}

static void help_names_every_parameter(void **state)
{
	static const char *const names[] = {
		"wisp.marker=", "wisp.boot_timer", "wisp.exit_port=", "root=", "rootfstype=",
		"rootflags=",	"rootwait",	   "ro, rw",	      "init=", "-- COMMAND",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strstr(cmdline_help(), names[i]))
			fail_msg("--help does not say %s", names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_taken_verbatim),
		cmocka_unit_test(every_parameter_is_read),
		cmocka_unit_test(an_empty_line_asks_for_nothing),
		cmocka_unit_test(the_last_of_two_counts),
		cmocka_unit_test(quotes_keep_blanks_together),
		cmocka_unit_test(bad_values_are_named_and_left_out),
		cmocka_unit_test(the_agent_has_a_port_of_its_own_unless_told),
		cmocka_unit_test(commands_are_split_at_blanks),
		cmocka_unit_test(no_line_confuses_the_scanner),
		cmocka_unit_test(help_names_every_parameter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
