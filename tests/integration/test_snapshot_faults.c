/* test_snapshot_faults.c - snapshots when things go wrong: the process is killed at every
 * step of a create, the disk is full, memory is short, and the state was made to hurt.
 *
 * Each time what was there before must still be good: another process goes on from it, or
 * says what else to take. With WISP_EVERY_BYTE set, no byte of a state is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client/libwisp.h"
#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "vmm/snapshot/crc.h"

enum {
	SKIPPED = 77,
	MIB = 1024 * 1024,
	KIB = 1024,
	CREATE_LIMIT_S = 60,
	HOSTILE_LOADS = 300,
	ROUND_TRIPS = 200,
	HEADER = 28,
	SECTION = 20,
	CRC = 4,
	SAVER_IOCTLS = 64, /* one of so many is a step */
};

/* Loads these files, and sees that the guest is alive in them; *m: still there. */
static void expect_good(struct machine *m, const char *state, const char *memory)
{
	*m = saved_start("tiny.sock", NULL, NULL);
	saved_load(m, state, memory, ", \"resume_vm\": true");
	saved_say(m, "alive");
}

/* --- killed --- */

/* One create, of which each system call is seen: the main thread's, and those of the thread
 * that it may start for it. */
struct trace {
	pid_t main, saver; /* saver: 0 when there is none */
	pid_t stopped;	   /* one of them, or 0 */
	unsigned ioctls;   /* of the saver's */
};

/* What changes files, or the names of files, or asks KVM. Of the thousand calls by which
 * the saver lifts the protection of memory some will do. */
static bool is_step(struct trace *t, long number)
{
	static const long steps[] = { SYS_openat,	   SYS_unlink, SYS_pwrite64,
				      SYS_ftruncate,	   SYS_fsync,  SYS_rename,
				      SYS_copy_file_range, SYS_ioctl,  SYS_write };

	if (number == SYS_ioctl && t->stopped == t->saver)
		return t->ioctls++ % SAVER_IOCTLS == 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i] == number)
			return true;
	}
	return false;
}

/* more: ", ...", of the body. */
static int send_create(const struct machine *m, const char *more)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *body = saved_create_body("state", "memory", more);
	char request[1024];

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", m->socket);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	snprintf(
		request, sizeof(request),
		"PUT /snapshot/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	return fd;
}

static bool is_answered(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void trace_begin(struct trace *t, pid_t pid)
{
	int status;

	*t = (struct trace){ .main = pid, .stopped = pid };
	assert_int_equal(
		ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
}

/* The next of them to stop, before or behind a system call. False: the process ended. */
static bool next_stop(struct trace *t, struct __ptrace_syscall_info *info)
{
	int status;
	pid_t who;

	info->op = PTRACE_SYSCALL_INFO_NONE;
	if (t->stopped)
		assert_int_equal(ptrace(PTRACE_SYSCALL, t->stopped, NULL, NULL), 0);
	who = waitpid(-1, &status, __WALL);
	assert_true(who > 0);
	t->stopped = WIFSTOPPED(status) ? who : 0;
	if (who != t->main)
		t->saver = t->stopped;
	if (t->stopped)
		return ptrace(PTRACE_GET_SYSCALL_INFO, who, sizeof(*info), info) > 0;
	return who != t->main;
}

/* A process that was killed has ended when its tracer has taken note of all threads. */
static void trace_end(const struct trace *t)
{
	int status;

	while (t->saver && waitpid(t->saver, &status, __WALL) == t->saver && WIFSTOPPED(status))
		continue;
}

/* Lets the process take so many steps of its create, and kills it before the next. False:
 * it was done before that, and then killed. */
static bool kill_after(const struct machine *m, const char *more, unsigned steps)
{
	struct __ptrace_syscall_info info;
	struct trace t;
	bool answered;
	int fd;

	trace_begin(&t, session_pid(m->wisp));
	fd = send_create(m, more);
	while (!(answered = is_answered(fd)) && next_stop(&t, &info)) {
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY && is_step(&t, (long)info.entry.nr) &&
		    steps-- == 0)
			break;
	}
	session_kill(m->wisp, SIGKILL);
	trace_end(&t);
	close(fd);
	return !answered;
}

struct killed_create {
	const char *name;
	const char *create, *load; /* more members of the bodies, ", ..." */
	bool paused;
};

/* The files in place, or, between the two renames, the state beside its place. */
static void expect_usable(struct machine *m, const char *load, unsigned *between)
{
	struct api_reply reply;

	*m = saved_start("tiny.sock", NULL, NULL);
	api_call(m->socket, "PUT", "/snapshot/load", saved_load_body("state", "memory", load),
		 &reply);
	if (reply.status != 204) {
		assert_non_null(strstr(reply.body, "another snapshot than the state"));
		saved_load(m, "state.new", "memory", load);
		assert_int_equal(rename(fixture_path("state.new"), fixture_path("state")), 0);
		(*between)++;
	}
	saved_say(m, "alive");
}

/* Killed before every step of one create after another, until one comes to its end. */
static void kill_everywhere(const struct killed_create *c)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	unsigned steps = 0, between = 0;
	bool killed = true;

	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	if (!c->paused)
		saved_resume(&m);
	for (; killed; steps++) {
		killed = kill_after(&m, c->create, steps);
		saved_kill(&m);
		expect_usable(&m, c->load, &between);
		if (c->paused)
			saved_pause(&m);
	}
	saved_kill(&m);
	print_message("%s: killed at each of %u steps, %u of them between the renames\n", c->name,
		      steps - 1, between);
	assert_true(steps > 10 && between > 0);
}

#define RESUME ", \"resume_vm\": true"

static void test_killed(void **state)
{
	static const struct killed_create full = { "Full", "", RESUME, true };

	(void)state;
	kill_everywhere(&full);
}

static void test_killed_diff(void **state)
{
	static const struct killed_create diff = { "Diff", ", \"snapshot_type\": \"Diff\"", RESUME,
						   true };

	(void)state;
	kill_everywhere(&diff);
}

/* Huge pages, for memory that is copied from the file and so can be protected. */
static void test_killed_live(void **state)
{
	static const struct killed_create live = { "live", ", \"live\": true",
						   RESUME ", \"huge_pages\": \"Transparent\"",
						   false };

	(void)state;
	kill_everywhere(&live);
}

/* --- a full disk --- */

static void fill(const char *path, off_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(bytes ? posix_fallocate(fd, 0, bytes) : 0, 0);
	close(fd);
}

static off_t room_in(const char *folder)
{
	char command[512];
	long long kib = 0;
	FILE *f;

	snprintf(command, sizeof(command), "df -k --output=avail %s | tail -1", folder);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lld", &kib), 1);
	pclose(f);
	return (off_t)kib * KIB;
}

/* With this much room left. True when it was enough. */
static bool create_within(struct machine *m, off_t room)
{
	struct api_reply reply;
	char body[512];

	fill(fixture_path("small/filler"), room_in(fixture_path("small")) - room);
	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\"}",
		 fixture_path("small/state"), fixture_path("small/memory"));
	api_call(m->socket, "PUT", "/snapshot/create", body, &reply);
	assert_int_equal(unlink(fixture_path("small/filler")), 0);
	if (reply.status == 204)
		return true;
	assert_non_null(strstr(reply.body, "No space left"));
	assert_int_equal(access(fixture_path("small/state.new"), F_OK), -1);
	assert_int_equal(access(fixture_path("small/memory.new"), F_OK), -1);
	return false;
}

/* A tmpfs in the test's folder, in this process's namespace; or the test is skipped. */
static void own_file_system(const char *name, const char *options)
{
	assert_int_equal(mkdir(fixture_path(name), 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(name, fixture_path(name), "tmpfs", 0, options) < 0) {
		print_message("no file system of its own: %s\n", strerror(errno));
		skip();
	}
}

static void test_disk_full(void **state)
{
	struct machine m, other;
	unsigned refused = 0;

	(void)state;
	own_file_system("small", "size=1m");
	m = saved_start("full.sock", saved_tiny_config(NULL), NULL);
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "small/state", "small/memory", "Full");
	for (off_t room = 0; !create_within(&m, room); room += 8 * KIB) {
		refused++;
		expect_good(&other, "small/state", "small/memory");
		saved_kill(&other);
	}
	assert_true(refused > 3);
	expect_good(&other, "small/state", "small/memory");
	saved_kill(&other);
	saved_kill(&m);
	umount(fixture_path("small"));
}

/* Files that nobody can write to any more are loaded as others are; a save to where they are
 * is refused, and the machine is none the worse for it. */
static void test_read_only(void **state)
{
	struct api_reply reply;
	struct machine m;

	(void)state;
	own_file_system("fixed", "");
	m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "fixed/state", "fixed/memory", "Full");
	saved_kill(&m);
	assert_int_equal(mount(NULL, fixture_path("fixed"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	expect_good(&m, "fixed/state", "fixed/memory");
	saved_pause(&m);
	api_call(m.socket, "PUT", "/snapshot/create",
		 saved_create_body("fixed/state", "fixed/memory", ""), &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "Read-only file system"));
	saved_resume(&m);
	saved_say(&m, "two");
	saved_quit(&m);
	umount(fixture_path("fixed"));
}

/* --- little memory --- */

static void limit(const struct machine *m, rlim_t bytes)
{
	const struct rlimit l = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	assert_int_equal(prlimit(session_pid(m->wisp), RLIMIT_AS, &l, NULL), 0);
}

static rlim_t address_space(const struct machine *m)
{
	char path[64];
	unsigned long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)session_pid(m->wisp));
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ENDS_WITHOUT_MEMORY = true }; /* so sanitizers do with a process */
#else
enum { ENDS_WITHOUT_MEMORY = false };
#endif

/* Wherever it runs out, the load is refused, and a later one works. */
static void test_out_of_memory(void **state)
{
	struct machine m;
	struct api_reply reply = { 0 };
	unsigned refused = 0;
	rlim_t now;

	(void)state;
	if (ENDS_WITHOUT_MEMORY) {
		print_message("a sanitizer ends what is out of memory\n");
		skip();
	}
	m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	now = address_space(&m);
	for (rlim_t more = 0; reply.status != 204; more += more < MIB ? 64 * KIB : 8 * MIB) {
		limit(&m, now + more);
		api_call(m.socket, "PUT", "/snapshot/load", saved_load_body("state", "memory", ""),
			 &reply);
		refused += reply.status == 400;
	}
	assert_true(refused > 3);
	limit(&m, RLIM_INFINITY);
	saved_resume(&m);
	saved_say(&m, "two");
	saved_quit(&m);
}

/* --- states made to hurt --- */

/* Makes the checksums fit, so that what lies behind them is reached. */
static void mend(uint8_t *bytes, size_t len)
{
	uint32_t crc = crc32c(0, bytes, HEADER - CRC);
	uint64_t fields;

	memcpy(bytes + HEADER - CRC, &crc, CRC);
	for (size_t at = HEADER; len - at >= SECTION; at += SECTION + (size_t)fields) {
		memcpy(&fields, bytes + at + 8, sizeof(fields));
		if (fields > len - at - SECTION)
			return;
		crc = crc32c(crc32c(0, bytes + at, SECTION - CRC), bytes + at + SECTION,
			     (size_t)fields);
		memcpy(bytes + at + SECTION - CRC, &crc, CRC);
	}
}

/* The status of the answer; 0: there is none, for a guest that may do anything has ended it. */
static int set_state(const struct machine *m, const char *body)
{
	struct wisp_reply reply = { 0 };
	struct wisp *w;
	int status;

	assert_int_equal(wisp_open(m->socket, &w), 0);
	(void)wisp_call(w, "PATCH", "/vm", body, &reply);
	status = reply.status;
	wisp_reply_clear(&reply);
	wisp_close(w);
	return status;
}

/* The process answers, whatever it made of the state. Loaded: it runs the guest, which
 * may do anything, and then ends at a signal as it always does. */
static void try_state(struct machine *m, unsigned *loaded)
{
	struct api_reply reply;
	int status, resumed;

	api_call(m->socket, "PUT", "/snapshot/load", saved_load_body("bad", "memory", ""), &reply);
	if (reply.status == 400)
		return;
	assert_int_equal(reply.status, 204);
	(*loaded)++;
	resumed = set_state(m, "{\"state\": \"Resumed\"}");
	(void)set_state(m, "{\"state\": \"Paused\"}");
	session_kill(m->wisp, SIGTERM);
	status = session_wait(m->wisp, SAVED_LIMIT_S);
	if (status > 1 && !strstr(session_output(m->wisp), "ended by signal 15"))
		fail_msg("ended with %d: %s", status, session_output(m->wisp));
	if (resumed && resumed != 204)
		fail_msg("resumed with %d: %s", resumed, session_output(m->wisp));
	session_end(m->wisp);
	*m = saved_start("tiny.sock", NULL, NULL);
}

static void test_hostile_states(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(", \"entropy\": {}"), NULL);
	unsigned loaded = 0, tried = 0;
	size_t len, step;
	uint8_t *bytes;

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	bytes = (uint8_t *)fixture_read("state", &len);
	step = getenv("WISP_EVERY_BYTE") ? 1 : len / HOSTILE_LOADS;
	m = saved_start("tiny.sock", NULL, NULL);
	for (size_t i = 0; i < len; i += step) {
		uint8_t *bad = malloc(len);

		assert_non_null(bad);
		memcpy(bad, bytes, len);
		bad[i] ^= (uint8_t)(1 << i % 8);
		mend(bad, len);
		fixture_write("bad", bad, len);
		free(bad);
		try_state(&m, &loaded);
		tried++;
	}
	print_message("%u states, each with one bit changed: %u were loaded\n", tried, loaded);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	saved_say(&m, "two");
	saved_quit(&m);
	free(bytes);
}

/* --- again and again --- */

/* The kernel may still be busy with a killed process's io_uring, and its disk locked. */
static void test_round_trips(void **state)
{
	struct machine m;
	char extra[512];

	(void)state;
	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"io_engine\": \"Async\"}]",
		 fixture_disk("tiny-disk", "", MIB));
	m = saved_start("tiny.sock", saved_tiny_config(extra), NULL);
	for (unsigned i = 0; i < ROUND_TRIPS; i++) {
		char word[32];

		snprintf(word, sizeof(word), "generation-%u.", i);
		saved_say(&m, word);
		saved_pause(&m);
		saved_create(&m, "state", "memory", i % 10 == 0 ? "Full" : "Diff");
		saved_kill(&m);
		m = saved_start("tiny.sock", NULL, NULL);
		saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	}
	saved_say(&m, "last");
	saved_quit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),	       cmocka_unit_test(test_killed_diff),
		cmocka_unit_test(test_killed_live),    cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_hostile_states), cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_disk_full),      cmocka_unit_test(test_read_only),
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
