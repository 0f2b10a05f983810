/* test_sizes.c - memory and disk of an instance beyond its shape and its image: what is asked,
 * written down, held, and what is left of it when it came to nothing.
 *
 * On real books. No VMM runs: a test says in the books that one does, and what came of its work.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/size.h"
#include "supervisor/books/store.h"
#include "supervisor/images/blob.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

#define SHAPE "{\"vcpus\": 1, \"mem_mib\": 512, \"mem_max_mib\": 1024}"
#define VM    "{\"image\": \"image\", \"name\": \"vm\", \"shape\": \"elastic\"}"
#define OTHER "{\"image\": \"image\", \"name\": \"other\"}"

/* The image has a disk of 3 MiB, of which the file is all that is looked at. */
static void add_disk(struct stage *s)
{
	struct error err;
	int folder = blob_open_folder(&s->d.config, &err), fd;

	assert_true(folder >= 0);
	fd = openat(folder, "disk", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (3 << 20) - 5), 0);
	close(fd);
	close(folder);
	assert_int_equal(store_run(s->d.truth.store, &err, "UPDATE image SET rootfs = 'disk'", ""),
			 1);
}

static void be(struct stage *s, const char *name, enum state state)
{
	struct error err;

	assert_int_equal(store_run(s->d.truth.store, &err,
				   "UPDATE instance SET state = ? WHERE name = ?", "is",
				   (int64_t)state, name),
			 1);
}

static int set_up(void **state)
{
	struct stage *s;
	int r = stage_set_up(state);

	s = *state;
	snprintf(s->d.config.state_dir, sizeof(s->d.config.state_dir), "%s",
		 ((struct scratch *)s->dir)->dir);
	s->d.config.disk_reserve_mib = 0;
	add_disk(s);
	stage_ask(s, &stage_admin, "PUT", "/shapes/elastic", SHAPE);
	stage_ask(s, &stage_alice, "POST", "/instances", VM);
	stage_ask(s, &stage_alice, "POST", "/instances", OTHER);
	return r;
}

static struct instance find(struct stage *s)
{
	struct instance i = { 0 };
	struct error err;

	assert_int_equal(instance_find(&s->d.truth, "a", "vm", &i, &err), 0);
	return i;
}

static int64_t held(struct stage *s, enum resource resource)
{
	int64_t used = 0, most = 0;
	struct error err;

	assert_int_equal(quota_get(&s->d.truth, "a", resource, &used, &most, &err), 0);
	return used;
}

/* It runs, and holds what that takes. */
static void run(struct stage *s)
{
	struct instance i = find(s);
	const struct move move = { .actor = "test" };
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	i.state = STATE_CREATED;
	assert_int_equal(instance_move(&s->d.truth, &i, STATE_STARTING, &move, &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, STATE_RUNNING, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

/* What the end of the work writes. */
static void end(struct stage *s, const struct resize_outcome *o, enum state to)
{
	struct instance i = find(s);
	const struct move move = { .actor = "test" };
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(size_end(&s->d.truth, &i, o, "test", &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, to, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static int resize(struct stage *s, const char *body, char operation[OPERATION_ID_BYTES])
{
	int status = stage_ask(s, &stage_alice, "POST", "/instances/vm/resize", body);

	snprintf(operation, OPERATION_ID_BYTES, "%s", stage_said(s, "operation"));
	return status;
}

static const char *operation_state(struct stage *s, const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), "/operations/%s", id);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", path, NULL), 200);
	return stage_said(s, "state");
}

static void test_requests(void **state)
{
	static const char path[] = "/instances/vm/resize";
	const struct stage_row rows[] = {
		{ &stage_admin, "PUT", "/shapes/x",
		  "{\"vcpus\": 1, \"mem_mib\": 9, \"mem_max_mib\": 8}", 400, "bad_request" },
		{ &stage_alice, "POST", path, "{}", 400, "bad_request" },
		{ &stage_alice, "POST", path, "{\"mem_mib\": 1, \"disk_mib\": 9}", 400,
		  "bad_request" },
		{ &stage_alice, "POST", path, "{\"mem_mib\": -1}", 400, "bad_request" },
		{ &stage_alice, "POST", path, "{\"disk_mib\": 16777217}", 400, "bad_request" },
		{ &stage_alice, "POST", path, "{\"mem_mib\": 1025}", 400, "bad_request" },
		{ &stage_alice, "POST", path, "{\"disk_mib\": 3}", 400, "bad_request" },
		{ &stage_watcher, "POST", path, "{\"mem_mib\": 512}", 403, "forbidden" },
		{ &stage_bob, "POST", path, "{\"mem_mib\": 512}", 404, "not_found" },
		{ &stage_alice, "POST", "/instances/other/resize", "{\"mem_mib\": 512}", 400,
		  "unsupported" },
		{ &stage_alice, "POST", path, "{\"mem_mib\": 512, \"generation\": 9}", 409,
		  "generation_mismatch" },
	};
	struct stage *s = *state;

	be(s, "vm", STATE_STOPPED);
	be(s, "other", STATE_STOPPED);
	stage_ask_rows(s, rows, sizeof(rows) / sizeof(rows[0]));
	be(s, "vm", STATE_PAUSED);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", path, "{\"mem_mib\": 600}"), 409);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", path, "{\"disk_mib\": 9}"), 409);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 0);
}

static void test_at_rest(void **state)
{
	struct stage *s = *state;
	char none[OPERATION_ID_BYTES];
	struct error err;

	be(s, "vm", STATE_STOPPED);
	assert_int_equal(resize(s, "{\"mem_mib\": 700}", none), 202);
	assert_string_equal(none, "");
	assert_int_equal(find(s).mem_mib, 700);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 0);
	assert_int_equal(quota_set_limit(&s->d.truth, "a", RESOURCE_DISK_MIB, 7, &err), 0);
	assert_int_equal(resize(s, "{\"disk_mib\": 11}", none), 409);
	assert_int_equal(resize(s, "{\"disk_mib\": 10}", none), 202);
	assert_string_equal(none, "");
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 7);
	assert_int_equal(resize(s, "{\"disk_mib\": 10}", none), 400);
	stage_ask(s, &stage_alice, "GET", "/instances/vm", NULL);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(s->reply, "size"), "disk_mib")),
		10);
}

/* More is held before it is there, less when it is gone; what fails is as it was. */
static void test_memory(void **state)
{
	const struct resize_outcome all = { .mem_mib = 1000 }, less = { .mem_mib = 300 };
	const struct resize_outcome none = { .result = -EPROTO, .cause = "no", .mem_mib = 300 };
	const struct resize_outcome some = { .result = -ETIMEDOUT, .cause = "no", .mem_mib = 420 };
	struct stage *s = *state;
	char up[OPERATION_ID_BYTES], down[OPERATION_ID_BYTES], other[OPERATION_ID_BYTES];

	run(s);
	assert_int_equal(resize(s, "{\"mem_mib\": 1000}", up), 202);
	assert_int_equal(find(s).state, STATE_RESIZING);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 1000);
	assert_int_equal(resize(s, "{\"mem_mib\": 800}", other), 409);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/vm/stop", NULL), 409);
	assert_string_equal(operation_state(s, up), "active");
	end(s, &all, STATE_RUNNING);
	assert_string_equal(operation_state(s, up), "done");
	assert_int_equal(resize(s, "{\"mem_mib\": 300}", down), 202);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 1000);
	end(s, &less, STATE_RUNNING);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 300);
	assert_string_equal(operation_state(s, down), "done");
	assert_int_equal(resize(s, "{\"mem_mib\": 512}", up), 202);
	end(s, &none, STATE_RUNNING);
	assert_string_equal(operation_state(s, up), "failed");
	assert_string_equal(stage_said(s, "code"), "not_resized");
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 300);
	assert_int_equal(resize(s, "{\"mem_mib\": 512}", up), 202);
	end(s, &some, STATE_RUNNING);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 420);
	/* Its VMM ends meanwhile. */
	assert_int_equal(resize(s, "{\"mem_mib\": 512}", up), 202);
	end(s, NULL, STATE_STOPPED);
	assert_string_equal(operation_state(s, up), "failed");
	assert_int_equal(find(s).mem_mib, 420);
	assert_int_equal(held(s, RESOURCE_MEMORY_MIB), 0);
}

static void test_disk(void **state)
{
	const struct resize_outcome well = { .words = "grown" };
	const struct resize_outcome badly = { .result = -EPROTO, .cause = "no" };
	struct stage *s = *state;
	char operation[OPERATION_ID_BYTES];
	struct instance i;
	struct error err;

	run(s);
	assert_int_equal(resize(s, "{\"disk_mib\": 8}", operation), 202);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 5);
	end(s, &well, STATE_RUNNING);
	assert_string_equal(operation_state(s, operation), "done");
	assert_string_equal(stage_said(s, "result"), "grown");
	assert_int_equal(find(s).mem_mib, 512);
	assert_int_equal(resize(s, "{\"disk_mib\": 20}", operation), 202);
	end(s, &badly, STATE_RUNNING);
	assert_string_equal(operation_state(s, operation), "failed");
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 5);
	/* Its next start has what this one did not live to get. */
	assert_int_equal(resize(s, "{\"disk_mib\": 20}", operation), 202);
	end(s, NULL, STATE_STOPPED);
	assert_string_equal(operation_state(s, operation), "done");
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 17);
	i = find(s);
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(size_drop(&s->d.truth, &i, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	assert_int_equal(held(s, RESOURCE_DISK_MIB), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_requests, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_at_rest, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_memory, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_disk, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
