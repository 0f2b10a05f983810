/* test_busy.c - a real guest that is in the middle of everything, saved and loaded again and
 * again.
 *
 * It has two processors. fio writes a file and verifies what it reads; a TCP
 * stream goes to the guest and back by its tap, one connection from the first process to
 * the last; streams go through its vsock in both directions; and its clocks and timers are
 * watched from inside. Each process is killed when its guest is saved, and what goes on has
 * nothing but the files. In every one of them all of that has to get on before it is saved
 * in turn. The ways to save and load take turns (rounds[]).
 *
 * Of the clocks the host knows how far they may have gone: from before the first reading to
 * behind the second one, without the time in which the guest did not exist, or with it where
 * a load asks for the right time.
 *
 * Runs as root, where test_boot runs. WISP_ROUNDS: how often, if not once in each way.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/integration/agent_kit.h"
#include "tests/integration/api_client.h"
#include "tests/integration/echoed.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "vmm/base/clock.h"

enum {
	SKIPPED = 77,
	LINE = 512,
	SCRIPT_BYTES = 4096,
	TOOL_BYTES = 4 << 20,
	TCP_PORT = 5000,
	LOOK_AGAIN_US = 500000,
	CLOCK_SLACK_MS = 50,
	CLOCK_SLACK_PERCENT = 1,
};

#define TAP "wtap0"

static void command(const char *line)
{
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

/* --- the guest --- */

/* A mark in a file for what was right, and a line in /run/wrong for all else. A connection that
 * a load has reset is right. fio, told to stop, says what went wrong so far in its fifth field. */
static const char script[] =
	"ip link set eth0 up; ip address add 10.0.0.2/24 dev eth0\n"
	"cd /run; touch vsock clock wrong\n"
	"cat /dev/vdd >watch; chmod +x watch\n"
	"mkdir /d; mount -t ext4 -o ro,noload /dev/vdb /d || exit 9\n"
	"for i in proc dev; do mount --bind /$i /d/$i; done\n"
	"mount -t ext4 /dev/vdc /d/mnt || exit 9\n"
	"./watch clock wrong &\n"
	"nc 10.0.0.1 5000 -e cat &\n"
	"wisp-vsock echo 1000 >/dev/null 2>&1 &\n"
	"(while :; do\n"
	"	said=$(wisp-vsock check 2000 2 65536 2>&1)\n"
	"	case \"$said\" in *wrong*) echo \"$said\" >>wrong;; *2\\ of\\ 2*) printf v >>vsock;; esac\n"
	"	sleep 1\n"
	"done) &\n"
	"(chroot /d fio --name=f --directory=/mnt --size=1m --loops=1000000 --bs=4k \\\n"
	"	--rw=randwrite --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c \\\n"
	"	--verify_fatal=1 --do_verify=1 --verify_state_save=0 --minimal >fio-said 2>&1\n"
	"grep -q '^3;[^;]*;f;0;0;' fio-said || cat fio-said >>wrong\n"
	"umount /d/mnt; touch stopped) &\n"
	"until [ -e stop ]; do sleep 0.1; done\n"
	"killall fio; until [ -e stopped ]; do sleep 0.1; done\n"
	"sync; [ ! -s wrong ]\n";

static const char *uds(void)
{
	return fixture_path("v.sock");
}

static void make_disks(void)
{
	char line[2 * LINE];

	snprintf(line, sizeof(line),
		 "mke2fs -q -F -t ext4 %s 16M && cp %s %s && truncate -s %%4096 %s",
		 fixture_path("work"), fixture_program("clock_watch"), fixture_path("tool"),
		 fixture_path("tool"));
	command(line);
}

static const char *config(void)
{
	static char extra[4096];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-6.12"),
		.initrd = fixture_need_image("initrd-6.12"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 wisp.agent "
			     "-- sh /dev/vda",
		.vcpus = 2,
		.mem_mib = 256,
		.extra = extra,
	};

	make_disks();
	snprintf(extra, sizeof(extra),
		 ", \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true},"
		 " {\"drive_id\": \"debian\", \"path_on_host\": \"%s\", \"is_root_device\": false,"
		 " \"is_read_only\": true},"
		 " {\"drive_id\": \"work\", \"path_on_host\": \"%s\", \"is_root_device\": false,"
		 " \"io_engine\": \"Async\"},"
		 " {\"drive_id\": \"tool\", \"path_on_host\": \"%s\", \"is_root_device\": false,"
		 " \"is_read_only\": true}],"
		 " \"entropy\": {}, \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"network-interfaces\": [{\"iface_id\": \"eth0\", \"host_dev_name\": \"" TAP
		 "\"}]",
		 fixture_disk("script", script, SCRIPT_BYTES), fixture_need_image("debian.ext4"),
		 fixture_path("work"), fixture_path("tool"), uds());
	return fixture_config("busy.json", &c);
}

/* --- the streams --- */

/* One connection after the other that the guest makes. */
static int accept_tcp(const void *arg)
{
	return accept(*(const int *)arg, NULL, NULL);
}

static int listen_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(TCP_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* To where the guest echoes, by "CONNECT port"; the answer is a line. */
static int connect_vsock(const void *path)
{
	static const char greeting[] = "CONNECT 1000\n";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c = '\0', first = '\0';

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", (const char *)path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    send(fd, greeting, strlen(greeting), MSG_NOSIGNAL) < 0)
		goto fail;
	while (c != '\n') {
		if (read(fd, &c, 1) != 1)
			goto fail;
		first = first ? first : c;
	}
	if (first == 'O')
		return fd;
fail:
	close(fd);
	return -1;
}

/* --- what gets on --- */

struct busy {
	struct machine m;
	struct session *answers; /* what the guest connects to by vsock */
	const struct echoed *tcp, *vsock;
};

enum { DISK, GUEST_VSOCK, CLOCK, TCP, HOST_VSOCK, WORKS };

static const char *const work_names[WORKS] = { "the disk", "vsock from the guest", "clocks", "TCP",
					       "vsock to the guest" };

struct progress {
	unsigned long long done[WORKS];
};

static unsigned long long count_marks(const char *in, char mark)
{
	unsigned long long n = 0;

	for (; *in; in++)
		n += *in == mark;
	return n;
}

/* The disk's reads and writes are the first and the fifth number of its stat. */
static struct progress look(const struct busy *b)
{
	const char *said = AGENT_ASK(uds(), "exec", "cat", "/sys/block/vdc/stat", "/run/vsock",
				     "/run/clock", "/run/wrong");
	const char *marks = strchr(said, '\n');
	unsigned long long reads = 0, writes = 0;
	struct progress p = { 0 };

	if (!marks || sscanf(said, "%llu %*u %*u %*u %llu", &reads, &writes) != 2 ||
	    marks[1 + strspn(marks + 1, "vc")])
		fail_msg("the guest says: %s", said);
	p.done[DISK] = reads + writes;
	p.done[GUEST_VSOCK] = count_marks(marks, 'v');
	p.done[CLOCK] = count_marks(marks, 'c');
	p.done[TCP] = b->tcp->bytes;
	p.done[HOST_VSOCK] = b->vsock->bytes;
	assert_true(b->tcp->begun <= 1);
	assert_int_equal(b->tcp->finished, 0);
	assert_int_equal(b->vsock->wrong, 0);
	return p;
}

static const char *what_stands(const struct progress *from, const struct progress *to)
{
	for (unsigned i = 0; i < WORKS; i++) {
		if (to->done[i] <= from->done[i])
			return work_names[i];
	}
	return NULL;
}

/* All kinds of work get on from here. */
static void expect_progress(const struct busy *b)
{
	uint64_t end_us = clock_now_us() + SAVED_LIMIT_S * UINT64_C(1000000);
	struct progress from = look(b), to;
	const char *stands;

	do {
		usleep(LOOK_AGAIN_US);
		to = look(b);
		stands = what_stands(&from, &to);
	} while (stands && clock_now_us() < end_us);
	if (stands)
		fail_msg("%s: does not get on any more\n%s", stands, session_output(b->m.wisp));
}

/* --- clocks --- */

/* The guest's clocks, read at a moment between two of the host's. */
struct reading {
	long long asked_ms, answered_ms;
	struct agent_clocks guest;
};

static long long host_ms(void)
{
	return (long long)(clock_now_us() / 1000);
}

static struct reading read_clocks(void)
{
	struct reading r = { .asked_ms = host_ms() };

	r.guest = agent_clocks(uds());
	r.answered_ms = host_ms();
	return r;
}

static void expect_elapsed(const char *clock, long long ms, long long least_ms, long long most_ms)
{
	long long slack_ms = CLOCK_SLACK_MS + most_ms * CLOCK_SLACK_PERCENT / 100;

	if (ms < least_ms - slack_ms || ms > most_ms + slack_ms)
		fail_msg("%s went on by %lld ms, and should have by %lld to %lld", clock, ms,
			 least_ms, most_ms);
}

/* --- round and round --- */

static const char *const blank[] = {
	"--blank", "--blank-vcpus", "2", "--blank-mem-mib", "256", NULL
};
static const char *const nothing[] = { NULL };

static const struct round {
	const char *create; /* more of the body, ", ..." */
	const char *const *options;
	bool right_time;
	const char *load; /* more of the body */
} rounds[] = {
	{ "", nothing, false, "" },
	{ ", \"snapshot_type\": \"Diff\"", nothing, true, ", \"clock_realtime\": true" },
	{ ", \"snapshot_type\": \"Diff\"", blank, false, "" },
	{ ", \"live\": true", blank, true, ", \"clock_realtime\": true" },
	{ "", nothing, false, ", \"huge_pages\": \"Transparent\"" },
};

enum { WAYS = sizeof(rounds) / sizeof(rounds[0]) };

static void save_and_kill(struct machine *m, const char *create)
{
	struct api_reply reply;

	saved_pause(m);
	api_call(m->socket, "PUT", "/snapshot/create", saved_create_body("state", "memory", create),
		 &reply);
	if (reply.status / 100 != 2)
		fail_msg("not saved: %d %s", reply.status, reply.body);
	saved_kill(m);
}

static void go_round(struct busy *b, const struct round *r)
{
	struct reading before = read_clocks(), after;
	long long pausing_ms = host_ms(), saved_ms, loading_ms, loaded_ms, least_ms, most_ms;
	unsigned connections = b->vsock->begun;

	save_and_kill(&b->m, r->create);
	saved_ms = host_ms();
	b->m = saved_start_with("busy.sock", r->options);
	loading_ms = host_ms();
	saved_load(&b->m, "state", "memory", r->load);
	saved_resume(&b->m);
	loaded_ms = host_ms();
	after = read_clocks();
	least_ms = after.asked_ms - before.answered_ms;
	most_ms = after.answered_ms - before.asked_ms;
	if (!r->right_time) {
		least_ms -= loaded_ms - pausing_ms;
		most_ms -= loading_ms - saved_ms;
	}
	expect_elapsed("uptime", after.guest.uptime_ms - before.guest.uptime_ms, least_ms, most_ms);
	expect_elapsed("the clock", after.guest.real_ms - before.guest.real_ms, least_ms, most_ms);
	expect_progress(b);
	assert_true(b->vsock->begun > connections);
}

/* No program waits for a connection of a machine that is no more: of those that echo there
 * is the one that listens, and the ones of connections that are open. */
static void expect_no_leftovers(void)
{
	enum { ECHOES = 3, CHECKS = 4 };
	unsigned long n = strtoul(agent_run(uds(), "pidof wisp-vsock | wc -w"), NULL, 10);

	if (n > ECHOES + CHECKS)
		fail_msg("%lu programs hold on to the vsock", n);
}

static void finish(struct busy *b)
{
	char line[LINE];
	int got;

	expect_no_leftovers();
	agent_run(uds(), "touch /run/stop");
	got = session_wait(b->m.wisp, SAVED_LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(b->m.wisp));
	session_end(b->m.wisp);
	session_end(b->answers);
	snprintf(line, sizeof(line), "e2fsck -fn %s >/dev/null 2>&1", fixture_path("work"));
	command(line);
}

/* The guest has what it works with, and has connected. */
static void await_begun(const struct busy *b)
{
	uint64_t end_us = clock_now_us() + SAVED_LIMIT_S * UINT64_C(1000000);

	session_expect(b->m.wisp, "agent on port", SAVED_LIMIT_S);
	while (!b->tcp->begun && clock_now_us() < end_us)
		usleep(LOOK_AGAIN_US);
	if (!b->tcp->begun)
		fail_msg("the guest does not begin:\n%s", session_output(b->m.wisp));
}

static void begin(struct busy *b, const int *listener)
{
	static char path[LINE], port[LINE];

	command("ip link set lo up && ip tuntap add " TAP
		" mode tap && ip address add 10.0.0.1/24 dev " TAP " && ip link set " TAP " up");
	snprintf(path, sizeof(path), "%s", uds());
	snprintf(port, sizeof(port), "%s:2000", uds());
	b->answers = session_start(
		(const char *const[]){ fixture_program("wisp-vsock"), "echo", port, NULL });
	session_expect(b->answers, "listening", SAVED_LIMIT_S);
	b->tcp = echoed_start(accept_tcp, listener);
	b->m = saved_start("busy.sock", config(), NULL);
	await_begun(b);
	b->vsock = echoed_start(connect_vsock, path);
}

static void test_busy(void **state)
{
	const char *wanted = getenv("WISP_ROUNDS");
	unsigned count = wanted ? (unsigned)strtoul(wanted, NULL, 10) : WAYS;
	int listener = listen_tcp();
	struct busy b;

	(void)state;
	begin(&b, &listener);
	expect_progress(&b);
	for (unsigned i = 0; i < count; i++) {
		go_round(&b, &rounds[i % WAYS]);
		if (wanted)
			print_message("%u of %u: %llu bytes by TCP, %llu by vsock in %u\n", i + 1,
				      count, (unsigned long long)b.tcp->bytes,
				      (unsigned long long)b.vsock->bytes, b.vsock->begun);
	}
	finish(&b);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_busy) };

	if (!fixture_has_kvm() || geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		print_message("needs /dev/kvm, and root for a network of its own\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
