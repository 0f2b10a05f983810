/* testhost.c - the same benchmark inside the test host, under deterministic time.
 *
 * wisp-testhost boots an emulated machine whose root is this machine's, and shares
 * one directory with it; the copy of this program inside measures on that machine's
 * KVM and leaves its JSON there.
 *
 * Virtual time counts instructions, and leaps to the next timer whenever the machine
 * is idle: so also while it waits for a file of the real machine, which takes real
 * time. Hence a warm-up run, which brings every file into its page cache, a process
 * that keeps it busy (busy.h), and a time limit of the real machine's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/testhost.h"
#include "benches/vmm.h"

/* Boots cost more there: fewer runs unless asked otherwise. Under deterministic time
 * they hardly differ. */
enum {
	TESTHOST_RUNS = 5,
	TESTHOST_INSPECT = 1,
	TESTHOST_WARMUP = 1,
	TESTHOST_MARGIN_S = 120,
	TESTHOST_RUN_S = 60, /* of real time */
	TESTHOST_MAX_VMMS = 3,
	TESTHOST_MAX_S = 86400,
};

/* What the copy inside is asked for; strings stay o's. */
static struct options inner_options(const struct options *o)
{
	struct options inner = *o;

	inner.runs = option_or(o->runs, TESTHOST_RUNS);
	inner.warmup = option_or(o->warmup, TESTHOST_WARMUP);
	inner.inspect = option_or(o->inspect, TESTHOST_INSPECT);
	inner.timeout_s = TESTHOST_MAX_S;
	return inner;
}

/* For all runs together, of the real machine's time. */
static int64_t limit_s(const struct options *o, const struct options *inner)
{
	int64_t runs = inner->warmup + inner->runs + inner->inspect;
	int64_t all = runs * TESTHOST_MAX_VMMS * option_or(o->timeout_s, TESTHOST_RUN_S) +
		      TESTHOST_MARGIN_S;

	return all < TESTHOST_MAX_S ? all : TESTHOST_MAX_S;
}

static int command(const char *name, const struct options *o, const char *dir, struct argv *ret,
		   struct error *err)
{
	const struct options inner = inner_options(o);
	char path[PATH_MAX];
	int r = vmm_beside("wisp-testhost", path);

	if (r < 0) {
		error_set(err, r, "testhost", "build it", "there is no %s", path);
		return r;
	}
	argv_add_words(ret, (const char *const[]){ path, "run", "--icount", "--share", dir, NULL });
	argv_add(ret, "--timeout");
	argv_add(ret, "%lld", (long long)limit_s(o, &inner));
	r = vmm_beside("wisp-bench", path);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "there is no %s", path);
	argv_add_words(ret, (const char *const[]){ "--", path, name, "--kvm", "--busy",
						   "--no-table", NULL });
	argv_add(ret, "--json=%s/result.json", dir);
	options_write(&inner, ret);
	return ret->error;
}

/* The wait status, or a negative errno. Its stdout becomes our stderr. */
static int run_and_wait(char *const *argv)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

static int measure(const char *name, const struct options *o, const char *dir, struct report *ret,
		   struct error *err)
{
	char result[PATH_MAX + 16];
	struct argv argv = { 0 };
	int status = 0, r = command(name, o, dir, &argv, err);

	if (r == 0)
		status = run_and_wait(argv.v);
	argv_free(&argv);
	if (r < 0)
		return r;
	snprintf(result, sizeof(result), "%s/result.json", dir);
	if (status < 0 || access(result, R_OK) < 0)
		return error_set(err, -EIO, "testhost", "its messages are above",
				 "the benchmark in the test host left no results (exit code %d)",
				 status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	r = report_load(ret, result, err);
	unlink(result);
	ret->host.testhost = true;
	if (r == 0 && status != 0)
		r = error_set(err, -ECANCELED, NULL, NULL, "some runs failed");
	return r;
}

int testhost_run(const char *name, const struct options *o, struct report *ret, struct error *err)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/wisp-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return error_errno(err, NULL, "set TMPDIR", "cannot make a directory to share");
	r = measure(name, o, dir, ret, err);
	rmdir(dir);
	return r;
}
