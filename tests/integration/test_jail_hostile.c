/* test_jail_hostile.c - wisp-jailer in the hands of an enemy: what the folder of a jail and
 * the caller's arguments may not be, and a folder that changes while it is worked on.
 *
 * Needs root and KVM. The VMM in these jails only prints its version.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/jail_kit.h"

enum { RACES = 400, SWAPS_EACH = 10 };

/* --- what the folder and the caller's arguments may not be --- */

struct hostile {
	const char *prepare; /* shell; $J is <base>/wisp/<id>, $B the base, $D the test's folder */
	const char *more[3];
	const char *says; /* NULL: the jail must start, and not touch $D/precious */
};

static const struct hostile hostile_cases[] = {
	{ "mkdir -p $J && chown " JAIL_USER_TEXT " $J", { NULL }, "another user's" },
	{ "mkdir -p $J/root && chown 4321 $J/root", { NULL }, "another user's" },
	{ "mkdir -p $J/root && chmod 777 $J/root", { NULL }, "others may write" },
	{ "mkdir -p $J && ln -s $D $J/root", { NULL }, "Cannot open the folder root" },
	{ "ln -s $D $J", { NULL }, "Cannot open the folder" },
	{ "touch $J", { NULL }, "Cannot open the folder" },
	{ "mkdir -p $J/root && ln -s $D $J/root/dev", { NULL }, "Cannot make /dev" },
	{ "mkdir -p $J/root && ln -s $D $J/root/run", { NULL }, "Cannot make /run" },
	{ "mkdir -p $J/root && ln -s $D/precious $J/root/wisp", { NULL }, NULL },
	{ "mkdir -p $J/root && ln -s $D/precious $J/root/wisp.pid", { NULL }, NULL },
	{ "mkdir -p $J/root && ln $D/precious $J/root/wisp.pid", { NULL }, NULL },
	{ "mkdir -p $J/root && ln $D/precious $J/root/wisp", { NULL }, NULL },
	{ "mkdir -p $J/root/wisp", { NULL }, "Cannot mount the VMM in" },
	{ "ln -s vmm $D/vmm2", { "--exec-file", "vmm2" }, NULL },
	{ "ln -s $B $D/b", { "--chroot-base-dir", "b" }, NULL },
	{ "ln $D/vmm $D/vmm2", { "--exec-file", "vmm" }, "more than one hard link" },
	{ "chmod 777 $D/vmm", { "--exec-file", "vmm" }, "can be written to by others" },
	{ "chmod 4755 $D/vmm", { "--exec-file", "vmm" }, "runs as another user" },
	{ "chown " JAIL_USER_TEXT " $D/vmm", { "--exec-file", "vmm" }, "can be written to" },
	{ ":", { "--exec-file", "." }, "not a regular file" },
	{ ":", { "--exec-file", "none" }, "Cannot find" },
	{ "mkdir $D/b && chmod 777 $D/b", { "--chroot-base-dir", "b" }, "not root's alone" },
	{ "mkdir -p $D/b/c && chown 4321 $D/b",
	  { "--chroot-base-dir", "b/c" },
	  "not root's alone" },
	{ ":", { "--chroot-base-dir", "none" }, "Cannot open" },
	{ ":", { "--netns", "precious" }, "is not a network namespace" },
	{ ":", { "--netns", "none" }, "Cannot open" },
	{ ":", { "--mount-ns", "precious" }, "is not a mount namespace" },
	{ ":", { "--mount-ns", "none" }, "Cannot open" },
	{ ":", { "--device", "sda" }, "cannot be 'sda'" },
	{ ":", { "--cgroup", "no.such=1" }, "the control group for no.such" },
};

/* The command line of a case: its option replaces the usual one, its path is in $D. */
static struct session *start_hostile(const struct hostile *c)
{
	const char *value = c->more[1];
	const char *argv[JAIL_ARGS_MAX] = { fixture_program("wisp-jailer"),
					    "--id",
					    "hostile",
					    "--uid",
					    JAIL_USER_TEXT,
					    "--gid",
					    JAIL_USER_TEXT };
	static const char *const usual[] = { "--exec-file", "--chroot-base-dir" };
	const char *values[] = { fixture_program("wisp"), jail_base() };
	unsigned n = 7;

	for (unsigned i = 0; i < 2; i++) {
		if (c->more[0] && strcmp(c->more[0], usual[i]) == 0)
			continue;
		argv[n++] = usual[i];
		argv[n++] = values[i];
	}
	if (c->more[0]) {
		argv[n++] = c->more[0];
		argv[n++] =
			strcmp(c->more[0], "--device") == 0 || strcmp(c->more[0], "--cgroup") == 0
				? value
				: fixture_path(value);
	}
	argv[n++] = "--";
	argv[n] = "--version";
	return session_start(argv);
}

static void test_hostile(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hostile_cases) / sizeof(hostile_cases[0]); i++) {
		const struct hostile *c = &hostile_cases[i];
		struct session *s;
		int status;

		jail_shell("D=%s; B=%s; J=$B/wisp/hostile; rm -rf $J $D/vmm $D/vmm2 $D/b; "
			   "mkdir -p $B/wisp; echo keep > $D/precious; cp %s $D/vmm; "
			   "chmod 755 $D/vmm; %s",
			   fixture_dir(), jail_base(), fixture_program("wisp"), c->prepare);
		s = start_hostile(c);
		status = session_wait(s, JAIL_LIMIT_S);
		if (c->says ? status == 0 || !strstr(session_output(s), c->says) : status != 0)
			fail_msg("%s, %s %s: %d, %s", c->prepare, c->more[0] ? c->more[0] : "",
				 c->more[1] ? c->more[1] : "", status, session_output(s));
		session_end(s);
		jail_shell("grep -qx keep %s", fixture_path("precious"));
	}
}

/* --- a folder that changes --- */

/* What lies outside: nothing of it may change, not even its owner. */
static void read_outside(char text[1024])
{
	FILE *f;
	char command[256];
	size_t n;

	snprintf(command, sizeof(command),
		 "find %s -printf '%%P %%y %%m %%U %%G %%n %%s %%T@\\n' | sort",
		 fixture_path("outside"));
	f = popen(command, "re");
	assert_non_null(f);
	n = fread(text, 1, 1023, f);
	text[n] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_true(n > 0);
}

/* For a while that differs from time to time. */
static void dawdle(unsigned *seed)
{
	unsigned n = (*seed = *seed * 1103515245 + 12345) >> 18; /* 14 bits */

	for (volatile unsigned i = 0; i < n; i++)
		;
}

/* As the jail's user, for ever: puts a link to the outside in the place of what the jailer
 * makes, and soon what was there back. */
static void swap(const char *root, const char *outside, const char *file, unsigned long *swaps)
{
	static const char *const names[] = { "dev", "run", "wisp", "wisp.pid" };
	unsigned seed = 1;

	/* A change of user would undo the last. */
	if (chdir(root) < 0 || setgid(JAIL_USER) < 0 || setuid(JAIL_USER) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	for (unsigned i = 0;; i++) {
		const char *name = names[i % 4];
		bool exchanged;

		unlink("trap");
		(void)!symlink(i % 4 < 2 ? outside : file, "trap");
		exchanged = renameat2(AT_FDCWD, "trap", AT_FDCWD, name, RENAME_EXCHANGE) == 0;
		if (exchanged || symlink(outside, name) == 0)
			__atomic_fetch_add(swaps, 1, __ATOMIC_RELAXED);
		dawdle(&seed);
		if (!exchanged || renameat2(AT_FDCWD, "trap", AT_FDCWD, name, RENAME_EXCHANGE) < 0)
			unlink(name);
		dawdle(&seed);
	}
}

static int jail_once(void)
{
	static const char *const none[] = { NULL }, *const version[] = { "--version", NULL };
	struct session *s = jail_start("race", none, version);
	int status = session_wait(s, JAIL_LIMIT_S);

	session_end(s);
	return status;
}

static void check_outside(const char *before)
{
	char after[1024];

	read_outside(after);
	if (strcmp(before, after) != 0)
		fail_msg("the outside was:\n%sand is:\n%s", before, after);
}

/* Each start works, or is refused: in either case it has touched nothing else. */
static void test_race(void **state)
{
	unsigned long *swaps = mmap(NULL, sizeof(*swaps), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char root[256], outside[256], file[256], before[1024];
	unsigned worked = 0;
	pid_t enemy;

	(void)state;
	assert_true(swaps != MAP_FAILED);
	snprintf(root, sizeof(root), "%s", jail_path("race", "root"));
	snprintf(outside, sizeof(outside), "%s", fixture_path("outside"));
	snprintf(file, sizeof(file), "%s", fixture_path("outside/precious"));
	/* So that links lead somewhere: the enemy may look, not write. */
	jail_shell("chmod 755 %s && mkdir %s && echo keep > %s", fixture_dir(), outside, file);
	assert_int_equal(jail_once(), 0);
	read_outside(before);
	enemy = fork();
	assert_true(enemy >= 0);
	if (enemy == 0)
		swap(root, outside, file, swaps);
	for (unsigned i = 0; i < RACES; i++)
		worked += jail_once() == 0;
	check_outside(before);
	/* Nor does the removal follow a link. */
	jail_clean_up("race", NULL);
	check_outside(before);
	assert_int_equal(kill(enemy, SIGKILL), 0);
	waitpid(enemy, NULL, 0);
	assert_int_equal(jail_clean_up("race", NULL), 0);
	check_outside(before);
	print_message("%u of %d starts worked, over %lu swaps\n", worked, RACES, *swaps);
	assert_true(*swaps > RACES * SWAPS_EACH);
	munmap(swaps, sizeof(*swaps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_race),
	};
	int missing = jail_missing();

	return missing ? missing : cmocka_run_group_tests(tests, jail_make_base, NULL);
}
