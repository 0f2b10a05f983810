/* test_seccomp.c - filters of one's own, and what a violation leaves behind.
 *
 * Real microVMs, with filters compiled by wisp-seccomp that allow everything but one
 * call of one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77, VIOLATION_STATUS = 148, GUEST_STATUS = 5, DISK_BYTES = 4096 };

#define ALL_BUT(rules) \
	"{\"default_action\": \"allow\", \"filter_action\": \"trap\", \"filter\": [" rules "]}"

static const char *read_file(const char *path)
{
	static char text[16384];
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

/* The exit status of wisp-seccomp; what it said must have these words. */
static int compile(const char *in, const char *out, const char *words)
{
	const char *const argv[] = { fixture_program("wisp-seccomp"), "compile", in, out, NULL };
	struct session *s = session_start(argv);
	int status = session_wait(s, LIMIT_S);

	if (!strstr(session_output(s), words))
		fail_msg("no \"%s\" in: %s", words, session_output(s));
	session_end(s);
	return status;
}

static const char *compile_text(const char *name, const char *vmm, const char *vcpu)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"vmm\": %s, \"vcpu\": %s}", vmm, vcpu);
	assert_int_equal(compile(fixture_file("filter.json", text), fixture_path(name), ""), 0);
	return fixture_path(name);
}

static struct session *start(const char *filter, const char *metrics)
{
	const struct fixture_config config = {
		.kernel = fixture_guest("exit"), .boot_args = "5", .vcpus = 1, .mem_mib = 32
	};
	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		fixture_config("config.json", &config),
		"--seccomp-filter",
		filter,
		"--debug-exit-port",
		"0xf4",
		"--metrics-path",
		metrics,
		NULL,
	};

	return session_start(argv);
}

static void test_own_filter(void **state)
{
	const char *filter = compile_text("own", ALL_BUT("{\"syscall\": \"mount\"}"),
					  ALL_BUT("{\"syscall\": \"mount\"}"));
	struct session *s = start(filter, fixture_path("own.metrics"));

	(void)state;
	assert_int_equal(session_wait(s, LIMIT_S), GUEST_STATUS);
	session_end(s);
	assert_non_null(strstr(read_file(fixture_path("own.metrics")), "\"num_faults\":0"));
}

/* Named in the log with its thread, counted in the metrics, told by the status. */
static void test_violations(void **state)
{
	static const struct {
		const char *name, *vmm, *vcpu, *says;
	} cases[] = {
		{ "vcpu", ALL_BUT(""),
		  ALL_BUT("{\"syscall\": \"ioctl\", \"args\": [{\"index\": 1, \"type\": \"dword\", "
			  "\"op\": \"eq\", \"val\": 44672}]}"),
		  ":vcpu0] the filter of this thread does not allow system call 16, ioctl(" },
		{ "main", ALL_BUT("{\"syscall\": \"epoll_wait\"}"), ALL_BUT(""),
		  ":wisp] the filter of this thread does not allow system call 232, epoll_wait(" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *filter = compile_text(cases[i].name, cases[i].vmm, cases[i].vcpu);
		const char *metrics, *line;
		struct session *s = start(filter, fixture_path("metrics"));

		assert_int_equal(session_wait(s, LIMIT_S), VIOLATION_STATUS);
		if (!strstr(session_output(s), cases[i].says))
			fail_msg("no \"%s\" in: %s", cases[i].says, session_output(s));
		session_end(s);
		metrics = read_file(fixture_path("metrics"));
		line = strstr(metrics, "\"seccomp\":{\"num_faults\":1}}\n");
		if (!line || strchr(line, '\n')[1])
			fail_msg("the last line counts no violation: %s", metrics);
		assert_int_equal(remove(fixture_path("metrics")), 0);
	}
}

static void test_compiler_refuses(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(compile("/none", fixture_path("out"), "/none cannot be read"), 1);
	assert_int_equal(compile(fixture_file("bad", "{\"vmm\": "), fixture_path("out"),
				 "is not JSON: line 1"),
			 1);
	assert_int_equal(compile(fixture_file("bad", "{\"vmm\": 1, \"vmm\": 2}"),
				 fixture_path("out"), "duplicate"),
			 1);
	assert_int_equal(compile(fixture_file("bad", "{}"), fixture_path("out"),
				 "vmm is missing (there must be"),
			 1);
	/* Nothing is written when the input is bad. */
	assert_int_equal(stat(fixture_path("out"), &st), -1);
	assert_int_equal(compile(fixture_path("filter.json"), fixture_path("no/such/folder"),
				 "cannot be written"),
			 1);
}

/* A guest that reads its disk, with one more option; it must end well. */
static void read_disk(const char *engine, const char *option, const char *value)
{
	char drives[1024];
	const struct fixture_config config = {
		.kernel = fixture_guest("virtio-probe"),
		.vcpus = 1,
		.mem_mib = 32,
		.extra = drives,
	};
	const char *argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--debug-exit-port",
		"0xf4",
		option,
		value,
		"--config-file",
		NULL,
		NULL,
	};
	struct session *s;
	int status;

	snprintf(drives, sizeof(drives),
		 ", \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": false,"
		 " \"io_engine\": \"%s\"}]",
		 fixture_disk("disk", "WISPDISK", DISK_BYTES), engine);
	argv[7] = fixture_config("disk.json", &config);
	s = session_start(argv);
	status = session_wait(s, LIMIT_S);
	if (status != 0)
		fail_msg("%s, %s: ended with %d:\n%s", engine, option, status, session_output(s));
	session_end(s);
}

/* What one run was seen to need is enough for the next. */
static void test_learnt(void **state)
{
	static const char *const engines[] = { "Sync", "Async" };
	char learnt[256], filter[256];

	(void)state;
	snprintf(learnt, sizeof(learnt), "%s", fixture_path("learnt.json"));
	snprintf(filter, sizeof(filter), "%s", fixture_path("learnt"));
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		read_disk(engines[i], "--seccomp-log", learnt);
		assert_int_equal(compile(learnt, filter, ""), 0);
		read_disk(engines[i], "--seccomp-filter", filter);
		assert_int_equal(remove(learnt), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_filter),
		cmocka_unit_test(test_violations),
		cmocka_unit_test(test_compiler_refuses),
		cmocka_unit_test(test_learnt),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
