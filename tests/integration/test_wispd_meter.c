/* test_wispd_meter.c - what wispd meters, against what the kernel says: real VMMs in control
 * groups of either version, tiny guests on KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_MS = 120000,
	POLL_MS = 20,
	BUSY_US = 300000,
	DISK_BYTES = 65536,
	LIVES = 16
};

#define PARENT "wisp-test-meter"
#define OFTEN \
	", \"cgroup\": \"" PARENT "\", \"confirm_interval_ms\": 100, \"count_interval_ms\": 100"

static struct wispd_host *make_host(const char *more)
{
	struct wispd_host *h = wispd_host_make(more);

	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	return h;
}

static void do_it(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	if (strcmp(wispd_host_do(h, verb, path, body), "done") != 0)
		fail_msg("%s %s: %s", verb, path, wispd_host_log(h));
}

static json_t *get(struct wispd_host *h, const char *path)
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	return j;
}

/* Its quantity this month; -1: it is not there. */
static int64_t used(struct wispd_host *h, const char *meter)
{
	json_t *j = get(h, "/usage"), *row;
	int64_t quantity = -1;
	size_t i;

	json_array_foreach(json_object_get(j, "usage"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "meter")), meter) == 0)
			quantity = json_integer_value(json_object_get(row, "quantity"));
	}
	json_decref(j);
	return quantity;
}

/* How many gaps of a meter there are for a reason. */
static unsigned gaps(struct wispd_host *h, const char *meter, const char *reason)
{
	json_t *j = get(h, "/usage"), *gap;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(j, "gaps"), i, gap)
	{
		const char *m = json_string_value(json_object_get(gap, "meter"));
		const char *r = json_string_value(json_object_get(gap, "reason"));

		n += m && r && strcmp(m, meter) == 0 && strcmp(r, reason) == 0;
	}
	json_decref(j);
	return n;
}

static void await_use(struct wispd_host *h, const char *meter, int64_t least)
{
	for (int waited = 0; used(h, meter) < least; waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("%s stays below %lld", meter, (long long)least);
		poll(NULL, 0, POLL_MS);
	}
}

static void id_of(struct wispd_host *h, const char *name, char id[64])
{
	char path[96];
	json_t *j;

	snprintf(path, sizeof(path), "/instances/%s", name);
	j = get(h, path);
	snprintf(id, 64, "%s", json_string_value(json_object_get(j, "id")));
	json_decref(j);
}

/* By the kernel, whichever version it has, of a group below PARENT and all below that; -1:
 * there is no such group. */
static int64_t group_cpu_us(const char *id)
{
	char path[160], line[128];
	int64_t us = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuacct/" PARENT "/%s/cpuacct.usage", id);
	f = fopen(path, "re");
	if (f) {
		if (fgets(line, sizeof(line), f))
			us = strtoll(line, NULL, 10) / 1000;
		fclose(f);
		return us;
	}
	snprintf(path, sizeof(path), "/sys/fs/cgroup/" PARENT "/%s/cpu.stat", id);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "usage_usec ", 11) == 0)
			us = strtoll(line + 11, NULL, 10);
	if (f)
		fclose(f);
	return us;
}

static void check_whole(struct wispd_host *h)
{
	json_t *j = get(h, "/doctor");

	if (!json_is_true(json_object_get(j, "healthy")))
		fail_msg("%s", json_dumps(j, 0));
	json_decref(j);
}

/* What it is doing: at least what was billed, and nobody else's. */
static void check_activity(struct wispd_host *h, int64_t cpu_us)
{
	json_t *j = get(h, "/activity"), *all = json_object_get(j, "activity");
	const json_t *one = json_array_get(all, 0);

	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(json_string_value(json_object_get(one, "name")), "vm");
	assert_true(json_integer_value(json_object_get(one, "cpu_used_us")) >= cpu_us);
	assert_true(json_integer_value(json_object_get(one, "memory_now_bytes")) > 0);
	assert_true(json_integer_value(json_object_get(one, "sampled_wall_ns")) > 0);
	json_decref(j);
}

#define RUN(image, name)                                                           \
	"{\"image\": \"" image "\", \"name\": \"" name "\", \"shape\": \"test\", " \
	"\"start\": true}"
#define KILL_STOP "{\"timeout_ms\": 0}"

/* A busy guest, twice: what is metered is what its groups say, to the microsecond. */
static void test_processor(void **state)
{
	struct wispd_host *h = make_host(OFTEN);
	int64_t first;
	char id[64];

	(void)state;
	wispd_host_add_image(h, "spin");
	do_it(h, "POST", "/instances", RUN("spin", "vm"));
	id_of(h, "vm", id);
	await_use(h, "cpu_used", BUSY_US);
	assert_true(used(h, "memory_peak") > 0);
	check_activity(h, BUSY_US);
	do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
	first = group_cpu_us(id);
	assert_true(first >= BUSY_US);
	assert_int_equal(used(h, "cpu_used"), first);
	/* The second life's group is another one. */
	do_it(h, "POST", "/instances/vm/start", NULL);
	await_use(h, "cpu_used", first + 1);
	do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
	assert_int_equal(used(h, "cpu_used"), first + group_cpu_us(id));
	do_it(h, "DELETE", "/instances/vm", NULL);
	assert_int_equal(group_cpu_us(id), -1);
	check_whole(h);
	wispd_host_end(h);
}

/* Many short lives, and nobody looks at a group before it is removed: the one above them all
 * keeps what each of them used. Within a hundredth. */
static void test_many(void **state)
{
	struct wispd_host *h = make_host(", \"cgroup\": \"" PARENT "\"");
	int64_t before, group, metered;

	(void)state;
	wispd_host_add_image(h, "spin");
	do_it(h, "POST", "/instances", RUN("spin", "vm"));
	do_it(h, "DELETE", "/instances/vm", NULL);
	metered = used(h, "cpu_used");
	before = group_cpu_us(".");
	for (unsigned n = 0; n < LIVES; n++) {
		do_it(h, "POST", "/instances", RUN("spin", "vm"));
		do_it(h, "DELETE", "/instances/vm", NULL);
	}
	group = group_cpu_us(".") - before;
	metered = used(h, "cpu_used") - metered;
	print_message("metered %lld us, the group above %lld us\n", (long long)metered,
		      (long long)group);
	assert_true(metered <= group && metered >= group - group / 100);
	check_whole(h);
	wispd_host_end(h);
}

/* An image of a guest that reads one sector of its disk. */
static void add_probe(struct wispd_host *h)
{
	char body[512], disk[DISK_BYTES] = "WISPDISK";
	FILE *f = fopen(fixture_path("disk"), "we");
	int n;

	assert_non_null(f);
	assert_int_equal(fwrite(disk, 1, sizeof(disk), f), sizeof(disk));
	fclose(f);
	n = snprintf(body, sizeof(body), "{\"name\": \"probe\", \"kernel\": \"%s\", ",
		     fixture_guest("virtio-probe"));
	snprintf(body + n, sizeof(body) - (size_t)n, "\"rootfs\": \"%s\"}", fixture_path("disk"));
	do_it(h, "POST", "/images", body);
}

/* Lives that are much shorter than the time from one reading to the next. It may be ended
 * before it has read, so it is given more time until it has. */
static void test_disk(void **state)
{
	struct wispd_host *h = make_host(", \"cgroup\": \"" PARENT "\"");
	int64_t read = -1;

	(void)state;
	add_probe(h);
	do_it(h, "POST", "/instances", RUN("probe", "vm"));
	for (int ms = POLL_MS; read < 0 && ms < LIMIT_MS; ms *= 2) {
		poll(NULL, 0, ms);
		do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
		read = used(h, "disk_read");
		if (read < 0)
			do_it(h, "POST", "/instances/vm/start", NULL);
	}
	assert_int_equal(read, 512);
	assert_int_equal(used(h, "disk_operations"), 1);
	assert_int_equal(used(h, "net_in"), -1); /* it has no such thing */
	assert_true(used(h, "cpu_used") > 0);
	assert_int_equal(gaps(h, "disk_read", "was killed"), 0);
	do_it(h, "DELETE", "/instances/vm", NULL);
	check_whole(h);
	wispd_host_end(h);
}

/* What a VMM that was killed did last is not known, and is said to be so; what its group
 * counted is, even if wispd was away. */
static void test_killed(void **state)
{
	struct wispd_host *h = make_host(OFTEN);
	pid_t jailer;
	char id[64];

	(void)state;
	add_probe(h);
	do_it(h, "POST", "/instances", RUN("probe", "vm"));
	id_of(h, "vm", id);
	await_use(h, "cpu_used", 1);
	jailer = wispd_host_jailer(h, id);
	wispd_host_stop(h, SIGKILL);
	kill(jailer, SIGKILL);
	while (wispd_host_jailers(h, id) > 0)
		poll(NULL, 0, POLL_MS);
	assert_true(wispd_host_start(h, 0));
	for (int waited = 0; gaps(h, "disk_read", "was killed") == 0; waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("no gap: %s", wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
	assert_int_equal(gaps(h, "disk_operations", "was killed"), 1);
	assert_int_equal(gaps(h, "net_out", "was killed"), 0);
	assert_int_equal(gaps(h, "cpu_used", "was killed"), 0);
	/* The killed process may have been on its way out while it was read. */
	assert_true(used(h, "cpu_used") > 0);
	assert_true(used(h, "cpu_used") <= group_cpu_us(id));
	do_it(h, "DELETE", "/instances/vm", NULL);
	check_whole(h);
	wispd_host_end(h);
}

/* Waits until so many findings are open. */
static void await_findings(struct wispd_host *h, unsigned wanted)
{
	for (int waited = 0;; waited += POLL_MS) {
		json_t *j = get(h, "/findings"), *finding;
		unsigned open = 0;
		size_t i;

		json_array_foreach(json_object_get(j, "findings"), i, finding) open +=
			json_integer_value(json_object_get(finding, "cleared_seq")) == 0;
		json_decref(j);
		if (open == wanted)
			return;
		if (waited > LIMIT_MS)
			fail_msg("%u findings are open, not %u", open, wanted);
		poll(NULL, 0, POLL_MS);
	}
}

/* A process where the books have none. */
static void test_unbilled(void **state)
{
	struct wispd_host *h = make_host(", \"reconcile_interval_ms\": 100");
	char id[64], path[128];
	pid_t pid;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	do_it(h, "POST", "/instances", RUN("hlt-loop", "vm"));
	do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
	id_of(h, "vm", id);
	snprintf(path, sizeof(path), "jails/wisp/%s/root", id);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chroot(wispd_host_path(h, path)) == 0)
			pause();
		_exit(1);
	}
	assert_true(pid > 0);
	await_findings(h, 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	await_findings(h, 0);
	check_whole(h);
	wispd_host_end(h);
}

/* --- proof, copies, receivers --- */

static void await_end(struct wispd_host *h, const char *file, const char *words)
{
	for (int waited = 0;; waited += POLL_MS) {
		static char text[1 << 18];
		FILE *f = fopen(file, "re");
		size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

		if (f)
			fclose(f);
		text[n] = '\0';
		if (strstr(text, words))
			return;
		if (waited > LIMIT_MS)
			fail_msg("no %s in %s: %s", words, file, wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void runbook(struct wispd_host *h, const char *name, const char *a, const char *b,
		    const char *option)
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0) {
		execl(fixture_program("wispctl"), "wispctl", "--socket", wispd_host_socket(h),
		      "runbook", option ? option : "--", name, a, b, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* As an operator does; said first, which changes nothing. */
static void restore_by_runbook(struct wispd_host *h, const char *copy)
{
	char config[256];
	struct stat before, after;

	snprintf(config, sizeof(config), "%s", wispd_host_path(h, "json"));
	assert_int_equal(stat(wispd_host_path(h, "state/wispd.db"), &before), 0);
	runbook(h, "restore-ledger", copy, config, "--dry-run");
	assert_int_equal(stat(wispd_host_path(h, "state/wispd.db"), &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mtime == after.st_mtime);
	runbook(h, "restore-ledger", copy, config, NULL);
	assert_int_equal(stat(wispd_host_path(h, "state/wispd.db"), &after), 0);
	assert_true(before.st_ino != after.st_ino);
}

/* Whether the ledger is as it was written, and the anchor is one of its. */
static bool is_whole(struct wispd_host *h, const char *anchor)
{
	json_t *j = NULL, *result;
	char body[320], path[96];
	bool whole;

	snprintf(body, sizeof(body), "{\"anchor\": \"%s\"}", anchor);
	assert_int_equal(wispd_host_call(h, "POST", "/ledger/verify", body, &j), 202);
	snprintf(path, sizeof(path), "/operations/%s?wait_ms=60000",
		 json_string_value(json_object_get(j, "operation")));
	json_decref(j);
	j = get(h, path);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "done");
	result = json_loads(json_string_value(json_object_get(j, "result")), 0, NULL);
	whole = json_is_true(json_object_get(result, "whole"));
	assert_true(json_integer_value(json_object_get(result, "checked")) > 0);
	json_decref(result);
	json_decref(j);
	return whole;
}

/* Of a ledger that goes on: a copy, an anchor, and events in a file. Then the copy in the
 * place of the database: the ledger is whole, but the later anchor is none of its. */
static void test_copies(void **state)
{
	char events[256], copy[256], path[640], anchor[256];
	struct wispd_host *h;
	json_t *j;

	(void)state;
	snprintf(events, sizeof(events), "%s", fixture_path("events"));
	snprintf(copy, sizeof(copy), "%s", fixture_path("copy"));
	snprintf(path, sizeof(path), ", \"events_file\": \"%s\"", events);
	h = make_host(path);
	snprintf(path, sizeof(path), "{\"path\": \"%s\"}", copy);
	do_it(h, "POST", "/ledger/backup", path);
	assert_string_equal(wispd_host_do(h, "POST", "/ledger/backup", path), "failed");
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/late", NULL, NULL), 200);
	j = get(h, "/ledger/anchor");
	snprintf(anchor, sizeof(anchor), "%s", json_string_value(json_object_get(j, "anchor")));
	json_decref(j);
	assert_true(is_whole(h, anchor));
	assert_non_null(strstr(wispd_host_expect(h, 0,
						 (const char *const[]){ "ledger", "verify",
									"--anchor", anchor, NULL }),
			       "events are as they were written"));
	await_end(h, events, "wisp.tenant.set");
	wispd_host_stop(h, SIGTERM);
	assert_int_equal(wispd_host_run(h, "--verify", copy), 0);
	restore_by_runbook(h, copy);
	assert_true(wispd_host_start(h, 0));
	runbook(h, "restored-ledger", NULL, NULL, NULL);
	check_whole(h);
	assert_false(is_whole(h, anchor));
	/* A signature that is not this host's. */
	anchor[strlen(anchor) - 1] = anchor[strlen(anchor) - 1] == '0' ? '1' : '0';
	snprintf(path, sizeof(path), "{\"anchor\": \"%s\"}", anchor);
	assert_int_equal(wispd_host_call(h, "POST", "/ledger/verify", path, NULL), 400);
	wispd_host_end(h);
}

/* --- bad days --- */

/* A file system of its own for what wispd keeps, and it is small. */
static void make_it_small(struct wispd_host *h)
{
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mkdir(wispd_host_path(h, "state"), 0711), 0);
	assert_int_equal(
		mount("none", wispd_host_path(h, "state"), "tmpfs", 0, "size=24m,mode=0711"), 0);
}

static void fill(const char *path)
{
	static const char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* The log may have some pages left that are its own. */
static void write_until_full(struct wispd_host *h)
{
	char path[32];
	int status = 200;

	for (int n = 0; status == 200; n++) {
		snprintf(path, sizeof(path), "/tenants/t%d", n);
		status = wispd_host_call(h, "PUT", path, NULL, NULL);
	}
	assert_int_equal(status, 507);
}

/* Nothing new begins, but what runs ends, and that is recorded and billed. */
static void test_full_disk(void **state)
{
	struct wispd_host *h = wispd_host_make(", \"cgroup\": \"" PARENT "\"");
	char filler[256], small[256];

	(void)state;
	snprintf(small, sizeof(small), "%s", wispd_host_path(h, "state"));
	make_it_small(h);
	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	wispd_host_add_image(h, "spin");
	do_it(h, "POST", "/instances", RUN("spin", "vm"));
	snprintf(filler, sizeof(filler), "%s", wispd_host_path(h, "state/filler"));
	fill(filler);
	write_until_full(h);
	assert_int_equal(wispd_host_call(h, "POST", "/instances", RUN("spin", "late"), NULL), 507);
	do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
	assert_true(used(h, "vcpu_time") > 0);
	assert_true(used(h, "cpu_used") > 0);
	assert_int_equal(wispd_host_call(h, "POST", "/instances/vm/start", NULL, NULL), 507);
	assert_int_equal(unlink(filler), 0);
	do_it(h, "POST", "/instances", RUN("spin", "late"));
	do_it(h, "DELETE", "/instances/late", NULL);
	do_it(h, "DELETE", "/instances/vm", NULL);
	check_whole(h);
	wispd_host_end(h);
	assert_int_equal(umount2(small, MNT_DETACH), 0);
}

/* --- a hand on the database --- */

static sqlite3 *lock_database(struct wispd_host *h)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(wispd_host_path(h, "state/wispd.db"), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, LIMIT_MS);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

static void await_state(struct wispd_host *h, const char *path, const char *state)
{
	for (int waited = 0;; waited += POLL_MS) {
		json_t *j = get(h, path);
		const bool there =
			strcmp(json_string_value(json_object_get(j, "state")), state) == 0;

		json_decref(j);
		if (there)
			return;
		if (waited > LIMIT_MS)
			fail_msg("%s is not %s: %s", path, state, wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

/* Another program holds the database locked, while a VMM ends and while wispd starts. What can
 * be read is told, the rest is refused; then it goes on, and the end is in the books. */
static void test_locked(void **state)
{
	struct wispd_host *h = make_host(OFTEN);
	sqlite3 *db;
	char id[64];

	(void)state;
	wispd_host_add_image(h, "spin");
	do_it(h, "POST", "/instances", RUN("spin", "vm"));
	id_of(h, "vm", id);
	db = lock_database(h);
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/late", NULL, NULL), 503);
	json_decref(get(h, "/ledger/head"));
	kill(wispd_host_jailer(h, id), SIGKILL);
	while (wispd_host_jailers(h, id) > 0)
		poll(NULL, 0, POLL_MS);
	await_state(h, "/instances/vm", "running");
	sqlite3_close(db);
	await_state(h, "/instances/vm", "failed");
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/late", NULL, NULL), 200);
	wispd_host_stop(h, SIGTERM);
	db = lock_database(h);
	assert_false(wispd_host_start(h, 0));
	sqlite3_close(db);
	assert_true(wispd_host_start(h, 0));
	do_it(h, "DELETE", "/instances/vm", NULL);
	check_whole(h);
	wispd_host_end(h);
}

static int64_t boot_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void step_clock(int64_t seconds)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &t), 0);
	t.tv_sec += seconds;
	assert_int_equal(clock_settime(CLOCK_REALTIME, &t), 0);
}

/* How many steps of about so many seconds are told of. */
static void await_step(struct wispd_host *h, int64_t seconds)
{
	bool found = false;

	for (int waited = 0; !found; waited += POLL_MS) {
		json_t *j = get(h, "/events?tail=200"), *e;
		size_t i;

		json_array_foreach(json_object_get(j, "events"), i, e)
		{
			int64_t ns = json_integer_value(
				json_object_get(json_object_get(e, "body"), "step_ns"));

			found = found || ns / 10000000000 == seconds / 10;
		}
		json_decref(j);
		if (waited > LIMIT_MS)
			fail_msg("no step is told: %s", wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

/* The wall clock of the host is set, forth and back: what is billed is how long it ran. */
static void test_clock_steps(void **state)
{
	struct wispd_host *h;
	int64_t began_us, most_us;

	(void)state;
	if (!getenv("WISP_TESTHOST")) {
		print_message("the clock of this host is not the test's\n");
		return skip();
	}
	h = make_host(OFTEN);
	wispd_host_add_image(h, "spin");
	began_us = boot_us();
	do_it(h, "POST", "/instances", RUN("spin", "vm"));
	step_clock(7225);
	await_step(h, 7225);
	step_clock(-7225);
	await_step(h, -7225);
	do_it(h, "POST", "/instances/vm/stop", KILL_STOP);
	most_us = boot_us() - began_us + 1000; /* rounded up once */
	assert_true(used(h, "vcpu_time") > 0);
	assert_true(used(h, "vcpu_time") <= most_us);
	do_it(h, "DELETE", "/instances/vm", NULL);
	check_whole(h);
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processor),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_unbilled),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_clock_steps),
		/* The last: it takes the process into a namespace of its own. */
		cmocka_unit_test(test_full_disk),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_meter needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (access("/sys/fs/cgroup/cpuacct", F_OK) < 0 &&
	    access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0) {
		fprintf(stderr, "test_wispd_meter needs control groups\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
