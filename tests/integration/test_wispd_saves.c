/* test_wispd_saves.c - instances saved while their guests run, whatever may come between. */
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
	assert_string_equal(asks_text(h, "/instances/vm", "state"), "stopped");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_live_cut_off),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_saves needs /dev/kvm and root\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
