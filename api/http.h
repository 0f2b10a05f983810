/* http.h - an HTTP/1.1 server on a Unix socket, on the event loop.
 *
 * Answers as Firecracker's server does: no reason phrase, its headers in its
 * order, HTTP_CONNECTIONS clients at most and 503 for the next. Knows nothing of
 * routes: every request goes to one handler. Loop thread only.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "api/http_reader.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"

enum {
	HTTP_CONNECTIONS = 10,
	HTTP_STREAMS = 8,	      /* beside those */
	HTTP_STREAM_BYTES = 64 << 10, /* the most that a stream keeps for its client */
};

struct http_server;

struct http_conn;  /* http.c */
struct http_later; /* an answer that is owed */

/* What a handler answers. */
struct http_response {
	struct http_conn *conn; /* whose request it is; NULL: nobody's, nothing is sent */
	bool is_owed;		/* by http_defer(); the rest means nothing */
	int status;		/* 200, 400 and 413 with a body, 204 without */
	bool deprecated;	/* adds "Deprecation: true" */
	bool stream;		/* stays open after the body, for what http_publish() is given */
	char *body;		/* from malloc, freed by the server; or NULL */
	const char *type;	/* of the body, a literal; NULL: JSON */
};

/* The answer to the request in hand comes later, by http_answer(); until then its client
 * is told nothing and nothing more is read from it. NULL when memory is short: then it is
 * to be answered now. From a handler. */
struct http_later *http_defer(struct http_response *response);

/* Back again, in the same handler: the answer comes now. Frees *later. */
void http_undefer(struct http_response *response, struct http_later *later);

/* Answers as a handler would, and frees *later; also when the client, or the server, has
 * gone meanwhile. The body stays the caller's. */
void http_answer(struct http_later *later, const struct http_response *response);

/* Fills *response. Runs to the end before the next request is read from anyone. */
typedef void (*http_handler)(void *ctx, const struct http_request *request,
			     struct http_response *response);

struct http_config {
	const char *socket_path; /* copied */
	int inherited_fd;	 /* a socket that listens already, in its place; 0: none */
	size_t max_body_bytes;
	http_handler handler;
	void *ctx;
};

/* Creates the socket, or takes the inherited one over, and serves it on the loop,
 * which must outlive the server. 0, or a negative errno with err->field "api-sock". A
 * file that is already there is never removed: it may be another machine's. */
int http_listen(const struct http_config *config, struct loop *loop, struct http_server **ret,
		struct error *err);

/* Sends text on every stream that is open. One whose client leaves more unread than
 * HTTP_STREAM_BYTES is closed. Also from a handler. */
void http_publish(struct http_server *s, const char *text);

/* Closes every connection, after a last try to send what streams have, and removes the
 * socket's file, if it is still the one that http_listen() made. Accepts NULL. Not from a
 * handler. */
void http_destroy(struct http_server *s);

#endif
