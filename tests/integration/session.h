/* session.h - a program under test: its input, its output, its end.
 *
 * Output (stdout and stderr together) is collected while anything is waited for;
 * a wait that runs into its time limit fails the test and shows what was said.
 * The limits are there to end a hung test, not to measure: they are generous.
 */
#ifndef TESTS_INTEGRATION_SESSION_H
#define TESTS_INTEGRATION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct session;

/* Starts argv[0] (found on PATH) with pipes for its input and output; the end of
 * the test program ends it too. Fails the test when it cannot be started. */
struct session *session_start(const char *const argv[]);

/* Waits until the output, from where the last wait ended, contains text. */
void session_expect(struct session *s, const char *text, unsigned limit_s);

/* The same without failing: false when the program ended or time ran out. */
bool session_sees(struct session *s, const char *text, unsigned limit_s);

void session_send(struct session *s, const char *text);

/* Waits for the end; returns the exit status, or 128 + the signal. */
int session_wait(struct session *s, unsigned limit_s);

void session_kill(struct session *s, int signal);
pid_t session_pid(const struct session *s);

/* All output so far, NUL-terminated. Valid until the next call. */
const char *session_output(const struct session *s);

/* Kills what still runs and frees. Accepts NULL. */
void session_end(struct session *s);

#endif
