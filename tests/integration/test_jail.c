/* test_jail.c - wisp-jailer with real namespaces, control groups and microVMs.
 *
 * Needs root and KVM. What a jailed VMM holds is read from the kernel's view of its
 * process, while a guest that does nothing runs in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/jail_kit.h"
#include "tests/integration/saved.h"
#include "tests/integration/session.h"

enum { LEAKED_FD = 77 };

/* A jail's folder with a kernel and a configuration in it, as a caller prepares it. */
static void fill_jail(const char *id, const char *guest, const char *boot_args)
{
	const char *root = jail_path(id, "root");

	jail_shell("mkdir -p %s && install -m 644 %s %s/kernel", root, fixture_guest(guest), root);
	jail_shell("echo '{\"boot-source\": {\"kernel_image_path\": \"/kernel\", \"boot_args\": "
		   "\"%s\"}, \"machine-config\": {\"vcpu_count\": 1, \"mem_size_mib\": 32}}' "
		   "> %s/config.json",
		   boot_args, root);
}

/* more: options of the jailer's, NULL-ended; may be NULL. */
static struct session *start_jail(const char *id, const char *const *more)
{
	static const char *const none[] = { NULL };
	static const char *const rest[] = {
		"--no-api", "--config-file", "/config.json", "--debug-exit-port", "0xf4", NULL,
	};

	return jail_start(id, more ? more : none, rest);
}

static pid_t vmm_pid(const char *id)
{
	FILE *f = fopen(jail_path(id, "root/wisp.pid"), "re");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

/* /proc/PID/NAME; NULs become spaces. */
static const char *read_proc(pid_t pid, const char *name)
{
	static char text[16384];
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n] = '\0';
	return text;
}

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

static bool same_namespace(pid_t pid, const char *kind)
{
	char path[64], own[64];
	struct stat a, b;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	snprintf(own, sizeof(own), "/proc/self/ns/%s", kind);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(stat(own, &b), 0);
	return a.st_ino == b.st_ino;
}

/* The guest's output and exit status come through. */
static void test_boots(void **state)
{
	struct session *s;

	(void)state;
	fill_jail("hello", "hello", "");
	s = start_jail("hello", NULL);
	session_expect(s, "hello\n", JAIL_LIMIT_S);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 0);
	session_end(s);
	fill_jail("exit", "exit", "5");
	s = start_jail("exit", NULL);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 5);
	session_end(s);
	/* A jail is there for a second life. */
	s = start_jail("exit", NULL);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 5);
	session_end(s);
}

static void check_status(pid_t pid)
{
	static const char *const lines[] = {
		"Uid:\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT
		"\n",
		"Gid:\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT "\t" JAIL_USER_TEXT
		"\n",
		"Groups:\t \n",
		"CapInh:\t0000000000000000\n",
		"CapPrm:\t0000000000000000\n",
		"CapEff:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n",
		"NoNewPrivs:\t1\n",
		"Seccomp:\t2\n",
	};
	const char *text = read_proc(pid, "status");

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_in(text, lines[i]);
}

static void check_limits(pid_t pid)
{
	const char *text = read_proc(pid, "limits");
	unsigned long soft, hard;

	assert_int_equal(
		sscanf(strstr(text, "Max open files"), "Max open files %lu %lu", &soft, &hard), 2);
	assert_int_equal(soft, 300);
	assert_int_equal(hard, 300);
	assert_int_equal(sscanf(strstr(text, "Max core file size"), "Max core file size %lu %lu",
				&soft, &hard),
			 2);
	assert_int_equal(hard, 0);
}

static void check_mounts(pid_t pid)
{
	const char *text = read_proc(pid, "mountinfo");
	unsigned lines = 0;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3);
	expect_in(text, " / rw,nosuid,nodev,noexec");
	expect_in(text, " /wisp ro,nosuid,nodev");
	expect_in(text, " /dev ro,nosuid,noexec");
}

/* Nobody of the same user can trace it: the kernel gives its files to root then. */
static void check_hidden(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

/* Nothing of the caller's: not a descriptor, not a variable. */
static void check_inherited(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, LEAKED_FD);
	assert_int_equal(access(path, F_OK), -1);
	assert_string_equal(read_proc(pid, "environ"), "");
}

static void check_devices(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/root/dev/kvm", (int)pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFCHR | 0600);
	assert_int_equal(st.st_uid, JAIL_USER);
	snprintf(path, sizeof(path), "/proc/%d/root/dev/net", (int)pid);
	assert_int_equal(access(path, F_OK), -1);
}

/* The VMM's code is one inode for all. */
static void check_binary(pid_t pid)
{
	struct stat inside, outside;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	assert_int_equal(stat(path, &inside), 0);
	assert_int_equal(stat(fixture_program("wisp"), &outside), 0);
	assert_int_equal(inside.st_ino, outside.st_ino);
}

static struct session *start_idle(const char *id, const char *const *more)
{
	struct session *s;

	fill_jail(id, "hlt-loop", "");
	s = start_jail(id, more);
	session_expect(s, "\n", JAIL_LIMIT_S);
	return s;
}

static void test_confinement(void **state)
{
	static const char *const namespaces[] = { "mnt", "pid", "ipc", "uts" };
	static const char *const more[] = {
		"--resource-limit", "no-file=300", "--device", "kvm", "--device", "null",
		"--device",	    "urandom",	   NULL,
	};
	struct session *s;
	pid_t pid;

	(void)state;
	assert_int_equal(dup2(STDIN_FILENO, LEAKED_FD), LEAKED_FD);
	setenv("SECRET", "in the environment", 1);
	s = start_idle("confined", more);
	close(LEAKED_FD);
	pid = vmm_pid("confined");
	check_status(pid);
	check_limits(pid);
	check_mounts(pid);
	check_inherited(pid);
	check_devices(pid);
	check_binary(pid);
	check_hidden(pid);
	expect_in(read_proc(pid, "cmdline"), "/wisp --id confined --start-time-us ");
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
		assert_false(same_namespace(pid, namespaces[i]));
	assert_true(same_namespace(pid, "net"));
	/* The process that stands for it holds nothing either. */
	expect_in(read_proc(session_pid(s), "status"), "CapBnd:\t0000000000000000\n");
	/* A signal to that one reaches the VMM, and its status comes back. */
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 128 + SIGTERM);
	session_end(s);
}

static const char *const hardened[] = {
	"--user-ns", "--read-only-root", "--pass-fd", "81", "--pass-fd", "80", "--device",
	"kvm",	     "--device",	 "null",      NULL,
};

/* Alone in a user namespace, which can have no other below; only /run can be written to. */
static void test_hardened(void **state)
{
	struct session *s;
	unsigned lines = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(dup2(STDIN_FILENO, 80), 80);
	assert_int_equal(dup2(STDIN_FILENO, 81), 81);
	assert_int_equal(dup2(STDIN_FILENO, LEAKED_FD), LEAKED_FD);
	s = start_idle("hardened", hardened);
	close(80);
	close(81);
	close(LEAKED_FD);
	pid = vmm_pid("hardened");
	check_status(pid);
	check_inherited(pid);
	check_hidden(pid);
	assert_false(same_namespace(pid, "user"));
	expect_in(read_proc(pid, "uid_map"), JAIL_USER_TEXT);
	for (const char *p = read_proc(pid, "uid_map"); *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1);
	expect_in(read_proc(pid, "mountinfo"), " / ro,nosuid,nodev,noexec");
	expect_in(read_proc(pid, "mountinfo"), " /run rw,nosuid,nodev,noexec");
	/* In the VMM alone, not in the process that stands for it. */
	jail_shell("test -e /proc/%d/fd/80 -a -e /proc/%d/fd/81", (int)pid, (int)pid);
	jail_shell("test ! -e /proc/%d/fd/80", (int)session_pid(s));
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 128 + SIGTERM);
	session_end(s);
	assert_int_equal(jail_clean_up("hardened", NULL), 0);
}

/* A process that waits in its jail for a snapshot, which finds there what it needs. */
static void test_blank(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const rest[] = {
		"--blank",
		"--blank-vcpus=2",
		"--blank-mem-mib=64",
		"--api-sock=/api.sock",
		"--debug-exit-port=0xf4",
		NULL,
	};
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);

	(void)state;
	saved_say(&m, "first");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	jail_shell("mkdir -p %s && install -m 644 %s %s %s", jail_path("blank", "root"),
		   fixture_path("state"), fixture_path("memory"), jail_path("blank", "root"));
	m.wisp = jail_start("blank", none, rest);
	snprintf(m.socket, sizeof(m.socket), "%s", jail_path("blank", "root/api.sock"));
	api_wait(m.socket, JAIL_LIMIT_S);
	saved_call(&m, "PUT", "/snapshot/load",
		   "{\"snapshot_path\": \"/state\", \"mem_file_path\": \"/memory\","
		   " \"resume_vm\": true}");
	saved_say(&m, "second");
	saved_quit(&m);
}

/* In jail "set", which has state and memory at its top: loads them, with more. */
static struct machine load_in_jail(const char *more)
{
	static const char *const options[] = { "--own-proc", "--user-ns", NULL };
	static const char *const rest[] = { "--api-sock=/api.sock", "--debug-exit-port=0xf4",
					    "--level=Info", NULL };
	struct machine m = { .wisp = jail_start("set", options, rest) };
	char body[256];

	snprintf(m.socket, sizeof(m.socket), "%s", jail_path("set", "root/api.sock"));
	api_wait(m.socket, JAIL_LIMIT_S);
	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"/state\", \"mem_file_path\": \"/memory\","
		 " \"resume_vm\": true%s}",
		 more);
	saved_call(&m, "PUT", "/snapshot/load", body);
	return m;
}

/* A jail that has no /proc can know which pages its machine needed, and writes no others; of
 * the folder in /proc that it came by, nothing else is left open. */
static void test_own_pages(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	struct stat st;

	(void)state;
	saved_say(&m, "first");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	jail_shell("mkdir -p %s && install -m 644 %s %s %s", jail_path("set", "root"),
		   fixture_path("state"), fixture_path("memory"), jail_path("set", "root"));
	m = load_in_jail("");
	saved_say(&m, "second");
	jail_shell("readlink /proc/%d/fd/* > %s; grep -q pagemap %s && ! grep -xq "
		   "'/proc/[0-9]*' %s",
		   (int)vmm_pid("set"), fixture_path("fds"), fixture_path("fds"),
		   fixture_path("fds"));
	saved_call(&m, "PUT", "/snapshot/working-set", "{\"working_set_path\": \"/set\"}");
	saved_pause(&m);
	saved_call(&m, "PUT", "/snapshot/create",
		   "{\"snapshot_path\": \"/state2\", \"mem_file_path\": \"/memory2\","
		   " \"snapshot_type\": \"Diff\"}");
	assert_int_equal(stat(jail_path("set", "root/memory2"), &st), 0);
	assert_true(st.st_blocks < 1024);
	saved_resume(&m);
	saved_quit(&m);
	jail_shell("%s verify %s %s %s", fixture_program("wisp-snapshot"),
		   jail_path("set", "root/state"), jail_path("set", "root/memory"),
		   jail_path("set", "root/set"));
	m = load_in_jail(", \"working_set_path\": \"/set\"");
	session_expect(m.wisp, "pages prefetched", JAIL_LIMIT_S);
	saved_say(&m, "third");
	saved_quit(&m);
	assert_int_equal(jail_clean_up("set", NULL), 0);
}

/* With the devices that Firecracker's jailer makes. */
static void test_nodes(void **state)
{
	static const struct {
		const char *path;
		mode_t mode;
		uid_t owner;
		unsigned major, minor;
	} nodes[] = {
		{ "", S_IFDIR | 0700, JAIL_USER, 0, 0 },
		{ "run", S_IFDIR | 0700, JAIL_USER, 0, 0 },
		{ "dev", S_IFDIR | 0700, JAIL_USER, 0, 0 },
		{ "dev/net", S_IFDIR | 0700, JAIL_USER, 0, 0 },
		{ "dev/kvm", S_IFCHR | 0600, JAIL_USER, 10, 232 },
		{ "dev/net/tun", S_IFCHR | 0600, JAIL_USER, 10, 200 },
		{ "dev/null", S_IFCHR | 0600, JAIL_USER, 1, 3 },
		{ "dev/urandom", S_IFCHR | 0600, JAIL_USER, 1, 9 },
		{ "wisp.pid", S_IFREG | 0644, 0, 0, 0 },
	};
	struct session *s = start_idle("nodes", NULL);
	pid_t pid = vmm_pid("nodes");

	(void)state;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%d/root/%s", (int)pid, nodes[i].path);
		if (stat(path, &st) < 0 || st.st_mode != nodes[i].mode ||
		    st.st_uid != nodes[i].owner || st.st_gid != nodes[i].owner ||
		    (S_ISCHR(st.st_mode) && st.st_rdev != makedev(nodes[i].major, nodes[i].minor)))
			fail_msg("%s: mode %o, owner %u", path, st.st_mode, st.st_uid);
	}
	session_end(s);
}

/* The VMM does not outlive the process that stands for it. */
static void test_jailer_killed(void **state)
{
	struct session *s = start_idle("orphan", NULL);
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)vmm_pid("orphan"));
	assert_int_equal(access(path, F_OK), 0);
	session_kill(s, SIGKILL);
	/* Its output closes with the last process that holds it: the VMM. */
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 128 + SIGKILL);
	session_end(s);
}

static void test_daemonize(void **state)
{
	static const char *const more[] = { "--daemonize", NULL };
	struct session *s;
	struct stat st;
	char path[64];
	pid_t pid;

	(void)state;
	fill_jail("daemon", "hlt-loop", "");
	s = start_jail("daemon", more);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 0);
	session_end(s);
	pid = vmm_pid("daemon");
	assert_int_equal(getsid(pid), pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_rdev, makedev(1, 3));	    /* null */
	assert_int_equal(jail_clean_up("daemon", NULL), 1); /* it runs */
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void test_cleanup(void **state)
{
	struct session *s = start_idle("old", NULL);
	const char *output;

	(void)state;
	assert_int_equal(jail_clean_up("old", &output), 1);
	expect_in(output, "The microVM old still runs");
	session_kill(s, SIGKILL);
	session_wait(s, JAIL_LIMIT_S);
	session_end(s);
	/* A file that leads out must not be followed. */
	jail_shell("touch %s && ln -s %s %s/out && mkdir -p %s/deep/er && touch %s/deep/er/file",
		   fixture_path("precious"), fixture_dir(), jail_path("old", "root"),
		   jail_path("old", "root"), jail_path("old", "root"));
	assert_int_equal(jail_clean_up("old", &output), 0);
	assert_int_equal(access(jail_path("old", ""), F_OK), -1);
	assert_int_equal(access(fixture_path("precious"), F_OK), 0);
	assert_int_equal(jail_clean_up("old", &output), 0); /* again */
	assert_int_equal(jail_clean_up("never", &output), 0);
}

/* A network namespace of another process's. */
static void test_netns(void **state)
{
	const char *more[] = { "--netns", NULL, NULL };
	int pipes[2], back[2];
	struct stat wanted, got;
	char path[64], own[64], byte;
	struct session *s;
	pid_t holder;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(pipe2(back, O_CLOEXEC), 0);
	holder = fork();
	if (holder == 0) {
		close(pipes[1]);
		if (unshare(CLONE_NEWNET) == 0 && write(back[1], "", 1) == 1)
			(void)!read(pipes[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(back[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)holder);
	more[1] = path;
	s = start_idle("net", more);
	snprintf(own, sizeof(own), "/proc/%d/ns/net", (int)vmm_pid("net"));
	assert_int_equal(stat(own, &got), 0);
	assert_int_equal(stat(path, &wanted), 0);
	assert_int_equal(got.st_ino, wanted.st_ino);
	session_kill(s, SIGTERM);
	session_wait(s, JAIL_LIMIT_S);
	session_end(s);
	close(pipes[1]);
	waitpid(holder, NULL, 0);
}

static unsigned count_mounts(const char *id)
{
	unsigned n = 0;

	for (const char *at = read_proc(vmm_pid(id), "mountinfo"); *at; at++)
		n += *at == '\n';
	return n;
}

/* The jail is the same, whatever its mounts were copied from. */
static void test_mount_ns(void **state)
{
	const char *more[] = { "--mount-ns", NULL, "--read-only-root", NULL };
	struct session *with, *without = start_idle("copied", &more[2]);

	(void)state;
	/* So that the mount goes with the test. */
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	more[1] = fixture_path("namespace");
	jail_shell("%s --prepare %s", fixture_program("wisp-jailer"), more[1]);
	with = start_idle("small", more);
	assert_int_equal(count_mounts("small"), 4); /* /, /wisp, /dev and /run */
	assert_int_equal(count_mounts("copied"), 4);
	session_kill(with, SIGTERM);
	session_kill(without, SIGTERM);
	session_wait(with, JAIL_LIMIT_S);
	session_wait(without, JAIL_LIMIT_S);
	session_end(with);
	session_end(without);
	jail_shell("umount %s", fixture_path("namespace"));
}

/* Of whichever version this host has pids in. */
static void test_cgroup(void **state)
{
	static const char *const more[] = {
		"--cgroup", "pids.max=77", "--parent-cgroup", JAIL_PARENT, NULL,
	};
	struct session *s = start_idle("group", more);
	char *group;

	(void)state;
	group = strstr(read_proc(vmm_pid("group"), "cgroup"), "/" JAIL_PARENT "/group\n");
	assert_non_null(group);
	jail_shell("grep -qx 77 $(find /sys/fs/cgroup -path '*/" JAIL_PARENT "/group/pids.max')");
	assert_int_equal(jail_clean_up("group", NULL), 1);
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 128 + SIGTERM);
	session_end(s);
	assert_int_equal(jail_clean_up("group", NULL), 0);
	jail_shell("test -z \"$(find /sys/fs/cgroup -path '*/" JAIL_PARENT "/group')\"");
	jail_shell("find /sys/fs/cgroup -depth -type d -name " JAIL_PARENT " -exec rmdir {} +");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boots),	      cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_confinement),   cmocka_unit_test(test_hardened),
		cmocka_unit_test(test_jailer_killed), cmocka_unit_test(test_daemonize),
		cmocka_unit_test(test_cleanup),	      cmocka_unit_test(test_netns),
		cmocka_unit_test(test_cgroup),	      cmocka_unit_test(test_own_pages),
		cmocka_unit_test(test_blank),	      cmocka_unit_test(test_mount_ns),
	};
	int missing = jail_missing();

	return missing ? missing : cmocka_run_group_tests(tests, jail_make_base, NULL);
}
