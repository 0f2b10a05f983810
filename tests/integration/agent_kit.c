/* agent_kit.c - what tests ask of a guest's agent, by wisp-guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/agent_kit.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/base/clock.h"

enum {
	LIMIT_S = 240,
	MAX_ARGUMENTS = 16,
	SAID_BYTES = 64 * 1024,
	NS_PER_MS = 1000000,
	UNREACHABLE = 125, /* of wisp-guest, among other faults that are not the command's */
};

static int ask_once(const char *const argv[], char said[static SAID_BYTES])
{
	struct session *s = session_start(argv);
	int status = session_wait(s, LIMIT_S);

	snprintf(said, SAID_BYTES, "%s", session_output(s));
	session_end(s);
	return status;
}

/* A guest that others keep from its processor may need longer than a connection waits. */
static bool was_late(int status, const char *said)
{
	return status == UNREACHABLE && strstr(said, "cannot reach port");
}

const char *agent_ask(const char *uds, const char *const args[])
{
	static char said[SAID_BYTES];
	const char *argv[MAX_ARGUMENTS + 3] = { fixture_program("wisp-guest"), uds };
	uint64_t end_us = clock_now_us() + LIMIT_S * UINT64_C(1000000);
	int status;

	for (size_t i = 0; args[i]; i++) {
		assert_true(i < MAX_ARGUMENTS);
		argv[2 + i] = args[i];
	}
	do
		status = ask_once(argv, said);
	while (was_late(status, said) && clock_now_us() < end_us);
	if (status != 0)
		fail_msg("wisp-guest %s: %d: %s", args[0], status, said);
	return said;
}

const char *agent_run(const char *uds, const char *line)
{
	return AGENT_ASK(uds, "exec", "sh", "-c", line);
}

static long long number_after(const char *said, const char *name)
{
	const char *at = strstr(said, name);

	if (!at)
		fail_msg("no %s in %s", name, said);
	return strtoll(at + strlen(name), NULL, 10);
}

struct agent_clocks agent_clocks(const char *uds)
{
	const char *said = AGENT_ASK(uds, "health");

	return (struct agent_clocks){
		.uptime_ms = number_after(said, "uptime_ms="),
		.real_ms = number_after(said, "clock_ns=") / NS_PER_MS,
	};
}
