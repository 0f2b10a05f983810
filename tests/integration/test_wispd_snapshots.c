/* test_wispd_snapshots.c - instances saved, restored and forked by wispd.
 *
 * With tiny guests what the books say and what is left; with real ones, in the test host,
 * that a copy goes on from where its original was, with a disk, a name and addresses of its
 * own, and that both go their own ways from there.
 */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_MS = 200000, POLL_MS = 20, FORKS = 3, DISK_MIB = 24 };

#define SHAPE	   "{\"vcpus\": 1, \"mem_mib\": 32}"
#define PRINCIPALS ", \"disk_reserve_mib\": 0, \"agent_timeout_ms\": 240000"

static void done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);

	if (strcmp(outcome, "done") != 0)
		fail_msg("%s %s: %s\n%s", verb, path, outcome, wispd_host_log(h));
}

static void status(struct wispd_host *h, const char *verb, const char *path, const char *body,
		   int expected)
{
	assert_int_equal(wispd_host_call(h, verb, path, body, NULL), expected);
}

/* A member of what a path tells. Static storage. */
static const char *text_of(struct wispd_host *h, const char *path, const char *member)
{
	static char text[256];
	json_t *j = NULL;
	const char *said;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	said = json_string_value(json_object_get(j, member));
	snprintf(text, sizeof(text), "%s", said ? said : "");
	json_decref(j);
	return text;
}

static size_t count(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	size_t n;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	n = json_array_size(json_object_get(j, member));
	json_decref(j);
	return n;
}

/* Files go a moment after what needed them. */
static void await_count(struct wispd_host *h, const char *path, const char *member, size_t wanted)
{
	for (int waited = 0; count(h, path, member) != wanted; waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("%s: %zu, not %zu\n%s", path, count(h, path, member), wanted,
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void await_state(struct wispd_host *h, const char *path, const char *wanted)
{
	for (int waited = 0; strcmp(text_of(h, path, "state"), wanted) != 0; waited += POLL_MS) {
		if (waited > LIMIT_MS || strcmp(text_of(h, path, "state"), "failed") == 0)
			fail_msg("%s is %s: %s\n%s", path, text_of(h, path, "state"),
				 text_of(h, path, "cause"), wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static json_int_t held(struct wispd_host *h, const char *resource)
{
	json_t *j = NULL, *quota;
	json_int_t used;

	assert_int_equal(wispd_host_call(h, "GET", "/tenants", NULL, &j), 200);
	quota = json_object_get(json_array_get(json_object_get(j, "tenants"), 0), "quota");
	used = json_integer_value(json_object_get(json_object_get(quota, resource), "used"));
	json_decref(j);
	return used;
}

static struct wispd_host *make_host(void)
{
	struct wispd_host *h = wispd_host_make(PRINCIPALS);

	assert_true(wispd_host_start(h, 0));
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", SHAPE, NULL), 200);
	return h;
}

/* --- tiny guests --- */

static void test_books(void **state)
{
	struct wispd_host *h = make_host();

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	done(h, "POST", "/instances",
	     "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\"}");
	status(h, "POST", "/instances/vm/snapshot", NULL, 409);
	done(h, "POST", "/instances/vm/start", NULL);
	done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}");
	await_state(h, "/instances/vm", "running");
	assert_string_equal(text_of(h, "/snapshots/shot", "state"), "ready");
	assert_int_equal(held(h, "disk_mib"), 33);
	status(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 409);
	status(h, "DELETE", "/images/hlt-loop", NULL, 409);
	/* A paused one stays so. */
	done(h, "POST", "/instances/vm/pause", NULL);
	done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"still\"}");
	await_state(h, "/instances/vm", "paused");
	/* Back to where it was, once it does not run. */
	status(h, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 409);
	done(h, "POST", "/instances/vm/stop", "{\"timeout_ms\": 0}");
	done(h, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}");
	status(h, "DELETE", "/snapshots/shot", NULL, 409);
	done(h, "POST", "/instances/vm/start", NULL);
	done(h, "POST", "/instances/vm/stop", "{\"timeout_ms\": 0}");
	done(h, "POST", "/instances/vm/rebuild", NULL);
	done(h, "POST", "/instances/vm/start", NULL);
	/* The original is not needed, nor what runs the snapshot. */
	done(h, "DELETE", "/instances/vm", NULL);
	done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\", \"remove\": true}");
	assert_string_equal(text_of(h, "/instances/again", "state"), "running");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 2);
	done(h, "DELETE", "/snapshots/shot", NULL);
	done(h, "DELETE", "/snapshots/still", NULL);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_string_equal(text_of(h, "/instances/again", "state"), "running");
	status(h, "POST", "/snapshots/shot/restore", NULL, 404);
	/* From now on it boots. */
	done(h, "POST", "/instances/again/reboot", "{\"timeout_ms\": 0}");
	assert_int_equal(wispd_host_jails(h), 1);
	done(h, "DELETE", "/instances/again", NULL);
	assert_int_equal(held(h, "disk_mib"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
}

static void test_forks(void **state)
{
	struct wispd_host *h = make_host();
	char path[64];

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	done(h, "POST", "/instances",
	     "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	status(h, "POST", "/instances/vm/fork", "{\"count\": 65}", 400);
	status(h, "POST", "/instances/vm/fork", "{\"count\": 3, \"name\": \"c\"}", 202);
	for (unsigned n = 1; n <= FORKS; n++) {
		snprintf(path, sizeof(path), "/instances/c-%u", n);
		await_state(h, path, "running");
	}
	await_state(h, "/instances/vm", "running");
	/* What was made for them has gone with its last use. */
	await_count(h, "/snapshots", "snapshots", 0);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), FORKS + 1);
	assert_int_equal(held(h, "disk_mib"), 0);
	/* Those that are deleted before they begin let it go, too. */
	done(h, "POST", "/instances/vm/pause", NULL);
	status(h, "POST", "/instances/vm/fork", "{\"count\": 1, \"name\": \"d\"}", 202);
	done(h, "DELETE", "/instances/d-1", NULL);
	await_count(h, "/snapshots", "snapshots", 0);
	await_state(h, "/instances/vm", "paused");
	wispd_host_end(h);
}

/* One with a disk of its own, whose guest nearly never stands still. */
static void test_live(void **state)
{
	struct wispd_host *h = make_host();
	char body[800];

	(void)state;
	snprintf(body, sizeof(body), "{\"name\": \"disk\", \"kernel\": \"%s\", \"rootfs\": \"%s\"}",
		 fixture_guest("hlt-loop"), fixture_disk("disk", "disk", 1 << 20));
	done(h, "POST", "/images", body);
	done(h, "POST", "/instances",
	     "{\"image\": \"disk\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\", \"live\": true}");
	assert_string_equal(text_of(h, "/instances/vm", "state"), "running");
	assert_string_equal(text_of(h, "/snapshots/shot", "state"), "ready");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	/* What stands still has nothing to go on with. */
	done(h, "POST", "/instances/vm/pause", NULL);
	status(h, "POST", "/instances/vm/snapshot", "{\"live\": true}", 409);
	done(h, "POST", "/instances/vm/resume", NULL);
	/* The memory of a copy is a file's at first. */
	done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}");
	done(h, "POST", "/instances/again/snapshot", "{\"name\": \"second\", \"live\": true}");
	done(h, "POST", "/snapshots/second/restore", "{\"name\": \"third\"}");
	status(h, "POST", "/instances/vm/fork", "{\"name\": \"c\", \"live\": true}", 202);
	await_state(h, "/instances/c-1", "running");
	await_state(h, "/instances/vm", "running");
	await_count(h, "/snapshots", "snapshots", 2);
	wispd_host_end(h);
}

/* The VMM of the instance, which its jailer has begun. */
static pid_t find_vmm(struct wispd_host *h, const char *name)
{
	pid_t jailer = wispd_host_jailer(h, name), vmm = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)jailer, (int)jailer);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &vmm), 1);
	fclose(f);
	return vmm;
}

/* A live snapshot that its VMM, which is held, does not make. */
static pid_t save_held(struct wispd_host *h, const char *body)
{
	pid_t vmm = find_vmm(h, "vm");

	assert_int_equal(kill(vmm, SIGSTOP), 0);
	status(h, "POST", "/instances/vm/snapshot", body, 202);
	assert_string_equal(text_of(h, "/instances/vm", "state"), "saving_live");
	return vmm;
}

/* Whatever ends in the middle of it: wispd, the instance, the VMM. */
static void test_live_cut_off(void **state)
{
	struct wispd_host *h = make_host();
	pid_t vmm;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	done(h, "POST", "/instances",
	     "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	/* The VMM was asked twice then, and does both. */
	vmm = save_held(h, "{\"name\": \"shot\", \"live\": true}");
	status(h, "POST", "/instances/vm/snapshot", NULL, 409);
	status(h, "POST", "/instances/vm/stop", NULL, 409);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	assert_string_equal(text_of(h, "/instances/vm", "state"), "saving_live");
	assert_int_equal(kill(vmm, SIGCONT), 0);
	await_state(h, "/instances/vm", "running");
	assert_string_equal(text_of(h, "/snapshots/shot", "state"), "ready");
	done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}");
	/* It has ended before it was saved; how, the wispd that did not start it cannot see. */
	vmm = save_held(h, "{\"live\": true, \"name\": \"lost\"}");
	assert_int_equal(kill(vmm, SIGKILL), 0);
	await_count(h, "/snapshots", "snapshots", 1);
	assert_string_equal(text_of(h, "/instances/vm", "state"), "stopped");
	done(h, "POST", "/instances/vm/start", NULL);
	/* It is deleted, and what was made of it then is not kept. */
	vmm = save_held(h, "{\"live\": true}");
	status(h, "DELETE", "/instances/vm", NULL, 202);
	assert_int_equal(kill(vmm, SIGCONT), 0);
	await_count(h, "/instances", "instances", 1);
	await_count(h, "/snapshots", "snapshots", 1);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	assert_int_equal(wispd_host_jails(h), 1);
	wispd_host_end(h);
}

/* --- real guests --- */

#define EXEC(name, line) "exec", name, "--", "sh", "-c", line

#define ctl(h, ...) ctl_words(h, (const char *const[]){ __VA_ARGS__, NULL })

/* What wispctl says with these words, which must succeed. */
static const char *ctl_words(struct wispd_host *h, const char *const words[])
{
	const char *output;
	int exit_status = wispd_host_ctl(h, &output, words);

	if (exit_status != 0)
		fail_msg("%s %s: status %d:\n%s\n%s", words[0], words[1], exit_status, output,
			 wispd_host_log(h));
	return output;
}

static void expect(const char *said, const char *wanted)
{
	if (strcmp(said, wanted) != 0)
		fail_msg("\"%s\", not \"%s\"", said, wanted);
}

static void expect_in(const char *said, const char *words)
{
	if (!strstr(said, words))
		fail_msg("no \"%s\" in:\n%s", words, said);
}

/* A disk with a small system on it, which wispd's agent lives in. */
static void add_image(struct wispd_host *h)
{
	char line[1200], disk[300];

	snprintf(disk, sizeof(disk), "%s/disk", fixture_dir());
	snprintf(line, sizeof(line),
		 "mkdir -p %s/tree && cd %s/tree && cpio -id --quiet <%s && mkdir -p mnt root"
		 " && truncate -s 24M %s && mkfs.ext4 -q -F -d . %s",
		 fixture_dir(), fixture_dir(), fixture_image("initramfs.cpio"), disk, disk);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
	ctl(h, "image", "add", "--agent", "--kernel", fixture_image("vmlinux-minimal"), "--rootfs",
	    disk, "--cmdline", "console=ttyS0 reboot=k panic=-1 quiet", "box");
}

/* In memory and on the disk: what it was when it was saved, whatever the other did since. */
static void write_words(struct wispd_host *h, const char *name, const char *words)
{
	char line[200];

	snprintf(line, sizeof(line), "echo %s >/tmp/memory; echo %s >/root/disk; sync", words,
		 words);
	ctl(h, EXEC(name, line));
}

static void check_words(struct wispd_host *h, const char *name, const char *words)
{
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "%s\n%s\n%s\n", words, words, name);
	expect(ctl(h, EXEC(name, "cat /tmp/memory /root/disk; hostname")), wanted);
}

/* Its own address, with which it is heard: packets from any other are dropped. */
static void check_address(struct wispd_host *h, const char *name, const char *address)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "inet %s/24\n", address);
	expect(ctl(h, EXEC(name, "ip -4 -o address show dev eth0 | grep -o 'inet [0-9./]*'")),
	       wanted);
	ctl(h, EXEC(name, "ping -c 1 -W 30 10.63.0.1 >/dev/null"));
}

/* Killed while a copy runs and another is being made: both are there afterwards. */
static void fork_across_a_crash(struct wispd_host *h)
{
	status(h, "POST", "/instances/vm/fork", "{\"count\": 2, \"name\": \"c\", \"live\": true}",
	       202);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_state(h, "/instances/c-1", "running");
	await_state(h, "/instances/c-2", "running");
	await_state(h, "/instances/vm", "running");
	check_words(h, "c-1", "second");
	check_words(h, "c-2", "second");
	await_count(h, "/snapshots", "snapshots", 1);
}

/* Back to the snapshot in place, then a fresh disk; under another name. */
static void change(struct wispd_host *h)
{
	ctl(h, "stop", "--timeout", "0", "vm");
	ctl(h, "rollback", "vm", "shot");
	ctl(h, "start", "vm");
	check_words(h, "vm", "first");
	check_address(h, "vm", "10.63.0.2");
	ctl(h, "stop", "--timeout", "0", "vm");
	ctl(h, "rebuild", "vm");
	ctl(h, "rename", "vm", "other");
	ctl(h, "label", "other", "a=b", "c=d");
	ctl(h, "label", "other", "a-");
	ctl(h, "resize", "other", "medium");
	expect_in(ctl(h, "inspect", "other"), "\"vcpus\": 2");
	ctl(h, "resize", "other", "tiny");
	ctl(h, "start", "other");
	expect(ctl(h, EXEC("other", "test -e /root/disk || echo fresh; hostname")),
	       "fresh\nother\n");
	/* Its new disk is as large as the old one was, and it knows. */
	ctl(h, EXEC("other", "[ $(stat -f -c %b /) -gt 30000 ]"));
	expect_in(ctl(h, "inspect", "other"), "\"c\": \"d\"");
	ctl(h, "rename", "other", "vm");
}

static json_int_t size_of(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	json_int_t mib;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	mib = json_integer_value(json_object_get(j, member));
	json_decref(j);
	return mib;
}

static const char fewer[] =
	"[ $(sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo) -lt 96000 ] && echo fewer";
static const char larger[] =
	"[ $(stat -f -c %b /) -gt 30000 ] && dd if=/dev/zero of=/root/big bs=1M count=26 2>/dev/null"
	" && rm /root/big && echo larger";

/* Memory goes and comes back, the disk grows under the file system. More than its RAM this
 * kernel cannot use: it has no driver for it. */
static void resize(struct wispd_host *h)
{
	ctl(h, "resize", "--memory", "96", "vm");
	assert_int_equal(size_of(h, "/instances/vm", "mem_mib"), 96);
	assert_int_equal(held(h, "memory_mib"), 96);
	assert_int_not_equal(
		wispd_host_ctl(h, NULL,
			       (const char *const[]){ "resize", "--memory", "160", "vm", NULL }),
		0);
	assert_int_equal(held(h, "memory_mib"), 96);
	expect(ctl(h, EXEC("vm", fewer)), "fewer\n");
	ctl(h, "resize", "--memory", "128", "vm");
	assert_int_equal(held(h, "memory_mib"), 128);
	ctl(h, "resize", "--disk", "40", "vm");
	assert_int_equal(held(h, "disk_mib"), 40 - DISK_MIB);
	expect(ctl(h, EXEC("vm", larger)), "larger\n");
}

static void test_linux(void **state)
{
	struct wispd_host *h;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	h = make_host();
	add_image(h);
	ctl(h, "net", "create", "net", "--prefix4", "10.63.0.0/24");
	ctl(h, "shape", "set", "elastic", "1", "128", "192");
	ctl(h, "run", "--detach", "--name", "vm", "--shape", "elastic", "--net", "net", "box");
	resize(h);
	write_words(h, "vm", "first");
	expect(ctl(h, "snapshot", "create", "--name", "shot", "vm"), "shot\n");
	write_words(h, "vm", "second");
	expect(ctl(h, "restore", "--name", "again", "shot"), "again\n");
	ctl(h, "resize", "--memory", "120", "again");
	check_words(h, "again", "first");
	check_words(h, "vm", "second");
	check_address(h, "again", "10.63.0.3");
	check_address(h, "vm", "10.63.0.2");
	fork_across_a_crash(h);
	/* What it wrote stays on its disk; what it had in memory does not. */
	ctl(h, "reboot", "again");
	expect(ctl(h, EXEC("again", "cat /root/disk; test -e /tmp/memory || echo gone")),
	       "first\ngone\n");
	change(h);
	ctl(h, "rm", "vm", "c-1", "c-2");
	ctl(h, "rm", "--wipe", "again");
	expect_in(ctl(h, "events", "--tail", "9"), "disk of instance");
	ctl(h, "snapshot", "rm", "shot");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	ctl(h, "doctor");
	wispd_host_end(h);
}

/* For the first argument: a case by its name. */
int main(int argc, char *argv[])
{
	const struct CMUnitTest linux_tests[] = { cmocka_unit_test(test_linux) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_live_cut_off),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_snapshots needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1 && strcmp(argv[1], "test_linux") == 0) {
		if (getenv("WISP_TESTHOST") && fixture_image("vmlinux-minimal"))
			return cmocka_run_group_tests(linux_tests, NULL, NULL);
		fprintf(stderr, "test_linux needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
