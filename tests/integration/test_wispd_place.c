/* test_wispd_place.c - where guests run, on a host of two nodes: real guests of both runtimes,
 * and the kernel's word for what they have.
 *
 * Wants the test host with --numa 2 --smp 4: processors 0 and 1 are node 0's, 2 and 3 node 1's.
 */
#include <fcntl.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_S = 120, POLL_MS = 20, TEXT_BYTES = 1 << 16, THREADS_MAX = 64 };

#define GROUPS	   "/sys/fs/cgroup/wispd-place/"
#define HUGE_PAGES "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"

#define ctl(h, output, ...) wispd_host_ctl(h, output, (const char *const[]){ __VA_ARGS__, NULL })

static struct wispd_host *h;

#define expect(wanted, ...) wispd_host_expect(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

/* --- what the kernel says --- */

/* Static storage, without the last newline. */
static const char *file(const char *path)
{
	static char text[TEXT_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;

	if (fd < 0)
		fail_msg("no %s", path);
	while ((n = read(fd, text + len, (size_t)(TEXT_BYTES - 1 - len))) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

/* A file of an instance's control group. */
static const char *of_group(const char *name, const char *what)
{
	char path[256];
	json_t *j = NULL;

	snprintf(path, sizeof(path), "/instances/%s", name);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	snprintf(path, sizeof(path), GROUPS "%s/%s", json_string_value(json_object_get(j, "id")),
		 what);
	json_decref(j);
	return file(path);
}

/* The thread of an instance that has this name. */
static pid_t thread_of(const char *name, const char *comm)
{
	const char *at = of_group(name, "cgroup.threads");
	pid_t threads[THREADS_MAX];
	unsigned n = 0;
	char path[64], *end;

	for (; *at && n < THREADS_MAX; at = end + (*end == '\n'))
		threads[n++] = (pid_t)strtol(at, &end, 10);
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)threads[i]);
		if (strcmp(file(path), comm) == 0)
			return threads[i];
	}
	fail_msg("%s has no thread %s", name, comm);
	return 0;
}

static void expect_bound(const char *name, const char *comm, int cpu)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(thread_of(name, comm), sizeof(set), &set), 0);
	assert_int_equal(CPU_COUNT(&set), 1);
	assert_true(CPU_ISSET(cpu, &set));
}

/* How many pages of a process are on a node, by its maps: those of 2 MiB, or others; but not
 * of files, whose pages are where somebody read them first. */
static long pages_on(pid_t pid, int node, bool huge)
{
	char path[64], word[16], *rest = NULL;
	long pages = 0;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", (int)pid);
	snprintf(word, sizeof(word), " N%d=", node);
	for (char *line = strtok_r((char *)file(path), "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *at = strstr(line, word);

		if (at && (strstr(line, " huge ") != NULL) == huge &&
		    (huge || !strstr(line, " file=")))
			pages += strtol(at + strlen(word), NULL, 10);
	}
	return pages;
}

static void await_group(const char *name, const char *what, const char *wanted)
{
	alarm(LIMIT_S);
	while (strcmp(of_group(name, what), wanted) != 0)
		poll(NULL, 0, POLL_MS);
}

/* --- the guests --- */

static int set_up(void **state)
{
	const char *kernel = fixture_image("vmlinux-minimal");
	const char *initrd = fixture_image("initramfs.cpio");
	int fd = open(HUGE_PAGES, O_WRONLY | O_CLOEXEC);

	(void)state;
	if (!kernel || !initrd || fd < 0 || write(fd, "150", 3) != 3)
		return -1;
	close(fd);
	h = wispd_host_make(", \"cgroup\": \"wispd-place\", \"agent_timeout_ms\": 240000");
	if (!wispd_host_start(h, 0))
		return -1;
	expect(0, "image", "add", "--agent", "--kernel", kernel, "--initrd", initrd, "--cmdline",
	       "console=ttyS0 reboot=k panic=-1 quiet", "box");
	/* No root: it stands still when it has come so far. */
	expect(0, "image", "add", "--kernel", kernel, "--cmdline", "console=ttyS0 panic=0",
	       "still");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wispd_host_end(h);
	return 0;
}

static void test_inventory(void **state)
{
	json_t *j = NULL, *nodes, *kvm;

	(void)state;
	assert_int_equal(wispd_host_call(h, "GET", "/host", NULL, &j), 200);
	nodes = json_object_get(j, "nodes");
	assert_int_equal(json_object_size(nodes), 2);
	assert_string_equal(json_string_value(json_object_get(json_object_get(nodes, "1"), "cpus")),
			    "2-3");
	kvm = json_object_get(j, "kvm");
	assert_string_equal(json_string_value(json_object_get(kvm, "flavour")), "svm");
	json_decref(j);
}

/* Its pages are all there before it runs. */
static void test_huge_pages(void **state)
{
	pid_t vcpu;

	(void)state;
	expect(1, "run", "-d", "--name", "huge", "--shape", "small", "--huge-pages", "still");
	expect(0, "run", "-d", "--name", "huge", "--shape", "tiny", "--runtime", "qemu",
	       "--huge-pages", "still");
	vcpu = thread_of("huge", "CPU 0/KVM");
	assert_int_equal(pages_on(vcpu, 1, true), 64);
	assert_int_equal(pages_on(vcpu, 0, true), 0);
	expect(0, "rm", "huge");
}

/* What wispctl topology shows, of memory in huge pages and of processors. */
static void expect_topology(const char *name, const char *cpus, const char *huge)
{
	char path[64];
	json_t *j = NULL, *vcpu, *memory;
	char *text;

	snprintf(path, sizeof(path), "/instances/%s/topology", name);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	vcpu = json_array_get(json_object_get(j, "vcpus"), 0);
	assert_string_equal(json_string_value(json_object_get(vcpu, "cpus")), cpus);
	assert_true(json_is_true(json_object_get(vcpu, "bound")));
	memory = json_object_get(j, "memory");
	text = json_dumps(memory, JSON_COMPACT);
	if (huge && json_integer_value(json_object_get(json_object_get(memory, "huge_mib_on_nodes"),
						       huge)) <= 0)
		fail_msg("%s", text);
	free(text);
	json_decref(j);
}

/* One floats; one comes with cores and memory of its own, and the first one gives way. */
static void test_latency(void **state)
{
	pid_t vcpu;

	(void)state;
	expect(0, "run", "-d", "--name", "floats", "--shape", "tiny", "box");
	expect(1, "run", "-d", "--name", "fast", "--profile", "latency", "--node", "1", "box");
	expect(0, "run", "-d", "--name", "fast", "--shape", "tiny", "--runtime", "wisp",
	       "--profile", "latency", "--node", "1", "--huge-pages", "box");
	assert_string_equal(of_group("fast", "cpuset.cpus.effective"), "2-3");
	assert_string_equal(of_group("fast", "cpuset.mems.effective"), "1");
	expect_bound("fast", "vcpu0", 2);
	vcpu = thread_of("fast", "vcpu0");
	assert_true(pages_on(vcpu, 1, true) > 0);
	assert_int_equal(pages_on(vcpu, 0, true), 0);
	assert_int_equal(pages_on(vcpu, 0, false), 0);
	await_group("floats", "cpuset.cpus.effective", "0-1");
	expect_topology("fast", "2", "1");
}

/* QEMU's threads are bound the same way. */
static void test_dedicated(void **state)
{
	(void)state;
	expect(0, "run", "-d", "--name", "other", "--shape", "tiny", "--runtime", "qemu",
	       "--profile", "dedicated", "--node", "0", "still");
	assert_string_equal(of_group("other", "cpuset.cpus.effective"), "1");
	assert_string_equal(of_group("other", "cpuset.mems.effective"), "0");
	expect_bound("other", "CPU 0/KVM", 1);
	assert_int_equal(pages_on(thread_of("other", "CPU 0/KVM"), 1, false), 0);
	await_group("floats", "cpuset.cpus.effective", "0");
	expect_topology("other", "1", NULL);
	/* The one that is left is the host's. */
	expect(1, "run", "-d", "--name", "more", "--profile", "dedicated", "still");
	expect_in(expect(0, "explain", "fast"), "node 1");
}

/* wispd dies: the books know who sits where, and the next one keeps it so. */
static void test_comes_back(void **state)
{
	(void)state;
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	expect_bound("fast", "vcpu0", 2);
	expect(1, "slice", "set", "--cpus", "3", "slurm");
	expect(0, "rm", "other");
	await_group("floats", "cpuset.cpus.effective", "0-1");
	expect(0, "slice", "set", "--cpus", "1", "slurm");
	await_group("floats", "cpuset.cpus.effective", "0");
	expect(0, "slice", "rm", "slurm");
	expect(0, "rm", "fast");
	await_group("floats", "cpuset.cpus.effective", "0-3");
	expect(0, "rm", "floats");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inventory),  cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_latency),	   cmocka_unit_test(test_dedicated),
		cmocka_unit_test(test_comes_back),
	};

	if (!fixture_has_kvm() || geteuid() != 0 || access(HUGE_PAGES, F_OK) < 0) {
		fprintf(stderr, "test_wispd_place needs /dev/kvm, root, and two nodes\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
