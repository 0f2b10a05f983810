/* privileges.c - what a process gives up for good.
 *
 * The order matters: the bounding set and the secure bits can only be changed with
 * CAP_SETPCAP, groups only with CAP_SETGID, so the user goes last but for what needs no
 * right at all. The bounding set is emptied up to the last capability that this kernel
 * knows, so that one that is new to the library goes, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jailer/privileges.h"

enum {
	NO_ROOT = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
		  SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED
};

/* O_PATH alone is no use but to reach what is behind it. */
static int check_passed(int fd, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "pass-fd", NULL, "Descriptor %d cannot be passed", fd);
	if (!S_ISDIR(st.st_mode) && !(flags & O_PATH))
		return 0;
	return error_set(err, -EISDIR, "pass-fd", "pass the files that are in it",
			 "Descriptor %d is a folder, or open as a path alone", fd);
}

/* All but those to be passed. */
static int close_others(const struct jail_options *o)
{
	unsigned first = STDERR_FILENO + 1;

	for (unsigned i = 0; i < o->pass_count; i++) {
		unsigned fd = (unsigned)o->pass_fd[i];

		if (fd > first && syscall(SYS_close_range, first, fd - 1, CLOSE_RANGE_UNSHARE) < 0)
			return -1;
		first = fd + 1;
	}
	return (int)syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_UNSHARE);
}

int privileges_drop_inherited(const struct jail_options *o, struct error *err)
{
	const struct rlimit none = { 0, 0 };

	for (unsigned i = 0; i < o->pass_count; i++)
		if (check_passed(o->pass_fd[i], err) < 0)
			return err->code;
	if (close_others(o) < 0)
		return error_errno(err, NULL, "Linux 5.9 or later has close_range",
				   "Cannot close inherited descriptors");
	if (clearenv() != 0)
		return error_set(err, -ENOMEM, NULL, NULL, "Cannot empty the environment");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return error_errno(err, NULL, NULL, "Cannot turn core dumps off");
	return 0;
}

static int limit(int resource, uint64_t value, struct error *err)
{
	const struct rlimit both = { value, value };

	if (setrlimit((__rlimit_resource_t)resource, &both) < 0)
		return error_errno(err, "resource-limit", "the host's own limit may be lower",
				   "Cannot set a limit of %llu", (unsigned long long)value);
	return 0;
}

int privileges_limit(const struct jail_options *o, struct error *err)
{
	int r = limit(RLIMIT_NOFILE, o->no_file, err);

	if (r == 0 && o->fsize)
		r = limit(RLIMIT_FSIZE, o->fsize, err);
	if (r == 0 && o->memlock)
		r = limit(RLIMIT_MEMLOCK, o->memlock, err);
	return r;
}

static int empty_bounding_set(void)
{
	cap_value_t cap = 0;

	while (cap_drop_bound(cap) == 0)
		cap++;
	return errno == EINVAL ? 0 : -errno;
}

/* Permitted, effective and inheritable; the ambient set lies within them. */
static int empty_own_sets(void)
{
	cap_t none = cap_init();
	int r = none && cap_set_proc(none) == 0 ? 0 : -errno;

	if (none)
		cap_free(none);
	return r;
}

int privileges_drop(const struct jail_options *o, struct error *err)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    empty_bounding_set() < 0 || cap_set_secbits(NO_ROOT) < 0)
		return error_errno(err, NULL, NULL, "Cannot empty the sets of capabilities");
	if (setgroups(0, NULL) < 0 || setresgid(o->gid, o->gid, o->gid) < 0)
		return error_errno(err, "gid", NULL, "Cannot become group %u", o->gid);
	if (setresuid(o->uid, o->uid, o->uid) < 0)
		return error_errno(err, "uid", NULL, "Cannot become user %u", o->uid);
	if (empty_own_sets() < 0)
		return error_errno(err, NULL, NULL, "Cannot drop the capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, NULL, NULL, "Cannot give up privileges for good");
	return 0;
}
