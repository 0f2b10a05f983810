/* landlock.c - what files this process can still open: Landlock's rules.
 *
 * Each version of the kernel's interface (ABI) adds something that can be restricted. All of
 * it is, as far as this kernel knows it; a right that it does not know is left out of the
 * rules, too, since the kernel refuses bits that it does not know.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/landlock.h"

/* What Debian 12's linux/landlock.h does not have yet. */
enum {
	FS_TRUNCATE = 1 << 14,	   /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15,	   /* ABI 5 */
	FS_RESOLVE_UNIX = 1 << 16, /* ABI 9 */
	NET_BIND_TCP = 1 << 0,	   /* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,
};

/* The same, whose later members came with the versions 4 and 6. */
struct ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define FS_FIRST                                                          \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |     \
	 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |     \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |     \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |   \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

/* What each version added. */
static const struct {
	int abi;
	struct landlock_masks masks;
} versions[] = {
	{ 1, { .fs = FS_FIRST } },
	{ 2, { .fs = LANDLOCK_ACCESS_FS_REFER } },
	{ 3, { .fs = FS_TRUNCATE } },
	{ 4, { .net = NET_BIND_TCP | NET_CONNECT_TCP } },
	{ 5, { .fs = FS_IOCTL_DEV } },
	{ 6, { .scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } },
	{ 9, { .fs = FS_RESOLVE_UNIX } },
};

static const struct {
	enum landlock_right right;
	uint64_t fs;
} rights_map[] = {
	{ LANDLOCK_READ, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
	{ LANDLOCK_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE },
	{ LANDLOCK_CONTROL, FS_IOCTL_DEV },
	{ LANDLOCK_MAKE, LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
				 LANDLOCK_ACCESS_FS_MAKE_SYM },
	{ LANDLOCK_REMOVE, LANDLOCK_ACCESS_FS_REMOVE_FILE },
	{ LANDLOCK_CONNECT, FS_RESOLVE_UNIX },
};

/* Those that a rule for something else than a folder may have. */
static const uint64_t fs_of_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
				    FS_TRUNCATE | FS_IOCTL_DEV | FS_RESOLVE_UNIX;

struct landlock {
	int fd, abi;
	unsigned count;
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

struct landlock_masks landlock_masks(int abi)
{
	struct landlock_masks all = { 0 };

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		if (versions[i].abi > abi)
			break;
		all.fs |= versions[i].masks.fs;
		all.net |= versions[i].masks.net;
		all.scoped |= versions[i].masks.scoped;
	}
	return all;
}

uint64_t landlock_granted(int abi, unsigned rights)
{
	uint64_t fs = 0;

	for (size_t i = 0; i < sizeof(rights_map) / sizeof(rights_map[0]); i++)
		if (rights & rights_map[i].right)
			fs |= rights_map[i].fs;
	return fs & landlock_masks(abi).fs;
}

/* An older kernel takes a longer structure, if what it does not know is 0. */
static int create_ruleset(int abi)
{
	const struct landlock_masks masks = landlock_masks(abi);
	const struct ruleset_attr attr = { masks.fs, masks.net, masks.scoped };
	long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	return fd < 0 ? -errno : (int)fd; /* O_CLOEXEC */
}

int landlock_create(struct landlock **ret)
{
	int abi = landlock_abi(), fd = abi < 0 ? abi : create_ruleset(abi);
	struct landlock *l;

	if (fd < 0)
		return fd;
	l = malloc(sizeof(*l));
	if (!l) {
		fd_close(fd);
		return -ENOMEM;
	}
	*l = (struct landlock){ .fd = fd, .abi = abi };
	*ret = l;
	return 0;
}

void landlock_destroy(struct landlock *l)
{
	if (!l)
		return;
	fd_close(l->fd);
	free(l);
}

static int add_rule(struct landlock *l, int fd, unsigned rights)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = landlock_granted(l->abi, rights),
		.parent_fd = fd,
	};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= fs_of_files;
	if (rule.allowed_access == 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, l->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	l->count++;
	return 0;
}

int landlock_allow(struct landlock *l, const char *path, unsigned rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = add_rule(l, fd, rights);
	fd_close(fd);
	return r;
}

int landlock_allow_folder_of(struct landlock *l, const char *path, unsigned rights)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		return landlock_allow(l, ".", rights);
	if (len >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, len);
	folder[len] = '\0';
	return landlock_allow(l, len > 0 ? folder : "/", rights);
}

int landlock_restrict(struct landlock *l)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, l->fd, 0) < 0)
		return -errno;
	return 0;
}

unsigned landlock_count(const struct landlock *l)
{
	return l->count;
}
