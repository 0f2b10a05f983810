/* test_wispd_api.c - wispd's dispatcher and routes, on real books, without a socket.
 *
 * Also writes the reference: test_wispd_api docs/wispd-api.md.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/api.h"
#include "supervisor/image.h"
#include "supervisor/ledger.h"
#include "supervisor/lifecycle.h"
#include "supervisor/store.h"
#include "supervisor/wispd.h"
#include "supervisor/workers.h"
#include "tests/unit/scratch.h"

static const struct caller admin = { .role = ROLE_ADMIN, .actor = "uid:0" };
static const struct caller alice = { .role = ROLE_OPERATOR, .tenant = "a", .actor = "uid:1" };
static const struct caller bob = { .role = ROLE_OPERATOR, .tenant = "b", .actor = "uid:2" };
static const struct caller watcher = { .role = ROLE_VIEWER, .tenant = "a", .actor = "uid:3" };
static const struct caller stranger = { .role = ROLE_NONE, .actor = "uid:4" };

struct stage {
	void *dir;
	struct wispd d;
	json_t *reply;
	int status;
};

int wispd_commit(struct wispd *d, struct error *err)
{
	return store_commit(d->truth.store, err);
}

bool wispd_has_room(struct wispd *d)
{
	return !d->no_room;
}

/* The query is a text, "name=value", of one member. */
static const char *query(void *connection, const char *name)
{
	const char *text = connection;
	size_t len = strlen(name);

	return text && strncmp(text, name, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

static int ask_with(struct stage *s, const struct caller *who, const char *verb, const char *path,
		    const char *body, const char *key, const char *q)
{
	const struct api_request request = {
		.verb = verb,
		.path = path,
		.body = body,
		.len = body ? strlen(body) : 0,
		.key = key,
		.query = query,
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

static int ask(struct stage *s, const struct caller *who, const char *verb, const char *path,
	       const char *body)
{
	return ask_with(s, who, verb, path, body, NULL, NULL);
}

static const char *said(struct stage *s, const char *member)
{
	const char *text = json_string_value(json_object_get(s->reply, member));

	return text ? text : "";
}

/* An image without files: nothing here starts it. */
static int add_image(struct stage *s)
{
	struct image image = { .name = "image", .digest = "d" };
	struct error err;
	int r = store_begin(s->d.truth.store, &err);

	if (r == 0)
		r = image_add(&s->d.truth, &image, "test", &err);
	return r < 0 ? r : store_commit(s->d.truth.store, &err);
}

/* No worker ever runs: what is asked for is written down, and that is what is looked at. */
static int set_up(void **state)
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
	    lifecycle_create(&s->d, &s->d.lifecycle, &err) < 0)
		return -1;
	ask(s, &admin, "PUT", "/tenants/a", NULL);
	ask(s, &admin, "PUT", "/tenants/b", NULL);
	return add_image(s);
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	json_decref(s->reply);
	lifecycle_end(s->d.lifecycle);
	workers_destroy(s->d.workers);
	lifecycle_destroy(s->d.lifecycle);
	sd_event_unref(s->d.loop);
	ledger_close(s->d.truth.ledger);
	store_close(s->d.truth.store);
	scratch_remove(&s->dir);
	free(s);
	return 0;
}

#define PLAN                                                                            \
	"{\"name\": \"p\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1, " \
	"\"minimum_ms\": 0, \"bill_boot\": false, \"prices\": []}"
#define CREDIT "{\"amount_nano\": 5, \"reason\": \"outage\"}"
#define ONE    "{\"image\": \"image\", \"name\": \"one\"}"

static const struct {
	const struct caller *who;
	const char *verb, *path, *body;
	int status;
	const char *code;
} rows[] = {
	{ &stranger, "GET", "/instances", NULL, 403, "forbidden" },
	{ &watcher, "POST", "/instances", ONE, 403, "forbidden" },
	{ &alice, "PUT", "/tenants/c", NULL, 403, "forbidden" },
	{ &alice, "POST", "/images", "{\"name\": \"x\", \"kernel\": \"/x\"}", 403, "forbidden" },
	{ &alice, "GET", "/ledger/verify", NULL, 403, "forbidden" },
	{ &admin, "GET", "/nothing", NULL, 404, "no_such_route" },
	{ &admin, "GET", "/instances/", NULL, 404, "no_such_route" },
	{ &admin, "GET", "/instances/a/b/c", NULL, 404, "no_such_route" },
	{ &admin, "PATCH", "/instances", "{}", 405, "wrong_method" },
	{ &alice, "POST", "/instances", "{", 400, "bad_request" },
	{ &alice, "POST", "/instances", "[]", 400, "bad_request" },
	{ &alice, "POST", "/instances", NULL, 400, "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"colour\": 1}", 400,
	  "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": 5}", 400, "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"name\": \"../x\"}", 400,
	  "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"name\": \"A b\"}", 400,
	  "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"labels\": {\"a\": 1}}", 400,
	  "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"ttl_s\": -1}", 400,
	  "bad_request" },
	{ &alice, "POST", "/instances", "{\"image\": \"none\"}", 404, "not_found" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"shape\": \"none\"}", 404,
	  "not_found" },
	{ &alice, "POST", "/instances", "{\"image\": \"image\", \"runtime\": \"none\"}", 400,
	  "unsupported" },
	{ &alice, "GET", "/instances/none", NULL, 404, "not_found" },
	{ &alice, "GET", "/instances", "{}", 400, "bad_request" },
	{ &alice, "GET", "/operations/none", NULL, 404, "not_found" },
	{ &admin, "PUT", "/tenants/UPPER", NULL, 400, "bad_request" },
	{ &admin, "PUT", "/shapes/s", "{\"vcpus\": 0, \"mem_mib\": 1}", 400, "bad_request" },
	{ &admin, "POST", "/images", "{\"name\": \"x\", \"kernel\": \"relative\"}", 400,
	  "bad_request" },
	{ &admin, "DELETE", "/images/none", NULL, 404, "not_found" },
	{ &alice, "GET", "/version", NULL, 200, "" },
	{ &alice, "GET", "/states", NULL, 200, "" },
	{ &alice, "GET", "/openapi", NULL, 200, "" },
	{ &alice, "GET", "/images", NULL, 200, "" },
	{ &alice, "GET", "/images/image", NULL, 200, "" },
	{ &alice, "GET", "/shapes", NULL, 200, "" },
	{ &alice, "GET", "/tenants", NULL, 200, "" },
	{ &alice, "GET", "/events", NULL, 200, "" },
	{ &alice, "GET", "/ledger/head", NULL, 200, "" },
	{ &admin, "GET", "/ledger/verify", NULL, 200, "" },
	{ &admin, "GET", "/doctor", NULL, 200, "" },
	{ &alice, "GET", "/usage", NULL, 200, "" },
	{ &alice, "GET", "/invoices", NULL, 200, "" },
	{ &alice, "GET", "/invoices/2025-03", NULL, 200, "" },
	{ &alice, "GET", "/invoices/2025-13", NULL, 400, "bad_request" },
	{ &alice, "GET", "/plans", NULL, 200, "" },
	{ &alice, "GET", "/invoices/verify", NULL, 403, "forbidden" },
	{ &alice, "POST", "/plans", PLAN, 403, "forbidden" },
	{ &alice, "POST", "/invoices/2025-03/close", NULL, 403, "forbidden" },
	{ &alice, "POST", "/tenants/a/credits", CREDIT, 403, "forbidden" },
	{ &admin, "PUT", "/tenants/a/plan", "{\"plan\": \"p\", \"version\": 1}", 404, "not_found" },
	{ &admin, "POST", "/plans", "{\"name\": \"p\"}", 400, "bad_request" },
	{ &admin, "POST", "/plans", PLAN, 201, "" },
	{ &admin, "POST", "/plans", PLAN, 409, "exists" },
	{ &admin, "PUT", "/tenants/c/plan", "{\"plan\": \"p\", \"version\": 1}", 404, "not_found" },
	{ &admin, "PUT", "/tenants/a/plan", "{\"plan\": \"p\", \"version\": 1}", 200, "" },
	{ &admin, "POST", "/tenants/a/credits", CREDIT, 201, "" },
	{ &admin, "POST", "/tenants/c/credits", CREDIT, 404, "not_found" },
	{ &admin, "POST", "/tenants/a/credits", "{\"amount_nano\": 0, \"reason\": \"x\"}", 400,
	  "bad_request" },
	{ &admin, "POST", "/invoices/2999-01/close", NULL, 400, "bad_request" },
	{ &admin, "POST", "/invoices/2200-01/close", NULL, 409, "illegal_move" },
	{ &admin, "POST", "/invoices/2025-03/close", NULL, 200, "" },
	{ &admin, "POST", "/invoices/2025-03/close", NULL, 409, "exists" },
	{ &admin, "GET", "/invoices/verify", NULL, 200, "" },
	{ &alice, "POST", "/instances", ONE, 202, "" },
	{ &alice, "GET", "/instances/one", NULL, 200, "" },
	{ &alice, "POST", "/instances", ONE, 409, "exists" },
	{ &alice, "POST", "/instances/one/pause", NULL, 409, "illegal_move" },
	{ &alice, "POST", "/instances/one/start", "{\"timeout_ms\": 1}", 400, "bad_request" },
	{ &alice, "POST", "/instances/one/start", NULL, 409, "illegal_move" },
	{ &alice, "POST", "/instances/one/stop", "{\"generation\": 9}", 409,
	  "generation_mismatch" },
	{ &alice, "PATCH", "/instances/one", "{\"name\": \"x\"}", 400, "bad_request" },
	{ &alice, "PATCH", "/instances/one", "{\"generation\": 9}", 409, "generation_mismatch" },
	{ &alice, "PATCH", "/instances/one", "{\"generation\": 1, \"name\": \"two\"}", 200, "" },
	{ &admin, "DELETE", "/images/image", NULL, 409, "in_use" },
	{ &watcher, "DELETE", "/instances/two", NULL, 403, "forbidden" },
	{ &alice, "DELETE", "/instances/two", NULL, 202, "" },
	{ &alice, "DELETE", "/instances/two", NULL, 409, "illegal_move" },
};

static void test_rows(void **state)
{
	struct stage *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = ask(s, rows[i].who, rows[i].verb, rows[i].path, rows[i].body);

		if (status != rows[i].status || strcmp(said(s, "code"), rows[i].code) != 0)
			fail_msg("row %zu, %s %s %s: %d %s %s", i, rows[i].verb, rows[i].path,
				 rows[i].body ? rows[i].body : "", status, said(s, "code"),
				 said(s, "fault_message"));
		assert_false(store_in_transaction(s->d.truth.store));
	}
}

/* Each by every verb: what is another tenant's is not there. */
static void test_tenants(void **state)
{
	static const struct {
		const char *verb, *path, *body;
	} reach[] = {
		{ "GET", "/instances/one", NULL },
		{ "PATCH", "/instances/one", "{\"generation\": 1}" },
		{ "DELETE", "/instances/one", NULL },
		{ "POST", "/instances/one/start", NULL },
		{ "POST", "/instances/one/stop", NULL },
		{ "POST", "/instances/one/pause", NULL },
		{ "POST", "/instances/one/resume", NULL },
		{ "GET", "/instances/one/logs", NULL },
	};
	struct stage *s = *state;
	char id[64], path[128];

	assert_int_equal(ask(s, &alice, "POST", "/instances", ONE), 202);
	snprintf(id, sizeof(id), "%s",
		 json_string_value(json_object_get(json_object_get(s->reply, "instance"), "id")));
	snprintf(path, sizeof(path), "/operations/%s", said(s, "operation"));
	assert_int_equal(ask(s, &alice, "GET", path, NULL), 200);
	assert_int_equal(ask(s, &bob, "GET", path, NULL), 404);
	for (size_t i = 0; i < sizeof(reach) / sizeof(reach[0]); i++) {
		assert_int_equal(ask(s, &bob, reach[i].verb, reach[i].path, reach[i].body), 404);
		/* The same by its id. */
		snprintf(path, sizeof(path), "/instances/%s%s", id,
			 reach[i].path + strlen("/instances/one"));
		assert_int_equal(ask(s, &bob, reach[i].verb, path, reach[i].body), 404);
		/* Nor does it help to ask as the other. */
		assert_int_equal(ask_with(s, &bob, reach[i].verb, reach[i].path, reach[i].body,
					  NULL, "tenant=a"),
				 403);
	}
	ask(s, &bob, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 0);
	ask(s, &bob, "GET", "/events", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "events")), 0);
	ask(s, &alice, "GET", "/events", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "events")), 1);
	ask(s, &bob, "GET", "/tenants", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "tenants")), 1);
	/* His own name is free all the same, and an admin sees both. */
	assert_int_equal(ask(s, &bob, "POST", "/instances", ONE), 202);
	ask(s, &admin, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 2);
	ask_with(s, &admin, "GET", "/instances", NULL, NULL, "tenant=b");
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 1);
	assert_int_equal(ask_with(s, &admin, "POST", "/instances", ONE, NULL, "tenant=nobody"),
			 404);
}

static void test_idempotency(void **state)
{
	struct stage *s = *state;
	char operation[64];

	assert_int_equal(ask_with(s, &alice, "POST", "/instances", ONE, "k", NULL), 202);
	snprintf(operation, sizeof(operation), "%s", said(s, "operation"));
	assert_int_equal(ask_with(s, &alice, "POST", "/instances", ONE, "k", NULL), -202);
	assert_string_equal(said(s, "operation"), operation);
	assert_int_equal(
		ask_with(s, &alice, "POST", "/instances", "{\"image\": \"image\"}", "k", NULL),
		409);
	assert_string_equal(said(s, "code"), "key_reused");
	/* Another's key is another key; what was refused was not done. */
	assert_int_equal(ask_with(s, &bob, "POST", "/instances", ONE, "k", NULL), 202);
	assert_int_equal(ask_with(s, &alice, "POST", "/instances", ONE, "l", NULL), 409);
	assert_int_equal(ask(s, &alice, "DELETE", "/instances/one", NULL), 202);
	assert_int_equal(ask_with(s, &alice, "POST", "/instances", ONE, "", NULL), 400);
	ask(s, &alice, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 1);
}

static void test_quota(void **state)
{
	struct stage *s = *state;
	unsigned made = 0, refused = 0;

	assert_int_equal(ask(s, &admin, "PUT", "/tenants/a", "{\"instances\": 10}"), 200);
	for (unsigned i = 0; i < 64; i++) {
		int status = ask(s, &alice, "POST", "/instances", "{\"image\": \"image\"}");

		made += status == 202;
		refused += status == 409 && strcmp(said(s, "code"), "quota_exceeded") == 0;
	}
	assert_int_equal(made, 10);
	assert_int_equal(refused, 54);
	ask(s, &admin, "GET", "/doctor", NULL);
	for (size_t i = 0; i < json_array_size(json_object_get(s->reply, "findings")); i++) {
		json_t *f = json_array_get(json_object_get(s->reply, "findings"), i);

		if (strcmp(json_string_value(json_object_get(f, "check")), "holds") == 0)
			assert_true(json_is_true(json_object_get(f, "ok")));
	}
}

/* Without room nothing begins, and everything can end. */
static void test_no_room(void **state)
{
	struct stage *s = *state;

	assert_int_equal(ask(s, &alice, "POST", "/instances", ONE), 202);
	s->d.no_room = true;
	assert_int_equal(ask(s, &alice, "POST", "/instances", "{\"image\": \"image\"}"), 507);
	assert_string_equal(said(s, "code"), "no_space");
	assert_int_equal(ask(s, &alice, "POST", "/instances/one/start", NULL), 507);
	assert_int_equal(ask(s, &alice, "DELETE", "/instances/one", NULL), 202);
}

/* A wait that has not ended is told apart from an answer. */
static void test_waits(void **state)
{
	char wait[] = "wait_ms=50", nonsense[] = "wait_ms=x";
	struct api_request request = { .verb = "GET", .query = query, .connection = wait };
	struct api_answer answer;
	struct stage *s = *state;
	char path[128];

	ask(s, &alice, "POST", "/instances", ONE);
	snprintf(path, sizeof(path), "/operations/%s", said(s, "operation"));
	request.path = path;
	api_handle(&s->d, &alice, &request, &answer);
	assert_int_equal(answer.wait_ms, 50);
	assert_null(answer.text);
	request.last = true;
	api_handle(&s->d, &alice, &request, &answer);
	assert_int_equal(answer.wait_ms, 0);
	assert_non_null(strstr(answer.text, "\"active\""));
	free(answer.text);
	request.connection = nonsense;
	api_handle(&s->d, &alice, &request, &answer);
	assert_int_equal(answer.status, 400);
	free(answer.text);
}

static void test_openapi(void **state)
{
	json_t *j = api_openapi(), *paths = json_object_get(j, "paths"), *path;
	size_t routes = 0, operations = 0;
	const char *name;

	(void)state;
	for (const struct api_area *const *area = api_areas; *area; area++)
		routes += (*area)->count;
	json_object_foreach(paths, name, path) operations += json_object_size(path);
	assert_int_equal(operations, routes);
	json_decref(j);
}

static void test_reference(void **state)
{
	char *made = NULL, *kept;
	size_t len, n;
	FILE *out = open_memstream(&made, &len), *in = fopen(WISPD_REFERENCE, "re");

	(void)state;
	assert_non_null(in);
	assert_int_equal(api_write_reference(out), 0);
	fclose(out);
	kept = calloc(1, len + 2);
	n = fread(kept, 1, len + 1, in);
	fclose(in);
	if (n != len || memcmp(kept, made, len) != 0)
		fail_msg("make it again: build/bin/test_wispd_api docs/wispd-api.md");
	free(kept);
	free(made);
}

static int write_reference(const char *path)
{
	FILE *out = fopen(path, "we");
	int r = out ? api_write_reference(out) : -EIO;

	return out && fclose(out) == 0 && r == 0 ? 0 : 1;
}

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_rows),		STAGE_TEST(test_tenants),
		STAGE_TEST(test_idempotency),	STAGE_TEST(test_quota),
		STAGE_TEST(test_no_room),	STAGE_TEST(test_waits),
		cmocka_unit_test(test_openapi), cmocka_unit_test(test_reference),
	};

	if (argc == 2)
		return write_reference(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
