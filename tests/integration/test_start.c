/* test_start.c - what a start costs, in what can be counted.
 *
 * How long it takes from exec to the first guest instruction is a benchmark's to say
 * (wisp-bench startup). What it consists of is nearly the same each time: the system calls of
 * all threads and the page faults, of a smallest machine. Both have a limit here, with room for
 * what differs from host to host: whoever adds to a start adds here, and knows it.
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 60,
	MOST_CALLS = 165,
	MOST_FAULTS = 92,
};

struct counts {
	unsigned calls;
	unsigned long faults; /* at exec, and then from there on */
};

/* Stopped before its exec. */
static pid_t start_wisp(const char *config)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	alarm(LIMIT_S);
	if (dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO) == STDIN_FILENO &&
	    ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0)
		execl(fixture_program("wisp"), "wisp", "--no-api", "--config-file", config,
		      "--debug-exit-port", "0xf4", (char *)NULL);
	_exit(127);
}

/* Of the process, so far. */
static unsigned long read_faults(pid_t pid)
{
	char path[32], line[512], *at;
	unsigned long faults = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	at = strrchr(line, ')');
	assert_non_null(at);
	assert_int_equal(sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %lu", &faults), 1);
	return faults;
}

/* Whether a thread that stopped at a system call is about to enter the guest. */
static bool count_call(pid_t thread, struct counts *c)
{
	struct __ptrace_syscall_info info;

	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) > 0);
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	c->calls++;
	return info.entry.nr == __NR_ioctl && info.entry.args[1] == KVM_RUN;
}

static bool is_exec(int status)
{
	return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8);
}

/* Follows all threads up to there. What else stops one is the start of another. */
static void follow(pid_t pid, struct counts *c)
{
	enum { AT_CALL = SIGTRAP | 0x80 };
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
					PTRACE_O_EXITKILL),
			 0);
	assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);

		assert_true(thread > 0);
		assert_false(thread == pid && !WIFSTOPPED(status));
		if (!WIFSTOPPED(status))
			continue;
		if (is_exec(status))
			*c = (struct counts){ .faults = read_faults(pid) };
		if (WSTOPSIG(status) == AT_CALL && count_call(thread, c))
			break;
		ptrace(PTRACE_SYSCALL, thread, NULL, NULL);
	}
	c->faults = read_faults(pid) - c->faults;
}

static void test_counts(void **state)
{
	const struct fixture_config config = { .kernel = fixture_guest("exit"), .mem_mib = 128 };
	pid_t pid = start_wisp(fixture_config("config", &config));
	struct counts c = { 0 };

	(void)state;
	follow(pid, &c);
	kill(pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		continue;
	print_message("%u system calls, %lu page faults\n", c.calls, c.faults);
	assert_in_range(c.calls, 1, MOST_CALLS);
	assert_in_range(c.faults, 1, MOST_FAULTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_counts) };

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
