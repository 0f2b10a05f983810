/* test_options.c - the command line: what it accepts, what it says to the rest, and
 * that --help and the man page name every option.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/options.h"

enum { ARGS_MAX = ALLOW_PATHS_MAX + 1 };

static int parse(const char *const *args, struct options *o, struct error *err)
{
	char *argv[ARGS_MAX + 2] = { (char *)"wisp" };
	int argc = 1;

	while (args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	memset(err, 0, sizeof(*err));
	return options_parse(argc, argv, o, err);
}

static void defaults_are_firecrackers(void **state)
{
	struct options o;
	struct error err;

	(void)state;
	assert_int_equal(parse((const char *[]){ NULL }, &o, &err), 0);
	assert_string_equal(o.api_sock, "/run/firecracker.socket");
	assert_string_equal(o.id, "anonymous-instance");
	assert_int_equal(o.max_payload_bytes, 51200);
	assert_string_equal(o.level, "Info");
	assert_null(o.config_file);
	assert_false(o.blank);
	assert_int_equal(o.blank_vcpus, 1);
	assert_int_equal(o.blank_mem_mib, 128);
	assert_null(o.log_path);
	assert_null(o.report);
	assert_int_equal(o.debug_exit_port, 0);
	assert_int_equal(o.on_reboot, ON_REBOOT_EXIT);
	assert_false(o.no_api || o.boot_timer || o.show_level || o.show_log_origin);
	assert_false(o.help || o.version || o.check_host || o.no_seccomp);
}

static void both_forms_are_accepted(void **state)
{
	struct options o;
	struct error err;

	(void)state;
	assert_int_equal(
		parse((const char *[]){ "--api-sock", "/a", "--id=my-vm-1", "--level=debug",
					"--config-file", "-", "--no-api", NULL },
		      &o, &err),
		0);
	assert_string_equal(o.api_sock, "/a");
	assert_string_equal(o.id, "my-vm-1");
	assert_string_equal(o.level, "debug");
	assert_string_equal(o.config_file, "-");
	assert_true(o.no_api);

	assert_int_equal(parse((const char *[]){ "--report=a=b", "--debug-exit-port=0xF4",
						 "--http-api-max-payload-size", "1",
						 "--start-time-us=18446744073709551615",
						 "--parent-cpu-time-us=7", NULL },
			       &o, &err),
			 0);
	assert_string_equal(o.report, "a=b");
	assert_int_equal(o.debug_exit_port, 0xf4);
	assert_int_equal(o.max_payload_bytes, 1);
	assert_true(o.start_time_us == UINT64_MAX);
	assert_int_equal(o.parent_cpu_time_us, 7);

	assert_int_equal(parse((const char *[]){ "--on-reboot=restart", NULL }, &o, &err), 0);
	assert_int_equal(o.on_reboot, ON_REBOOT_RESTART);
	assert_int_equal(parse((const char *[]){ "--help", "--no-api", NULL }, &o, &err), 0);
	assert_true(o.help);
}

#define CHARS_65                                                           \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"4"

static void bad_lines_are_refused(void **state)
{
	static const struct {
		const char *args[4];
		const char *field, *text;
	} rows[] = {
		{ { "run" }, "", "Found argument 'run' which wasn't expected" },
		{ { "-h" }, "", "Found argument '-h'" },
		{ { "--" }, "", "Found argument '--'" },
		{ { "" }, "", "Found argument ''" },
		{ { "--nope" }, "", "Found argument '--nope'" },
		{ { "--=x" }, "", "Found argument '--=x'" },
		{ { "--i", "x" }, "", "Found argument '--i'" },
		{ { "--idx", "x" }, "", "Found argument '--idx'" },
		{ { "--id" }, "id", "The argument 'id' requires a value" },
		{ { "--id=" }, "id", "The argument 'id' requires a value" },
		{ { "--id", "" }, "id", "The argument 'id' requires a value" },
		{ { "--id", "--no-api" }, "id", "The argument 'id' requires a value" },
		{ { "--id", "a_b" }, "id", "The argument 'id' cannot be 'a_b'" },
		{ { "--id", "\xc3\xa9" }, "id", "The argument 'id' cannot be" },
		{ { "--id", CHARS_65 }, "id", "The argument 'id' cannot be" },
		{ { "--id=a", "--id=b" }, "id", "The argument 'id' was provided more than once" },
		{ { "--no-api" },
		  "no-api",
		  "Argument 'no-api' cannot be used without 'config-file'" },
		{ { "--blank", "--config-file=c" },
		  "blank",
		  "Argument 'blank' cannot be used with 'config-file'" },
		{ { "--blank", "--blank-vcpus", "33" }, "blank-vcpus", "The argument" },
		{ { "--blank", "--blank-mem-mib=0" }, "blank-mem-mib", "The argument" },
		{ { "--no-api=yes" }, "no-api", "The argument 'no-api' takes no value" },
		{ { "--on-reboot", "restar" },
		  "on-reboot",
		  "The argument 'on-reboot' cannot be 'restar'" },
		{ { "--level", "loud" }, "level", "The argument 'level' cannot be 'loud'" },
		{ { "--debug-exit-port", "0" },
		  "debug-exit-port",
		  "The argument 'debug-exit-port'" },
		{ { "--debug-exit-port", "0x10000" }, "debug-exit-port", "The argument" },
		{ { "--debug-exit-port", "f4" }, "debug-exit-port", "The argument" },
		{ { "--debug-exit-port", "0x" }, "debug-exit-port", "The argument" },
		{ { "--debug-exit-port", "0x-4" }, "debug-exit-port", "The argument" },
		{ { "--start-time-us", "-1" }, "start-time-us", "The argument" },
		{ { "--start-time-us", "18446744073709551616" }, "start-time-us", "The argument" },
		{ { "--start-time-us", "1 " }, "start-time-us", "The argument" },
		{ { "--start-time-us", " 1" }, "start-time-us", "The argument" },
		{ { "--http-api-max-payload-size=0" },
		  "http-api-max-payload-size",
		  "The argument" },
		{ { "--seccomp-filter", "f", "--no-seccomp" },
		  "no-seccomp",
		  "Argument 'no-seccomp' cannot be used with 'seccomp-filter'" },
		{ { "--landlock", "maybe" }, "landlock", "The argument 'landlock' cannot be" },
		{ { "--landlock=off", "--allow-path=/" },
		  "allow-path",
		  "Argument 'allow-path' cannot be used with 'landlock off'" },
		{ { "--allow-path" }, "allow-path", "The argument 'allow-path' requires a value" },
		{ { "--seccomp-log=f", "--no-seccomp" },
		  "seccomp-log",
		  "Argument 'seccomp-log' cannot be used with 'no-seccomp'" },
		{ { "--seccomp-log=f", "--seccomp-filter=f" },
		  "seccomp-log",
		  "Argument 'seccomp-log' cannot be used with 'seccomp-filter'" },
		{ { "--mmds-size-limit", "0" },
		  "mmds-size-limit",
		  "The argument 'mmds-size-limit' cannot be '0'" },
	};
	struct options o = { .id = "untouched" };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = parse(rows[i].args, &o, &err);

		if (r != -EINVAL || strcmp(err.field, rows[i].field) != 0 ||
		    strncmp(err.text, rows[i].text, strlen(rows[i].text)) != 0 || !err.hint[0])
			fail_msg("%s %s: %d [%s] %s (%s)", rows[i].args[0],
				 rows[i].args[1] ? rows[i].args[1] : "", r, err.field, err.text,
				 err.hint);
		assert_string_equal(o.id, "untouched");
	}
}

static void no_seccomp_is_accepted(void **state)
{
	struct options o;
	struct error err;

	(void)state;
	assert_int_equal(parse((const char *[]){ "--no-seccomp", NULL }, &o, &err), 0);
	assert_true(o.no_seccomp);
}

static void paths_add_up(void **state)
{
	const char *args[ALLOW_PATHS_MAX + 2];
	struct options o;
	struct error err;

	(void)state;
	assert_int_equal(parse((const char *[]){ NULL }, &o, &err), 0);
	assert_int_equal(o.landlock, LANDLOCK_AUTO);
	assert_int_equal(o.allow_path_count, 0);
	assert_int_equal(parse((const char *[]){ "--landlock=on", "--allow-path", "/a",
						 "--allow-path=/b", NULL },
			       &o, &err),
			 0);
	assert_int_equal(o.landlock, LANDLOCK_ON);
	assert_int_equal(o.allow_path_count, 2);
	assert_string_equal(o.allow_path[1], "/b");
	for (unsigned i = 0; i <= ALLOW_PATHS_MAX; i++)
		args[i] = "--allow-path=/a";
	args[ALLOW_PATHS_MAX + 1] = NULL;
	assert_int_equal(parse(args, &o, &err), -EINVAL);
	assert_string_equal(err.field, "allow-path");
	args[ALLOW_PATHS_MAX] = NULL;
	assert_int_equal(parse(args, &o, &err), 0);
}

static char *read_file(FILE *in)
{
	char *text = NULL;
	size_t room = 0;

	assert_non_null(in);
	assert_true(getdelim(&text, &room, '\0', in) > 0);
	fclose(in);
	return text;
}

static void help_names_every_option(void **state)
{
	FILE *out = tmpfile();
	char wanted[64], *text;

	(void)state;
	assert_non_null(out);
	options_print_help(out);
	rewind(out);
	text = read_file(out);
	for (size_t i = 0; options_name(i); i++) {
		snprintf(wanted, sizeof(wanted), "\n  --%s ", options_name(i));
		if (!strstr(text, wanted))
			fail_msg("--help lacks --%s", options_name(i));
	}
	free(text);
}

/* Removes the backslashes before hyphens. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (from[0] != '\\' || from[1] != '-')
			*to++ = *from;
	*to = '\0';
}

static size_t count_options(void)
{
	size_t n = 0;

	while (options_name(n))
		n++;
	return n;
}

/* Each option has one ".BR --name" or ".B --name" paragraph, and no other does. */
static void man_page_agrees(void **state)
{
	char *text = read_file(fopen(WISP_MAN_PAGE, "re")), wanted[64];
	size_t described = 0;

	(void)state;
	unescape(text);
	for (const char *p = text; (p = strstr(p, "\n.TP\n.B")) != NULL; p++)
		described += strncmp(p + strcspn(p + 5, " ") + 5, " --", 3) == 0;
	assert_int_equal(described, count_options());
	for (size_t i = 0; options_name(i); i++) {
		size_t len = (size_t)snprintf(wanted, sizeof(wanted), " --%s", options_name(i));
		const char *p = strstr(text, wanted);

		while (p && p[len] != '\n' && p[len] != ' ')
			p = strstr(p + 1, wanted);
		if (!p)
			fail_msg("the man page lacks --%s", options_name(i));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_firecrackers),
		cmocka_unit_test(both_forms_are_accepted),
		cmocka_unit_test(bad_lines_are_refused),
		cmocka_unit_test(no_seccomp_is_accepted),
		cmocka_unit_test(paths_add_up),
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(man_page_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
