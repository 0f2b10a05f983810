/* libwisp.h - a client of one microVM's API, for C programs.
 *
 *   struct wisp *w;
 *   struct wisp_reply reply;
 *
 *   if (wisp_open("/run/vm.sock", &w) < 0)
 *           ...
 *   if (wisp_call(w, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", &reply) < 0)
 *           fprintf(stderr, "%s\n", wisp_error(w));
 *   wisp_reply_clear(&reply);
 *   wisp_close(w);
 *
 * Works with Firecracker's socket too, GET /events apart. A client belongs to one thread
 * at a time; different clients are independent. Functions return 0 or a negative errno.
 * Built on libcurl; link with -lwisp -lcurl.
 */
#ifndef LIBWISP_H
#define LIBWISP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WISP_PUBLIC __attribute__((visibility("default")))

struct wisp;

/* The longest that a call takes, unless wisp_set_timeout() said otherwise. */
enum { WISP_TIMEOUT_MS = 10000 };

/* A client of the socket at this path. Connects at the first call, and stays connected.
 * -ENOMEM. */
WISP_PUBLIC int wisp_open(const char *socket_path, struct wisp **ret);

/* Accepts NULL. */
WISP_PUBLIC void wisp_close(struct wisp *w);

WISP_PUBLIC void wisp_set_timeout(struct wisp *w, unsigned ms);

/* A header, "Name: value", of each request from now on; NULL: none. -ENOMEM: the one
 * before stays. */
WISP_PUBLIC int wisp_set_header(struct wisp *w, const char *header);

struct wisp_reply {
	int status; /* of HTTP: 200 with a body, 204 without */
	char *body; /* NUL-terminated, "" for none */
	size_t len;
};

/* One request: verb "GET", "PUT", "PATCH", "POST" or "DELETE"; body: JSON, or NULL for none.
 *
 * 0 with *ret, whose body is the caller's to clear. -EPROTO: the machine refused, and
 * wisp_error() is its reason ("fault_message"); *ret is filled, too. -ENOENT or
 * -ECONNREFUSED: nobody listens; -EACCES; -EINVAL: no path of a socket; -ENAMETOOLONG: no
 * path of the API; -ETIMEDOUT; -EMSGSIZE: an answer of more than 16 MiB; -EIO: what came
 * was no answer. Then *ret is empty, and wisp_error() says what happened.
 * ret may be NULL. */
WISP_PUBLIC int wisp_call(struct wisp *w, const char *verb, const char *path, const char *body,
			  struct wisp_reply *ret);

WISP_PUBLIC void wisp_reply_clear(struct wisp_reply *reply);

/* Why the last call failed, for a person. Valid until the next call. */
WISP_PUBLIC const char *wisp_error(const struct wisp *w);

/* One event; both strings are valid during the call only. Non-zero: no more. */
typedef int (*wisp_event_fn)(void *ctx, const char *name, const char *json);

/* Hears the machine's events, the first of which is its state, until fn has heard enough
 * or the machine is gone: 0 in either case. Errors as of wisp_call(). No time limit. */
WISP_PUBLIC int wisp_events(struct wisp *w, wisp_event_fn fn, void *ctx);

/* What is asked most often. */
WISP_PUBLIC int wisp_start(struct wisp *w);
WISP_PUBLIC int wisp_pause(struct wisp *w);
WISP_PUBLIC int wisp_resume(struct wisp *w);

#ifdef __cplusplus
}
#endif

#endif
