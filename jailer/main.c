/* main.c - wisp-jailer: puts a VMM in its cell, then executes it there.
 *
 * A guest that takes its VMM over holds one process of an unprivileged user, in
 * namespaces of its own, with a root in which there is nothing. It gets there in stages;
 * each works with less than the one before:
 *
 *   1 inherited    Should leave nothing of the caller: descriptors but those that are to be
 *                  passed, environment, cores. Must not open anything before.
 *   2 checked      Should refuse every bad name, path and owner. Must not change the
 *                  host.
 *   3 host         Should make the jail's folder and control groups, and open what the host
 *                  alone has. Must not follow a link in the jail's folder.
 *   4 inside       Should leave the host's mounts, IPC and host name, and enter the
 *                  network's namespace and the jail's root. Must not keep a descriptor of a
 *                  host folder past this.
 *   5 process      The VMM's process is cloned straight into its PID namespace, control
 *                  group and user namespace. Must not run anything of the VMM yet.
 *   6 unprivileged Should hold no capability and no way to one; both processes.
 *   7 VMM          executed by the child, once its PID is written down.
 *
 * Root is needed for 3 to 5: CAP_SYS_ADMIN for mounts and namespaces, CAP_MKNOD, CAP_CHOWN,
 * CAP_SETUID and CAP_SETGID, CAP_SETPCAP for the bounding set, CAP_SYS_RESOURCE for limits
 * above the caller's. None is kept.
 *
 * The process that was started stays, unless --daemonize or --new-pid-ns is given, and
 * stands for the VMM: it passes signals on and ends as the VMM ends. It has the VMM's
 * user and no capability, and sits outside the PID namespace, where the VMM cannot see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "jailer/cleanup.h"
#include "jailer/folder.h"
#include "jailer/mount_ns.h"
#include "jailer/options.h"
#include "jailer/privileges.h"
#include "jailer/root.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	EXIT_BAD_ARGUMENTS = 153, /* as wisp's */
	EXIT_NOT_BEGUN = 127,
	OWN_ARGUMENTS = 9,  /* the VMM's name, and its options that are ours to give */
	PROC_ARGUMENTS = 2, /* one more of these */
	OPTION_BYTES = 24,
};

struct jail {
	const struct jail_options *o;
	struct jail_root root;
	struct cgroups cgroups;
	int netns, mount_ns; /* to enter; -1: none */
	int proc;     /* the host's /proc, until the user namespace has its user; -1: not wanted */
	int own_proc; /* the folder of the VMM's process in it, for the VMM; -1: not wanted */
	uint64_t start_us, parent_cpu_us;
};

/* --- stages 3 and 4 --- */

/* One that setns(2) can enter; *ret is left as it is when path is NULL. */
static int open_namespace(const char *path, const char *field, const char *kind, int *ret,
			  struct error *err)
{
	struct statfs fs;

	if (!path)
		return 0;
	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*ret < 0)
		return error_errno(err, field, NULL, "Cannot open %s", path);
	if (fstatfs(*ret, &fs) < 0 || fs.f_type != NSFS_MAGIC)
		return error_set(err, -EINVAL, field, "a file of /proc/PID/ns, or a mount of it",
				 "%s is not a %s namespace", path, kind);
	return 0;
}

/* Where the user namespace is told of its user, and where the VMM is found, when there is no
 * /proc any more. */
static int open_proc(struct jail *j, struct error *err)
{
	if (!j->o->user_ns && !j->o->own_proc)
		return 0;
	j->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return j->proc < 0 ? error_errno(err, NULL, NULL, "Cannot open /proc") : 0;
}

/* A new mount namespace is a copy of the one that the process is in. */
static int leave_host(const struct jail *j, struct error *err)
{
	if (j->mount_ns >= 0 && setns(j->mount_ns, CLONE_NEWNS) < 0)
		return error_errno(err, "mount-ns", NULL, "Cannot enter %s", j->o->mount_ns);
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, NULL, NULL, "Cannot make namespaces");
	return 0;
}

static int prepare_host(struct jail *j, struct error *err)
{
	int r = open_namespace(j->o->netns, "netns", "network", &j->netns, err);

	if (r == 0)
		r = open_namespace(j->o->mount_ns, "mount-ns", "mount", &j->mount_ns, err);
	if (r == 0)
		r = open_proc(j, err);
	if (r == 0)
		r = root_open(j->o, &j->root, err);
	if (r == 0)
		r = cgroups_create(j->o, j->root.name, &j->cgroups, err);
	if (r == 0)
		r = privileges_limit(j->o, err);
	return r;
}

static int go_inside(struct jail *j, struct error *err)
{
	int r = cgroups_join(&j->cgroups, false, err);

	if (r == 0)
		r = leave_host(j, err);
	if (r < 0)
		return r;
	if (j->netns >= 0 && setns(j->netns, CLONE_NEWNET) < 0)
		return error_errno(err, "netns", NULL, "Cannot enter %s", j->o->netns);
	return root_enter(j->o, &j->root, err);
}

/* --- stage 5 --- */

static pid_t clone_into(int cgroup, bool user_ns)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0) |
			 (user_ns ? CLONE_NEWUSER : 0),
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)(cgroup >= 0 ? cgroup : 0),
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Linux 5.7 and later clone into a group, which spares the move of a process. */
static pid_t clone_child(struct jail *j, struct error *err)
{
	pid_t pid = clone_into(j->cgroups.v2, j->o->user_ns);

	if (pid < 0 && j->cgroups.v2 >= 0) {
		if (cgroups_join(&j->cgroups, true, err) < 0)
			return -1;
		pid = clone_into(-1, j->o->user_ns);
	}
	if (pid < 0)
		error_errno(err, NULL, NULL, "Cannot make the VMM's process");
	return pid;
}

/* --- stages 6 and 7: the child --- */

static int leave_terminal(const struct jail *j, struct error *err)
{
	if (!j->o->daemonize)
		return 0;
	setsid();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(j->root.null_fd, fd) < 0)
			return error_errno(err, "daemonize", NULL, "Cannot leave the terminal");
	return 0;
}

/* The program's name, what is ours to tell a VMM of our own, and its own arguments. */
static char **make_arguments(const struct jail *j)
{
	static char start[OPTION_BYTES], cpu[OPTION_BYTES], parent[OPTION_BYTES],
		proc[OPTION_BYTES];
	const char *const own[OWN_ARGUMENTS + PROC_ARGUMENTS] = {
		j->root.path, "--id",
		j->o->id,     "--start-time-us",
		start,	      "--start-time-cpu-us",
		cpu,	      "--parent-cpu-time-us",
		parent,	      "--own-proc-fd",
		proc,
	};
	size_t first = j->o->system_program ? 1 : OWN_ARGUMENTS, extra = 0;
	char **argv;

	if (j->own_proc >= 0)
		first += PROC_ARGUMENTS;

	while (j->o->extra[extra])
		extra++;
	snprintf(start, sizeof(start), "%" PRIu64, j->start_us);
	snprintf(proc, sizeof(proc), "%d", j->own_proc);
	snprintf(cpu, sizeof(cpu), "%" PRIu64, clock_cpu_us());
	snprintf(parent, sizeof(parent), "%" PRIu64, j->parent_cpu_us);
	argv = calloc(first + extra + 1, sizeof(*argv));
	if (!argv)
		return NULL;
	memcpy(argv, own, first * sizeof(*argv));
	memcpy(argv + first, j->o->extra, extra * sizeof(*argv));
	return argv;
}

static int execute(const struct jail *j, struct error *err)
{
	char **argv = make_arguments(j);

	if (!argv)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	execve(j->root.path, argv, (char *const[]){ NULL });
	error_errno(err, "exec-file",
		    j->o->system_program ? "are its libraries below /usr?"
					 : "is it a static program?",
		    "Cannot execute %s in the jail", j->o->exec_file);
	free(argv);
	return err->code;
}

/* For one byte of the parent's. */
static int await(int go, struct error *err)
{
	char byte;

	if (read(go, &byte, 1) == 1)
		return 0;
	return error_set(err, -EPIPE, NULL, NULL, "The jailer ended first");
}

/* The parent has told the namespace of its user. No other is made in there: one would give
 * the VMM all capabilities over what it makes itself, and so more of the kernel to attack. */
static int enter_user_ns(struct jail *j, int go, struct error *err)
{
	int r = j->o->user_ns ? await(go, err) : 0;

	if (r == 0 && j->o->user_ns) {
		r = folder_write(j->proc, "sys/user/max_user_namespaces", "0");
		if (r < 0)
			error_set(err, r, "user-ns", "can /proc/sys be written to?",
				  "Cannot forbid user namespaces in the jail: %s", strerror(-r));
	}
	j->proc = fd_close(j->proc);
	return r;
}

/* The one folder that is passed: this process's own, from which wisp takes what tells of its
 * pages, and which it closes before it does anything else. */
static int take_own_proc(struct jail *j, struct error *err)
{
	if (!j->o->own_proc)
		return 0;
	j->own_proc = openat(j->proc, "self", O_RDONLY | O_DIRECTORY);
	return j->own_proc < 0
		       ? error_errno(err, "own-proc", NULL, "Cannot open the VMM's folder of /proc")
		       : 0;
}

/* A byte: the parent has written the PID down. Its end ends the VMM, too. */
static int be_vmm(struct jail *j, int go, const sigset_t *mask, struct error *err)
{
	bool waits = !j->o->daemonize && !j->o->new_pid_ns;
	int r = leave_terminal(j, err);

	if (r == 0)
		r = take_own_proc(j, err);
	if (r == 0)
		r = enter_user_ns(j, go, err);
	if (r == 0)
		r = privileges_drop(j->o, err);
	if (r == 0 && waits && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		r = error_errno(err, NULL, NULL, "Cannot tie the VMM to the jailer");
	if (r == 0)
		r = await(go, err);
	sigprocmask(SIG_SETMASK, mask, NULL);
	return r < 0 ? r : execute(j, err);
}

/* --- stage 6: the parent --- */

/* Ends as the child ends; a signal that ended it is 128 and its number. */
static int stand_for(pid_t pid, const sigset_t *all)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (sigwaitinfo(all, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD)
			kill(pid, info.si_signo);
		else if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

/* The jail's user is who it is on the host, and there is nobody else. */
static int map_user(const struct jail *j, pid_t pid, struct error *err)
{
	const struct {
		const char *file;
		uint32_t id;
	} maps[] = { { "uid_map", j->o->uid }, { "gid_map", j->o->gid } };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		char path[48], line[48];
		int r;

		snprintf(path, sizeof(path), "%d/%s", (int)pid, maps[i].file);
		snprintf(line, sizeof(line), "%" PRIu32 " %" PRIu32 " 1", maps[i].id, maps[i].id);
		r = folder_write(j->proc, path, line);
		if (r < 0)
			return error_set(err, r, "user-ns", NULL,
					 "Cannot write %s of the user namespace: %s", maps[i].file,
					 strerror(-r));
	}
	return 0;
}

static int let_go(int go, struct error *err)
{
	return write(go, "", 1) == 1 ? 0 : error_errno(err, NULL, NULL, "The VMM's process ended");
}

static int be_parent(struct jail *j, pid_t pid, int go, const sigset_t *all, struct error *err)
{
	int r = root_write_pid(&j->root, pid, err);

	for (unsigned i = 0; i < j->o->pass_count; i++)
		fd_close(j->o->pass_fd[i]);
	if (r == 0 && j->o->user_ns)
		r = map_user(j, pid, err);
	if (r == 0 && j->o->user_ns)
		r = let_go(go, err);
	j->proc = fd_close(j->proc);
	if (r == 0)
		r = privileges_drop(j->o, err);
	if (r == 0)
		r = let_go(go, err);
	if (r < 0) {
		kill(pid, SIGKILL);
		return EXIT_FAILURE;
	}
	fd_close(go);
	return j->o->daemonize || j->o->new_pid_ns ? EXIT_SUCCESS : stand_for(pid, all);
}

static int start_vmm(struct jail *j, struct error *err)
{
	sigset_t all, before;
	int go[2];
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (pipe2(go, O_CLOEXEC) < 0)
		return error_errno(err, NULL, NULL, "Cannot make a pipe"), EXIT_FAILURE;
	j->parent_cpu_us = clock_cpu_us();
	pid = clone_child(j, err);
	if (pid < 0)
		return EXIT_FAILURE;
	if (pid == 0) {
		fd_close(go[1]);
		be_vmm(j, go[0], &before, err);
		return EXIT_FAILURE;
	}
	fd_close(go[0]);
	cgroups_close(&j->cgroups);
	fd_close(j->netns);
	return be_parent(j, pid, go[1], &all, err);
}

static int run(const struct jail_options *o, uint64_t start_us, struct error *err)
{
	struct jail j = {
		.o = o,
		.netns = -1,
		.mount_ns = -1,
		.proc = -1,
		.own_proc = -1,
		.cgroups = { .v2 = -1 },
		.start_us = start_us,
	};

	if (prepare_host(&j, err) < 0 || go_inside(&j, err) < 0)
		return EXIT_FAILURE;
	/* Nothing of the host's is open from here on. */
	j.root.host_fd = fd_close(j.root.host_fd);
	j.root.root_fd = fd_close(j.root.root_fd);
	j.root.exec_fd = fd_close(j.root.exec_fd);
	j.root.root_tree = fd_close(j.root.root_tree);
	j.root.exec_tree = fd_close(j.root.exec_tree);
	j.mount_ns = fd_close(j.mount_ns);
	return start_vmm(&j, err);
}

/* Whoever has started this writes it down first. If he dies before, nothing was begun. */
static bool pass_gate(const struct jail_options *o)
{
	char byte;
	bool open = !o->gate_fd || read(o->gate_fd, &byte, 1) == 1;

	if (o->gate_fd)
		fd_close(o->gate_fd);
	return open;
}

static int complain(const struct error *err, int status)
{
	char line[sizeof(err->text) + sizeof(err->hint) + 8];

	if (err->code)
		fprintf(stderr, "wisp-jailer: %s\n", error_line(err, line, sizeof(line)));
	return status;
}

int main(int argc, char *argv[])
{
	struct jail_options o;
	uint64_t start_us;
	struct error err = { 0 };

	if (jail_options_parse(argc, argv, &o, &err) < 0)
		return complain(&err, EXIT_BAD_ARGUMENTS);
	if (!pass_gate(&o))
		return EXIT_NOT_BEGUN;
	start_us = clock_now_us();
	if (privileges_drop_inherited(&o, &err) < 0)
		return complain(&err, EXIT_FAILURE);
	if (o.help) {
		jail_options_print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (o.version) {
		printf("wisp-jailer v%s\n", WISP_VERSION);
		return EXIT_SUCCESS;
	}
	if (geteuid() != 0) {
		error_set(&err, -EPERM, NULL, "start it as root",
			  "A jail cannot be made by a user");
		return complain(&err, EXIT_FAILURE);
	}
	if (o.prepare)
		return mount_ns_prepare(o.prepare, &err) < 0 ? complain(&err, EXIT_FAILURE)
							     : EXIT_SUCCESS;
	if (o.cleanup)
		return cleanup_jail(&o, &err) < 0 ? complain(&err, EXIT_FAILURE) : EXIT_SUCCESS;

	int status = run(&o, start_us, &err);

	return complain(&err, status);
}
