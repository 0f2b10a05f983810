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

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "tests/unit/wispd_stage.h"

#define PLAN                                                                            \
	"{\"name\": \"p\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1, " \
	"\"minimum_ms\": 0, \"bill_boot\": false, \"prices\": []}"
#define CREDIT "{\"amount_nano\": 5, \"reason\": \"outage\"}"
#define ONE    "{\"image\": \"image\", \"name\": \"one\"}"

static const struct stage_row rows[] = {
	{ &stage_stranger, "GET", "/instances", NULL, 403, "forbidden" },
	{ &stage_watcher, "POST", "/instances", ONE, 403, "forbidden" },
	{ &stage_alice, "PUT", "/tenants/c", NULL, 403, "forbidden" },
	{ &stage_alice, "POST", "/images", "{\"name\": \"x\", \"kernel\": \"/x\"}", 403,
	  "forbidden" },
	{ &stage_alice, "POST", "/ledger/verify", "{}", 403, "forbidden" },
	{ &stage_admin, "GET", "/nothing", NULL, 404, "no_such_route" },
	{ &stage_admin, "GET", "/instances/", NULL, 404, "no_such_route" },
	{ &stage_admin, "GET", "/instances/a/b/c", NULL, 404, "no_such_route" },
	{ &stage_admin, "PATCH", "/instances", "{}", 405, "wrong_method" },
	{ &stage_alice, "POST", "/instances", "{", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "[]", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", NULL, 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"colour\": 1}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": 5}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"name\": \"../x\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"name\": \"A b\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"labels\": {\"a\": 1}}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"ttl_s\": -1}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"attended\": 1}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"none\"}", 404, "not_found" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"shape\": \"none\"}", 404,
	  "not_found" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"runtime\": \"none\"}", 400,
	  "unsupported" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"firmware\": \"coreboot\"}",
	  400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"disk_bus\": \"scsi\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"runtime\": \"wisp\", \"firmware\": \"bios\"}", 400,
	  "unsupported" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"runtime\": \"wisp\", \"disk_bus\": \"nvme\"}", 400,
	  "unsupported" },
	{ &stage_alice, "GET", "/instances/none", NULL, 404, "not_found" },
	{ &stage_alice, "POST", "/instances/none/stream", NULL, 404, "not_found" },
	{ &stage_admin, "POST", "/images", "{\"name\": \"x\", \"kernel\": \"/x\", \"agent\": 1}",
	  400, "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"engine\": \"slurm\", \"start\": true}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"engine\": \"../x\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances/one/launch", NULL, 403, "forbidden" },
	{ &stage_alice, "GET", "/instances/one/command", NULL, 403, "forbidden" },
	{ &stage_admin, "POST", "/instances/none/launch", NULL, 404, "not_found" },
	{ &stage_admin, "GET", "/instances/none/command", NULL, 404, "not_found" },
	{ &stage_admin, "POST", "/reconciliations",
	  "{\"engine\": \"slurm\", \"ref\": \"1.0\", \"elapsed_ms\": 5, \"cpu_us\": 0,"
	  " \"vcpus\": 1, \"mem_mib\": 64}",
	  200, "" },
	{ &stage_admin, "POST", "/reconciliations", "{\"engine\": \"slurm\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/reconciliations",
	  "{\"engine\": \"slurm\", \"ref\": \"1.0\", \"cpu_us\": -1}", 400, "bad_request" },
	{ &stage_alice, "POST", "/reconciliations", "{\"engine\": \"slurm\", \"ref\": \"1.0\"}",
	  403, "forbidden" },
	{ &stage_alice, "GET", "/instances", "{}", 400, "bad_request" },
	{ &stage_alice, "GET", "/operations/none", NULL, 404, "not_found" },
	{ &stage_admin, "PUT", "/tenants/UPPER", NULL, 400, "bad_request" },
	{ &stage_admin, "PUT", "/shapes/s", "{\"vcpus\": 0, \"mem_mib\": 1}", 400, "bad_request" },
	{ &stage_admin, "POST", "/images", "{\"name\": \"x\", \"kernel\": \"relative\"}", 400,
	  "bad_request" },
	{ &stage_admin, "PUT", "/shapes/s", "{\"vcpus\": 241, \"mem_mib\": 1}", 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/images", "{\"name\": \"x\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/images", "{\"name\": \"x\", \"rootfs\": \"/x\", \"agent\": true}",
	  400, "bad_request" },
	{ &stage_admin, "POST", "/images", "{\"name\": \"x\", \"source\": \"tar:/x\"}", 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/images",
	  "{\"name\": \"x\", \"kernel\": \"/x\", \"base\": \"image\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/images",
	  "{\"name\": \"x\", \"base\": \"image\", \"source\": \"zip:/x\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/images",
	  "{\"name\": \"x\", \"base\": \"image\", \"source\": \"tar:/x\", \"rootfs\": \"/y\"}", 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/images",
	  "{\"name\": \"x\", \"base\": \"none\", \"source\": \"tar:/x\"}", 404, "not_found" },
	{ &stage_alice, "GET", "/images/image/log", NULL, 403, "forbidden" },
	{ &stage_admin, "GET", "/images/none/log", NULL, 404, "not_found" },
	{ &stage_admin, "DELETE", "/images/none", NULL, 404, "not_found" },
	{ &stage_alice, "GET", "/version", NULL, 200, "" },
	{ &stage_alice, "GET", "/states", NULL, 200, "" },
	{ &stage_alice, "GET", "/openapi", NULL, 200, "" },
	{ &stage_alice, "GET", "/images", NULL, 200, "" },
	{ &stage_alice, "GET", "/images/image", NULL, 200, "" },
	{ &stage_alice, "GET", "/shapes", NULL, 200, "" },
	{ &stage_alice, "GET", "/tenants", NULL, 200, "" },
	{ &stage_alice, "GET", "/events", NULL, 200, "" },
	{ &stage_alice, "GET", "/ledger/head", NULL, 200, "" },
	{ &stage_admin, "POST", "/ledger/verify", "{\"anchor\": \"none\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/ledger/verify", "{\"archive\": 1}", 400, "bad_request" },
	{ &stage_admin, "POST", "/ledger/verify", "{}", 202, "" },
	{ &stage_admin, "POST", "/ledger/verify", "{}", 409, "in_use" },
	{ &stage_admin, "GET", "/ledger/head", NULL, 200, "" },
	{ &stage_admin, "GET", "/doctor", NULL, 200, "" },
	{ &stage_admin, "GET", "/findings", NULL, 200, "" },
	{ &stage_alice, "GET", "/ledger/anchor", NULL, 200, "" },
	{ &stage_alice, "GET", "/metrics", NULL, 403, "forbidden" },
	{ &stage_admin, "GET", "/metrics", NULL, 200, "" },
	{ &stage_admin, "GET", "/outbox", NULL, 200, "" },
	{ &stage_alice, "POST", "/ledger/backup", "{\"path\": \"/x\"}", 403, "forbidden" },
	{ &stage_admin, "POST", "/ledger/backup", "{\"path\": \"x\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/ledger/backup", "{\"path\": \"/x\"}", 202, "" },
	{ &stage_alice, "GET", "/findings", NULL, 403, "forbidden" },
	{ &stage_stranger, "GET", "/devices", NULL, 403, "forbidden" },
	{ &stage_alice, "GET", "/devices", NULL, 200, "" },
	{ &stage_alice, "GET", "/devices/ffff:ff:1f.7", NULL, 200, "" },
	{ &stage_alice, "GET", "/devices/everything", NULL, 400, "bad_request" },
	{ &stage_alice, "GET", "/devices/ffff:ff:1f.7/preflight", NULL, 404, "not_found" },
	{ &stage_alice, "GET", "/devices/what/explain", NULL, 400, "bad_request" },
	{ &stage_alice, "POST", "/devices/0000:00:00.0/prove", NULL, 403, "forbidden" },
	{ &stage_admin, "POST", "/devices/0000:00:00.0/prove", NULL, 404, "not_found" },
	{ &stage_alice, "PUT", "/devices/ffff:ff:1f.7/functions", "{\"count\": 1}", 403,
	  "forbidden" },
	{ &stage_admin, "PUT", "/devices/ffff:ff:1f.7/functions", "{\"count\": 1}", 404,
	  "not_found" },
	{ &stage_admin, "PUT", "/devices/ffff:ff:1f.7/functions", "{}", 400, "bad_request" },
	{ &stage_admin, "PUT", "/devices/ffff:ff:1f.7/functions", "{\"count\": 257}", 400,
	  "bad_request" },
	{ &stage_admin, "PUT", "/devices/ffff:ff:1f.7/functions",
	  "{\"count\": 1, \"links\": [{\"vlan\": 4095}]}", 400, "bad_request" },
	{ &stage_admin, "PUT", "/devices/ffff:ff:1f.7/functions",
	  "{\"count\": 1, \"links\": [{\"mac\": \"01:00:00:00:00:01\"}]}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"runtime\": \"wisp\", \"devices\": [\"network\"]}", 400,
	  "UNSUPPORTED_DEVICE" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"devices\": [\"ffff:ff:1f.7\"]}", 404, "not_found" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"devices\": [\"what\"]}",
	  400, "bad_request" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"devices\": \"network\"}",
	  400, "bad_request" },
	{ &stage_alice, "GET", "/instances/none/explain", NULL, 404, "not_found" },
	{ &stage_alice, "GET", "/scheduling", NULL, 200, "" },
	{ &stage_alice, "GET", "/activity", NULL, 200, "" },
	{ &stage_alice, "GET", "/usage/exists", NULL, 200, "" },
	{ &stage_alice, "PUT", "/scheduling/cordon", "{\"reason\": \"x\"}", 403, "forbidden" },
	{ &stage_alice, "POST", "/scheduling/drain", "{\"reason\": \"x\"}", 403, "forbidden" },
	{ &stage_admin, "PUT", "/scheduling/cordon", "{}", 400, "bad_request" },
	{ &stage_admin, "PUT", "/scheduling/cordon", "{\"reason\": \"\"}", 400, "bad_request" },
	{ &stage_admin, "PUT", "/scheduling/cordon", "{\"reason\": \"x\"}", 200, "" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"start\": true}", 503,
	  "cordoned" },
	{ &stage_admin, "DELETE", "/scheduling/cordon", "{\"restart\": 1}", 400, "bad_request" },
	{ &stage_admin, "DELETE", "/scheduling/cordon", NULL, 200, "" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"priority\": 10}", 400,
	  "bad_request" },
	{ &stage_admin, "PUT", "/tenants/a", "{\"weight\": 0}", 400, "bad_request" },
	{ &stage_alice, "GET", "/usage", NULL, 200, "" },
	{ &stage_alice, "GET", "/usage/csv", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/2025-03/csv", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/2025-03/html", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/march/html", NULL, 400, "bad_request" },
	{ &stage_alice, "GET", "/invoices", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/2025-03", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/2025-13", NULL, 400, "bad_request" },
	{ &stage_alice, "GET", "/plans", NULL, 200, "" },
	{ &stage_alice, "GET", "/invoices/verify", NULL, 403, "forbidden" },
	{ &stage_alice, "POST", "/plans", PLAN, 403, "forbidden" },
	{ &stage_alice, "POST", "/invoices/2025-03/close", NULL, 403, "forbidden" },
	{ &stage_alice, "POST", "/tenants/a/credits", CREDIT, 403, "forbidden" },
	{ &stage_admin, "PUT", "/tenants/a/plan", "{\"plan\": \"p\", \"version\": 1}", 404,
	  "not_found" },
	{ &stage_admin, "POST", "/plans", "{\"name\": \"p\"}", 400, "bad_request" },
	{ &stage_admin, "POST", "/plans", PLAN, 201, "" },
	{ &stage_admin, "POST", "/plans", PLAN, 409, "exists" },
	{ &stage_admin, "PUT", "/tenants/c/plan", "{\"plan\": \"p\", \"version\": 1}", 404,
	  "not_found" },
	{ &stage_admin, "PUT", "/tenants/a/plan", "{\"plan\": \"p\", \"version\": 1}", 200, "" },
	{ &stage_admin, "POST", "/tenants/a/credits", CREDIT, 201, "" },
	{ &stage_admin, "POST", "/tenants/c/credits", CREDIT, 404, "not_found" },
	{ &stage_admin, "POST", "/tenants/a/credits", "{\"amount_nano\": 0, \"reason\": \"x\"}",
	  400, "bad_request" },
	{ &stage_admin, "POST", "/invoices/2999-01/close", NULL, 400, "bad_request" },
	{ &stage_admin, "POST", "/invoices/2200-01/close", NULL, 409, "illegal_move" },
	{ &stage_admin, "POST", "/invoices/2025-03/close", NULL, 200, "" },
	{ &stage_admin, "POST", "/invoices/2025-03/close", NULL, 409, "exists" },
	{ &stage_admin, "GET", "/invoices/verify", NULL, 200, "" },
	{ &stage_alice, "POST", "/instances", ONE, 202, "" },
	{ &stage_alice, "GET", "/instances/one", NULL, 200, "" },
	{ &stage_alice, "POST", "/instances", ONE, 409, "exists" },
	{ &stage_alice, "POST", "/instances/one/pause", NULL, 409, "illegal_move" },
	{ &stage_alice, "POST", "/instances/one/start", "{\"timeout_ms\": 1}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances/one/start", NULL, 409, "illegal_move" },
	{ &stage_alice, "POST", "/instances/one/stream", NULL, 409, "illegal_move" },
	{ &stage_alice, "POST", "/instances/one/stream", "{}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances/one/attend", NULL, 400, "bad_request" },
	{ &stage_watcher, "POST", "/instances/one/attend", NULL, 403, "forbidden" },
	{ &stage_alice, "POST", "/instances/one/console", NULL, 409, "illegal_move" },
	{ &stage_watcher, "POST", "/instances/one/stream", NULL, 403, "forbidden" },
	{ &stage_watcher, "POST", "/instances/one/console", NULL, 403, "forbidden" },
	{ &stage_alice, "POST", "/instances/one/stop", "{\"generation\": 9}", 409,
	  "generation_mismatch" },
	{ &stage_alice, "PATCH", "/instances/one", "{\"name\": \"x\"}", 400, "bad_request" },
	{ &stage_alice, "PATCH", "/instances/one", "{\"generation\": 9}", 409,
	  "generation_mismatch" },
	{ &stage_alice, "PATCH", "/instances/one", "{\"generation\": 1, \"name\": \"two\"}", 200,
	  "" },
	{ &stage_admin, "DELETE", "/images/image", NULL, 409, "in_use" },
	{ &stage_watcher, "DELETE", "/instances/two", NULL, 403, "forbidden" },
	{ &stage_alice, "DELETE", "/instances/two", NULL, 202, "" },
	{ &stage_alice, "DELETE", "/instances/two", NULL, 409, "illegal_move" },
};

static void test_rows(void **state)
{
	stage_ask_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
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
		{ "POST", "/instances/one/stream", NULL },
		{ "POST", "/instances/one/console", NULL },
		{ "POST", "/instances/one/attend", NULL },
	};
	struct stage *s = *state;
	char id[64], path[128];

	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", ONE), 202);
	snprintf(id, sizeof(id), "%s",
		 json_string_value(json_object_get(json_object_get(s->reply, "instance"), "id")));
	snprintf(path, sizeof(path), "/operations/%s", stage_said(s, "operation"));
	assert_int_equal(stage_ask(s, &stage_alice, "GET", path, NULL), 200);
	assert_int_equal(stage_ask(s, &stage_bob, "GET", path, NULL), 404);
	for (size_t i = 0; i < sizeof(reach) / sizeof(reach[0]); i++) {
		assert_int_equal(
			stage_ask(s, &stage_bob, reach[i].verb, reach[i].path, reach[i].body), 404);
		/* The same by its id. */
		snprintf(path, sizeof(path), "/instances/%s%s", id,
			 reach[i].path + strlen("/instances/one"));
		assert_int_equal(stage_ask(s, &stage_bob, reach[i].verb, path, reach[i].body), 404);
		/* Nor does it help to ask as the other. */
		assert_int_equal(stage_ask_with(s, &stage_bob, reach[i].verb, reach[i].path,
						reach[i].body, NULL, "tenant=a"),
				 403);
	}
	stage_ask(s, &stage_bob, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 0);
	stage_ask(s, &stage_bob, "GET", "/events", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "events")), 0);
	stage_ask(s, &stage_alice, "GET", "/events", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "events")), 1);
	stage_ask(s, &stage_bob, "GET", "/tenants", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "tenants")), 1);
	/* His own name is free all the same, and an admin sees both. */
	assert_int_equal(stage_ask(s, &stage_bob, "POST", "/instances", ONE), 202);
	stage_ask(s, &stage_admin, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 2);
	stage_ask_with(s, &stage_admin, "GET", "/instances", NULL, NULL, "tenant=b");
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 1);
	assert_int_equal(
		stage_ask_with(s, &stage_admin, "POST", "/instances", ONE, NULL, "tenant=nobody"),
		404);
}

static void test_idempotency(void **state)
{
	struct stage *s = *state;
	char operation[64];

	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", "/instances", ONE, "k", NULL),
			 202);
	snprintf(operation, sizeof(operation), "%s", stage_said(s, "operation"));
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", "/instances", ONE, "k", NULL),
			 -202);
	assert_string_equal(stage_said(s, "operation"), operation);
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", "/instances",
					"{\"image\": \"image\"}", "k", NULL),
			 409);
	assert_string_equal(stage_said(s, "code"), "key_reused");
	/* Another's key is another key; what was refused was not done. */
	assert_int_equal(stage_ask_with(s, &stage_bob, "POST", "/instances", ONE, "k", NULL), 202);
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", "/instances", ONE, "l", NULL),
			 409);
	assert_int_equal(stage_ask(s, &stage_alice, "DELETE", "/instances/one", NULL), 202);
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", "/instances", ONE, "", NULL), 400);
	stage_ask(s, &stage_alice, "GET", "/instances", NULL);
	assert_int_equal(json_array_size(json_object_get(s->reply, "instances")), 1);
}

static void test_quota(void **state)
{
	struct stage *s = *state;
	unsigned made = 0, refused = 0;

	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/tenants/a", "{\"instances\": 10}"),
			 200);
	for (unsigned i = 0; i < 64; i++) {
		int status =
			stage_ask(s, &stage_alice, "POST", "/instances", "{\"image\": \"image\"}");

		made += status == 202;
		refused += status == 409 && strcmp(stage_said(s, "code"), "quota_exceeded") == 0;
	}
	assert_int_equal(made, 10);
	assert_int_equal(refused, 54);
	stage_ask(s, &stage_admin, "GET", "/doctor", NULL);
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

	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", ONE), 202);
	s->d.no_room = true;
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", "{\"image\": \"image\"}"),
			 507);
	assert_string_equal(stage_said(s, "code"), "no_space");
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/one/start", NULL), 507);
	assert_int_equal(stage_ask(s, &stage_alice, "DELETE", "/instances/one", NULL), 202);
}

/* A wait that has not ended is told apart from an answer. */
static void test_waits(void **state)
{
	char wait[] = "wait_ms=50", nonsense[] = "wait_ms=x";
	struct api_request request = { .verb = "GET", .query = stage_query, .connection = wait };
	struct api_answer answer;
	struct stage *s = *state;
	char path[128];

	stage_ask(s, &stage_alice, "POST", "/instances", ONE);
	snprintf(path, sizeof(path), "/operations/%s", stage_said(s, "operation"));
	request.path = path;
	api_handle(&s->d, &stage_alice, &request, &answer);
	assert_int_equal(answer.wait_ms, 50);
	assert_null(answer.text);
	request.last = true;
	api_handle(&s->d, &stage_alice, &request, &answer);
	assert_int_equal(answer.wait_ms, 0);
	assert_non_null(strstr(answer.text, "\"active\""));
	free(answer.text);
	request.connection = nonsense;
	api_handle(&s->d, &stage_alice, &request, &answer);
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

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

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
