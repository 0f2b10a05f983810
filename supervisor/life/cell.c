/* cell.c - the folder and the jail of a VMM, whatever VMM it is.
 *
 * The VMM's folder is its jail's root, <jail_dir>/<program>/<id>/root, which belongs to the
 * VMM's user: whatever lies there may have been put there by a guest that has taken its VMM
 * over. So nothing in it is reached through a link, and before a word is said to its socket
 * that is seen to be a socket, and the VMM's own. The folder above it is root's; the VMM's
 * log is there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "jailer/cleanup.h"
#include "jailer/folder.h"
#include "supervisor/device/tree.h"
#include "supervisor/life/cell.h"
#include "supervisor/life/companion.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/pin.h"
#include "supervisor/life/process.h"
#include "supervisor/pool/pool.h"
#include "supervisor/unknown.h"
#include "supervisor/wispd.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	ROOT_MODE = 0700,
	CLEANUP_TIMEOUT_MS = 30000,
	GROUP_POLL_MS = 1,
	TASKS_MAX = 128,
	COMPANION_MIB = 256, /* that one may have, and what the kernel keeps for it */
	COMPANION_TASKS_MAX = 128,
};

/* --- folders --- */

static const char *program_of(const struct runtime *runtime, const struct config *c)
{
	return (const char *)c + runtime->program;
}

/* The program's own name. */
static void name_of(const struct runtime *runtime, const struct config *c, char name[NAME_MAX + 1])
{
	const char *program = program_of(runtime, c);
	char real[PATH_MAX];

	program = realpath(program, real) ? real : program;
	snprintf(name, NAME_MAX + 1, "%.*s", NAME_MAX,
		 strrchr(program, '/') ? strrchr(program, '/') + 1 : program);
}

/* <jail_dir>/<the program's own name>, and then the instance's. */
static int open_jails(const struct runtime *runtime, const struct config *c, struct error *err)
{
	int base = folder_open_trusted(c->jail_dir, "jail_dir", err), fd;
	char name[NAME_MAX + 1];

	if (base < 0)
		return base;
	name_of(runtime, c, name);
	fd = folder_make(base, name, 0755, 0, err);
	fd_close(base);
	return fd;
}

/* The way there was root's alone when it was made, so nobody else has changed it since. */
int cell_open_jail(const struct launch *l, struct error *err)
{
	char path[PATH_MAX];
	int r = cell_path(l, path, err), fd;

	if (r < 0)
		return r;
	fd = open(path, OPEN_FOLDER);
	return fd >= 0 ? fd : error_errno(err, NULL, NULL, "Cannot open the folder of %s", l->id);
}

int cell_path(const struct launch *l, char path[PATH_MAX], struct error *err)
{
	char name[NAME_MAX + 1];
	int n;

	name_of(l->runtime, l->config, name);
	n = snprintf(path, PATH_MAX, "%s/%s/%s", l->config->jail_dir, name, l->id);
	return n < PATH_MAX ? 0 : error_set(err, -ENAMETOOLONG, "jail_dir", NULL, "Too long");
}

int cell_open_folder(const struct launch *l, struct error *err)
{
	int jail = cell_open_jail(l, err), fd;

	if (jail < 0)
		return jail;
	fd = openat(jail, "root", OPEN_FOLDER);
	if (fd < 0)
		fd = error_errno(err, NULL, NULL, "Cannot open the jail of %s", l->id);
	fd_close(jail);
	return fd;
}

int cell_prepare(const struct launch *l, struct error *err)
{
	int jails = open_jails(l->runtime, l->config, err), jail, root;

	if (jails < 0)
		return jails;
	jail = folder_make(jails, l->id, 0755, 0, err);
	root = jail < 0 ? jail : folder_make(jail, "root", ROOT_MODE, l->uid, err);
	fd_close(root);
	fd_close(jail);
	fd_close(jails);
	return root < 0 ? root : 0;
}

/* The last one's process may still be on its way out. */
static int remove_group(const char *parent, const char *name, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + CLEANUP_TIMEOUT_MS * UINT64_C(1000);
	int r = -EBUSY;

	while (r == -EBUSY && clock_now_us() < deadline_us) {
		r = cgroups_remove_named(parent, name, err);
		if (r == -EBUSY)
			poll(NULL, 0, GROUP_POLL_MS);
	}
	return r;
}

int cell_remove_aside(const char *parent, const char *id, struct error *err)
{
	char name[NAME_MAX + sizeof(COMPANION_GROUP)];

	snprintf(name, sizeof(name), "%.*s" COMPANION_GROUP, NAME_MAX, id);
	return parent[0] ? remove_group(parent, name, err) : 0;
}

static int clean_up(const struct runtime *runtime, const struct config *c, const char *id,
		    struct error *err)
{
	const struct jail_options jail = {
		.id = id,
		.exec_file = program_of(runtime, c),
		.base = c->jail_dir,
		.parent_cgroup = c->cgroup[0] ? c->cgroup : NULL,
		.cleanup = true,
	};
	int r = cleanup_jail(&jail, err);

	return r < 0 ? r : cell_remove_aside(c->cgroup, id, err);
}

int cell_remove(const struct launch *l, struct error *err)
{
	return clean_up(l->runtime, l->config, l->id, err);
}

int cell_open_log(const struct launch *l, struct error *err)
{
	int jail = cell_open_jail(l, err), fd;

	if (jail < 0)
		return jail;
	fd = openat(jail, "vmm.log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = error_errno(err, NULL, NULL, "Cannot open the log of %s", l->id);
	fd_close(jail);
	return fd;
}

/* The VMM makes it; a FIFO or a device in its place must not hang us. */
static int open_written(const struct launch *l, const char *name, struct error *err)
{
	int root = cell_open_folder(l, err), fd;
	struct stat st;

	if (root < 0)
		return root;
	fd = openat(root, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	fd_close(root);
	if (fd < 0)
		return error_errno(err, NULL, NULL, "%s has said nothing yet", l->id);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	fd_close(fd);
	return error_set(err, -EINVAL, NULL, NULL, "The %s of %s is not a file", name, l->id);
}

int cell_open_console(const struct launch *l, struct error *err)
{
	return open_written(l, CELL_CONSOLE, err);
}

int cell_open_lines(const struct launch *l, struct error *err)
{
	return open_written(l, CELL_LINES, err);
}

/* So that the counters of the next life begin at zero. */
static int clear_groups(const struct launch *l, struct error *err)
{
	const char *parent = l->config->cgroup;
	int r = parent[0] ? remove_group(parent, l->id, err) : 0;

	return r < 0 ? r : cell_remove_aside(parent, l->id, err);
}

/* What an earlier wispd began for a VMM that never was is begun anew. */
static int end_companions_of(const struct launch *l, struct error *err)
{
	int jail = cell_open_jail(l, err), r;

	if (jail < 0)
		return jail;
	r = companions_end(jail, err);
	fd_close(jail);
	return r;
}

int cell_clear(const struct launch *l, struct error *err)
{
	int root = cell_open_folder(l, err), r;

	if (root < 0)
		return root;
	r = folder_remove(root, "run");
	if (r == 0)
		r = folder_remove(root, CELL_LINES);
	fd_close(root);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "Cannot clear the jail of %s", l->id);
	r = end_companions_of(l, err);
	return r < 0 ? r : clear_groups(l, err);
}

/* --- the command --- */

/* Whether the host has version 2 alone: the names of limits differ. */
static bool one_hierarchy(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

bool cell_has_accounting_v1(void)
{
	int mount = cgroup_open_mount("/proc/self/mounts", 1, "cpuacct");

	fd_close(mount);
	return mount >= 0;
}

/* Of version 1 only the groups that a value names are made; nothing but 0 can be written
 * to this one. */
static int add_accounting(struct runtime_command *ret, struct error *err)
{
	static const char *const texts[] = { "--cgroup", "cpuacct.usage=0", NULL };

	return cell_has_accounting_v1() ? runtime_command_add(ret, texts, err) : 0;
}

/* Below the engine's group, whose limits are the engine's. Without a value the jailer takes the
 * one that is named, which is there (kind_engine.c). */
static int add_engine_group(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	char path[sizeof(l->group) + INSTANCE_ID_BYTES + 1];
	const char *const texts[] = { "--parent-cgroup", path, NULL };
	int r;

	snprintf(path, sizeof(path), "%s%s%s", l->group, cell_has_accounting_v1() ? "" : "/",
		 cell_has_accounting_v1() ? "" : l->id);
	r = runtime_command_add(ret, texts, err);
	return r < 0 ? r : add_accounting(ret, err);
}

static const char *memory_limit(void)
{
	return one_hierarchy() ? "memory.max" : "memory.limit_in_bytes";
}

static long long memory_most(const struct launch *l, int64_t mem_mib)
{
	return (long long)(mem_mib + l->runtime->overhead_mib) << 20;
}

int cell_limit_memory(const struct launch *l, int64_t mem_mib, struct error *err)
{
	int group = l->config->cgroup[0] ? pin_open_group(l->config, "memory", l->id) : -1, r;
	char text[32];

	if (group < 0)
		return 0;
	snprintf(text, sizeof(text), "%lld", memory_most(l, mem_mib));
	r = tree_write(group, memory_limit(), text);
	fd_close(group);
	return r < 0 ? error_set(err, r, "mem_mib", NULL, "Cannot limit the memory of %s: %s",
				 l->id, strerror(-r))
		     : 0;
}

static int add_groups(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	char memory[64], tasks[32];
	const char *const texts[] = {
		"--parent-cgroup", l->config->cgroup, "--cgroup", memory, "--cgroup", tasks, NULL
	};
	int r;

	snprintf(memory, sizeof(memory), "%s=%lld", memory_limit(), memory_most(l, l->mem_mib));
	snprintf(tasks, sizeof(tasks), "pids.max=%lld", TASKS_MAX + (long long)l->vcpus);
	r = runtime_command_add(ret, texts, err);
	return r < 0 || one_hierarchy() ? r : add_accounting(ret, err);
}

static long long count_companions(const struct launch *l)
{
	long long n = l->nshares;

	for (unsigned i = 0; i < l->nnets; i++)
		n += l->nets[i].lease.network.mode == NETWORK_PASST;
	return n;
}

/* Below the engine's, as the VMM's, and as that without limits of its own. */
static int add_engine_aside(const struct launch *l, const char *name, struct runtime_command *ret,
			    struct error *err)
{
	const bool v1 = cell_has_accounting_v1();
	char path[sizeof(l->group) + INSTANCE_ID_BYTES + sizeof(COMPANION_GROUP)];
	const char *const texts[] = { "--parent-cgroup", path, "--id", name, NULL };
	int r;

	snprintf(path, sizeof(path), "%s%s%s", l->group, v1 ? "" : "/", v1 ? "" : name);
	r = runtime_command_add(ret, texts, err);
	return r < 0 ? r : add_accounting(ret, err);
}

int cell_aside_command(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	const long long most = count_companions(l);
	char name[INSTANCE_ID_BYTES + sizeof(COMPANION_GROUP)], memory[64], tasks[32];
	const char *const texts[] = { "--parent-cgroup",
				      l->config->cgroup,
				      "--id",
				      name,
				      "--cgroup",
				      memory,
				      "--cgroup",
				      tasks,
				      NULL };
	int r;

	if (!l->config->cgroup[0])
		return 0;
	snprintf(name, sizeof(name), "%s" COMPANION_GROUP, l->id);
	if (l->group[0])
		return add_engine_aside(l, name, ret, err);
	snprintf(memory, sizeof(memory), "%s=%lld", memory_limit(), (most * COMPANION_MIB) << 20);
	snprintf(tasks, sizeof(tasks), "pids.max=%lld", most * COMPANION_TASKS_MAX);
	r = runtime_command_add(ret, texts, err);
	return r < 0 || one_hierarchy() ? r : add_accounting(ret, err);
}

/* What it has by itself of version 2 needs no word. Of version 1 it must be in a group from the
 * beginning, so that it can be moved when others get cores. */
static bool needs_cpuset(const struct launch_place *p)
{
	int mount = p->anywhere ? cgroup_open_mount("/proc/self/mounts", 1, "cpuset") : -1;

	fd_close(mount);
	return p->cpus[0] && (!p->anywhere || mount >= 0);
}

/* Where it runs. What may be had of huge pages is limited where it is counted. */
static int add_place(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	char cpus[TOPOLOGY_LIST_BYTES + 16], mems[32], pages[64];
	const char *const for_mems[] = { "--cgroup", mems, NULL };
	const char *const for_cpus[] = { "--cgroup", cpus, NULL };
	const char *const for_pages[] = { "--cgroup", pages, NULL };
	int r = 0;

	snprintf(mems, sizeof(mems), "cpuset.mems=%s", l->place.mems);
	snprintf(cpus, sizeof(cpus), "cpuset.cpus=%s", l->place.cpus);
	snprintf(pages, sizeof(pages), "hugetlb.2MB.max=%lld", (long long)l->mem_mib << 20);
	if (l->place.mems[0])
		r = runtime_command_add(ret, for_mems, err);
	if (r == 0 && needs_cpuset(&l->place))
		r = runtime_command_add(ret, for_cpus, err);
	if (r == 0 && l->place.huge_pages && one_hierarchy())
		r = runtime_command_add(ret, for_pages, err);
	return r;
}

int cell_command(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	char uid[16], gate[16];
	const char *const jail[] = {
		l->config->wisp_jailer,
		"--id",
		l->id,
		"--exec-file",
		program_of(l->runtime, l->config),
		"--uid",
		uid,
		"--gid",
		uid,
		"--chroot-base-dir",
		l->config->jail_dir,
		NULL,
	};
	const char *const netns[] = { "--netns", l->netns, NULL };
	const char *const wait[] = { "--gate-fd", gate, NULL };
	int r;

	snprintf(uid, sizeof(uid), "%u", (unsigned)l->uid);
	snprintf(gate, sizeof(gate), "%d", PROCESS_GATE_FD);
	r = runtime_command_add(ret, jail, err);
	if (r == 0 && ret->gated)
		r = runtime_command_add(ret, wait, err);
	if (r == 0 && l->netns[0])
		r = runtime_command_add(ret, netns, err);
	if (r < 0 || !l->config->cgroup[0])
		return r;
	if (l->group[0])
		return add_engine_group(l, ret, err);
	r = add_groups(l, ret, err);
	return r < 0 ? r : add_place(l, ret, err);
}

/* --- its socket --- */

int cell_open_socket(const struct launch *l, const char *name, struct error *err)
{
	int root = cell_open_folder(l, err), run, fd;
	struct stat st;

	if (root < 0)
		return root;
	run = openat(root, "run", OPEN_FOLDER);
	fd = run < 0 ? -1 : openat(run, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		error_errno(err, NULL, NULL, "The VMM of %s has no %s", l->id, name);
	fd_close(run);
	fd_close(root);
	if (fd < 0)
		return err->code;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == l->uid)
		return fd;
	fd_close(fd);
	return error_set(err, -EPERM, NULL, "delete it: its VMM cannot be trusted",
			 "What %s has for a socket is not its VMM's", l->id);
}

/* --- after a crash --- */

/* A VMM that nobody has taken over: its instance is none, or, in books that were restored, has
 * another one or none. Two would write to one disk. */
static void end_unknown(void *ctx, const char *id, pid_t pid)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	struct wispd *d = ctx;
	struct error err;

	if (ended.fd < 0 || lifecycle_lives(d->lifecycle, id) ||
	    blank_exists(&d->truth, id, &err) != 0) {
		fd_close(ended.fd);
		return;
	}
	log_info("%s: a VMM that is not in the books is ended", id);
	if (syscall(SYS_pidfd_send_signal, ended.fd, SIGKILL, NULL, 0) < 0 ||
	    poll(&ended, 1, CLEANUP_TIMEOUT_MS) != 1)
		log_warn("%s: process %d does not end", id, (int)pid);
	fd_close(ended.fd);
}

int cell_survey(const struct runtime *runtime, const struct config *c, survey_fn fn, void *ctx,
		struct error *err)
{
	int jails = open_jails(runtime, c, err), r;

	if (jails < 0)
		return jails;
	r = survey_jails(jails, fn, ctx);
	fd_close(jails);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot look at the processes") : 0;
}

/* A root disk of its own may be all that is left of an instance that the books forgot. Whether it
 * is there still, and is to stay. */
static bool keep_disk(struct wispd *d, int jails, const char *id)
{
	char path[NAME_MAX + 8], as[NAME_MAX + 8];
	struct stat st;
	bool stays;
	int root;

	snprintf(path, sizeof(path), "%.*s/root", NAME_MAX, id);
	snprintf(as, sizeof(as), "%.*s.disk", NAME_MAX, id);
	root = openat(jails, path, OPEN_FOLDER);
	stays = root >= 0 && fstatat(root, "rootfs", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && st.st_nlink == 1 && unknown_keep(d, root, "rootfs", as) &&
		fstatat(root, "rootfs", &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd_close(root);
	return stays;
}

/* What serves its VMM ends before its folder goes. */
static int end_companions(int jails, const char *id, struct error *err)
{
	int jail = openat(jails, id, OPEN_FOLDER), r;

	if (jail < 0)
		return error_errno(err, NULL, NULL, "Cannot open the folder of %s", id);
	r = companions_end(jail, err);
	fd_close(jail);
	return r;
}

static bool is_ours(struct wispd *d, const char *id)
{
	struct instance i;
	struct error err;
	int r = instance_load(&d->truth, id, &i, &err);

	if (r == -ENOENT)
		return blank_exists(&d->truth, id, &err) != 0;
	return r < 0 || i.state != STATE_DELETED;
}

int cell_sweep(const struct runtime *runtime, struct wispd *d, struct error *err)
{
	int jails = open_jails(runtime, &d->config, err), removed = 0;
	struct dirent *entry;
	DIR *dir;

	if (jails < 0)
		return jails;
	survey_jails(jails, end_unknown, d);
	dir = fdopendir(jails);
	while (dir && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || is_ours(d, entry->d_name))
			continue;
		if (keep_disk(d, dirfd(dir), entry->d_name))
			continue;
		if (end_companions(dirfd(dir), entry->d_name, err) < 0 ||
		    clean_up(runtime, &d->config, entry->d_name, err) < 0)
			log_warn("%s", err->text);
		else
			removed++;
	}
	if (dir)
		closedir(dir);
	return removed;
}
