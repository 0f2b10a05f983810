/* session.h - the agent's side of one connection: the request, and the ways to end it.
 *
 * Each connection has a process of its own, so everything here may wait.
 */
#ifndef GUEST_IMAGES_AGENT_SESSION_H
#define GUEST_IMAGES_AGENT_SESSION_H

#include <stddef.h>

#include "guest-images/agent/channel.h"
#include "guest-images/agent/fields.h"

/* bytes: the fields of the request, valid as long as the session. */
struct session {
	struct channel *channel;
	char *bytes;
	size_t len;
};

/* Serves the connection until its request is answered. Does not close fd. */
void session_serve(int fd);

/* The last frame of a session: what was asked for, or why it cannot be. error: errno. */
void session_answer(struct session *s, const struct fields *answer);
void session_fault(struct session *s, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The verbs: each answers, or tells the fault. */
void exec_serve(struct session *s);
void files_serve_read(struct session *s);
void files_serve_write(struct session *s);
void health_serve(struct session *s);
void identity_serve(struct session *s);
void addresses_serve(struct session *s);
void shutdown_serve(struct session *s);
void grow_serve(struct session *s);

#endif
