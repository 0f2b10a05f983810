/* test_snapshot_books.c - snapshots: what the routes write down, and for whom.
 *
 * On real books. No VMM runs: a test says in the books that one does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/snapshot/volumes.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

#define VM(name, more) "{\"image\": \"image\", \"name\": \"" name "\"" more "}"

static int set_up(void **state)
{
	struct stage *s;
	int r = stage_set_up(state);

	s = *state;
	snprintf(s->d.config.state_dir, sizeof(s->d.config.state_dir), "%s",
		 ((struct scratch *)s->dir)->dir);
	s->d.config.disk_reserve_mib = 0;
	return r;
}

static void expect(struct stage *s, const struct caller *who, const char *verb, const char *path,
		   const char *body, int status, const char *code)
{
	int got = stage_ask(s, who, verb, path, body);

	if (got != status || strcmp(stage_said(s, "code"), code) != 0)
		fail_msg("%s %s %s: %d %s %s", verb, path, body ? body : "", got,
			 stage_said(s, "code"), stage_said(s, "fault_message"));
}

#define alice(s, ...) expect(s, &stage_alice, __VA_ARGS__)
#define bob(s, ...)   expect(s, &stage_bob, __VA_ARGS__)

static void write_down(struct stage *s, const char *name, enum state state)
{
	struct error err;

	assert_int_equal(store_run(s->d.truth.store, &err,
				   "UPDATE instance SET state = ? WHERE name = ?", "is",
				   (int64_t)state, name),
			 1);
}

static void make(struct stage *s, const char *body, const char *name, enum state state)
{
	alice(s, "POST", "/instances", body, 202, "");
	write_down(s, name, state);
}

static struct instance find(struct stage *s, const char *name)
{
	struct instance i = { 0 };
	struct error err;

	assert_int_equal(instance_find(&s->d.truth, "a", name, &i, &err), 0);
	return i;
}

/* What the end of "saving" would have written. */
static void settle(struct stage *s, const char *name, bool well)
{
	struct instance i = find(s, name);
	struct truth *t = &s->d.truth;
	struct error err;

	assert_int_equal(store_begin(t->store, &err), 0);
	if (well)
		assert_int_equal(snapshot_made(t, i.id, 7, "test", &err), 0);
	else
		assert_int_equal(snapshot_not_made(t, i.id, "no", "test", &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	write_down(s, name, STATE_RUNNING);
}

static int64_t held(struct stage *s, enum resource resource)
{
	int64_t used = 0, most = 0;
	struct error err;

	assert_int_equal(quota_get(&s->d.truth, "a", resource, &used, &most, &err), 0);
	return used;
}

static const char *operation_state(struct stage *s, const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), "/operations/%s", id);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", path, NULL), 200);
	return stage_said(s, "state");
}

static void test_bad_requests(void **state)
{
	struct stage *s = *state;

	make(s, VM("vm", ""), "vm", STATE_RUNNING);
	alice(s, "POST", "/instances/none/snapshot", NULL, 404, "not_found");
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"../x\"}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/snapshot", "{\"labels\": []}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/snapshot", "{\"generation\": 9}", 409,
	      "generation_mismatch");
	alice(s, "POST", "/instances/vm/fork", "{\"count\": 0}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/fork", "{\"count\": 65}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/fork",
	      "{\"name\": \"a234567890123456789012345678901234567890123456789012345678901\"}", 400,
	      "bad_request");
	alice(s, "POST", "/snapshots/none/restore", NULL, 404, "not_found");
	alice(s, "DELETE", "/snapshots/none", NULL, 404, "not_found");
	alice(s, "POST", "/instances/vm/rollback", NULL, 400, "bad_request");
	alice(s, "POST", "/instances/vm/rollback", "{\"snapshot\": \"none\"}", 404, "not_found");
	alice(s, "POST", "/instances/vm/rebuild", NULL, 409, "illegal_move");
	alice(s, "POST", "/instances/vm/resize", NULL, 400, "bad_request");
	alice(s, "POST", "/instances/vm/resize", "{\"shape\": \"tiny\"}", 409, "illegal_move");
	alice(s, "DELETE", "/instances/vm", "{\"wipe\": 1}", 400, "bad_request");
	expect(s, &stage_watcher, "POST", "/instances/vm/snapshot", NULL, 403, "forbidden");
	expect(s, &stage_stranger, "GET", "/snapshots", NULL, 403, "forbidden");
}

static void test_life(void **state)
{
	struct stage *s = *state;
	char saving[32], removal[32];
	struct error err;

	make(s, VM("vm", ", \"shape\": \"tiny\""), "vm", STATE_RUNNING);
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 202, "");
	snprintf(saving, sizeof(saving), "%s", stage_said(s, "operation"));
	assert_int_equal(find(s, "vm").state, STATE_SAVING);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 129);
	alice(s, "POST", "/instances/vm/snapshot", NULL, 409, "illegal_move");
	alice(s, "POST", "/instances/vm/stop", NULL, 409, "illegal_move");
	alice(s, "POST", "/snapshots/shot/restore", NULL, 409, "in_use");
	alice(s, "DELETE", "/snapshots/shot", NULL, 409, "in_use");
	assert_string_equal(operation_state(s, saving), "active");
	settle(s, "vm", true);
	assert_string_equal(operation_state(s, saving), "done");
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 409, "exists");
	assert_int_equal(find(s, "vm").state, STATE_RUNNING);
	/* Not while somebody is to begin with it. */
	alice(s, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}", 202, "");
	assert_int_equal(find(s, "again").mem_mib, 128);
	alice(s, "DELETE", "/snapshots/shot", NULL, 409, "in_use");
	expect(s, &stage_admin, "DELETE", "/images/image", NULL, 409, "in_use");
	assert_int_equal(snapshot_drop(&s->d.truth, find(s, "again").id, &err), 1);
	alice(s, "DELETE", "/snapshots/shot", NULL, 202, "");
	snprintf(removal, sizeof(removal), "%s", stage_said(s, "operation"));
	assert_string_equal(operation_state(s, removal), "active");
	alice(s, "GET", "/snapshots/shot", NULL, 200, "");
	assert_string_equal(stage_said(s, "state"), "removing");
}

static void test_not_made(void **state)
{
	struct stage *s = *state;
	char saving[32];

	make(s, VM("vm", ""), "vm", STATE_PAUSED);
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 202, "");
	snprintf(saving, sizeof(saving), "%s", stage_said(s, "operation"));
	settle(s, "vm", false);
	assert_string_equal(operation_state(s, saving), "failed");
	alice(s, "GET", "/snapshots/shot", NULL, 200, "");
	assert_string_equal(stage_said(s, "state"), "removing");
}

static void test_refused(void **state)
{
	struct stage *s = *state;
	struct error err;

	make(s, VM("vm", ""), "vm", STATE_RUNNING);
	make(s, VM("other", ", \"runtime\": \"qemu\""), "other", STATE_RUNNING);
	alice(s, "POST", "/instances/other/snapshot", NULL, 400, "unsupported");
	assert_non_null(strstr(stage_said(s, "fault_message"), "device"));
	assert_int_equal(quota_set_limit(&s->d.truth, "a", RESOURCE_DISK_MIB, 512, &err), 0);
	alice(s, "POST", "/instances/vm/snapshot", NULL, 409, "quota_exceeded");
	assert_int_equal(find(s, "vm").state, STATE_RUNNING);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 0);
	assert_int_equal(quota_set_limit(&s->d.truth, "a", RESOURCE_DISK_MIB, -1, &err), 0);
	/* All copies or none: there is room for one. */
	assert_int_equal(quota_set_limit(&s->d.truth, "a", RESOURCE_INSTANCES, 3, &err), 0);
	alice(s, "POST", "/instances/vm/fork", "{\"count\": 2}", 409, "quota_exceeded");
	alice(s, "POST", "/instances/vm/fork", "{\"count\": 1, \"name\": \"c\"}", 202, "");
	assert_int_equal(held(s, RESOURCE_INSTANCES), 3);
	assert_int_equal(find(s, "c-1").state, STATE_CREATING);
}

/* Its guest runs on, so only one that runs can be saved so; and where wispd lets it. */
static void test_live(void **state)
{
	struct stage *s = *state;

	make(s, VM("vm", ", \"shape\": \"tiny\""), "vm", STATE_PAUSED);
	alice(s, "POST", "/instances/vm/snapshot", "{\"live\": 1}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/snapshot", "{\"live\": true}", 409, "illegal_move");
	write_down(s, "vm", STATE_RUNNING);
	s->d.config.live_snapshots = false;
	alice(s, "POST", "/instances/vm/snapshot", "{\"live\": true}", 400, "unsupported");
	s->d.config.live_snapshots = true;
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\", \"live\": true}", 202, "");
	assert_int_equal(find(s, "vm").state, STATE_SAVING_LIVE);
	alice(s, "POST", "/instances/vm/pause", NULL, 409, "illegal_move");
	settle(s, "vm", true);
	alice(s, "POST", "/instances/vm/fork", "{\"name\": \"c\", \"live\": true}", 202, "");
	assert_int_equal(find(s, "vm").state, STATE_SAVING_LIVE);
	assert_int_equal(find(s, "c-1").state, STATE_CREATING);
}

static void write_volume(struct stage *s, const char *name, int64_t volume_state)
{
	struct error err;

	assert_int_equal(store_run(s->d.truth.store, &err,
				   "UPDATE volume SET state = ? WHERE name = ?", "is", volume_state,
				   name),
			 1);
}

static void make_volume(struct stage *s, const char *name)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"name\": \"%s\", \"size_mib\": 8}", name);
	alice(s, "POST", "/volumes", body, 202, "");
	write_volume(s, name, VOLUME_READY);
}

/* What it can write to is copied, what it can read is one thing for all. */
static void test_volumes(void **state)
{
	struct stage *s = *state;
	char copy[NAME_BYTES + 32];

	make_volume(s, "data");
	make_volume(s, "base");
	make(s, VM("vm", ", \"shape\": \"tiny\", \"volumes\": [\"data\", \"base:ro\"]"), "vm",
	     STATE_RUNNING);
	write_volume(s, "data", VOLUME_GROWING);
	alice(s, "POST", "/instances/vm/snapshot", NULL, 409, "in_use");
	write_volume(s, "data", VOLUME_READY);
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 202, "");
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 2 * 8 + 129 + 8);
	alice(s, "POST", "/volumes/data/grow", "{\"size_mib\": 9}", 409, "in_use");
	settle(s, "vm", true);
	alice(s, "GET", "/snapshots/shot", NULL, 200, "");
	assert_int_equal(json_array_size(json_object_get(s->reply, "volumes")), 2);
	/* There is one of it. */
	alice(s, "POST", "/instances/vm/fork", NULL, 409, "in_use");
	alice(s, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}", 409, "in_use");
	write_down(s, "vm", STATE_STOPPED);
	alice(s, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 409, "in_use");
	alice(s, "POST", "/volumes/base/detach", NULL, 202, "");
	alice(s, "DELETE", "/volumes/base", NULL, 409, "in_use");
	alice(s, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}", 202, "");
	snprintf(copy, sizeof(copy), "/volumes/data-%s", find(s, "again").id);
	alice(s, "GET", copy, NULL, 200, "");
	assert_string_equal(stage_said(s, "state"), "making");
	assert_string_equal(stage_said(s, "instance"), find(s, "again").id);
	alice(s, "DELETE", copy, NULL, 409, "in_use");
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 3 * 8 + 129 + 8);
	alice(s, "GET", "/volumes/base", NULL, 200, "");
	assert_string_equal(stage_said(s, "instance"), find(s, "again").id);
	alice(s, "POST", "/snapshots/shot/restore", NULL, 409, "in_use");
}

static void test_keys(void **state)
{
	struct stage *s = *state;
	static const char path[] = "/instances/vm/snapshot";

	make(s, VM("vm", ""), "vm", STATE_RUNNING);
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", path, "{}", "key", NULL), 202);
	assert_int_equal(stage_ask_with(s, &stage_alice, "POST", path, "{}", "key", NULL), -202);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 513);
}

static void test_two_tenants(void **state)
{
	struct stage *s = *state;

	make(s, VM("vm", ""), "vm", STATE_RUNNING);
	bob(s, "POST", "/instances", VM("own", ""), 202, "");
	write_down(s, "own", STATE_STOPPED);
	bob(s, "POST", "/instances/vm/snapshot", NULL, 404, "not_found");
	bob(s, "POST", "/instances/vm/fork", NULL, 404, "not_found");
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 202, "");
	settle(s, "vm", true);
	bob(s, "GET", "/snapshots/shot", NULL, 404, "not_found");
	bob(s, "POST", "/snapshots/shot/restore", NULL, 404, "not_found");
	bob(s, "DELETE", "/snapshots/shot", NULL, 404, "not_found");
	bob(s, "POST", "/instances/own/rollback", "{\"snapshot\": \"shot\"}", 404, "not_found");
	bob(s, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 404, "not_found");
	bob(s, "POST", "/instances/vm/rebuild", NULL, 404, "not_found");
	bob(s, "POST", "/instances/vm/resize", "{\"shape\": \"tiny\"}", 404, "not_found");
	bob(s, "DELETE", "/instances/vm", "{\"wipe\": true}", 404, "not_found");
	bob(s, "GET", "/snapshots", NULL, 200, "");
	assert_int_equal(json_array_size(json_object_get(s->reply, "snapshots")), 0);
	alice(s, "GET", "/snapshots", NULL, 200, "");
	assert_int_equal(json_array_size(json_object_get(s->reply, "snapshots")), 1);
}

static void test_changes(void **state)
{
	struct stage *s = *state;

	make(s, VM("vm", ", \"shape\": \"tiny\""), "vm", STATE_RUNNING);
	make(s, VM("other", ""), "other", STATE_STOPPED);
	alice(s, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 202, "");
	settle(s, "vm", true);
	write_down(s, "vm", STATE_STOPPED);
	alice(s, "POST", "/instances/other/rollback", "{\"snapshot\": \"shot\"}", 400,
	      "bad_request");
	alice(s, "POST", "/instances/vm/resize", "{\"shape\": \"none\"}", 404, "not_found");
	alice(s, "POST", "/instances/vm/resize", "{\"shape\": \"medium\"}", 202, "");
	assert_int_equal(find(s, "vm").vcpus, 2);
	alice(s, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 400, "bad_request");
	alice(s, "POST", "/instances/vm/resize", "{\"shape\": \"tiny\"}", 202, "");
	alice(s, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 202, "");
	assert_int_equal(find(s, "vm").state, STATE_CREATING);
	write_down(s, "vm", STATE_STOPPED);
	/* It waits to go on as it was, until it is made anew. */
	alice(s, "POST", "/instances/vm/resize", "{\"shape\": \"medium\"}", 409, "in_use");
	alice(s, "DELETE", "/snapshots/shot", NULL, 409, "in_use");
	alice(s, "POST", "/instances/vm/rebuild", "{\"image\": \"none\"}", 404, "not_found");
	alice(s, "POST", "/instances/vm/rebuild", "{\"image\": \"image\"}", 202, "");
	assert_int_equal(find(s, "vm").state, STATE_CREATING);
	alice(s, "DELETE", "/snapshots/shot", NULL, 202, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_requests, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_life, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_not_made, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_live, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_volumes, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_keys, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_two_tenants, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_changes, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
