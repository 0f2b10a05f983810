/* test_plugged.c - machines with plugged memory that are saved, in every way there is.
 *
 * The tiny guest plug, on this machine's KVM, has what it stored in its blocks looked at by
 * itself: what was plugged is as it was, and what is plugged anew is zero, whatever the block
 * had when an earlier snapshot was made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { SKIPPED = 77, MIB = 1024 * 1024, MEM_MIB = 64, TOTAL_MIB = 256, GENERATIONS = 4 };

#define RESUME ", \"resume_vm\": true"

static void ask(const struct machine *m, const char *command)
{
	session_send(m->wisp, command);
	session_expect(m->wisp, "done.", SAVED_LIMIT_S);
}

static void request(const struct machine *m, unsigned mib)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"requested_size_mib\": %u}", mib);
	saved_call(m, "PATCH", "/hotplug/memory", body);
}

static void expect_plugged(const struct machine *m, const char *status)
{
	struct api_reply reply;

	api_call(m->socket, "GET", "/hotplug/memory", NULL, &reply);
	if (reply.status != 200 || !strstr(reply.body, status))
		fail_msg("not %s: %s", status, reply.body);
}

/* Blocks a, b and d, of a guest that may have more. */
static struct machine start(void)
{
	const struct fixture_config c = {
		.kernel = fixture_guest("plug"),
		.boot_args = "",
		.vcpus = 1,
		.mem_mib = MEM_MIB,
		.extra = ", \"memory-hotplug\": {\"total_size_mib\": 256, \"block_size_mib\": 2}",
	};
	struct machine m;

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		skip();
	}
	m = saved_start("plug.sock", fixture_config("plug.json", &c), NULL);
	session_expect(m.wisp, "done.", SAVED_LIMIT_S);
	request(&m, 32);
	ask(&m, "pa");
	ask(&m, "pb");
	ask(&m, "pd");
	return m;
}

static void save_and_kill(struct machine *m, const char *type)
{
	saved_pause(m);
	saved_create(m, "state", "memory", type);
	saved_kill(m);
}

static struct machine load(const char *state, const char *memory, const char *more)
{
	struct machine m = saved_start("plug.sock", NULL, NULL);

	saved_load(&m, state, memory, more);
	ask(&m, "c");
	return m;
}

/* What a memory file takes on the disk. */
static long long data_mib(const char *memory)
{
	struct stat st;

	assert_int_equal(stat(fixture_path(memory), &st), 0);
	assert_int_equal(st.st_size, (long long)(MEM_MIB + TOTAL_MIB) * MIB + 4096);
	return st.st_blocks * 512LL / MIB;
}

static void tool(const char *command, const char *const files[3])
{
	const char *argv[6] = { fixture_program("wisp-snapshot"), command };
	struct session *s;
	int status;

	for (unsigned i = 0; i < 3 && files[i]; i++)
		argv[2 + i] = fixture_path(files[i]);
	s = session_start(argv);
	status = session_wait(s, SAVED_LIMIT_S);
	if (status != 0)
		fail_msg("wisp-snapshot %s: %d: %s", command, status, session_output(s));
	session_end(s);
}

#define TOOL(command, ...) tool(command, (const char *const[3]){ __VA_ARGS__ })

/* Blocks come and go in each generation. */
static void test_full(void **state)
{
	struct machine m = start();

	(void)state;
	for (int i = 0; i < GENERATIONS; i++) {
		save_and_kill(&m, "Full");
		TOOL("verify", "state", "memory");
		assert_true(data_mib("memory") < 16);
		m = load("state", "memory", RESUME);
		expect_plugged(&m, "\"plugged_size_mib\":6,\"requested_size_mib\":32");
		ask(&m, "ub");
		ask(&m, "pc");
		ask(&m, "pb");
		ask(&m, "c");
		ask(&m, "uc");
	}
	request(&m, 0);
	session_send(m.wisp, "pc");
	session_expect(m.wisp, "refused.", SAVED_LIMIT_S);
	saved_quit(&m);
}

/* Over the file of the snapshot before, in which the blocks had other bytes; once with and
 * once without a load between. */
static void test_differences(void **state)
{
	struct machine m = start();

	(void)state;
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	for (int i = 0; i < GENERATIONS; i++) {
		saved_resume(&m);
		ask(&m, "ua");
		ask(&m, "pe");
		saved_pause(&m);
		saved_create(&m, "state", "memory", "Diff");
		if (i % 2) {
			saved_kill(&m);
			m = load("state", "memory", RESUME);
		} else {
			saved_resume(&m);
		}
		ask(&m, "pa");
		ask(&m, "ue");
		ask(&m, "c");
		saved_pause(&m);
		saved_create(&m, "state", "memory", "Diff");
	}
	saved_kill(&m);
	m = load("state", "memory", RESUME);
	ask(&m, "pe");
	ask(&m, "c");
	saved_quit(&m);
}

/* In a file of its own, laid over the one before. */
static void test_rebase(void **state)
{
	struct machine m = start();

	(void)state;
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_resume(&m);
	ask(&m, "ua");
	ask(&m, "ub");
	ask(&m, "pb");
	ask(&m, "pe");
	saved_pause(&m);
	saved_create(&m, "state1", "memory1", "Diff");
	saved_kill(&m);
	TOOL("verify", "state1", "memory1");
	TOOL("rebase", "memory", "memory1");
	TOOL("verify", "state1", "memory");
	TOOL("info", "state1");
	assert_true(data_mib("memory") < 16);
	TOOL("export", "state1", "memory", "packed");
	TOOL("import", "packed", "state2", "memory2");
	TOOL("diff", "state1", "state2");
	m = load("state2", "memory2", RESUME);
	ask(&m, "pa");
	ask(&m, "c");
	saved_quit(&m);
}

/* While the guest runs, and from a machine whose blocks are a file's. */
static void test_live(void **state)
{
	struct machine m = start();
	struct api_reply reply;

	(void)state;
	for (int i = 0; i < 2; i++) {
		api_call(m.socket, "PUT", "/snapshot/create",
			 saved_create_body("state", "memory", ", \"live\": true"), &reply);
		if (reply.status != 200)
			fail_msg("not saved: %d %s", reply.status, reply.body);
		ask(&m, "c");
		ask(&m, "ua");
		ask(&m, "pf");
		ask(&m, "pa");
		saved_kill(&m);
		m = load("state", "memory", RESUME);
		ask(&m, "pf");
		ask(&m, "uf");
	}
	saved_quit(&m);
}

/* The handler has the blocks, too, and zeros for those that come later. */
static void test_handler(void **state)
{
	struct machine m = start();
	struct session *pager;

	(void)state;
	save_and_kill(&m, "Full");
	pager = saved_pager("memory");
	m = saved_start("plug.sock", NULL, NULL);
	saved_call(&m, "PUT", "/snapshot/load", saved_served_body("state", RESUME));
	ask(&m, "c");
	ask(&m, "ub");
	ask(&m, "pb");
	ask(&m, "pc");
	ask(&m, "c");
	save_and_kill(&m, "Full");
	saved_pager_end(pager);
	m = load("state", "memory", RESUME);
	saved_quit(&m);
}

static void test_blank(void **state)
{
	static const char *const blank[] = {
		"--blank", "--blank-vcpus", "1", "--blank-mem-mib", "64", NULL,
	};
	struct machine m = start();

	(void)state;
	save_and_kill(&m, "Full");
	m = saved_start_with("plug.sock", blank);
	saved_load(&m, "state", "memory", RESUME);
	assert_null(strstr(session_output(m.wisp), "does not fit"));
	ask(&m, "c");
	ask(&m, "pc");
	ask(&m, "ua");
	ask(&m, "c");
	saved_quit(&m);
}

/* Pages of the blocks are part of it, but of no block that came later. */
static void test_working_set(void **state)
{
	struct machine m = start();
	char more[512];

	(void)state;
	save_and_kill(&m, "Full");
	m = load("state", "memory", RESUME);
	ask(&m, "pc");
	snprintf(more, sizeof(more), "{\"working_set_path\": \"%s\"}", fixture_path("set"));
	saved_call(&m, "PUT", "/snapshot/working-set", more);
	saved_kill(&m);
	TOOL("optimise", "memory", "set", "stored");
	TOOL("verify", "state", "memory", "stored");
	snprintf(more, sizeof(more), RESUME ", \"working_set_path\": \"%s\"",
		 fixture_path("stored"));
	m = load("state", "memory", more);
	ask(&m, "ub");
	ask(&m, "pb");
	ask(&m, "pc");
	ask(&m, "c");
	saved_quit(&m);
}

/* Memory that is copied out of its file. */
static void test_copied(void **state)
{
	struct machine m = start();

	(void)state;
	save_and_kill(&m, "Full");
	m = load("state", "memory", RESUME ", \"huge_pages\": \"Transparent\"");
	ask(&m, "ua");
	ask(&m, "pa");
	save_and_kill(&m, "Diff");
	m = load("state", "memory", RESUME);
	saved_quit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),	    cmocka_unit_test(test_differences),
		cmocka_unit_test(test_rebase),	    cmocka_unit_test(test_live),
		cmocka_unit_test(test_handler),	    cmocka_unit_test(test_blank),
		cmocka_unit_test(test_working_set), cmocka_unit_test(test_copied),
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
