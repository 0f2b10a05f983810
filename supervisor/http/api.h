/* api.h - the control surface of wispd: tables of routes, one dispatcher.
 *
 * Each area has a table in a file of its own (api_instances.c, ...), and api_areas[] names
 * the tables. To add a route: a row there, a body table if it takes one, a handler; then
 * docs/wispd-api.md is made again (docs/supervisor.md).
 *
 * The dispatcher finds the row, asks who calls and whether he may, checks the body against
 * the row's table, and opens a transaction for a row that writes: it is committed when the
 * handler returns 0, together with the answer that the caller's idempotency key stands for,
 * and rolled back otherwise. So a handler changes rows and nothing else; what acts on the
 * change is asked for by call->kick and begins after the commit. Loop thread.
 */
#ifndef SUPERVISOR_API_H
#define SUPERVISOR_API_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "api/body.h"
#include "supervisor/books/instance.h"
#include "supervisor/config.h"

struct wispd;

/* Who asks: by the socket's peer credentials. */
struct caller {
	enum role role;
	char tenant[NAME_BYTES]; /* whose things he sees; "": all (an admin) */
	char actor[ACTOR_BYTES]; /* in the ledger: "uid:1000" */
	pid_t pid;		 /* that connected */
};

/* What came over HTTP. */
struct api_request {
	const char *verb, *path;
	const char *body; /* NUL-terminated */
	size_t len;
	const char *key; /* Idempotency-Key; NULL: none */
	/* A member of the query, "?name=value"; NULL: it is not there. */
	const char *(*query)(void *connection, const char *name);
	void *connection;
	bool last; /* it has waited as long as it may */
};

struct api_answer {
	int status;
	char *text;	  /* from malloc */
	const char *type; /* static */
	bool replayed;	  /* an earlier answer to the same key */
	uint64_t wait_ms; /* not 0: nothing yet; ask again after a change, or when time is up */
	int stream_fd;	  /* of status 101: the connection becomes this one's; else -1 */
	char tenant[NAME_BYTES]; /* of the stream */
};

struct api_call {
	struct wispd *d;
	const struct caller *caller;
	const struct api_request *request;
	/* Whose things it is about. NULL: everybody's (only an admin, only reading). */
	const char *tenant;
	char id[NAME_BYTES * 2]; /* what stood for {id}; "": the route has none */
	void *config;		 /* the body, as the struct of the route's table */
	int given;		 /* how many fields the body had */

	/* Set by the handler. */
	json_t *reply; /* NULL: an empty object */
	char *text;    /* instead, what is not JSON; from malloc */
	char kick[INSTANCE_ID_BYTES];
	void (*after)(struct wispd *d, void *ctx); /* called after the commit, or never */
	void *after_ctx;			   /* freed after that, or without it */
	uint64_t wait_ms; /* nothing to tell yet; not with a route that writes */
	int stream_fd;	  /* what the connection is to become after the answer; -1: nothing */
	char stream_tenant[NAME_BYTES];
	struct error err;
};

struct api_route {
	const char *verb, *path; /* "{id}" is one part of it */
	enum role role;		 /* the least that may call it */
	bool writes;
	int status; /* of success */
	const struct body_table *body;
	int (*run)(struct api_call *call); /* 0, or negative with call->err set */
	const char *what;		   /* one line for the reference */
	const char *query;		   /* its members, for the reference; NULL: none */
	const char *type;		   /* of the answer; NULL: JSON */
};

struct api_area {
	const char *name; /* a heading of the reference */
	const struct api_route *routes;
	size_t count;
};

extern const struct api_area *const api_areas[]; /* NULL-ended */

void api_handle(struct wispd *d, const struct caller *caller, const struct api_request *request,
		struct api_answer *ret);

/* For handlers that make something: -ENOENT, there is no such tenant. */
int api_check_tenant(struct api_call *call);

/* For handlers. reply: stolen; NULL: memory is short. */
int api_reply(struct api_call *call, json_t *reply);
/* Has fn called after the commit with a copy of the text. */
int api_follow(struct api_call *call, void (*fn)(struct wispd *d, void *ctx), const char *text);
/* A number of the query, fallback when it is not there; -EINVAL when it is none. */
int api_query_number(struct api_call *call, const char *name, int64_t fallback, int64_t *ret);

/* A body that is one absolute path of the host's: "path". */
struct api_path_body {
	char path[PATH_MAX];
};
extern const struct body_table api_path_table;

/* The HTTP status and stable code of a negative errno. */
int api_status_of(int error, const char **code);

/* The OpenAPI document, and the reference: docs/wispd-api.md. */
json_t *api_openapi(void);
int api_write_reference(FILE *out);

#endif
