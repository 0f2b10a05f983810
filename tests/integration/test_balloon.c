/* test_balloon.c - a real guest's memory, lent to the host and taken back; and memory
 * that it is given while it runs.
 *
 * What the guest frees shows up in two places: in its own /proc/meminfo, and in the
 * resident memory of wisp's process, nearly all of which is guest RAM. Runs where
 * test_boot runs.
 *
 *   test_balloon [CASE]    only the named case
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "tests/integration/session.h"
#include "vmm/base/clock.h"

enum {
	LIMIT_S = 240,
	SKIPPED = 77,
	RETRY_US = 50000,
	SCRIPT_BYTES = 4096,
	/* Little of everything: each page of it costs, where memory is emulated. */
	RAM_MIB = 160,
	ROOMY_MIB = 256, /* where what is free must lie together */
	FILE_MIB = 64,	 /* what the guest writes and removes */
	BALLOON_MIB = 100,
	LEAST_MIB = 20, /* of that, what wisp must lose at least */
};

/* The guest's script: helpers, and memory that is in use. Lines are 64 bytes long,
 * so that the file ends with a whole one. */
#define SCRIPT                                                                       \
	"free() { sed -n 's/MemFree: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; }\n"     \
	"fill() { yes $1 | dd of=/f bs=1M count=64 iflag=fullblock 2>/dev/null; }\n" \
	"one=$(printf %063d 1) two=$(printf %063d 2)\n"                              \
	"fill $one\n"

/* Fills it with something else, which must be all that is there. */
#define USE_AGAIN "fill $two; [ \"$(uniq /f)\" = $two ] && echo contents-right\nexit\n"

struct guest {
	struct session *wisp;
	const char *socket;
};

/* The guest reads its script from its disk: a kernel takes few words for init. */
static struct guest boot_with(unsigned mem_mib, const char *kernel, const char *initrd,
			      const char *script, const char *balloon)
{
	struct fixture_config c = {
		.kernel = fixture_need_image(kernel),
		.initrd = fixture_need_image(initrd),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.disk = fixture_disk("script", script, SCRIPT_BYTES),
		.disk_not_root = true,
		.disk_read_only = true,
		.mem_mib = mem_mib,
		.extra = balloon,
	};
	struct guest g = { .socket = fixture_path("balloon.sock") };
	const char *const argv[] = {
		fixture_program("wisp"),
		"--api-sock",
		g.socket,
		"--config-file",
		fixture_config("balloon.json", &c),
		"--debug-exit-port",
		"0xf4",
		NULL,
	};

	g.wisp = session_start(argv);
	return g;
}

static struct guest boot(const char *kernel, const char *initrd, const char *script,
			 const char *balloon)
{
	return boot_with(RAM_MIB, kernel, initrd, script, balloon);
}

static void expect_end(struct guest *g)
{
	int got = session_wait(g->wisp, LIMIT_S);

	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(g->wisp));
	session_end(g->wisp);
}

static void set_target(const struct guest *g, unsigned mib)
{
	struct api_reply reply;
	char body[64];

	snprintf(body, sizeof(body), "{\"amount_mib\": %u}", mib);
	api_call(g->socket, "PATCH", "/balloon", body, &reply);
	assert_int_equal(reply.status, 204);
}

/* One of the balloon's statistics; -1: not told yet. */
static long long statistic(const struct guest *g, const char *name)
{
	struct api_reply reply;
	char key[64];
	const char *at;

	api_call(g->socket, "GET", "/balloon/statistics", NULL, &reply);
	assert_int_equal(reply.status, 200);
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(reply.body, key);
	return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

static void wait_for_statistic(const struct guest *g, const char *name, long long least,
			       long long most)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;
	long long value;

	while (value = statistic(g, name), value < least || value > most) {
		if (clock_now_us() > deadline_us)
			fail_msg("%s is %lld, not %lld to %lld", name, value, least, most);
		usleep(RETRY_US);
	}
}

/* Resident memory of wisp, in MiB. */
static long resident_mib(const struct guest *g)
{
	char path[64], line[256];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)session_pid(g->wisp));
	f = fopen(path, "re");
	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %ld kB", &kib) != 1)
			kib = -1;
	}
	fclose(f);
	assert_true(kib > 0);
	return kib / 1024;
}

static void wait_for_resident(const struct guest *g, long most_mib)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;

	while (resident_mib(g) > most_mib) {
		if (clock_now_us() > deadline_us)
			fail_msg("%ld MiB are resident, more than %ld", resident_mib(g), most_mib);
		usleep(RETRY_US);
	}
}

/* Up, down, and the memory is as good as before. */
static void test_inflate_deflate(void **state)
{
	struct guest g = boot("vmlinux-minimal", "initramfs.cpio",
			      SCRIPT "rm /f; echo armed\n"
				     "while [ $(free) -gt 50000 ]; do sleep 0.1; done\n"
				     "echo inflated\n"
				     "while [ $(free) -lt 110000 ]; do sleep 0.1; done\n"
				     "echo deflated\n" USE_AGAIN,
			      ", \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true, "
			      "\"stats_polling_interval_s\": 1}");
	const long long mib = 1024 * 1024;
	long full_mib;
	int events;

	(void)state;
	session_expect(g.wisp, "armed", LIMIT_S);
	events = api_listen(g.socket);
	wait_for_statistic(&g, "total_memory", 120 * mib, RAM_MIB * mib);
	wait_for_statistic(&g, "free_memory", 100 * mib, RAM_MIB * mib);
	full_mib = resident_mib(&g);
	assert_true(full_mib > FILE_MIB);
	set_target(&g, BALLOON_MIB);
	session_expect(g.wisp, "inflated", LIMIT_S);
	api_await_event(events, "balloon", "\"actual_mib\":100,", LIMIT_S);
	wait_for_statistic(&g, "actual_mib", BALLOON_MIB, BALLOON_MIB);
	wait_for_statistic(&g, "free_memory", 0, 50 * mib);
	wait_for_resident(&g, full_mib - LEAST_MIB);
	set_target(&g, 0);
	session_expect(g.wisp, "deflated", LIMIT_S);
	api_await_event(events, "balloon", "{\"target_mib\":0,\"actual_mib\":0,", LIMIT_S);
	close(events);
	wait_for_statistic(&g, "actual_mib", 0, 0);
	session_expect(g.wisp, "contents-right", LIMIT_S);
	expect_end(&g);
}

/* The guest tells by itself, wherever its kernel has the queue for it. */
static void report_free_pages(const char *kernel, const char *initrd, const char *options)
{
	char balloon[160];
	struct guest g;
	long full_mib;

	snprintf(balloon, sizeof(balloon),
		 ", \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": false, "
		 "\"free_page_reporting\": true%s}",
		 options);
	g = boot_with(ROOMY_MIB, kernel, initrd,
		      SCRIPT "echo filled; read word </dev/console; rm /f\n"
			     "read word </dev/console\n" USE_AGAIN,
		      balloon);
	session_expect(g.wisp, "filled", LIMIT_S);
	full_mib = resident_mib(&g);
	session_send(g.wisp, "remove\n");
	wait_for_resident(&g, full_mib - FILE_MIB * 3 / 4);
	session_send(g.wisp, "go on\n");
	session_expect(g.wisp, "contents-right", LIMIT_S);
	expect_end(&g);
}

static void test_reporting(void **state)
{
	(void)state;
	report_free_pages("vmlinux-minimal", "initramfs.cpio", "");
	report_free_pages("vmlinux-minimal", "initramfs.cpio", ", \"stats_polling_interval_s\": 1");
}

static void test_reporting_6_12(void **state)
{
	(void)state;
	report_free_pages("vmlinuz-6.12", "initrd-6.12", "");
}

static void wait_for_hints(const struct guest *g)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;
	struct api_reply reply;

	for (;;) {
		api_call(g->socket, "GET", "/balloon/hinting/status", NULL, &reply);
		assert_int_equal(reply.status, 200);
		if (strstr(reply.body, "{\"host_cmd\":1,\"guest_cmd\":0}"))
			return;
		if (clock_now_us() > deadline_us)
			fail_msg("the run does not end: %s", reply.body);
		usleep(RETRY_US);
	}
}

/* The guest tells when it is asked, once. */
static void test_hinting(void **state)
{
	struct guest g = boot("vmlinux-minimal", "initramfs.cpio",
			      SCRIPT "echo filled; read word </dev/console; rm /f; echo removed\n"
				     "read word </dev/console\n" USE_AGAIN,
			      ", \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": false, "
			      "\"free_page_hinting\": true}");
	struct api_reply reply;
	long full_mib;

	(void)state;
	session_expect(g.wisp, "filled", LIMIT_S);
	full_mib = resident_mib(&g);
	session_send(g.wisp, "remove\n");
	session_expect(g.wisp, "removed", LIMIT_S);
	api_call(g.socket, "PATCH", "/balloon/hinting/start", "{\"acknowledge_on_stop\": true}",
		 &reply);
	assert_int_equal(reply.status, 204);
	wait_for_hints(&g);
	wait_for_resident(&g, full_mib - FILE_MIB * 3 / 4);
	session_send(g.wisp, "go on\n");
	session_expect(g.wisp, "contents-right", LIMIT_S);
	expect_end(&g);
}

/* A guest that runs out of memory takes back what it lent before it kills anything. */
static void test_deflate_on_oom(void **state)
{
	struct guest g = boot("vmlinux-minimal", "initramfs.cpio",
			      SCRIPT "rm /f; echo armed\n"
				     "while [ $(free) -gt 50000 ]; do sleep 0.1; done\n"
				     "echo inflated\n" USE_AGAIN,
			      ", \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true, "
			      "\"stats_polling_interval_s\": 1}");

	(void)state;
	session_expect(g.wisp, "armed", LIMIT_S);
	set_target(&g, BALLOON_MIB);
	session_expect(g.wisp, "inflated", LIMIT_S);
	session_expect(g.wisp, "contents-right", LIMIT_S);
	expect_end(&g);
}

static void hotplug_mib(const struct guest *g, unsigned mib)
{
	struct api_reply reply;
	char body[64];

	snprintf(body, sizeof(body), "{\"requested_size_mib\": %u}", mib);
	api_call(g->socket, "PATCH", "/hotplug/memory", body, &reply);
	if (reply.status != 204)
		fail_msg("PATCH /hotplug/memory: %d %s", reply.status, reply.body);
}

static void wait_for_plugged(const struct guest *g, unsigned mib)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;
	struct api_reply reply;
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "\"plugged_size_mib\":%u,", mib);
	for (;;) {
		api_call(g->socket, "GET", "/hotplug/memory", NULL, &reply);
		assert_int_equal(reply.status, 200);
		if (strstr(reply.body, wanted))
			return;
		if (clock_now_us() > deadline_us)
			fail_msg("not %s: %s", wanted, reply.body);
		usleep(RETRY_US);
	}
}

/* In another process, from a snapshot. */
static void go_on_from_files(struct guest *g)
{
	struct machine m = { .wisp = g->wisp };

	snprintf(m.socket, sizeof(m.socket), "%s", g->socket);
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	m = saved_start("balloon.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	g->wisp = m.wisp;
	g->socket = fixture_path("balloon.sock");
}

/* More than the guest's memory comes and goes, of four times as much that it may have: the guest uses more than it had, and what
 * it gave back is the host's again. Between, the guest may be saved, and goes on with all of it. */
static void plug_and_unplug(const char *kernel, const char *initrd, bool saved)
{
	enum { PLUGGED_MIB = 256, MORE_MIB = 384, FILLED_MIB = 200 };
	struct guest g = boot(kernel, initrd,
			      "total() { sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' "
			      "/proc/meminfo; }\n"
			      "echo online_movable >/sys/devices/system/memory/auto_online_blocks\n"
			      "before=$(total); echo armed\n"
			      "while [ $(total) -lt $((before + 250000)) ]; do sleep 0.1; done\n"
			      "mkdir /m; mount -t tmpfs -o size=300m tmp /m\n"
			      "one=$(printf %063d 1)\n"
			      "yes $one | dd of=/m/f bs=1M count=200 iflag=fullblock 2>/dev/null\n"
			      "seq 1000000 1300000 >/m/s; md5sum /m/s >/m/sum\n"
			      "[ \"$(uniq /m/f)\" = $one ] && echo filled\n"
			      "read word </dev/console\n"
			      "[ \"$(uniq /m/f)\" = $one ] && md5sum -c /m/sum && echo went-on\n"
			      "read word </dev/console; umount /m\n"
			      "while [ $(total) -gt $before ]; do sleep 0.1; done\n"
			      "echo shrunk; read word </dev/console; exit\n",
			      ", \"memory-hotplug\": {\"total_size_mib\": 640}");
	long full_mib;
	int events;

	session_expect(g.wisp, "armed", LIMIT_S);
	events = api_listen(g.socket);
	hotplug_mib(&g, PLUGGED_MIB);
	session_expect(g.wisp, "filled", LIMIT_S);
	api_await_event(events, "memory", "{\"requested_size_mib\":256,\"plugged_size_mib\":256,",
			LIMIT_S);
	wait_for_plugged(&g, PLUGGED_MIB);
	full_mib = resident_mib(&g);
	assert_true(full_mib > FILLED_MIB);
	close(events);
	if (saved)
		go_on_from_files(&g);
	wait_for_plugged(&g, PLUGGED_MIB);
	session_send(g.wisp, "look\n");
	session_expect(g.wisp, "went-on", LIMIT_S);
	hotplug_mib(&g, MORE_MIB);
	wait_for_plugged(&g, MORE_MIB);
	events = api_listen(g.socket);
	hotplug_mib(&g, 0);
	session_send(g.wisp, "shrink\n");
	session_expect(g.wisp, "shrunk", LIMIT_S);
	api_await_event(events, "memory", "\"plugged_size_mib\":0,", LIMIT_S);
	close(events);
	wait_for_plugged(&g, 0);
	wait_for_resident(&g, full_mib - FILLED_MIB / 2);
	session_send(g.wisp, "end\n");
	expect_end(&g);
}

static void test_hotplug(void **state)
{
	(void)state;
	plug_and_unplug("vmlinuz-cloud", "initrd-cloud", false);
}

static void test_hotplug_6_12(void **state)
{
	(void)state;
	plug_and_unplug("vmlinuz-6.12", "initrd-6.12", true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inflate_deflate), cmocka_unit_test(test_reporting),
		cmocka_unit_test(test_reporting_6_12),	cmocka_unit_test(test_hinting),
		cmocka_unit_test(test_deflate_on_oom),	cmocka_unit_test(test_hotplug),
		cmocka_unit_test(test_hotplug_6_12),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
