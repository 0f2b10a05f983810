/* saved.c - machines under test that are saved and loaded by the API. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { SKIPPED = 77, MAX_OPTIONS = 8 };

struct machine saved_start_with(const char *socket, const char *const *options)
{
	struct machine m = { 0 };
	const char *argv[MAX_OPTIONS + 6] = {
		fixture_program("wisp"), "--api-sock", m.socket, "--debug-exit-port", "0xf4",
	};

	snprintf(m.socket, sizeof(m.socket), "%s", fixture_path(socket));
	unlink(m.socket);
	unlink(fixture_path("v.sock"));
	unlink(fixture_path("c.sock"));
	for (unsigned i = 0; i < MAX_OPTIONS && options[i]; i++)
		argv[5 + i] = options[i];
	m.wisp = session_start(argv);
	api_wait(m.socket, SAVED_LIMIT_S);
	return m;
}

struct machine saved_start(const char *socket, const char *config, const char *option)
{
	const char *options[4] = { option };
	unsigned n = option ? 1 : 0;

	if (config) {
		options[n++] = "--config-file";
		options[n++] = config;
	}
	return saved_start_with(socket, options);
}

void saved_call(const struct machine *m, const char *verb, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(m->socket, verb, path, body, &reply);
	if (reply.status != 204)
		fail_msg("%s %s: %d %s\n%s", verb, path, reply.status, reply.body,
			 session_output(m->wisp));
}

void saved_pause(const struct machine *m)
{
	saved_call(m, "PATCH", "/vm", "{\"state\": \"Paused\"}");
}

void saved_resume(const struct machine *m)
{
	saved_call(m, "PATCH", "/vm", "{\"state\": \"Resumed\"}");
}

const char *saved_create_body(const char *state, const char *memory, const char *more)
{
	static char body[512];

	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\"%s}",
		 fixture_path(state), fixture_path(memory), more);
	return body;
}

void saved_create(const struct machine *m, const char *state, const char *memory, const char *type)
{
	char more[64];

	snprintf(more, sizeof(more), ", \"snapshot_type\": \"%s\"", type);
	saved_call(m, "PUT", "/snapshot/create", saved_create_body(state, memory, more));
}

const char *saved_load_body(const char *state, const char *memory, const char *more)
{
	static char body[2048];

	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s\", \"mem_backend\": {\"backend_type\": \"File\","
		 " \"backend_path\": \"%s\"}%s}",
		 fixture_path(state), fixture_path(memory), more);
	return body;
}

void saved_load(const struct machine *m, const char *state, const char *memory, const char *more)
{
	saved_call(m, "PUT", "/snapshot/load", saved_load_body(state, memory, more));
}

struct session *saved_pager(const char *memory)
{
	const char *const argv[] = { fixture_program("wisp-pager"), fixture_path("p.sock"),
				     fixture_path(memory), NULL };
	struct session *s;

	unlink(fixture_path("p.sock"));
	s = session_start(argv);
	api_wait(fixture_path("p.sock"), SAVED_LIMIT_S);
	return s;
}

void saved_pager_end(struct session *s)
{
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, SAVED_LIMIT_S), 0);
	session_end(s);
}

const char *saved_served_body(const char *state, const char *more)
{
	static char body[1024];

	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s\", \"mem_backend\": {\"backend_type\": \"Uffd\","
		 " \"backend_path\": \"%s\"}%s}",
		 fixture_path(state), fixture_path("p.sock"), more);
	return body;
}

void saved_kill(struct machine *m)
{
	session_kill(m->wisp, SIGKILL);
	session_wait(m->wisp, SAVED_LIMIT_S);
	session_end(m->wisp);
}

const char *saved_tiny_config(const char *extra)
{
	struct fixture_config c = {
		.kernel = fixture_guest("serial-echo"),
		.boot_args = "",
		.vcpus = 2,
		.mem_mib = 64,
		.extra = extra,
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		skip();
	}
	return fixture_config("tiny.json", &c);
}

void saved_say(const struct machine *m, const char *text)
{
	session_send(m->wisp, text);
	session_expect(m->wisp, text, SAVED_LIMIT_S);
}

void saved_quit(struct machine *m)
{
	session_send(m->wisp, "q");
	assert_int_equal(session_wait(m->wisp, SAVED_LIMIT_S), 0);
	session_end(m->wisp);
}

int saved_run(int argc, char *argv[], const struct CMUnitTest *tests, size_t ntests,
	      const struct CMUnitTest *boots, size_t nboots)
{
	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return _cmocka_run_group_tests("boots", boots, nboots, NULL, NULL);
	}
	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		return SKIPPED;
	}
	return _cmocka_run_group_tests("tests", tests, ntests, NULL, NULL);
}
