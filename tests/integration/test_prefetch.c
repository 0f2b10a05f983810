/* test_prefetch.c - which pages a copy needed, and copies that have them sooner.
 *
 * What is looked at is memory, byte by byte: a copy that was given pages early must be the
 * one that was saved. Tiny guests on this machine's KVM, under the filters, which the
 * thread that prefetches is under, too; a real one in the test host.
 *
 *   test_prefetch [CASE]    only the named case
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/agent_kit.h"
#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { SKIPPED = 77, MAX_ARGS = 6, DIFFERENT = 3 };

#define RESUME	", \"resume_vm\": true"
#define BROUGHT "pages prefetched"

static const char *const talkative[] = { "--level", "Info", NULL };
static const char *const blank[] = { "--level",		"Info", "--blank", "--blank-vcpus", "2",
				     "--blank-mem-mib", "64",	NULL };

/* wisp-snapshot must end with this status, and say these words. */
static void tool(int status, const char *words, const char *const args[])
{
	const char *argv[MAX_ARGS + 2] = { fixture_program("wisp-snapshot") };
	struct session *s;
	int got;

	for (unsigned i = 0; i < MAX_ARGS && args[i]; i++)
		argv[i + 1] = args[i];
	s = session_start(argv);
	got = session_wait(s, SAVED_LIMIT_S);
	if (got != status || !strstr(session_output(s), words))
		fail_msg("wisp-snapshot %s: %d: %s", args[0], got, session_output(s));
	session_end(s);
}

#define TOOL(status, words, ...) tool(status, words, (const char *const[]){ __VA_ARGS__, NULL })

static const char *path(const char *name)
{
	return fixture_path(name);
}

static const char *with_set(const char *name, const char *more)
{
	static char text[512];

	snprintf(text, sizeof(text), ", \"working_set_path\": \"%s\"%s", path(name), more);
	return text;
}

static void record_set(const struct machine *m, const char *name)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"working_set_path\": \"%s\"}", path(name));
	saved_call(m, "PUT", "/snapshot/working-set", body);
}

/* A snapshot, the working set of its first copy, and that with its pages. */
static void make_files(void)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);

	saved_say(&m, "original");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state", "memory", RESUME);
	saved_say(&m, "first");
	record_set(&m, "set");
	saved_kill(&m);
	TOOL(0, "", "optimise", path("memory"), path("set"), path("stored"));
	TOOL(0, "good", "verify", path("state"), path("memory"), path("set"));
	TOOL(0, "good", "verify", path("state"), path("memory"), path("stored"));
}

/* Loaded with the working set and saved again before it runs, it is what it was; then it
 * goes on. */
static void expect_same(const char *const options[], const char *set)
{
	struct machine m = saved_start_with("tiny.sock", options);

	saved_load(&m, "state", "memory", with_set(set, ""));
	session_expect(m.wisp, BROUGHT, SAVED_LIMIT_S);
	saved_create(&m, "state2", "memory2", "Full");
	saved_resume(&m);
	saved_say(&m, "goes-on");
	saved_quit(&m);
}

/* But for the generation ID and VMClock's count, a page each: every copy has its own. */
static void expect_same_memory(void)
{
	TOOL(DIFFERENT, "memory: 2 pages from 0x9d000 on\nmemory: 2 of 16384 pages differ", "diff",
	     path("state"), path("state2"), path("memory"), path("memory2"));
}

static void test_load(void **state)
{
	static const char *const sets[] = { "set", "stored" };

	(void)state;
	make_files();
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		expect_same(talkative, sets[i]);
		expect_same_memory();
		expect_same(blank, sets[i]);
		expect_same_memory();
	}
}

/* Memory that was copied is all there, and needs no working set. */
static void test_copied(void **state)
{
	struct machine m;
	struct api_reply reply;

	(void)state;
	make_files();
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state", "memory",
		   with_set("set", ", \"huge_pages\": \"Transparent\"" RESUME));
	saved_say(&m, "copied");
	api_call(m.socket, "PUT", "/snapshot/working-set", "{\"working_set_path\": \"w\"}", &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "not mapped from its file"));
	saved_quit(&m);
}

static void change_byte(const char *name, off_t at)
{
	int fd = open(path(name), O_RDWR | O_CLOEXEC);
	char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void expect_refused(const struct machine *m, const char *set, const char *words)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/load",
		 saved_load_body("state", "memory", with_set(set, RESUME)), &reply);
	if (reply.status != 400 || !strstr(reply.body, words) ||
	    !strstr(reply.body, "working_set_path"))
		fail_msg("%s: %d %s", set, reply.status, reply.body);
}

/* The working set of another snapshot. */
static void make_other_set(void)
{
	struct machine m = saved_start("tiny.sock", NULL, NULL);

	saved_load(&m, "state", "memory", RESUME);
	saved_pause(&m);
	saved_create(&m, "state2", "memory2", "Full");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state2", "memory2", RESUME);
	record_set(&m, "other");
	saved_kill(&m);
}

static void test_refused(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	struct api_reply reply;

	(void)state;
	api_call(m.socket, "PUT", "/snapshot/working-set", "{\"working_set_path\": \"w\"}", &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "Only a microVM that was loaded"));
	saved_kill(&m);
	make_files();
	make_other_set();
	assert_int_equal(mkfifo(path("fifo"), 0600), 0);
	change_byte("set", 60);
	m = saved_start("tiny.sock", NULL, NULL);
	expect_refused(&m, "other", "another snapshot");
	expect_refused(&m, "fifo", "no regular file");
	expect_refused(&m, "set", "changed or cut");
	expect_refused(&m, "missing", "cannot be opened");
	expect_refused(&m, "memory", "it is none");
	/* It is still one that can load. */
	saved_load(&m, "state", "memory", with_set("stored", RESUME));
	saved_say(&m, "loaded");
	saved_quit(&m);
	change_byte("stored", 4096 + 100);
	TOOL(1, "not the memory file's", "verify", path("state"), path("memory"), path("stored"));
	TOOL(1, "another snapshot", "optimise", path("memory"), path("other"), path("new"));
}

/* --- a real guest --- */

static void save_linux(void)
{
	char extra[512];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.agent",
		.vcpus = 2,
		.mem_mib = 256,
		.extra = extra,
	};
	struct machine m;

	snprintf(extra, sizeof(extra), ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 path("v.sock"));
	m = saved_start("linux.sock", fixture_config("linux.json", &c), NULL);
	session_expect(m.wisp, "agent on port", SAVED_LIMIT_S);
	agent_run(path("v.sock"),
		  "head -c 8388608 /dev/urandom >/tmp/data && md5sum /tmp/data >/tmp/sum");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
}

/* A guest that runs on while its pages are brought, writes, and finds all of them right. */
static void test_linux(void **state)
{
	static const char *const sets[] = { NULL, "set", "stored", "set" };

	(void)state;
	save_linux();
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct machine m = saved_start_with("linux.sock", talkative);

		saved_load(&m, "state", "memory", sets[i] ? with_set(sets[i], RESUME) : RESUME);
		agent_run(path("v.sock"),
			  "cp /tmp/data /tmp/copy && md5sum -c /tmp/sum >/dev/null && "
			  "cmp /tmp/data /tmp/copy");
		if (sets[i]) {
			session_expect(m.wisp, BROUGHT, SAVED_LIMIT_S);
		} else {
			record_set(&m, "set");
			TOOL(0, "", "optimise", path("memory"), path("set"), path("stored"));
		}
		saved_kill(&m);
	}
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_copied),
		cmocka_unit_test(test_refused),
	};
	const struct CMUnitTest real[] = { cmocka_unit_test(test_linux) };

	if (!fixture_has_kvm()) {
		print_message("needs /dev/kvm\n");
		return SKIPPED;
	}
	if (argc < 2)
		return cmocka_run_group_tests(tests, NULL, NULL);
	cmocka_set_test_filter(argv[1]);
	return strcmp(argv[1], "test_linux") == 0 ? cmocka_run_group_tests(real, NULL, NULL)
						  : cmocka_run_group_tests(tests, NULL, NULL);
}
