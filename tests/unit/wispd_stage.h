/* wispd_stage.h - wispd's books, lifecycle and queue without a daemon around them.
 *
 * Real books in a folder of the test's own, no socket, and no worker that ever runs: what is
 * asked for is written down, and that is what is looked at.
 */
#ifndef TESTS_UNIT_WISPD_STAGE_H
#define TESTS_UNIT_WISPD_STAGE_H

#include <jansson.h>

#include "supervisor/http/api.h"
#include "supervisor/wispd.h"

struct stage {
	void *dir;
	struct wispd d;
	json_t *reply; /* to the last request */
	int status;
};

/* Of all tenants; two operators, of tenants "a" and "b"; a viewer of "a"; and nobody. */
extern const struct caller stage_admin, stage_alice, stage_bob, stage_watcher, stage_stranger;

/* For cmocka. The tenants "a" and "b" are there, and an image that is called "image". */
int stage_set_up(void **state);
int stage_tear_down(void **state);

/* One request; the status of HTTP, negative: it was an earlier answer. body, key and q may
 * be NULL; q: one member of the query, "name=value". */
int stage_ask(struct stage *s, const struct caller *who, const char *verb, const char *path,
	      const char *body);
int stage_ask_with(struct stage *s, const struct caller *who, const char *verb, const char *path,
		   const char *body, const char *key, const char *q);

/* A request, and what is to come of it; code "": it is no refusal. */
struct stage_row {
	const struct caller *who;
	const char *verb, *path, *body;
	int status;
	const char *code;
};

/* One after the other; fails the test at the first that comes out otherwise. */
void stage_ask_rows(struct stage *s, const struct stage_row rows[], size_t count);

/* A text of the last reply; "": it has none. */
const char *stage_said(struct stage *s, const char *member);

/* Looks into a query, which is the text q. */
const char *stage_query(void *q, const char *name);

#endif
