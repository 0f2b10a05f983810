/* test_wispd_shares.c - folders of the host: what may be asked for, by whom, and what is
 * refused, on real books. No worker runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/share/folder.h"
#include "supervisor/share/share.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"
#include "vmm/base/fd.h"

#define SHARE(text) "{\"image\": \"image\", \"shares\": [\"" text "\"]}"
#define MORE(text)  "{\"image\": \"image\", \"shares\": [\"/srv/a:t\"], " text "}"

static const struct stage_row rows[] = {
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:t"), 202, "" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a/deep/er:t:ro"), 202, "" },
	/* What nobody may have, what another tenant may, and what only looks like it. */
	{ &stage_alice, "POST", "/instances", SHARE("/etc:t"), 403, "forbidden" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/b:t"), 403, "forbidden" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/ab:t"), 403, "forbidden" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv:t"), 403, "forbidden" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a/closed:t"), 403, "forbidden" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a/closed:t:ro"), 202, "" },
	{ &stage_bob, "POST", "/instances", SHARE("/srv/b:t"), 202, "" },
	{ &stage_bob, "POST", "/instances", SHARE("/srv/a:t:ro"), 403, "forbidden" },
	/* What cannot be a folder, or a tag. */
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a/../b:t"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv//a:t"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a/:t"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("srv/a:t"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:t/u"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:t:rw"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:1234567890123456789012345678901234567"),
	  400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a\\n:t"), 400, "bad_request" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:t\", \"/srv/a/b:t"), 409, "exists" },
	{ &stage_alice, "POST", "/instances", SHARE("/srv/a:t\", \"/srv/a/b:u"), 202, "" },
	/* What does not go together. */
	{ &stage_alice, "POST", "/instances", MORE("\"runtime\": \"qemu\""), 400, "unsupported" },
};

/* The longest of alice's is for reading only. */
static int set_up(void **state)
{
	int r = stage_set_up(state);
	struct config *c = &((struct stage *)*state)->d.config;

	c->shares[c->nshares++] = (struct shared_folder){ "/srv/a", "a", .user = 1000 };
	c->shares[c->nshares++] =
		(struct shared_folder){ "/srv/a/closed", "a", .user = 1000, .read_only = true };
	c->shares[c->nshares++] = (struct shared_folder){ "/srv/b", "b", .user = 1000 };
	return r;
}

static void test_rows(void **state)
{
	stage_ask_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

/* Its rows are its for its life, and show. */
static void test_life(void **state)
{
	struct stage *s = *state;
	struct instance i = { 0 };
	struct share shares[SHARES_MAX];
	struct error err;
	const json_t *list;

	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances",
				   "{\"image\": \"image\", \"name\": \"one\","
				   " \"shares\": [\"/srv/a/x:t:ro\"]}"),
			 202);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", "/instances/one", NULL), 200);
	list = json_object_get(s->reply, "shares");
	assert_int_equal(json_array_size(list), 1);
	list = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(list, "path")), "/srv/a/x");
	assert_true(json_is_true(json_object_get(list, "read_only")));
	assert_int_equal(instance_find(&s->d.truth, "a", "one", &i, &err), 0);
	assert_int_equal(share_load(&s->d.truth, i.id, shares, &err), 1);
	assert_int_equal(share_drop(&s->d.truth, &i, &err), 0);
	assert_int_equal(share_load(&s->d.truth, i.id, shares, &err), 0);
}

/* Below an allowed folder no link is followed, wherever it leads. */
static void test_links(void **state)
{
	static const char *const bad[] = {
		"out", "in", "in/deep", "../b", "a/../../b", "/etc", "no"
	};
	struct error err;
	char allowed[PATH_MAX];
	void *state_of_dir = NULL;
	struct scratch *dir;
	int fd;

	(void)state;
	assert_int_equal(scratch_make(&state_of_dir), 0);
	dir = state_of_dir;
	snprintf(allowed, sizeof(allowed), "%s", scratch_path(dir, "a"));
	assert_int_equal(mkdir(allowed, 0755), 0);
	assert_int_equal(mkdir(scratch_path(dir, "b"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(dir, "a/real"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(dir, "a/real/deep"), 0755), 0);
	assert_int_equal(symlink("../b", scratch_path(dir, "a/out")), 0);
	assert_int_equal(symlink("real", scratch_path(dir, "a/in")), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(share_folder_open(allowed, bad[i], &err) < 0);
	fd = share_folder_open(allowed, "real/deep", &err);
	assert_true(fd >= 0);
	fd_close(fd);
	fd = share_folder_open(allowed, "", &err);
	assert_true(fd >= 0);
	fd_close(fd);
	scratch_remove(&state_of_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_life, set_up, stage_tear_down),
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
