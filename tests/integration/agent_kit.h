/* agent_kit.h - what tests ask of a guest's agent, by wisp-guest.
 *
 * uds: the Unix socket of the guest's vsock. Each call must succeed, or fails the test with
 * what was said instead.
 */
#ifndef TESTS_INTEGRATION_AGENT_KIT_H
#define TESTS_INTEGRATION_AGENT_KIT_H

/* wisp-guest with these arguments, up to NULL; what it said. Valid until the next call. */
const char *agent_ask(const char *uds, const char *const args[]);
#define AGENT_ASK(uds, ...) agent_ask(uds, (const char *const[]){ __VA_ARGS__, NULL })

/* The guest's shell runs the line; what that said, as above. */
const char *agent_run(const char *uds, const char *line);

/* The guest's CLOCK_BOOTTIME and CLOCK_REALTIME. */
struct agent_clocks {
	long long uptime_ms, real_ms;
};
struct agent_clocks agent_clocks(const char *uds);

#endif
