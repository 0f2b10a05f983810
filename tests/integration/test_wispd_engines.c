/* test_wispd_engines.c - VMMs that are children of somebody else: here, of this test.
 *
 * What an engine does is done as it does it: a control group for a task, a process in it that
 * executes `wispctl launch`, a signal to end it. Tiny guests on KVM, with control groups of
 * whichever version there is.
 */
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 120,
	POLL_MS = 20,
	BUSY_US = 200000,
	CRASH_STEP = 5,
	EMULATED_CRASH_STEP = 67,
	FEWEST = 20,
	NOBODY = 65534
};

#define ENGINE "wisp-test-engine"
#define V1     "/sys/fs/cgroup/cpuacct/" ENGINE
#define V2     "/sys/fs/cgroup/" ENGINE
#define MADE   "{\"image\": \"spin\", \"name\": \"job\", \"shape\": \"test\", \"engine\": \"slurm\""

/* --- the engine --- */

/* The task's group, made if it is not there. */
static const char *task_group(void)
{
	const bool v1 = access("/sys/fs/cgroup/cpuacct", F_OK) == 0;

	(void)mkdir(v1 ? V1 : V2, 0755);
	(void)mkdir(v1 ? V1 "/task" : V2 "/task", 0755);
	return v1 ? V1 "/task" : V2 "/task";
}

static void remove_groups(void)
{
	const char *task = task_group();
	char above[64];

	snprintf(above, sizeof(above), "%s", task);
	*strrchr(above, '/') = '\0';
	/* The second fails if anything is left in the first. */
	(void)rmdir(task);
	assert_int_equal(rmdir(above), 0);
}

/* A process that does this in a group. */
static struct session *run_in(const char *group, const char *command)
{
	char text[1024];

	snprintf(text, sizeof(text), "echo $$ >%s/cgroup.procs && %s", group, command);
	return session_start((const char *const[]){ "/bin/sh", "-c", text, NULL });
}

static struct session *launch(struct wispd_host *h)
{
	char command[512];

	snprintf(command, sizeof(command), "exec %s --socket %s launch job",
		 fixture_program("wispctl"), wispd_host_socket(h));
	return run_in(task_group(), command);
}

/* Offers a process that will not become a VMM's. */
static struct session *offer(struct wispd_host *h, const char *group)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "exec curl -s --unix-socket %s -X POST http://localhost/instances/job/launch",
		 wispd_host_socket(h));
	return run_in(group, command);
}

/* --- what wispd makes of it --- */

static json_t *inspect(struct wispd_host *h)
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "GET", "/instances/job", NULL, &j), 200);
	return j;
}

static void await_state(struct wispd_host *h, const char *state, const char *says)
{
	char now[64] = "", cause[256] = "";

	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		json_t *j = inspect(h);

		snprintf(now, sizeof(now), "%s", json_string_value(json_object_get(j, "state")));
		snprintf(cause, sizeof(cause), "%s",
			 json_string_value(json_object_get(j, "cause")));
		json_decref(j);
		if (strcmp(now, state) == 0 && strstr(cause, says))
			return;
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("job is %s (%s), not %s (%s): %s", now, cause, state, says, wispd_host_log(h));
}

static int64_t cpu_used(struct wispd_host *h)
{
	int64_t quantity = 0;
	json_t *j = NULL, *row;
	size_t i;

	assert_int_equal(wispd_host_call(h, "GET", "/usage", NULL, &j), 200);
	json_array_foreach(json_object_get(j, "usage"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "meter")), "cpu_used") == 0)
			quantity = json_integer_value(json_object_get(row, "quantity"));
	}
	json_decref(j);
	return quantity;
}

/* more: members of the job's request. */
static struct wispd_host *make_host_with(const char *more)
{
	char config[400], body[512];
	struct wispd_host *h;

	(void)mkdir(fixture_path("work"), 0755);
	assert_int_equal(chmod(fixture_dir(), 0711), 0);
	snprintf(config, sizeof(config),
		 ", \"cgroup\": \"wisp-test-engines\", \"confirm_interval_ms\": 100,"
		 " \"count_interval_ms\": 100, \"shares\": [{\"path\": \"%s\", \"user\": %d}]",
		 fixture_path("work"), NOBODY);
	h = wispd_host_make(config);
	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	wispd_host_add_image(h, "spin");
	snprintf(body, sizeof(body), MADE ", \"engine_ref\": \"7.0\"%s}", more);
	assert_string_equal(wispd_host_do(h, "POST", "/instances", body), "done");
	return h;
}

static struct wispd_host *make_host(void)
{
	return make_host_with("");
}

static void end_host(struct wispd_host *h)
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "GET", "/doctor", NULL, &j), 200);
	assert_true(json_is_true(json_object_get(j, "healthy")));
	json_decref(j);
	assert_string_equal(wispd_host_do(h, "DELETE", "/instances/job", NULL), "done");
	assert_int_equal(wispd_host_jails(h), 0);
	remove_groups();
	wispd_host_end(h);
}

/* Of the engine's group, by the kernel: what sacct says of a step is as much. */
static int64_t group_cpu_us(void)
{
	char path[128], line[128];
	int64_t us = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpuacct.usage", task_group());
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		us = strtoll(line, NULL, 10) / 1000;
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "%s/cpu.stat", task_group());
	f = us < 0 ? fopen(path, "re") : NULL;
	while (f && us < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, "usage_usec ", 11) == 0)
			us = strtoll(line + 11, NULL, 10);
	if (f)
		fclose(f);
	return us;
}

/* Its books, as sacct prints them, with so much processor time; wispctl's exit status. */
static int reconcile(struct wispd_host *h, int64_t cpu_us)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "JobID|JobName|State|TotalCPU|AllocTRES\n7|job|COMPLETED|00:00.001|cpu=1\n"
		 "7.0|wispctl|CANCELLED by 0|%02lld:%02lld.%03lld|cpu=1,mem=64M,node=1\n",
		 (long long)(cpu_us / 60000000), (long long)(cpu_us / 1000000 % 60),
		 (long long)(cpu_us / 1000 % 1000));
	return wispd_host_ctl(
		h, NULL,
		(const char *const[]){ "reconcile", "slurm", fixture_file("sacct", text), NULL });
}

static int64_t open_findings(struct wispd_host *h)
{
	json_t *j = inspect(h);
	int64_t n = (int64_t)json_array_size(json_object_get(j, "findings"));

	json_decref(j);
	return n;
}

static bool is_emulated(void)
{
	return getenv("WISP_TESTHOST") != NULL;
}

/* What its group used is what was metered; an hour is a finding until it says otherwise. Where
 * processors are emulated, what comes before the VMM takes longer than the comparison allows
 * for. */
static void check_books(struct wispd_host *h)
{
	const int64_t group_us = group_cpu_us(), cpu_us = is_emulated() ? cpu_used(h) : group_us;

	assert_true(group_us >= BUSY_US);
	assert_int_equal(reconcile(h, cpu_us + INT64_C(3600000000)), 1);
	assert_int_equal(open_findings(h), 1);
	assert_int_equal(reconcile(h, cpu_us), 0);
	assert_int_equal(open_findings(h), 0);
}

/* The engine's child is the VMM's process, through a death of wispd; it is metered, in the
 * engine's group; and the engine ends it, and has it again. */
static void test_life(void **state)
{
	struct wispd_host *h = make_host();
	struct session *task = launch(h);
	json_t *j;

	(void)state;
	await_state(h, "running", "");
	assert_int_equal(wispd_host_jailer(h, "job"), session_pid(task));
	j = inspect(h);
	assert_string_equal(json_string_value(json_object_get(j, "owner_engine")), "slurm");
	assert_string_equal(json_string_value(json_object_get(j, "engine_ref")), "7.0");
	json_decref(j);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	while (cpu_used(h) < BUSY_US)
		poll(NULL, 0, POLL_MS);
	session_kill(task, SIGTERM);
	assert_int_equal(session_wait(task, LIMIT_S), 128 + SIGTERM);
	session_end(task);
	await_state(h, "stopped", "slurm knows how");
	task = launch(h);
	await_state(h, "running", "");
	assert_string_equal(wispd_host_do(h, "POST", "/instances/job/stop", "{\"timeout_ms\": 0}"),
			    "done");
	assert_true(session_wait(task, LIMIT_S) > 128);
	session_end(task);
	check_books(h);
	end_host(h);
}

/* --- what serves its VMM --- */

static bool has_line(const char *path, const char *begins, const char *ends)
{
	FILE *f = fopen(path, "re");
	char line[300];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strstr(line, begins) && strlen(line) >= strlen(ends) &&
			strcmp(line + strlen(line) - strlen(ends), ends) == 0;
	}
	if (f)
		fclose(f);
	return found;
}

/* In a group beside its VMM's, below the engine's; 0: there is none. */
static pid_t find_server(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_non_null(dir);
	while (!found && (entry = readdir(dir)) != NULL) {
		long pid = strtol(entry->d_name, NULL, 10);
		char comm[40], groups[40];

		snprintf(comm, sizeof(comm), "/proc/%ld/comm", pid);
		snprintf(groups, sizeof(groups), "/proc/%ld/cgroup", pid);
		if (pid > 0 && has_line(comm, "virtiofsd", "virtiofsd") &&
		    has_line(groups, "/" ENGINE "/task/", ".aside"))
			found = (pid_t)pid;
	}
	closedir(dir);
	return found;
}

/* Another than this one. */
static pid_t await_server(struct wispd_host *h, pid_t other)
{
	pid_t pid;

	for (int waited = 0; (pid = find_server()) == 0 || pid == other; waited += POLL_MS) {
		if (waited > LIMIT_S * 1000)
			fail_msg("nobody serves: %s", wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
	return pid;
}

/* It has the engine's group and limits, is started again there, and goes with the engine's
 * process, whoever sees that. */
static void test_companions(void **state)
{
	struct wispd_host *h;
	struct session *task;
	char share[300];
	pid_t pid;

	(void)state;
	if (access("/usr/lib/qemu/virtiofsd", X_OK) < 0)
		skip();
	snprintf(share, sizeof(share), ", \"shares\": [\"%s:work\"]", fixture_path("work"));
	h = make_host_with(share);
	task = launch(h);
	await_state(h, "running", "");
	pid = await_server(h, 0);
	wispd_host_stop(h, SIGKILL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	await_server(h, pid);
	session_kill(task, SIGKILL);
	session_wait(task, LIMIT_S);
	session_end(task);
	assert_true(wispd_host_start(h, 0));
	await_state(h, "stopped", "slurm knows how");
	assert_int_equal(find_server(), 0);
	end_host(h);
}

/* The engine's process is killed, or ends before it has become anything. */
static void test_lost(void **state)
{
	struct wispd_host *h = make_host();
	struct session *task = launch(h);

	(void)state;
	await_state(h, "running", "");
	session_kill(task, SIGKILL);
	session_wait(task, LIMIT_S);
	session_end(task);
	await_state(h, "stopped", "slurm knows how");
	task = offer(h, task_group());
	assert_int_equal(session_wait(task, LIMIT_S), 0);
	session_end(task);
	await_state(h, "failed", "");
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	end_host(h);
}

static bool has_ended(const struct session *task)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)session_pid(task), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

/* false, too, when wispd is not there. */
static bool is_in(struct wispd_host *h, const char *state)
{
	json_t *j = NULL;
	bool yes = wispd_host_call(h, "GET", "/instances/job", NULL, &j) == 200 &&
		   strcmp(json_string_value(json_object_get(j, "state")), state) == 0;

	json_decref(j);
	return yes;
}

/* wispd dies before its n-th write, which may be of its start: false. Either way the process that
 * was offered is the VMM's in the end, or has ended, and the engine can try again. */
static bool crash_once(struct wispd_host *h, long n)
{
	bool survived = wispd_host_start(h, n);
	struct session *task = launch(h);

	while (wispd_host_runs(h) && !is_in(h, "running") && !has_ended(task))
		poll(NULL, 0, POLL_MS);
	survived = survived && is_in(h, "running");
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	while (!is_in(h, "running") && !has_ended(task))
		poll(NULL, 0, POLL_MS);
	if (!has_ended(task))
		assert_int_equal(wispd_host_jailer(h, "job"), session_pid(task));
	session_kill(task, SIGTERM);
	session_wait(task, LIMIT_S);
	session_end(task);
	while (!is_in(h, "created") && !is_in(h, "stopped") && !is_in(h, "failed"))
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	wispd_host_stop(h, SIGKILL);
	return survived;
}

static void test_crashes(void **state)
{
	struct wispd_host *h = make_host();
	long n = 1;

	(void)state;
	wispd_host_stop(h, SIGKILL);
	while (!crash_once(h, n))
		n += is_emulated() ? EMULATED_CRASH_STEP : CRASH_STEP;
	assert_true(n > FEWEST);
	assert_true(wispd_host_start(h, 0));
	end_host(h);
}

/* What only the engine may do, and what it cannot ask for. */
static void test_refused(void **state)
{
	struct wispd_host *h = make_host();
	struct session *task;
	const struct {
		const char *verb, *path, *body, *says;
		int status;
	} rows[] = {
		{ "POST", "/instances/job/start", NULL, "wispctl launch", 409 },
		{ "POST", "/instances", MADE ", \"start\": true}", "\"start\"", 400 },
		{ "POST", "/instances", MADE ", \"wait_ms\": 9}", "\"wait_ms\"", 400 },
		{ "POST", "/instances", MADE ", \"placement\": {\"node\": 0}}", "placement", 400 },
		{ "POST", "/instances",
		  "{\"image\": \"spin\", \"shape\": \"test\", \"engine_ref\": \"7\"}", "\"engine\"",
		  400 },
		{ "POST", "/instances",
		  "{\"image\": \"spin\", \"shape\": \"test\", \"engine\": \"wispd\"}", "\"engine\"",
		  400 },
		{ "GET", "/instances/job/command", NULL, "created", 409 },
	};

	(void)state;
	(void)task_group();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *j = NULL;
		int status = wispd_host_call(h, rows[i].verb, rows[i].path, rows[i].body, &j);
		char *text = json_dumps(j, 0);

		if (status != rows[i].status || !strstr(text, rows[i].says))
			fail_msg("%s %s: %d %s", rows[i].path, rows[i].body, status, text);
		free(text);
		json_decref(j);
	}
	/* All processes share the root's. */
	task = offer(h, access("/sys/fs/cgroup/cpuacct", F_OK) == 0 ? V1 "/.." : V2 "/..");
	session_expect(task, "control group of its own", LIMIT_S);
	session_end(task);
	end_host(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),	cmocka_unit_test(test_companions),
		cmocka_unit_test(test_lost),	cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_refused),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_engines needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (access("/sys/fs/cgroup/cpuacct", F_OK) < 0 &&
	    access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0) {
		fprintf(stderr, "test_wispd_engines needs control groups\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
