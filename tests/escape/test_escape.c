/* test_escape.c - the escape suite: every attempt, from each kind of thread and without a
 * filter, each in a real jail of its own; and the table of what was expected and seen.
 *
 * Needs root. "no filter" shows what the jail is worth when seccomp has fallen.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/escape/attempts.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/base/landlock.h"
#include "vmm/base/thread_filter.h"

enum {
	LIMIT_S = 60,
	SKIPPED = 77,
	WORKED = 42,
	BROKEN = 43,
	SIGSYS_STATUS = 159,
	SIGKILL_STATUS = 137
};

static const struct {
	const char *name;
	unsigned bit;
} roles[] = {
	{ "none", BY_UNFILTERED }, { "hardened", BY_HARDENED }, { "vcpu", BY_VCPU },
	{ "worker", BY_WORKER },   { "main", BY_MAIN },
};

enum { ROLES = sizeof(roles) / sizeof(roles[0]), ARGS_MAX = 32 };

struct table {
	char netns[64];
	int host_socket, shared_memory;
	unsigned escapes;
};

/* Of whichever version this host has memory in. */
static const char *memory_limit(void)
{
	return access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0
		       ? "memory.limit_in_bytes=100000000"
		       : "memory.max=100000000";
}

static struct session *start(const struct table *t, unsigned role, size_t attempt)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", attempt);

	const char *argv[ARGS_MAX] = {
		fixture_program("wisp-jailer"),
		"--id",
		"escape",
		"--exec-file",
		fixture_program("wisp-escape"),
		"--uid",
		"61235",
		"--gid",
		"61235",
		"--chroot-base-dir",
		fixture_path("base"),
		"--netns",
		t->netns,
		"--cgroup",
		"pids.max=20",
		"--cgroup",
		memory_limit(),
		"--parent-cgroup",
		"wisp-escape",
		"--resource-limit",
		"fsize=8388608",
	};
	const char *const rest[] = { "--", "--role", roles[role].name, "--attempt", number };
	unsigned n = 0;

	while (argv[n])
		n++;
	if (roles[role].bit == BY_HARDENED) {
		argv[n++] = "--user-ns";
		argv[n++] = "--read-only-root";
	}
	memcpy(&argv[n], rest, sizeof(rest));
	return session_start(argv);
}

/* "EPERM", "it worked", "killed" or "out of memory". */
static void read_outcome(struct session *s, char outcome[32])
{
	int status = session_wait(s, LIMIT_S);

	snprintf(outcome, 32, "%.31s", session_output(s));
	outcome[strcspn(outcome, "\n")] = '\0';
	if (status == THREAD_FILTER_EXIT_STATUS || status == SIGSYS_STATUS)
		snprintf(outcome, 32, "killed");
	else if (status == SIGKILL_STATUS)
		snprintf(outcome, 32, "out of memory");
	else if (status != 0 && status != WORKED)
		fail_msg("status %d: %s", status, session_output(s));
}

static void clean_up(void)
{
	const char *const argv[] = {
		fixture_program("wisp-jailer"),
		"--cleanup",
		"--id",
		"escape",
		"--exec-file",
		fixture_program("wisp-escape"),
		"--chroot-base-dir",
		fixture_path("base"),
		"--parent-cgroup",
		"wisp-escape",
		NULL,
	};
	struct session *s = session_start(argv);
	int status = session_wait(s, LIMIT_S);

	if (status != 0)
		fail_msg("%s", session_output(s));
	session_end(s);
}

static void try_one(struct table *t, size_t n)
{
	const struct attempt *a = &attempts[n];

	printf("| %s |", a->name);
	for (unsigned i = 0; i < ROLES; i++) {
		char outcome[32];
		struct session *s;
		bool worked;

		if (roles[i].bit == BY_HARDENED && landlock_abi() < 0) {
			printf(" no Landlock |");
			continue;
		}
		s = start(t, i, n);
		read_outcome(s, outcome);
		session_end(s);
		clean_up();
		worked = strcmp(outcome, "it worked") == 0;
		t->escapes += worked && !(a->granted & roles[i].bit);
		printf(" %s%s |", outcome, worked && !(a->granted & roles[i].bit) ? " (!)" : "");
	}
	printf(" %s |\n", a->because ? a->because : "");
	fflush(stdout);
}

static void test_attempts(void **state)
{
	struct table *t = *state;

	printf("| attempt | no filter | hardened | vcpu | worker | main | granted, because |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t n = 0; n < attempts_count; n++)
		try_one(t, n);
	assert_int_equal(t->escapes, 0);
}

/* A socket that only the host's network namespace has, and a namespace without it. */
static int set_up(void **state)
{
	static struct table t;
	struct sockaddr_un address = { AF_UNIX, "\0wisp-escape-host" };

	t.host_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(t.host_socket, (struct sockaddr *)&address, sizeof(sa_family_t) + 17),
			 0);
	assert_int_equal(listen(t.host_socket, 1), 0);
	t.shared_memory = shmget(SHARED_KEY, 4096, IPC_CREAT | 0666);
	assert_true(t.shared_memory >= 0);
	assert_int_equal(mkdir(fixture_path("base"), 0755), 0);
	/* This process leaves the namespace of which it keeps the socket. */
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	snprintf(t.netns, sizeof(t.netns), "/proc/%d/ns/net", (int)getpid());
	*state = &t;
	return 0;
}

static int tear_down(void **state)
{
	struct table *t = *state;

	close(t->host_socket);
	shmctl(t->shared_memory, IPC_RMID, NULL);
	return system("find /sys/fs/cgroup -depth -type d -name wisp-escape -exec rmdir {} +");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
	};

	if (geteuid() != 0) {
		puts("skipped: a jail can only be made by root");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
