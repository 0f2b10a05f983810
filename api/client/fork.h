/* fork.h - a running microVM copied into others that share its memory. */
#ifndef API_CLIENT_FORK_H
#define API_CLIENT_FORK_H

#include "api/client/libwisp.h"

enum { FORK_MAX = 1000, FORK_REASON_BYTES = 512 };

/* Saves the machine behind source, which goes on, to DIR/state and DIR/memory, and starts
 * `count` (at most FORK_MAX) processes of the wisp beside this program, or on PATH, that go
 * on from there: with API sockets DIR/clone-N.sock, and what they print in
 * DIR/clone-N.log. load_with: more members for the body of PUT /snapshot/load, an object in
 * which "{n}" stands for N; or NULL. A line of JSON for each goes to stdout.
 *
 * 0, or a negative errno as wisp_call()'s with why in *reason; what was started is ended
 * then. */
int fork_machine(struct wisp *source, const char *dir, unsigned count, const char *load_with,
		 char reason[FORK_REASON_BYTES]);

#endif
