/* test_wispd_companions.c - what serves a VMM is in a control group beside the VMM's own.
 *
 * virtiofsd for a tiny guest, with control groups of version 1 or 2; in the test host, which has
 * all that networks need, passt too: the network is a namespace with a way out, which leads nowhere.
 */
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_MS = 60000,
	POLL_MS = 10,
	PIDS_MAX = 32,
	NAME_BYTES = 32,
	NOBODY = 65534
};

#define PARENT "wisp-test-companions"
#define V1     "/sys/fs/cgroup/cpuacct"
#define V2     "/sys/fs/cgroup/cgroup.controllers"

#define expect(h, ...) wispd_host_expect(h, 0, (const char *const[]){ __VA_ARGS__, NULL })

static bool has_networks(void)
{
	return getenv("WISP_TESTHOST") != NULL;
}

static bool is_v1(void)
{
	return access(V1, F_OK) == 0;
}

static unsigned companions(void)
{
	return has_networks() ? 2 : 1;
}

/* A file of the group beside that of an instance; controller: of version 1. */
static const char *group_file(const char *id, const char *controller, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s" PARENT "/%s.aside/%s",
		 is_v1() ? controller : "", is_v1() ? "/" : "", id, file);
	return path;
}

static long long number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[32] = "";

	if (!f || !fgets(line, sizeof(line), f))
		fail_msg("cannot read %s", path);
	fclose(f);
	return strtoll(line, NULL, 10);
}

static void read_name(pid_t pid, char name[NAME_BYTES])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	name[0] = '\0';
	if (f && !fgets(name, NAME_BYTES, f))
		name[0] = '\0';
	if (f)
		fclose(f);
}

/* How many processes whose names begin so there are in the group; *ret, which may be NULL: the
 * last of them. */
static unsigned count(const char *id, const char *controller, const char *begins, pid_t *ret)
{
	FILE *f = fopen(group_file(id, controller, "cgroup.procs"), "re");
	char line[32], name[NAME_BYTES];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		pid_t pid = (pid_t)strtol(line, NULL, 10);

		read_name(pid, name);
		if (strncmp(name, begins, strlen(begins)) != 0)
			continue;
		n++;
		if (ret)
			*ret = pid;
	}
	if (f)
		fclose(f);
	return n;
}

/* All, and their keepers, in each group. */
static bool are_in(const char *id)
{
	static const char *const controllers[] = { "cpuacct", "memory", "pids" };

	for (unsigned i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		if (count(id, controllers[i], "wisp-keeper", NULL) != companions() ||
		    !count(id, controllers[i], "virtiofsd", NULL) ||
		    (has_networks() && !count(id, controllers[i], "passt", NULL)))
			return false;
	return true;
}

static void await_in(struct wispd_host *h, const char *id)
{
	for (int waited = 0; !are_in(id); waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("not all are in %s: %s", group_file(id, "memory", ""),
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

/* A group of this name in any hierarchy. */
static void check_no_group(const char *id)
{
	char command[160];

	snprintf(command, sizeof(command), "! find /sys/fs/cgroup -type d -name '%s*' | grep -q .",
		 id);
	if (system(command) != 0)
		fail_msg("%s has left a control group", id);
}

static void make_world(void)
{
	if (unshare(CLONE_NEWNET) < 0 ||
	    system("ip link set lo up && ip link add out type veth peer name far &&"
		   " ip address add 198.51.100.2/24 dev out && ip link set out up &&"
		   " ip link set far up && ip route add default via 198.51.100.1") != 0)
		fail_msg("no network");
}

static struct wispd_host *make_host(void)
{
	char more[400], folder[200];
	struct wispd_host *h;

	snprintf(folder, sizeof(folder), "%s", fixture_path("work"));
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	assert_int_equal(chmod(fixture_dir(), 0711), 0);
	snprintf(more, sizeof(more),
		 ", \"cgroup\": \"" PARENT "\", \"shares\": [{\"path\": \"%s\", \"user\": %d}]",
		 folder, NOBODY);
	h = wispd_host_make(more);
	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	wispd_host_add_image(h, "hlt-loop");
	if (has_networks())
		expect(h, "net", "create", "net", "--prefix4", "10.63.0.0/24", "--mode", "passt");
	return h;
}

static void start(struct wispd_host *h, char id[32])
{
	char share[256];
	json_t *j = NULL;

	snprintf(share, sizeof(share), "%s:work", fixture_path("work"));
	expect(h, "run", "--name", "one", "--shape", "test", "--share", share,
	       has_networks() ? "--net=net" : "--priority=0", "hlt-loop");
	assert_int_equal(wispd_host_call(h, "GET", "/instances/one", NULL, &j), 200);
	snprintf(id, 32, "%s", json_string_value(json_object_get(j, "id")));
	json_decref(j);
}

static void check_limits(const char *id)
{
	const bool v1 = is_v1();

	assert_int_equal(
		number_in(group_file(id, "memory", v1 ? "memory.limit_in_bytes" : "memory.max")),
		companions() * (256LL << 20));
	assert_int_equal(number_in(group_file(id, "pids", "pids.max")), companions() * 128);
}

static void test_groups(void **state)
{
	struct wispd_host *h;
	char id[32];
	pid_t pid = 0;

	(void)state;
	make_world();
	h = make_host();
	start(h, id);
	await_in(h, id);
	check_limits(id);
	/* What is started again is where it was. */
	assert_true(count(id, "memory", "virtiofsd", &pid) > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	await_in(h, id);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_in(h, id);
	/* The next life has groups of its own. */
	expect(h, "reboot", "--timeout", "0", "one");
	await_in(h, id);
	check_limits(id);
	expect(h, "stop", "--timeout", "0", "one");
	assert_int_equal(count(id, "memory", "", NULL), 0);
	expect(h, "start", "one");
	await_in(h, id);
	/* What served a VMM that ended while wispd was away ends, too. */
	wispd_host_stop(h, SIGKILL);
	wispd_host_end_jailers(h);
	assert_true(wispd_host_start(h, 0));
	expect(h, "rm", "one");
	check_no_group(id);
	expect(h, "doctor");
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_companions needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (!is_v1() && access(V2, F_OK) < 0) {
		fprintf(stderr, "test_wispd_companions needs control groups\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
