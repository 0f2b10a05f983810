/* bench_jail.c - what a jail costs: execve(2) of wisp-jailer to the VMM's first instruction.
 *
 * In the VMM's place is a program that writes down when it was executed (jail_probe.c), so
 * that nothing of the VMM counts. A "prepared" jail has been one before: its folder is
 * there, as are its network namespace, the control group that it goes into, and a mount
 * namespace to copy that holds next to nothing, as a pool keeps them. A "fresh" one makes
 * its folder and a control group with a limit in it, and copies the host's mounts. Each
 * is started alone and ten at once, then the same with 500 more mounts on the host, which
 * is a mount namespace of this process's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/bench.h"
#include "benches/spawn.h"
#include "vmm/base/fd.h"

enum {
	JAIL_RUNS = 50,
	AT_ONCE = 10,
	MOUNTS = 500,
	LIMIT_MS = 60000,
	ANSWER_BYTES = 64,
};

#define GROUP	    "wisp-bench-jail"
#define FRESH_GROUP "wisp-bench-jail-fresh"

struct jails {
	char jailer[PATH_MAX], probe[PATH_MAX];
	char base[PATH_MAX + 16];
	char group[PATH_MAX]; /* the prepared one, "" where there is no version 2 */
	char netns[64], mount_ns[PATH_MAX + 16];
	int netns_fd;
	unsigned next; /* number of the next jail */
};

/* --- one jail --- */

static void add_common(const struct jails *j, unsigned id, struct argv *ret)
{
	argv_add_words(ret, (const char *const[]){ j->jailer, "--exec-file", j->probe,
						   "--chroot-base-dir", j->base, NULL });
	argv_add(ret, "--id=%u", id);
}

static int start_command(const struct jails *j, unsigned id, bool fresh, struct argv *ret)
{
	add_common(j, id, ret);
	argv_add_words(ret, (const char *const[]){ "--uid", "61236", "--gid", "61236", "--netns",
						   j->netns, NULL });
	if (fresh)
		argv_add_words(ret, (const char *const[]){ "--cgroup", "pids.max=20",
							   "--parent-cgroup", FRESH_GROUP, NULL });
	else
		argv_add_words(ret, (const char *const[]){ "--mount-ns", j->mount_ns, NULL });
	if (!fresh && j->group[0])
		argv_add_words(ret, (const char *const[]){ "--parent-cgroup", GROUP, NULL });
	return ret->error;
}

static int spawn_jail(const struct jails *j, unsigned id, bool fresh, struct spawn *ret,
		      struct error *err)
{
	struct argv argv = { 0 };
	int r = start_command(j, id, fresh, &argv);

	r = r < 0 ? error_set(err, r, NULL, NULL, "out of memory") : spawn_create(argv.v, ret, err);
	argv_free(&argv);
	return r;
}

/* From its execve to the probe's, in us, once it has ended. */
static int64_t take_time(struct spawn *s, struct error *err)
{
	struct pollfd ended = { .fd = s->pidfd, .events = POLLIN };
	char text[ANSWER_BYTES] = "", why[ANSWER_BYTES * 4] = "";
	ssize_t n;
	int status;

	if (poll(&ended, 1, LIMIT_MS) != 1)
		return error_set(err, -ETIMEDOUT, NULL, NULL, "a jail does not end");
	status = spawn_reap(s);
	n = read(s->out, text, sizeof(text) - 1);
	if (status == 0 && n > 1)
		return (int64_t)(strtoull(text, NULL, 10) - spawn_exec_us(s));
	(void)!read(s->err, why, sizeof(why) - 1);
	return error_set(err, -ECANCELED, NULL, NULL, "a jail failed: %s", why);
}

static int run_quietly(char *const *argv)
{
	char *const none[] = { NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, none) != 0)
		return -ENOENT;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -ECANCELED;
}

static int clean_up(const struct jails *j, unsigned id, struct error *err)
{
	struct argv argv = { 0 };
	int r;

	add_common(j, id, &argv);
	argv_add_words(&argv,
		       (const char *const[]){ "--cleanup", "--parent-cgroup", FRESH_GROUP, NULL });
	r = argv.error ? argv.error : run_quietly(argv.v);
	argv_free(&argv);
	return r < 0 ? error_set(err, r, NULL, NULL, "a jail cannot be removed") : 0;
}

/* --- some at once --- */

static int measure(struct bench *b, struct spawn *s, const char *metric, struct error *err)
{
	int64_t us = take_time(s, err);

	if (us < 0)
		return (int)us;
	if (!metric)
		return 0;
	return report_add(&b->report, "wisp-jailer", metric, us) < 0
		       ? error_set(err, -ENOMEM, NULL, NULL, "no memory for samples")
		       : 0;
}

/* All exist before the first may exec. metric NULL: not counted. */
static int start_some(struct bench *b, struct jails *j, bool fresh, unsigned count,
		      const char *metric, struct error *err)
{
	unsigned first = fresh ? j->next : 0;
	struct spawn s[AT_ONCE];
	int r = 0;

	for (unsigned i = 0; i < AT_ONCE; i++)
		s[i] = SPAWN_NONE;
	for (unsigned i = 0; i < count && r == 0; i++)
		r = spawn_jail(j, first + i, fresh, &s[i], err);
	for (unsigned i = 0; i < count && r == 0; i++)
		r = spawn_release(&s[i]);
	for (unsigned i = 0; i < count && r == 0; i++)
		r = measure(b, &s[i], metric, err);
	for (unsigned i = 0; i < AT_ONCE; i++)
		spawn_end(&s[i]);
	for (unsigned i = 0; i < count && r == 0 && fresh; i++)
		r = clean_up(j, first + i, err);
	j->next += fresh ? count : 0;
	return r;
}

static int run_all(struct bench *b, struct jails *j, const char *suffix, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, JAIL_RUNS);
	int r = start_some(b, j, false, AT_ONCE, NULL, err);

	for (unsigned i = 0; i < runs * 4 && r == 0; i++) {
		bool fresh = i & 1, many = i & 2;
		char metric[REPORT_NAME_LEN + 1];

		snprintf(metric, sizeof(metric), "%s%s%s_us", fresh ? "fresh" : "prepared",
			 many ? "_10_at_once" : "", suffix);
		r = start_some(b, j, fresh, many ? AT_ONCE : 1, metric, err);
	}
	return r;
}

/* --- the host --- */

static void find_group(struct jails *j)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;

	while (f && !j->group[0] && (m = getmntent(f)) != NULL)
		if (strcmp(m->mnt_type, "cgroup2") == 0)
			snprintf(j->group, sizeof(j->group), "%s/" GROUP, m->mnt_dir);
	if (f)
		endmntent(f);
	if (j->group[0] && mkdir(j->group, 0755) < 0 && errno != EEXIST)
		j->group[0] = '\0';
}

/* A network namespace that this process holds open and is not in. */
static int make_netns(struct jails *j, struct error *err)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r = 0;

	if (own < 0 || unshare(CLONE_NEWNET) < 0)
		r = error_errno(err, NULL, "start it as root", "cannot make a network namespace");
	if (r == 0) {
		j->netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		snprintf(j->netns, sizeof(j->netns), "/proc/%d/fd/%d", (int)getpid(), j->netns_fd);
		if (setns(own, CLONE_NEWNET) < 0)
			r = error_errno(err, NULL, NULL, "cannot go back into the network");
	}
	fd_close(own);
	return r;
}

/* All mounts are this process's alone from here on, and go with it. */
static int make_mount_ns(const struct bench *b, struct jails *j, struct error *err)
{
	snprintf(j->mount_ns, sizeof(j->mount_ns), "%s/small", b->dir);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, NULL, "start it as root", "cannot make a namespace");
	if (run_quietly((char *const[]){ j->jailer, (char *)"--prepare", j->mount_ns, NULL }) < 0)
		return error_set(err, -ECANCELED, NULL, NULL, "cannot prepare a namespace");
	return 0;
}

static int add_mounts(const struct bench *b, struct error *err)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/mounts", b->dir);
	if (mkdir(path, 0755) < 0 || mount("tmpfs", path, "tmpfs", 0, NULL) < 0)
		return error_errno(err, NULL, NULL, "cannot mount on %s", path);
	for (unsigned i = 0; i < MOUNTS; i++) {
		snprintf(path, sizeof(path), "%s/mounts/%u", b->dir, i);
		if (mkdir(path, 0755) < 0 || mount("tmpfs", path, "tmpfs", 0, NULL) < 0)
			return error_errno(err, NULL, NULL, "cannot mount on %s", path);
	}
	return 0;
}

static int prepare(struct bench *b, struct jails *j, struct error *err)
{
	int r = vmm_beside("wisp-jailer", j->jailer);

	if (r == 0)
		r = vmm_beside("../share/wisp/bench/jail-probe", j->probe);
	if (r < 0)
		return error_set(err, r, NULL, "build or install the whole of wisp",
				 "there is no %s", j->probe[0] ? j->probe : j->jailer);
	if (geteuid() != 0)
		return error_set(err, -EPERM, NULL, "start it as root", "a jail is root's to make");
	snprintf(j->base, sizeof(j->base), "%s/base", b->dir);
	if (mkdir(j->base, 0755) < 0)
		return error_errno(err, NULL, NULL, "cannot make %s", j->base);
	find_group(j);
	return make_netns(j, err) < 0 ? err->code : make_mount_ns(b, j, err);
}

/* The jailer leaves the group above a jail's, wherever the controller is. */
static void remove_fresh_groups(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;
	char path[PATH_MAX];

	while (f && (m = getmntent(f)) != NULL) {
		if (strncmp(m->mnt_type, "cgroup", strlen("cgroup")) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/" FRESH_GROUP, m->mnt_dir);
		rmdir(path);
	}
	if (f)
		endmntent(f);
}

/* Mounts and groups; the folders go with the bench's own. */
static void finish(const struct bench *b, const struct jails *j)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/mounts", b->dir);
	umount2(path, MNT_DETACH);
	umount2(j->mount_ns, MNT_DETACH);
	if (j->group[0])
		rmdir(j->group);
	remove_fresh_groups();
	fd_close(j->netns_fd);
}

static int jail_run(struct bench *b, struct error *err)
{
	struct jails j = { .netns_fd = -1, .next = AT_ONCE };
	int r = prepare(b, &j, err);

	if (r == 0)
		r = run_all(b, &j, "", err);
	if (r == 0)
		r = add_mounts(b, err);
	if (r == 0)
		r = run_all(b, &j, "_500_mounts", err);
	finish(b, &j);
	return r;
}

const struct bench_row bench_jail = {
	.name = "jail",
	.help = "execve of wisp-jailer to the VMM's first instruction; root, no KVM",
	.in_process = true,
	.run = jail_run,
};
