/* asks.h - what tests ask of a wispd and expect it to say; what is not so fails the test. */
#ifndef TESTS_INTEGRATION_ASKS_H
#define TESTS_INTEGRATION_ASKS_H

#include <jansson.h>
#include <stddef.h>

#include "tests/integration/wispd_host.h"

/* One that runs, and takes its time; with the shape "test", of 32 MiB. */
struct wispd_host *asks_host(void);

/* A request whose operation ends well; one that is answered so. */
void asks_done(struct wispd_host *h, const char *verb, const char *path, const char *body);
void asks_status(struct wispd_host *h, const char *verb, const char *path, const char *body,
		 int expected);

/* A member of what a path tells: a text, in static storage; how long a list is. */
const char *asks_text(struct wispd_host *h, const char *path, const char *member);
size_t asks_count(struct wispd_host *h, const char *path, const char *member);
/* Until the list is so long: files go a moment after what needed them. */
void asks_await_count(struct wispd_host *h, const char *path, const char *member, size_t wanted);
/* Until the state is this one; "failed" is the end of it. */
void asks_await_state(struct wispd_host *h, const char *path, const char *wanted);
/* How much the first tenant holds. */
json_int_t asks_held(struct wispd_host *h, const char *resource);

/* What wispctl says with these words, which must succeed. */
#define asks_ctl(h, ...) asks_ctl_words(h, (const char *const[]){ __VA_ARGS__, NULL })
const char *asks_ctl_words(struct wispd_host *h, const char *const words[]);
/* Words for that: a line for the shell of a guest. */
#define EXEC(name, line) "exec", name, "--", "sh", "-c", line

void asks_expect(const char *said, const char *wanted);
void asks_expect_in(const char *said, const char *words);

/* The image "box": a disk with a small system on it, which wispd's agent lives in. */
void asks_add_box(struct wispd_host *h);

#endif
