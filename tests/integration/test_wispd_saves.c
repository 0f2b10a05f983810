/* test_wispd_saves.c - instances saved while their guests run, and with their volumes.
 *
 * With tiny guests whatever may come between; with a real one, in the test host, that what was
 * saved of memory and of a volume is of one moment.
 */
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

#include "tests/integration/asks.h"
#include "tests/integration/fixture.h"

enum { SKIPPED = 77 };

/* One with a disk of its own, whose guest nearly never stands still. */
static void test_live(void **state)
{
	struct wispd_host *h = asks_host();
	char body[800];

	(void)state;
	snprintf(body, sizeof(body), "{\"name\": \"disk\", \"kernel\": \"%s\", \"rootfs\": \"%s\"}",
		 fixture_guest("hlt-loop"), fixture_disk("disk", "disk", 1 << 20));
	asks_done(h, "POST", "/images", body);
	asks_done(h, "POST", "/instances",
		  "{\"image\": \"disk\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	asks_done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\", \"live\": true}");
	assert_string_equal(asks_text(h, "/instances/vm", "state"), "running");
	assert_string_equal(asks_text(h, "/snapshots/shot", "state"), "ready");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	/* What stands still has nothing to go on with. */
	asks_done(h, "POST", "/instances/vm/pause", NULL);
	asks_status(h, "POST", "/instances/vm/snapshot", "{\"live\": true}", 409);
	asks_done(h, "POST", "/instances/vm/resume", NULL);
	/* The memory of a copy is a file's at first. */
	asks_done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}");
	asks_done(h, "POST", "/instances/again/snapshot", "{\"name\": \"second\", \"live\": true}");
	asks_done(h, "POST", "/snapshots/second/restore", "{\"name\": \"third\"}");
	asks_status(h, "POST", "/instances/vm/fork", "{\"name\": \"c\", \"live\": true}", 202);
	asks_await_state(h, "/instances/c-1", "running");
	asks_await_state(h, "/instances/vm", "running");
	asks_await_count(h, "/snapshots", "snapshots", 2);
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
	asks_status(h, "POST", "/instances/vm/snapshot", body, 202);
	assert_string_equal(asks_text(h, "/instances/vm", "state"), "saving_live");
	return vmm;
}

/* Whatever ends in the middle of it: wispd, the instance, the VMM. */
static void test_live_cut_off(void **state)
{
	struct wispd_host *h = asks_host();
	pid_t vmm;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	asks_done(
		h, "POST", "/instances",
		"{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	/* The VMM was asked twice then, and does both. */
	vmm = save_held(h, "{\"name\": \"shot\", \"live\": true}");
	asks_status(h, "POST", "/instances/vm/snapshot", NULL, 409);
	asks_status(h, "POST", "/instances/vm/stop", NULL, 409);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	assert_string_equal(asks_text(h, "/instances/vm", "state"), "saving_live");
	assert_int_equal(kill(vmm, SIGCONT), 0);
	asks_await_state(h, "/instances/vm", "running");
	assert_string_equal(asks_text(h, "/snapshots/shot", "state"), "ready");
	asks_done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}");
	/* It has ended before it was saved; how, the wispd that did not start it cannot see. */
	vmm = save_held(h, "{\"live\": true, \"name\": \"lost\"}");
	assert_int_equal(kill(vmm, SIGKILL), 0);
	asks_await_count(h, "/snapshots", "snapshots", 1);
	asks_await_state(h, "/instances/vm", "stopped");
	asks_done(h, "POST", "/instances/vm/start", NULL);
	/* It is deleted, and what was made of it then is not kept. */
	vmm = save_held(h, "{\"live\": true}");
	asks_status(h, "DELETE", "/instances/vm", NULL, 202);
	assert_int_equal(kill(vmm, SIGCONT), 0);
	asks_await_count(h, "/instances", "instances", 1);
	asks_await_count(h, "/snapshots", "snapshots", 1);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	assert_int_equal(wispd_host_jails(h), 1);
	wispd_host_end(h);
}

/* The file of a volume, behind wispd's back. */
static FILE *open_volume(struct wispd_host *h, const char *volume, const char *mode)
{
	char path[128], id[64];
	FILE *f;

	snprintf(path, sizeof(path), "/volumes/%s", volume);
	snprintf(id, sizeof(id), "state/volumes/%s", asks_text(h, path, "id"));
	f = fopen(wispd_host_path(h, id), mode);
	assert_non_null(f);
	return f;
}

static void write_word(struct wispd_host *h, const char *volume, const char *word)
{
	FILE *f = open_volume(h, volume, "r+e");

	assert_true(fputs(word, f) >= 0);
	fclose(f);
}

static void expect_word(struct wispd_host *h, const char *volume, const char *wanted)
{
	FILE *f = open_volume(h, volume, "re");
	char word[8] = "";

	assert_non_null(fgets(word, sizeof(word), f));
	fclose(f);
	assert_string_equal(word, wanted);
}

/* The copy of "data" that an instance has. */
static const char *copy_of(struct wispd_host *h, const char *instance)
{
	static char name[128];
	char path[64];

	snprintf(path, sizeof(path), "/instances/%s", instance);
	snprintf(name, sizeof(name), "data-%s", asks_text(h, path, "id"));
	return name;
}

static void test_volumes(void **state)
{
	struct wispd_host *h = asks_host();
	pid_t vmm;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	asks_done(h, "POST", "/volumes", "{\"name\": \"data\", \"size_mib\": 4}");
	asks_done(
		h, "POST", "/instances",
		"{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"volumes\": [\"data\"],"
		" \"start\": true}");
	write_word(h, "data", "before-");
	asks_done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\", \"live\": true}");
	assert_int_equal(asks_held(h, "disk_mib"), 4 + 33 + 4);
	write_word(h, "data", "behind-");
	asks_done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}");
	expect_word(h, copy_of(h, "again"), "before-");
	expect_word(h, "data", "behind-");
	asks_status(h, "POST", "/instances/vm/fork", "{\"name\": \"c\", \"count\": 2}", 202);
	asks_await_state(h, "/instances/c-1", "running");
	asks_await_state(h, "/instances/c-2", "running");
	asks_await_state(h, "/instances/vm", "running");
	expect_word(h, copy_of(h, "c-2"), "behind-");
	asks_await_count(h, "/snapshots", "snapshots", 1);
	assert_int_equal(wispd_host_files(h, "state/volumes"), 4);
	/* What is not made for anybody any more is not made. */
	vmm = find_vmm(h, "vm");
	assert_int_equal(kill(vmm, SIGSTOP), 0);
	asks_status(h, "POST", "/instances/vm/fork", "{\"name\": \"d\", \"live\": true}", 202);
	assert_int_equal(asks_count(h, "/volumes", "volumes"), 5);
	asks_done(h, "DELETE", "/instances/d-1", NULL);
	assert_int_equal(asks_count(h, "/volumes", "volumes"), 4);
	assert_int_equal(kill(vmm, SIGCONT), 0);
	asks_await_state(h, "/instances/vm", "running");
	asks_await_count(h, "/snapshots", "snapshots", 1);
	/* Its own: it outlives who has it, and what it is of. */
	asks_done(h, "DELETE", "/snapshots/shot", NULL);
	assert_int_equal(asks_held(h, "disk_mib"), 4 * 4);
	asks_status(h, "DELETE", "/volumes/data", NULL, 409);
	asks_done(h, "DELETE", "/instances/vm", NULL);
	asks_done(h, "DELETE", "/volumes/data", NULL);
	asks_done(h, "DELETE", "/instances/again", NULL);
	assert_int_equal(wispd_host_files(h, "state/volumes"), 3);
	assert_int_equal(asks_held(h, "disk_mib"), 3 * 4);
	wispd_host_end(h);
}

/* --- a real guest --- */

/* Writes without a rest, into memory and through the file system's cache. */
static const char writer[] =
	"mount -t ext4 /dev/vdb /mnt && echo first >/mnt/words && sync &&"
	" mkdir /base && mount -t ext4 -o ro /dev/vdc /base &&"
	" { while :; do date >/mnt/now; cp /mnt/now /tmp/now; done >/dev/null 2>&1 & echo $!"
	" >/tmp/writer; }";
static const char reader[] =
	"cat /mnt/words; test -d /base/lost+found && kill $(cat /tmp/writer) && umount /base &&"
	" until umount /mnt; do sleep 0.1; done 2>/dev/null; echo off";

/* Memory and volume are of one moment: what the guest had begun to write it could finish. */
static void check_file_system(struct wispd_host *h, const char *volume)
{
	char path[128], line[512], id[64];

	snprintf(path, sizeof(path), "/volumes/%s", volume);
	snprintf(id, sizeof(id), "state/volumes/%s", asks_text(h, path, "id"));
	snprintf(line, sizeof(line), "e2fsck -fn %s", wispd_host_path(h, id));
	if (system(line) != 0)
		fail_msg("%s is torn", volume);
}

static void test_linux(void **state)
{
	struct wispd_host *h = asks_host();

	(void)state;
	asks_add_box(h);
	asks_ctl(h, "volume", "create", "--size", "16", "--format", "ext4", "data");
	asks_ctl(h, "volume", "create", "--size", "8", "--format", "ext4", "base");
	asks_ctl(h, "run", "--detach", "--name", "vm", "--shape", "tiny", "--volume",
		 "data,base:ro", "box");
	asks_ctl(h, EXEC("vm", writer));
	asks_ctl(h, "snapshot", "create", "--live", "--name", "shot", "vm");
	asks_ctl(h, EXEC("vm", "echo second >/mnt/words; sync"));
	/* What it only reads is one thing for all. */
	assert_int_not_equal(
		wispd_host_ctl(h, NULL, (const char *const[]){ "restore", "shot", NULL }), 0);
	asks_ctl(h, "rm", "vm");
	asks_ctl(h, "restore", "--name", "again", "shot");
	asks_expect(asks_ctl(h, EXEC("again", reader)), "first\noff\n");
	asks_ctl(h, "stop", "--timeout", "0", "again");
	check_file_system(h, copy_of(h, "again"));
	asks_ctl(h, "rm", "again");
	asks_ctl(h, "snapshot", "rm", "shot");
	assert_int_equal(wispd_host_files(h, "state/volumes"), 3);
	asks_ctl(h, "doctor");
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest linux_tests[] = { cmocka_unit_test(test_linux) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_live_cut_off),
		cmocka_unit_test(test_volumes),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_saves needs /dev/kvm and root\n");
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
