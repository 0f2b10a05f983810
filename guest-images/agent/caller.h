/* caller.h - the host's side of the agent's protocol: connect, ask, exec, copy.
 *
 * Each function does one request on a connection of its own and waits for its end. Thread:
 * any, one a connection; caller_exec() alone wants the process's signals. The guest is not
 * trusted: whatever it sends is bounded, and ends in an error at worst.
 */
#ifndef GUEST_IMAGES_AGENT_CALLER_H
#define GUEST_IMAGES_AGENT_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-images/agent/tree.h"
#include "vmm/base/error.h"

/* Connects to a port of the guest whose vsock is at this path of the host ("CONNECT port",
 * "OK"). limit_ms: for all of it. A descriptor; or -ENOENT, -ECONNREFUSED: no VMM there;
 * -ECONNRESET: nobody listens in the guest; -ETIMEDOUT. */
int caller_connect(const char *uds_path, uint32_t port, int limit_ms, struct error *err);

/* The same of a connection at which "CONNECT port" was said already: waits for the "OK". 0, or
 * an error as above. */
int caller_greeting(int fd, int limit_ms, struct error *err);

/* What a guest answered. */
struct caller_answer {
	char bytes[FRAME_MAX + 1];
	size_t len;
};

/* One request without streams: the verb, and "name=value" texts up to NULL. 0; -EREMOTE: the
 * guest's fault, told in err; -EPROTO: it does not speak this protocol. */
int caller_ask(int fd, const char *verb, const char *const fields[], int limit_ms,
	       struct caller_answer *ret, struct error *err);

struct caller_exec {
	const char *const *arguments;	/* up to NULL */
	const char *const *environment; /* up to NULL; may be NULL */
	const char *user, *directory;	/* NULL: root, its home */
	bool interactive;		/* carry our standard input; without, it is empty */
	bool terminal;			/* give it a terminal, and make ours raw */
	uint32_t timeout_ms;		/* 0: none */
};

struct caller_outcome {
	int status; /* 0 to 255, or 128 + the signal that ended it */
	bool timed_out;
};

/* Runs a command with our standard streams, and passes our signals on. 0 with *ret; errors
 * as of caller_ask(), with the errno of the guest's fault in *guest_code (else 0). */
int caller_exec(int fd, const struct caller_exec *e, struct caller_outcome *ret, int *guest_code,
		struct error *err);

/* The exit status that tells how caller_exec() came out, as wisp-guest(1) has it. */
enum { CALLER_TIMED_OUT = 124, CALLER_FAILED, CALLER_CANNOT_RUN, CALLER_NOT_FOUND };
int caller_status(int r, int guest_code, const struct caller_outcome *o);

/* Copies a file or a directory, to the path or into it. 0, or a negative errno. */
int caller_read(int fd, const char *guest_path, const char *host_path, struct tree_result *ret,
		struct error *err);
int caller_write(int fd, const char *host_path, const char *guest_path, struct tree_result *ret,
		 struct error *err);

#endif
