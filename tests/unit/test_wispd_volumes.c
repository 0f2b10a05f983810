/* test_wispd_volumes.c - volumes: what the routes write down, and what is done to files.
 *
 * On real books and files. No worker runs: a test does what one would have done.
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

#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/volume/disk.h"
#include "supervisor/volume/work.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

enum { MIB = 1 << 20 };

#define NAMED(name, more) "{\"name\": \"" name "\"" more "}"
#define SIZED(name)	  NAMED(name, ", \"size_mib\": 8")
#define WITH(volume)	  "{\"image\": \"image\", \"name\": \"vm\", \"volumes\": [\"" volume "\"]}"

/* The stage's folder is where state is kept. */
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

static struct volume find(struct stage *s, const char *name)
{
	struct volume v = { 0 };
	struct error err;

	assert_int_equal(volume_find(&s->d.truth, "a", name, &v, &err), 0);
	return v;
}

/* What its worker's end would have written. */
static void be_ready(struct stage *s, const char *name)
{
	struct volume v = find(s, name);
	struct error err;

	v.state = VOLUME_READY;
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(volume_update(&s->d.truth, &v, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static void expect(struct stage *s, const char *verb, const char *path, const char *body,
		   int status, const char *code)
{
	int got = stage_ask(s, &stage_alice, verb, path, body);

	if (got != status || strcmp(stage_said(s, "code"), code) != 0)
		fail_msg("%s %s %s: %d %s %s", verb, path, body ? body : "", got,
			 stage_said(s, "code"), stage_said(s, "fault_message"));
}

static void test_bad_requests(void **state)
{
	struct stage *s = *state;

	expect(s, "POST", "/volumes", NAMED("data", ""), 400, "bad_request");
	expect(s, "POST", "/volumes", NAMED("../x", ", \"size_mib\": 1"), 400, "bad_request");
	expect(s, "POST", "/volumes", NAMED("data", ", \"size_mib\": -1"), 400, "bad_request");
	expect(s, "POST", "/volumes", NAMED("data", ", \"size_mib\": 16777217"), 400,
	       "bad_request");
	expect(s, "POST", "/volumes", NAMED("data", ", \"size_mib\": 1, \"format\": \"fat\""), 400,
	       "bad_request");
	expect(s, "POST", "/volumes", NAMED("data", ", \"size_mib\": 1, \"from\": \"x\""), 400,
	       "bad_request");
	expect(s, "POST", "/volumes", NAMED("data", ", \"from\": \"none\""), 404, "not_found");
	/* Larger than any disk that this runs on has room. */
	expect(s, "POST", "/volumes", NAMED("data", ", \"size_mib\": 16777216"), 507, "no_space");
	expect(s, "GET", "/volumes/none", NULL, 404, "not_found");
	expect(s, "POST", "/volumes/none/detach", NULL, 404, "not_found");
	expect(s, "POST", "/volumes/none/backup", "{\"path\": \"/x\"}", 403, "forbidden");
	expect(s, "POST", "/instances", WITH("none"), 404, "not_found");
}

/* How much of the tenant's volumes is billed from now on. */
static int64_t billed_mib(struct stage *s)
{
	struct error err;
	int64_t sum;

	assert_int_equal(store_number(s->d.truth.store, &sum, &err,
				      "SELECT ifnull(sum(amount), 0) FROM held"
				      " WHERE meter = 'volume_space' AND tenant = 'a'",
				      ""),
			 0);
	return sum;
}

static void test_life(void **state)
{
	struct stage *s = *state;
	int64_t used, most;
	struct error err;

	expect(s, "POST", "/volumes", SIZED("data"), 202, "");
	expect(s, "POST", "/volumes", SIZED("data"), 409, "exists");
	/* Until it is made it is nobody's. */
	expect(s, "POST", "/instances", WITH("data"), 409, "in_use");
	assert_int_equal(billed_mib(s), 0);
	be_ready(s, "data");
	assert_int_equal(billed_mib(s), 8);
	assert_int_equal(stage_ask(s, &stage_bob, "GET", "/volumes/data", NULL), 404);
	expect(s, "POST", "/instances", WITH("data:rw"), 400, "bad_request");
	expect(s, "POST", "/instances", WITH("data:ro"), 202, "");
	assert_true(find(s, "data").read_only);
	expect(s, "DELETE", "/volumes/data", NULL, 409, "in_use");
	expect(s, "POST", "/volumes/data/attach", "{\"instance\": \"vm\"}", 409, "in_use");
	expect(s, "POST", "/volumes/data/detach", NULL, 202, "");
	expect(s, "POST", "/volumes/data/detach", NULL, 409, "illegal_move");
	expect(s, "POST", "/volumes/data/attach", "{\"instance\": \"vm\"}", 202, "");
	expect(s, "POST", "/volumes/data/detach", NULL, 202, "");
	assert_int_equal(quota_get(&s->d.truth, "a", RESOURCE_DISK_MIB, &used, &most, &err), 0);
	assert_int_equal(used, 8);
	expect(s, "POST", "/volumes/data/grow", "{\"size_mib\": 4}", 400, "bad_request");
	expect(s, "POST", "/volumes/data/grow", "{\"size_mib\": 16}", 202, "");
	expect(s, "POST", "/volumes/data/grow", "{\"size_mib\": 32}", 409, "in_use");
	assert_int_equal(quota_get(&s->d.truth, "a", RESOURCE_DISK_MIB, &used, &most, &err), 0);
	assert_int_equal(used, 16);
	assert_int_equal(billed_mib(s), 16);
}

/* A copy reads another, which stays as it is until that has ended. */
static void test_copies(void **state)
{
	struct stage *s = *state;

	expect(s, "POST", "/volumes", SIZED("data"), 202, "");
	be_ready(s, "data");
	expect(s, "POST", "/volumes", NAMED("copy", ", \"from\": \"data\""), 202, "");
	assert_int_equal(find(s, "copy").size_mib, 8);
	expect(s, "DELETE", "/volumes/data", NULL, 409, "in_use");
	expect(s, "POST", "/volumes/data/attach", "{\"instance\": \"vm\"}", 409, "in_use");
	be_ready(s, "data");
	be_ready(s, "copy");
	expect(s, "DELETE", "/volumes/data", "{\"erase\": true}", 202, "");
	assert_int_equal(find(s, "data").state, VOLUME_ERASING);
	assert_int_equal(billed_mib(s), 8);
}

static void test_quota(void **state)
{
	struct stage *s = *state;

	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/tenants/a", "{\"disk_mib\": 12}"),
			 200);
	expect(s, "POST", "/volumes", SIZED("one"), 202, "");
	expect(s, "POST", "/volumes", SIZED("two"), 409, "quota_exceeded");
	be_ready(s, "one");
	expect(s, "POST", "/volumes/one/grow", "{\"size_mib\": 13}", 409, "quota_exceeded");
	expect(s, "POST", "/volumes/one/grow", "{\"size_mib\": 12}", 202, "");
}

/* --- after a crash --- */

static void test_recovery(void **state)
{
	struct stage *s = *state;
	const struct config *c = &s->d.config;
	struct volume growing;
	struct stat st;
	char path[PATH_MAX + 64];
	struct error err;

	expect(s, "POST", "/volumes", SIZED("made"), 202, "");
	expect(s, "POST", "/volumes", SIZED("half"), 202, "");
	growing = find(s, "made");
	assert_int_equal(disk_make(c, growing.id, 8, false, &err), 0);
	assert_int_equal(disk_make(c, find(s, "half").id, 8, false, &err), 0);
	assert_int_equal(disk_make(c, "vol-nobody", 1, false, &err), 0);
	be_ready(s, "made");
	expect(s, "POST", "/volumes/made/grow", "{\"size_mib\": 16}", 202, "");
	/* Nobody's, and one that was not finished. */
	assert_int_equal(volume_recover(&s->d, &err), 2);
	assert_int_equal(find(s, "made").state, VOLUME_READY);
	snprintf(path, sizeof(path), "%s/volumes/%s", c->state_dir, growing.id);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 16 * MIB);
	expect(s, "GET", "/volumes/half", NULL, 404, "not_found");
}

/* --- files --- */

static int open_volume(const struct config *c, const char *id)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/volumes/%s", c->state_dir, id);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void test_files(void **state)
{
	struct stage *s = *state;
	const struct config *c = &s->d.config;
	struct erasure e;
	char path[PATH_MAX + 64], word[8] = "";
	struct error err;
	bool shared;
	int fd;

	assert_int_equal(disk_make(c, "vol-a", 4, false, &err), 0);
	fd = open_volume(c, "vol-a");
	assert_int_equal(pwrite(fd, "secret", 6, 2 * MIB), 6);
	close(fd);
	assert_int_equal(disk_copy(c, "vol-a", "vol-b", &shared, &err), 0);
	snprintf(path, sizeof(path), "%s/backup", c->state_dir);
	assert_int_equal(disk_back_up(c, "vol-b", path, &err), 0);
	/* Not over what is there. */
	assert_int_equal(disk_back_up(c, "vol-b", path, &err), -EEXIST);
	assert_int_equal(disk_grow(c, "vol-b", 6, &err), 0);
	fd = open_volume(c, "vol-b");
	assert_int_equal(lseek(fd, 0, SEEK_END), 6 * MIB);
	assert_int_equal(disk_erase(c, "vol-b", &e, &err), 0);
	assert_true(e.overwritten_bytes >= 6);
	assert_true(e.verified_bytes >= e.overwritten_bytes);
	/* Whoever has it open reads nothing of it, either. */
	assert_int_equal(pread(fd, word, 6, 2 * MIB), 6);
	assert_memory_equal(word, "\0\0\0\0\0\0", 6);
	close(fd);
	assert_int_equal(disk_remove(c, "vol-b", &err), 0);
	assert_true(open_volume(c, "vol-b") < 0);
	assert_int_equal(disk_copy(c, "vol-b", "vol-c", &shared, &err), -ENOENT);
	assert_int_equal(disk_remove(c, "vol-b", &err), 0);
}

static void test_lending(void **state)
{
	struct stage *s = *state;
	const struct config *c = &s->d.config;
	uid_t owner = getuid() == 0 ? 12345 : getuid();
	struct stat st;
	struct error err;
	int folder;

	if (getuid() != 0)
		skip();
	assert_int_equal(disk_make(c, "vol-a", 4, false, &err), 0);
	folder = open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A link that a VMM has put there is replaced, not followed. */
	assert_int_equal(symlinkat("/etc/passwd", folder, "volume0"), 0);
	assert_int_equal(disk_lend(c, "vol-a", folder, "volume0", owner, false, &err), 0);
	assert_int_equal(fstatat(folder, "volume0", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, owner);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(disk_lend(c, "vol-a", folder, "volume0", owner, true, &err), 0);
	assert_int_equal(fstatat(folder, "volume0", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 0777, 0440);
	for (int again = 0; again < 2; again++)
		assert_int_equal(disk_take_back(c, "vol-a", folder, "volume0", &err), 0);
	assert_int_equal(fstatat(folder, "volumes/vol-a", &st, 0), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stage_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_bad_requests), TEST(test_life),  TEST(test_copies),  TEST(test_quota),
		TEST(test_recovery),	 TEST(test_files), TEST(test_lending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
