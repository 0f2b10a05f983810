/* wispd_host.h - a wispd of a test's own, with its folders, and what it left on the host. */
#ifndef TESTS_INTEGRATION_WISPD_HOST_H
#define TESTS_INTEGRATION_WISPD_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct wisp;
struct wispd_host;

/* Folders and a configuration; more: members of it, "" or ", ...". No control groups, unless
 * it names one. Fails the test when it cannot. */
struct wispd_host *wispd_host_make(const char *more);
/* Ends what is left of wispd and its VMMs, and frees. */
void wispd_host_end(struct wispd_host *h);

/* Starts wispd; crash_at: see crash_at.c, 0: never. false: it ended before it listened. */
bool wispd_host_start(struct wispd_host *h, long crash_at);
/* Runs wispd with an option more, to its end; its exit status. */
int wispd_host_run(struct wispd_host *h, const char *option, const char *value);
/* By a signal, and waits for the end. */
void wispd_host_stop(struct wispd_host *h, int signal);
bool wispd_host_runs(struct wispd_host *h);

/* One request; the status of HTTP, 0: no answer. *ret may be NULL. */
int wispd_host_call(struct wispd_host *h, const char *verb, const char *path, const char *body,
		    json_t **ret);
/* One that begins an operation, and its end: "done", "failed", or "" for anything else. */
const char *wispd_host_do(struct wispd_host *h, const char *verb, const char *path,
			  const char *body);

/* The end of one that was begun, by its id. */
const char *wispd_host_await(struct wispd_host *h, const char *operation);

/* wispctl with these words, up to NULL; its exit status. *output, which may be NULL: what it
 * said, in static storage. The second: as this user and group, and nobody hears it. */
int wispd_host_ctl(struct wispd_host *h, const char **output, const char *const words[]);
int wispd_host_ctl_as(struct wispd_host *h, uid_t uid, const char *const words[]);

/* The same, and what it said; fails the test when the status is another one. */
const char *wispd_host_expect(struct wispd_host *h, int status, const char *const words[]);

/* An image of a tiny guest. */
void wispd_host_add_image(struct wispd_host *h, const char *guest);

/* How many processes of jailers, and folders of jails, there are; of one instance, NULL: all. */
unsigned wispd_host_jailers(struct wispd_host *h, const char *id);
unsigned wispd_host_jails(struct wispd_host *h);
/* How many taps there are in this namespace of networks. */
unsigned wispd_host_taps(void);
/* Kills all of the former, behind wispd's back. */
void wispd_host_end_jailers(const struct wispd_host *h);
/* How many files a folder of this host has. */
unsigned wispd_host_files(struct wispd_host *h, const char *folder);

/* The process that stands for the last VMM of an instance, by name or id, as the events
 * say; fails the test when there was none. */
pid_t wispd_host_jailer(struct wispd_host *h, const char *which);

/* The end of what wispd has logged. Static storage. */
const char *wispd_host_log(const struct wispd_host *h);
const char *wispd_host_socket(const struct wispd_host *h);
const char *wispd_host_path(const struct wispd_host *h, const char *name);

#endif
