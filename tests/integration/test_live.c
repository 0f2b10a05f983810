/* test_live.c - machines that are saved while they run: what was saved is one moment, and
 * who was saved loses nothing. Tiny guests that store as fast as they can on the KVM of this
 * machine (tests/guests/dirty.S), real ones in the test host.
 *
 *   test_live [CASE]    only the named case
 */
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
#include "tests/integration/storing.h"

enum {
	SCRIPT_BYTES = 8192,
	MIB = 1024 * 1024,
	DIRTY_MIB = 16,
	GENERATIONS = 3,
};

static void create_live(const struct machine *m, const char *state, const char *memory)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/create",
		 saved_create_body(state, memory, ", \"live\": true"), &reply);
	if (reply.status != 200)
		fail_msg("not saved: %d %s\n%s", reply.status, reply.body, session_output(m->wisp));
	assert_non_null(strstr(reply.body, "pause_us"));
}

static void expect_refused(const struct machine *m, const char *says)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/create",
		 saved_create_body("state", "memory", ", \"live\": true"), &reply);
	if (reply.status != 400 || !strstr(reply.body, says))
		fail_msg("not refused with \"%s\": %d %s", says, reply.status, reply.body);
}

/* Saved again and again while it stores; then each copy goes on. */
static void test_moment(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);

	(void)state;
	storing_expect(&m);
	for (int i = 0; i < GENERATIONS; i++) {
		create_live(&m, "state", "memory");
		storing_check("memory", DIRTY_MIB);
		storing_expect(&m);
		create_live(&m, "state2", "memory2");
		storing_check("memory2", DIRTY_MIB);
		saved_quit(&m);
		/* A clone, whose memory is a file's where it has not stored. */
		m = saved_start("storing.sock", NULL, NULL);
		saved_load(&m, "state2", "memory2", ", \"resume_vm\": true");
		storing_expect(&m);
	}
	saved_quit(&m);
}

/* One that was paused stays so, whoever it was that did it; and may go on meanwhile. */
static void test_paused(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);
	struct api_reply reply;

	(void)state;
	saved_pause(&m);
	create_live(&m, "state", "memory");
	api_call(m.socket, "GET", "/", NULL, &reply);
	assert_non_null(strstr(reply.body, "Paused"));
	saved_resume(&m);
	storing_expect(&m);
	saved_kill(&m);
	m = saved_start("storing.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	storing_expect(&m);
	saved_quit(&m);
}

/* One that was paused for its disks' sake goes on with the moment, if it is to. */
static void test_resumed(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);
	struct api_reply reply;

	(void)state;
	saved_pause(&m);
	api_call(m.socket, "PUT", "/snapshot/create",
		 saved_create_body("state", "memory", ", \"resume_vm\": true"), &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "Only a live create"));
	api_call(m.socket, "PUT", "/snapshot/create",
		 saved_create_body("state", "memory", ", \"live\": true, \"resume_vm\": true"),
		 &reply);
	assert_int_equal(reply.status, 200);
	storing_expect(&m);
	storing_check("memory", DIRTY_MIB);
	saved_kill(&m);
	m = saved_start("storing.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	storing_expect(&m);
	saved_quit(&m);
}

/* What cannot be saved so says why, and goes on; a failure leaves what was there. */
static void test_refused(void **state)
{
	char extra[512];
	struct machine m;

	(void)state;
	snprintf(extra, sizeof(extra),
		 ", \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}]",
		 fixture_disk("disk", "", MIB));
	m = storing_start(DIRTY_MIB, extra);
	expect_refused(&m, "may write to drive \\\"d\\\"");
	saved_pause(&m);
	create_live(&m, "state", "memory");
	saved_resume(&m);
	storing_expect(&m);
	saved_quit(&m);
}

/* The machine's end in the middle of it is also its own. */
static void test_ended(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);
	int client;

	(void)state;
	client = api_send(m.socket, "PUT", "/snapshot/create",
			  saved_create_body("state", "memory", ", \"live\": true"));
	saved_quit(&m);
	close(client);
	assert_int_equal(access(fixture_path("memory.new"), F_OK), -1);
}

/* --- forks --- */

enum { COPIES = 4 };

static const char *copy_path(const char *what, int i)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%d.sock", what, i);
	return fixture_path(name);
}

/* wisp-ctl fork, which ends well; the copies' processes. load: for each, or NULL. */
static void fork_copies(const struct machine *m, const char *load, pid_t pid[COPIES])
{
	const char *const argv[] = {
		fixture_program("wisp-ctl"), m->socket, "fork", fixture_dir(), "4", load, NULL,
	};
	struct session *s = session_start(argv);
	int status = session_wait(s, SAVED_LIMIT_S);
	const char *at = session_output(s);

	if (status != 0)
		fail_msg("wisp-ctl fork: %d: %s", status, at);
	for (int i = 0; i < COPIES; i++) {
		at = strstr(at, "\"pid\": ");
		assert_non_null(at);
		at += strlen("\"pid\": ");
		pid[i] = (pid_t)strtol(at, NULL, 10);
	}
	session_end(s);
}

static void end_copies(const pid_t pid[COPIES])
{
	for (int i = 0; i < COPIES; i++) {
		assert_int_equal(kill(pid[i], SIGKILL), 0);
		unlink(copy_path("clone", i));
	}
}

/* Copies run, and so does what was copied; what one does is nothing to the others. */
static void test_fork(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);
	struct api_reply reply;
	pid_t pid[COPIES];

	(void)state;
	fork_copies(&m, NULL, pid);
	for (int i = 0; i < COPIES; i++) {
		struct machine copy = { 0 };

		snprintf(copy.socket, sizeof(copy.socket), "%s", copy_path("clone", i));
		api_call(copy.socket, "GET", "/", NULL, &reply);
		assert_non_null(strstr(reply.body, "Running"));
		create_live(&copy, "state2", "memory2");
		storing_check("memory2", DIRTY_MIB);
	}
	storing_expect(&m);
	end_copies(pid);
	saved_quit(&m);
}

/* One that cannot be copied leaves no copy behind. */
static void test_fork_refused(void **state)
{
	struct machine m = storing_start(DIRTY_MIB, NULL);
	const char *const argv[] = {
		fixture_program("wisp-ctl"),
		m.socket,
		"fork",
		fixture_dir(),
		"2",
		"{\"vsock_override\": {\"uds_path\": \"v{n}\"}}",
		NULL,
	};
	struct session *s;

	(void)state;
	s = session_start(argv);
	assert_int_equal(session_wait(s, SAVED_LIMIT_S), 1);
	assert_non_null(strstr(session_output(s), "has no vsock device"));
	session_end(s);
	assert_int_equal(access(copy_path("clone", 0), F_OK), -1);
	storing_expect(&m);
	saved_quit(&m);
}

/* --- real guests --- */

/* Both processors store into files in memory for ever, and know what should be there. */
#define WORK                                                                                    \
	"mkdir -p /m; mount -t tmpfs none /m; cd /m\n"                                          \
	"for f in 1 2 3 4; do dd if=/dev/urandom of=$f bs=64k count=8 2>/dev/null; done\n"      \
	"md5sum 1 2 3 4 > sums\n"                                                               \
	"work() {\n"                                                                            \
	"	while cp $2 $1 && cmp $2 $1 && cp $3 $1 && cmp $3 $1 && md5sum -c sums > /dev/null\n" \
	"	do echo $1 goes on.; done\n"                                                          \
	"	echo $1 found something else.\n"                                                      \
	"	reboot -f\n"                                                                          \
	"}\n"                                                                                   \
	"work a 1 2 & work b 3 4\n"

static const char *linux_config(void)
{
	static char extra[1024];
	struct fixture_config config = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 256,
		.vcpus = 2,
		.extra = extra,
	};

	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true,"
		 " \"free_page_reporting\": true, \"stats_polling_interval_s\": 1},"
		 " \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true}]",
		 fixture_disk("script", WORK, SCRIPT_BYTES));
	return fixture_config("linux.json", &config);
}

/* Both have gone all the way round since this was called. */
static void expect_work(const struct machine *m)
{
	for (int i = 0; i < 2; i++) {
		session_expect(m->wisp, "a goes on.", SAVED_LIMIT_S);
		session_expect(m->wisp, "b goes on.", SAVED_LIMIT_S);
	}
}

static void copy_live(const struct machine *m, struct machine *copy)
{
	create_live(m, "state", "memory");
	*copy = saved_start("copy.sock", NULL, NULL);
	saved_load(copy, "state", "memory", ", \"resume_vm\": true");
	expect_work(copy);
}

/* Two copies of the source, which goes on, and a copy of a copy. */
static void test_linux(void **state)
{
	struct machine m = saved_start("linux.sock", linux_config(), NULL), copy;

	(void)state;
	expect_work(&m);
	copy_live(&m, &copy);
	saved_kill(&copy);
	copy_live(&m, &copy);
	expect_work(&m);
	saved_kill(&m);
	create_live(&copy, "state2", "memory2");
	saved_kill(&copy);
	m = saved_start("linux.sock", NULL, NULL);
	saved_load(&m, "state2", "memory2", ", \"resume_vm\": true");
	expect_work(&m);
	saved_kill(&m);
}

enum { SAID = 128 };

/* One running guest becomes five, of which each is itself: random numbers, a file that it
 * alone has, and what all of them have had. */
static void test_fork_linux(void **state)
{
	static const char load[] = "{\"clock_realtime\": true, \"vsock_override\": {\"uds_path\": "
				   "\"%s/v-{n}.sock\"}}";
	static char extra[256], with[512], random[COPIES + 1][SAID];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-6.12"),
		.initrd = fixture_need_image("initrd-6.12"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.agent",
		.mem_mib = 256,
		.extra = extra,
	};
	struct machine m;
	pid_t pid[COPIES];

	(void)state;
	snprintf(extra, sizeof(extra), ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 fixture_path("v.sock"));
	snprintf(with, sizeof(with), load, fixture_dir());
	m = saved_start("fork.sock", fixture_config("fork.json", &c), NULL);
	session_expect(m.wisp, "agent on port", SAVED_LIMIT_S);
	agent_run(fixture_path("v.sock"), "echo before > /run/mark");
	fork_copies(&m, with, pid);
	for (int i = 0; i <= COPIES; i++) {
		const char *socket = i < COPIES ? copy_path("v", i) : fixture_path("v.sock");

		assert_string_equal(agent_run(socket, "cat /run/mark; echo mine >> /run/mark"),
				    "before\n");
		snprintf(random[i], sizeof(random[i]), "%s",
			 agent_run(socket, "head -c 16 /dev/urandom | md5sum"));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(random[k], random[i]);
	}
	end_copies(pid);
	saved_kill(&m);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moment),	     cmocka_unit_test(test_paused),
		cmocka_unit_test(test_resumed),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ended),	     cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_refused),
	};
	const struct CMUnitTest boots[] = {
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_fork_linux),
	};

	return saved_main(argc, argv, tests, boots);
}
