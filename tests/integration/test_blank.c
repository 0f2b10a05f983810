/* test_blank.c - processes that wait for their snapshot (wisp --blank), and what becomes
 * of them: the tiny guest serial-echo on this machine's KVM, a real guest in the test host.
 *
 *   test_blank [CASE]    only the named case
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/agent_kit.h"
#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { GENERATIONS = 4, MIB = 1024 * 1024 };

#define RESUME	   ", \"resume_vm\": true"
#define ANEW	   "the blank machine does not fit"
#define TINY_SHAPE "--blank", "--blank-vcpus", "2", "--blank-mem-mib", "64"

static struct machine start_blank(void)
{
	return saved_start_with("blank.sock", (const char *const[]){ TINY_SHAPE, NULL });
}

static void expect_anew(const struct machine *m, bool anew)
{
	bool said = strstr(session_output(m->wisp), ANEW);

	if (said != anew)
		fail_msg("the blank machine was %s:\n%s", said ? "not used" : "used",
			 session_output(m->wisp));
}

static void save_and_kill(struct machine *m)
{
	saved_pause(m);
	saved_create(m, "state", "memory", "Full");
	saved_kill(m);
}

/* state and memory of a tiny guest that has said something. */
static void make_snapshot(const char *extra, const char *option)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(extra), option);

	saved_say(&m, "first");
	save_and_kill(&m);
}

/* Every device that can be saved and needs nothing of the host. */
static const char *all_devices(void)
{
	static char extra[2048];

	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true},"
		 " \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"console\": {\"uds_path\": \"%s\"},"
		 " \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}],"
		 " \"pmem\": [{\"id\": \"p\", \"path_on_host\": \"%s\"}]",
		 fixture_path("v.sock"), fixture_path("c.sock"), fixture_disk("tiny-disk", "", MIB),
		 fixture_disk("tiny-pmem", "", 2 * MIB));
	return extra;
}

static void go_on(const char *option)
{
	make_snapshot(all_devices(), option);
	for (int i = 0; i < GENERATIONS; i++) {
		struct machine m = start_blank();
		char word[32];

		snprintf(word, sizeof(word), "generation-%d", i);
		saved_load(&m, "state", "memory", RESUME);
		saved_say(&m, word);
		expect_anew(&m, false);
		saved_pause(&m);
		saved_resume(&m);
		saved_say(&m, "resumed");
		if (i == GENERATIONS - 1)
			saved_quit(&m);
		else
			save_and_kill(&m);
	}
}

static void test_load(void **state)
{
	(void)state;
	go_on(NULL);
}

/* What the devices sit on is no part of a blank's shape. */
static void test_load_pci(void **state)
{
	(void)state;
	go_on("--enable-pci");
}

static void test_paused(void **state)
{
	struct machine m;
	struct api_reply reply;

	(void)state;
	make_snapshot(NULL, NULL);
	m = start_blank();
	api_call(m.socket, "GET", "/", NULL, &reply);
	assert_non_null(strstr(reply.body, "Not started"));
	saved_load(&m, "state", "memory", "");
	api_call(m.socket, "GET", "/", NULL, &reply);
	assert_non_null(strstr(reply.body, "Paused"));
	saved_resume(&m);
	saved_say(&m, "two");
	saved_quit(&m);
}

/* A wrong guess costs time, nothing else. */
static void test_other_shape(void **state)
{
	static const char *const shapes[][6] = {
		{ "--blank" },
		{ "--blank", "--blank-vcpus", "2" },
		{ "--blank", "--blank-vcpus", "1", "--blank-mem-mib", "64" },
	};

	(void)state;
	make_snapshot(all_devices(), NULL);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct machine m = saved_start_with("blank.sock", shapes[i]);

		saved_load(&m, "state", "memory", RESUME);
		saved_say(&m, "two");
		expect_anew(&m, true);
		saved_quit(&m);
	}
}

/* The same of pages that a file cannot be mapped over. */
static void test_huge_pages(void **state)
{
	struct machine m;

	(void)state;
	make_snapshot(NULL, NULL);
	m = start_blank();
	saved_load(&m, "state", "memory", RESUME ", \"huge_pages\": \"Transparent\"");
	saved_say(&m, "two");
	expect_anew(&m, true);
	saved_quit(&m);
}

/* Memory that another process brings comes into what is ready, too. */
static void test_served(void **state)
{
	struct session *pager;
	struct machine m;

	(void)state;
	make_snapshot(NULL, NULL);
	pager = saved_pager("memory");
	m = start_blank();
	saved_call(&m, "PUT", "/snapshot/load", saved_served_body("state", RESUME));
	saved_say(&m, "two");
	expect_anew(&m, false);
	saved_quit(&m);
	saved_pager_end(pager);
}

/* Whoever boots a guest in one gets it. */
static void test_boot(void **state)
{
	char body[512];
	struct machine m;

	(void)state;
	saved_tiny_config(NULL);
	m = start_blank();
	snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\"}",
		 fixture_guest("serial-echo"));
	saved_call(&m, "PUT", "/boot-source", body);
	saved_call(&m, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}");
	saved_say(&m, "booted");
	expect_anew(&m, true);
	saved_quit(&m);
}

static void expect_refused(const struct machine *m, const char *body, const char *says)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/load", body, &reply);
	if (reply.status != 400 || !strstr(reply.body, says))
		fail_msg("not refused with \"%s\": %d %s", says, reply.status, reply.body);
}

static unsigned count_anew(const struct machine *m)
{
	unsigned n = 0;

	for (const char *at = session_output(m->wisp); (at = strstr(at, ANEW)); at++)
		n++;
	return n;
}

/* However far a load came: what it used up is there again. */
static void test_failed(void **state)
{
	unsigned tries = 3;
	struct machine m;

	(void)state;
	make_snapshot(all_devices(), NULL);
	m = start_blank();
	expect_refused(&m, saved_load_body("missing", "memory", ""), "cannot be opened");
	expect_refused(&m, saved_load_body("memory", "memory", ""), "state");
	expect_refused(&m, saved_load_body("state", "state", ""), "and should have");
	/* Each time there is something that does not fit, and another one is made. */
	for (unsigned i = 0; i < tries; i++)
		expect_refused(&m, saved_load_body("state", "memory", ", \"huge_pages\": \"2M\""),
			       "nr_hugepages");
	saved_load(&m, "state", "memory", RESUME);
	saved_say(&m, "two");
	assert_int_equal(count_anew(&m), tries);
	saved_quit(&m);
}

/* --- what a blank is to the host --- */

static unsigned count_files(void)
{
	DIR *dir = opendir(fixture_dir());
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Ended by a signal it leaves nothing; killed, the name of its socket. */
static void test_ended(void **state)
{
	unsigned before = count_files();
	struct machine m = start_blank();

	(void)state;
	session_kill(m.wisp, SIGTERM);
	assert_int_equal(session_wait(m.wisp, SAVED_LIMIT_S), 128 + SIGTERM);
	session_end(m.wisp);
	assert_int_equal(count_files(), before);
	m = start_blank();
	saved_kill(&m);
	assert_int_equal(count_files(), before + 1);
	assert_int_equal(unlink(m.socket), 0);
}

static bool is_confined(pid_t pid, const char *task)
{
	char path[64], line[256];
	bool confined = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", (int)pid, task);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		confined = confined || strcmp(line, "Seccomp:\t2\n") == 0;
	fclose(f);
	return confined;
}

/* All threads that a machine has are there, and each is under its filter, before anything
 * is said of what to load. */
static void test_confined(void **state)
{
	struct machine m = start_blank();
	unsigned tasks = 0, confined = 0;
	struct api_reply reply;
	char path[64];
	DIR *dir;

	(void)state;
	api_call(m.socket, "GET", "/", NULL, &reply);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)session_pid(m.wisp));
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (e->d_name[0] == '.')
			continue;
		tasks++;
		confined += is_confined(session_pid(m.wisp), e->d_name);
	}
	closedir(dir);
	/* ThreadSanitizer has a thread of its own. */
#ifndef __SANITIZE_THREAD__
	assert_int_equal(tasks, 3);
#endif
	assert_int_equal(confined, 3);
	saved_kill(&m);
}

/* Files are out of reach before it is known which ones a snapshot names. */
static void test_landlock(void **state)
{
	const char *const options[] = {
		TINY_SHAPE,
		"--allow-path",
		fixture_dir(),
		NULL,
	};
	struct machine m;

	(void)state;
	make_snapshot(all_devices(), NULL);
	m = saved_start_with("blank.sock", options);
	expect_refused(
		&m, "{\"snapshot_path\": \"/etc/hostname\", \"mem_file_path\": \"/etc/hostname\"}",
		"Permission denied");
	saved_load(&m, "state", "memory", RESUME);
	saved_say(&m, "two");
	expect_anew(&m, false);
	saved_quit(&m);
}

/* --- a real guest --- */

enum { COPIES = 3 };

static const char *linux_config(void)
{
	static char extra[512];
	const struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.agent",
		.mem_mib = 256,
		.extra = extra,
	};

	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 fixture_path("v.sock"));
	return fixture_config("linux.json", &c);
}

/* Copies in blanks, side by side: each does what it is asked, and no two draw the same. */
static void test_linux(void **state)
{
	static const char *const shape[] = { "--blank", "--blank-mem-mib", "256", NULL };
	struct machine m = saved_start("linux.sock", linux_config(), NULL), copy[COPIES];
	char random[COPIES][64];

	(void)state;
	session_expect(m.wisp, "agent on port 1024", SAVED_LIMIT_S);
	save_and_kill(&m);
	for (int i = 0; i < COPIES; i++) {
		char socket[16], vsock[16], more[256];

		snprintf(socket, sizeof(socket), "copy-%d", i);
		snprintf(vsock, sizeof(vsock), "vsock-%d", i);
		snprintf(more, sizeof(more), RESUME ", \"vsock_override\": {\"uds_path\": \"%s\"}",
			 fixture_path(vsock));
		copy[i] = saved_start_with(socket, shape);
		saved_load(&copy[i], "state", "memory", more);
		snprintf(random[i], sizeof(random[i]), "%s",
			 agent_run(fixture_path(vsock), "cat /proc/sys/kernel/random/uuid"));
		expect_anew(&copy[i], false);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(random[i], random[k]);
	}
	for (int i = 0; i < COPIES; i++)
		saved_kill(&copy[i]);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest boots[] = { cmocka_unit_test(test_linux) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),	   cmocka_unit_test(test_load_pci),
		cmocka_unit_test(test_paused),	   cmocka_unit_test(test_other_shape),
		cmocka_unit_test(test_huge_pages), cmocka_unit_test(test_served),
		cmocka_unit_test(test_boot),	   cmocka_unit_test(test_failed),
		cmocka_unit_test(test_ended),	   cmocka_unit_test(test_confined),
		cmocka_unit_test(test_landlock),
	};

	return saved_main(argc, argv, tests, boots);
}
