/* saved.h - machines under test that are saved and loaded by the API.
 *
 * Each is a wisp with an API socket of its own in the test's folder. Whatever is answered
 * with anything but success fails the test, and shows what the machine said.
 */
#ifndef TESTS_INTEGRATION_SAVED_H
#define TESTS_INTEGRATION_SAVED_H

#include "tests/integration/session.h"

enum { SAVED_LIMIT_S = 240 };

struct CMUnitTest;

struct machine {
	struct session *wisp;
	char socket[108];
};

/* config: a file, or NULL for a machine that is not configured. option: one more of the
 * command line, or NULL. Removes what an earlier machine may have left at socket, v.sock
 * and c.sock. */
struct machine saved_start(const char *socket, const char *config, const char *option);

/* The same, not configured, with these options; NULL-ended. */
struct machine saved_start_with(const char *socket, const char *const *options);

/* One call of the API, which answers 204. */
void saved_call(const struct machine *m, const char *verb, const char *path, const char *body);

void saved_pause(const struct machine *m);
void saved_resume(const struct machine *m);

/* Names of files in the test's folder; type: "Full" or "Diff". */
void saved_create(const struct machine *m, const char *state, const char *memory, const char *type);

/* The bodies of a create and of a load; more: ", ...". Valid until the next call. */
const char *saved_create_body(const char *state, const char *memory, const char *more);
const char *saved_load_body(const char *state, const char *memory, const char *more);
void saved_load(const struct machine *m, const char *state, const char *memory, const char *more);

/* wisp-pager, which brings the memory of this file; one at a time. The body of a load whose
 * memory it brings, valid until the next call. */
struct session *saved_pager(const char *memory);
void saved_pager_end(struct session *s);
const char *saved_served_body(const char *state, const char *more);

void saved_kill(struct machine *m);

/* The tiny guest serial-echo, with two processors and 64 MiB; extra: more members of the
 * configuration, or NULL. Skips the test where there is no KVM. */
const char *saved_tiny_config(const char *extra);
void saved_say(const struct machine *m, const char *text);
void saved_quit(struct machine *m);

/* main() of such a program: with the name of one of boots, which want a Linux and so the test
 * host, that one; else tests, which this machine's KVM is enough for. Skipped without one. */
#define saved_main(argc, argv, tests, boots)                                            \
	saved_run((argc), (argv), (tests), sizeof(tests) / sizeof((tests)[0]), (boots), \
		  sizeof(boots) / sizeof((boots)[0]))
int saved_run(int argc, char *argv[], const struct CMUnitTest *tests, size_t ntests,
	      const struct CMUnitTest *boots, size_t nboots);

#endif
