/* wispd_stage.c - wispd's books, lifecycle and queue without a daemon around them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/images/import.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/budget.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

const struct caller stage_admin = { .role = ROLE_ADMIN, .actor = "uid:0" };
const struct caller stage_alice = { .role = ROLE_OPERATOR, .tenant = "a", .actor = "uid:1" };
const struct caller stage_bob = { .role = ROLE_OPERATOR, .tenant = "b", .actor = "uid:2" };
const struct caller stage_watcher = { .role = ROLE_VIEWER, .tenant = "a", .actor = "uid:3" };
const struct caller stage_stranger = { .role = ROLE_NONE, .actor = "uid:4" };

int wispd_commit(struct wispd *d, struct error *err)
{
	return store_commit(d->truth.store, err);
}

bool wispd_has_room(struct wispd *d)
{
	return !d->no_room;
}

/* The query is a text, "name=value", of one member. */
const char *stage_query(void *connection, const char *name)
{
	const char *text = connection;
	size_t len = strlen(name);

	return text && strncmp(text, name, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

int stage_ask_with(struct stage *s, const struct caller *who, const char *verb, const char *path,
		   const char *body, const char *key, const char *q)
{
	const struct api_request request = {
		.verb = verb,
		.path = path,
		.body = body,
		.len = body ? strlen(body) : 0,
		.key = key,
		.query = stage_query,
		.connection = (void *)q,
	};
	struct api_answer answer;

	api_handle(&s->d, who, &request, &answer);
	json_decref(s->reply);
	s->reply = json_loads(answer.text ? answer.text : "{}", 0, NULL);
	free(answer.text);
	s->status = answer.replayed ? -answer.status : answer.status;
	return s->status;
}

int stage_ask(struct stage *s, const struct caller *who, const char *verb, const char *path,
	      const char *body)
{
	return stage_ask_with(s, who, verb, path, body, NULL, NULL);
}

void stage_ask_rows(struct stage *s, const struct stage_row rows[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct stage_row *row = &rows[i];
		int status = stage_ask(s, row->who, row->verb, row->path, row->body);

		if (status != row->status || strcmp(stage_said(s, "code"), row->code) != 0)
			fail_msg("row %zu, %s %s %s: %d %s %s", i, row->verb, row->path,
				 row->body ? row->body : "", status, stage_said(s, "code"),
				 stage_said(s, "fault_message"));
		assert_false(store_in_transaction(s->d.truth.store));
	}
}

const char *stage_said(struct stage *s, const char *member)
{
	const char *text = json_string_value(json_object_get(s->reply, member));

	return text ? text : "";
}

/* An image without files: nothing here starts it. */
static int add_image(struct stage *s)
{
	struct image image = { .name = "image", .digest = "d", .kernel = "k" };
	bool there;
	struct error err;
	int r = store_begin(s->d.truth.store, &err);

	if (r == 0)
		r = image_add(&s->d.truth, &image, "test", &there, &err);
	return r < 0 ? r : store_commit(s->d.truth.store, &err);
}

/* No worker ever runs: what is asked for is written down, and that is what is looked at. */
int stage_set_up(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));
	struct error err = { 0 };

	*state = s;
	if (scratch_make(&s->dir) < 0 || config_read(NULL, &s->d.config, &err) < 0)
		return -1;
	for (unsigned i = 0; i < RESOURCES_COUNT; i++)
		s->d.truth.capacity[i] = 1 << 20;
	if (store_open(scratch_path(s->dir, "db"), &s->d.truth.store, &err) < 0 ||
	    ledger_open(s->d.truth.store, &s->d.truth.ledger, &err) < 0 ||
	    sd_event_new(&s->d.loop) < 0 || workers_create(s->d.loop, 0, &s->d.workers) < 0 ||
	    imports_create(&s->d, &s->d.imports, &err) < 0 ||
	    lifecycle_create(&s->d, &s->d.lifecycle, &err) < 0 ||
	    queue_create(&s->d, &s->d.queue, &err) < 0 ||
	    budgets_create(&s->d, &s->d.budgets, &err) < 0)
		return -1;
	stage_ask(s, &stage_admin, "PUT", "/tenants/a", NULL);
	stage_ask(s, &stage_admin, "PUT", "/tenants/b", NULL);
	return add_image(s);
}

int stage_tear_down(void **state)
{
	struct stage *s = *state;

	json_decref(s->reply);
	lifecycle_end(s->d.lifecycle);
	workers_destroy(s->d.workers);
	imports_destroy(s->d.imports);
	lifecycle_destroy(s->d.lifecycle);
	queue_destroy(s->d.queue);
	budgets_destroy(s->d.budgets);
	sd_event_unref(s->d.loop);
	ledger_close(s->d.truth.ledger);
	store_close(s->d.truth.store);
	scratch_remove(&s->dir);
	free(s);
	return 0;
}
