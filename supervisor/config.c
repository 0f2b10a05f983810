/* config.c - the configuration file: a body table, defaults, and what the host adds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/config.h"
#include "supervisor/device/tree.h"
#include "supervisor/life/confined.h"
#include "supervisor/share/folder.h"
#include "vmm/base/fd.h"

enum { FILE_MAX_BYTES = 1 << 20 };

/* Without "none": who is to have no role is not listed. */
const char *const config_role_names[] = { "viewer", "operator", "admin", NULL };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define PATH_FIELD(member)                                                            \
	{                                                                             \
		.name = #member, .type = BODY_STRING, PLACE(config, member), .min = 1 \
	}
#define NUMBER(member, least, greatest)                                                   \
	{                                                                                 \
		.name = #member, .type = BODY_U64, PLACE(config, member), .min = (least), \
		.max = (greatest)                                                         \
	}

static const struct body_field principal_fields[] = {
	{ .name = "uid",
	  .type = BODY_U64,
	  PLACE(principal, uid),
	  .max = UINT32_MAX - 1,
	  .mark = offsetof(struct principal, has_uid),
	  .nullable = true },
	{ .name = "gid",
	  .type = BODY_U64,
	  PLACE(principal, gid),
	  .max = UINT32_MAX - 1,
	  .mark = offsetof(struct principal, has_gid),
	  .nullable = true },
	{ .name = "role",
	  .type = BODY_ENUM,
	  PLACE(principal, role),
	  .names = config_role_names,
	  .required = true },
	{ .name = "tenant", .type = BODY_STRING, PLACE(principal, tenant), .min = 1 },
};

static const struct principal principal_default = { .tenant = "default" };

static int check_principal(void *config, struct error *err)
{
	const struct principal *p = config;

	if (p->has_uid != p->has_gid)
		return 0;
	return error_set(err, -EINVAL, "uid", "give one of the two",
			 "A principal is a user or a group");
}

static const struct body_table principal_table = {
	.size = sizeof(struct principal),
	.defaults = &principal_default,
	.fields = principal_fields,
	.nfields = sizeof(principal_fields) / sizeof(principal_fields[0]),
	.check = check_principal,
};

static const struct body_field share_fields[] = {
	{ .name = "path",
	  .type = BODY_STRING,
	  PLACE(shared_folder, path),
	  .min = 1,
	  .required = true },
	{ .name = "tenant", .type = BODY_STRING, PLACE(shared_folder, tenant), .min = 1 },
	{ .name = "user",
	  .type = BODY_U64,
	  PLACE(shared_folder, user),
	  .min = 1,
	  .max = UINT32_MAX - 1,
	  .required = true },
	{ .name = "uid_first",
	  .type = BODY_U64,
	  PLACE(shared_folder, uid_first),
	  .min = 1,
	  .max = UINT32_MAX - 1 },
	{ .name = "uid_count",
	  .type = BODY_U64,
	  PLACE(shared_folder, uid_count),
	  .min = 1,
	  .max = UINT32_MAX - 1 },
	{ .name = "read_only", .type = BODY_BOOL, PLACE(shared_folder, read_only) },
};

static const struct shared_folder share_default = { .tenant = "default" };

static bool overlaps(const struct shared_folder *f, uint64_t first, uint64_t count)
{
	return f->uid_count && first < f->uid_first + f->uid_count && f->uid_first < first + count;
}

static int check_share(void *config, struct error *err)
{
	const struct shared_folder *f = config;

	if (!folder_name_plain(f->path))
		return error_set(err, -EINVAL, "path",
				 "an absolute path, without \"..\" and doubled slashes",
				 "%s cannot be shared", f->path);
	if (!f->uid_first != !f->uid_count)
		return error_set(err, -EINVAL, f->uid_first ? "uid_count" : "uid_first",
				 "give both, or none", "%s names half a range of users", f->path);
	if (f->uid_count > UINT32_MAX - f->uid_first)
		return error_set(err, -EINVAL, "uid_count",
				 "uid_first + uid_count is at most 4294967295",
				 "There are not as many users from %llu on",
				 (unsigned long long)f->uid_first);
	if (overlaps(f, f->user, 1))
		return error_set(err, -EINVAL, "user", "a user outside of uid_first and uid_count",
				 "User %llu would be the guest's root and another of its users",
				 (unsigned long long)f->user);
	return 0;
}

static const struct body_table share_table = {
	.size = sizeof(struct shared_folder),
	.defaults = &share_default,
	.fields = share_fields,
	.nfields = sizeof(share_fields) / sizeof(share_fields[0]),
	.check = check_share,
};

static const char *const level_names[] = { "off", "error", "warn", "info", "debug", NULL };

static const struct config defaults = {
	.state_dir = "/var/lib/wisp",
	.socket = "/run/wisp/wispd.sock",
	.jail_dir = "/var/lib/wisp/jails",
	.nft = "/usr/sbin/nft",
	.passt = "/usr/bin/passt",
	.dnsmasq = "/usr/sbin/dnsmasq",
	.ovs_vsctl = "/usr/bin/ovs-vsctl",
	.ovs_ofctl = "/usr/bin/ovs-ofctl",
	.virtiofsd = "/usr/lib/qemu/virtiofsd",
	.qemu = "/usr/bin/qemu-system-x86_64",
	.device_root = "/",
	.uid_first = 900000000,
	.uid_count = 10000,
	.cgroup = "wisp",
	.stop_timeout_ms = 10000,
	.start_timeout_ms = 30000,
	.agent_timeout_ms = 60000,
	.agent_interval_ms = 30000,
	.client_grace_ms = 30000,
	.confirm_interval_ms = 10000,
	.count_interval_ms = 900000,
	.reconcile_interval_ms = 60000,
	.roll_up_after_days = 40,
	.workers = 16,
	.import_uid_first = 910000000,
	.image_max_mib = 16384,
	.console_max_bytes = 4 << 20,
	.console_bytes_per_s = 1 << 20,
	.instances_max = 1000,
	.vcpu_overcommit_percent = 400,
	.memory_overcommit_percent = 100,
	.memory_reserve_mib = 256,
	.disk_reserve_mib = 256,
	.live_snapshots = true,
	.host_interval_ms = 60000,
	.queue_max = 1000,
	.queue_age_ms = 30000,
	.queue_starve_ms = 60000,
	.log_level = 3,
	.nnetns_folders = 2,
	.netns_folders = { "/run/netns", "/var/run/netns" },
};

static const struct body_field fields[] = {
	PATH_FIELD(state_dir),
	PATH_FIELD(socket),
	PATH_FIELD(jail_dir),
	PATH_FIELD(wisp),
	PATH_FIELD(wisp_jailer),
	PATH_FIELD(nft),
	PATH_FIELD(passt),
	PATH_FIELD(dnsmasq),
	PATH_FIELD(ovs_vsctl),
	PATH_FIELD(ovs_ofctl),
	PATH_FIELD(virtiofsd),
	PATH_FIELD(wisp_keeper),
	PATH_FIELD(wisp_init),
	PATH_FIELD(qemu),
	NUMBER(uid_first, 1, UINT32_MAX - 1),
	NUMBER(uid_count, 1, 1000000),
	{ .name = "cgroup", .type = BODY_STRING, PLACE(config, cgroup) },
	NUMBER(stop_timeout_ms, 0, 3600000),
	NUMBER(start_timeout_ms, 100, 600000),
	NUMBER(agent_timeout_ms, 100, 3600000),
	NUMBER(agent_interval_ms, 1000, 3600000),
	NUMBER(client_grace_ms, 100, 3600000),
	NUMBER(confirm_interval_ms, 100, 3600000),
	NUMBER(count_interval_ms, 100, 86400000),
	NUMBER(reconcile_interval_ms, 100, 86400000),
	NUMBER(roll_up_after_days, 0, 36500),
	PATH_FIELD(anchor_file),
	PATH_FIELD(events_file),
	PATH_FIELD(events_url),
	NUMBER(workers, 1, 64),
	NUMBER(import_uid_first, 65536, UINT32_MAX - 65536),
	NUMBER(image_max_mib, 1, 1 << 20),
	NUMBER(console_max_bytes, 4096, 1 << 30),
	NUMBER(console_bytes_per_s, 1024, 1 << 30),
	NUMBER(instances_max, 1, 100000),
	NUMBER(vcpu_overcommit_percent, 100, 10000),
	NUMBER(memory_overcommit_percent, 100, 1000),
	NUMBER(memory_reserve_mib, 0, 1 << 24),
	NUMBER(disk_reserve_mib, 0, 1 << 30),
	{ .name = "live_snapshots", .type = BODY_BOOL, PLACE(config, live_snapshots) },
	NUMBER(queue_max, 0, 100000),
	NUMBER(starts_per_s, 0, 100000),
	NUMBER(queue_age_ms, 1, 86400000),
	NUMBER(queue_starve_ms, 1, 86400000),
	PATH_FIELD(host_labels),
	NUMBER(host_interval_ms, 1000, 86400000),
	NUMBER(vcpus, 0, 1 << 20),
	NUMBER(memory_mib, 0, 1 << 30),
	{ .name = "log_level", .type = BODY_ENUM, PLACE(config, log_level), .names = level_names },
	{ .name = "principals",
	  .type = BODY_ARRAY,
	  PLACE(config, principals),
	  .mark = offsetof(struct config, nprincipals),
	  .max = CONFIG_PRINCIPALS_MAX,
	  .table = &principal_table },
	{ .name = "shares",
	  .type = BODY_ARRAY,
	  PLACE(config, shares),
	  .mark = offsetof(struct config, nshares),
	  .max = CONFIG_SHARES_MAX,
	  .table = &share_table },
	{ .name = "netns_folders",
	  .type = BODY_STRINGS,
	  PLACE(config, netns_folders),
	  .mark = offsetof(struct config, nnetns_folders),
	  .max = CONFIG_NETNS_FOLDERS_MAX },
};

/* What a guest wrote would be another VMM's, or an import's, to read. */
static int check_users(void *config, struct error *err)
{
	const struct config *c = config;

	for (uint32_t i = 0; i < c->nshares; i++) {
		const struct shared_folder *f = &c->shares[i];

		if (overlaps(f, c->uid_first, c->uid_count) ||
		    overlaps(f, c->import_uid_first, CONFINED_USERS))
			return error_set(
				err, -EINVAL, "shares",
				"a range that is nobody else's: not VMMs' (uid_first), not "
				"imports' (import_uid_first)",
				"Users %llu and on of %s are taken",
				(unsigned long long)f->uid_first, f->path);
	}
	return 0;
}

const struct body_table config_table = {
	.size = sizeof(struct config),
	.defaults = &defaults,
	.fields = fields,
	.nfields = sizeof(fields) / sizeof(fields[0]),
	.check = check_users,
};

/* The whole file, NUL-terminated, to be freed. */
static char *read_text(const char *path, size_t *len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, "config", "give --config FILE", "Cannot open %s", path);
	} else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		error_set(err, -EINVAL, "config", "a file of at most 1 MiB",
			  "%s is no configuration file", path);
	} else {
		*len = (size_t)st.st_size;
		text = calloc(1, *len + 1);
		if (text && fd_pread_all(fd, text, *len, 0) < 0) {
			error_set(err, -EIO, "config", NULL, "Cannot read %s", path);
			free(text);
			text = NULL;
		}
	}
	fd_close(fd);
	return text;
}

/* name in the folder of this program. */
static void beside(const char *name, char *path, size_t size)
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	own[n < 0 ? 0 : n] = '\0';
	*(strrchr(own, '/') ? strrchr(own, '/') : own) = '\0';
	if (!path[0])
		snprintf(path, size, "%.*s/%s", (int)(size - strlen(name) - 2), own, name);
}

/* Of all sizes, free or not: nothing else can be made of them. */
static uint64_t huge_pages_mib(void)
{
	static const char line[] = "\nHugetlb:";
	char *text = tree_file(AT_FDCWD, "/proc/meminfo");
	const char *at = text ? strstr(text, line) : NULL;
	uint64_t kib = at ? strtoull(at + strlen(line), NULL, 10) : 0;

	free(text);
	return kib >> 10;
}

/* What nobody set is what there is. */
static void ask_host(struct config *c)
{
	uint64_t mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
	uint64_t aside_mib;

	if (!c->vcpus)
		c->vcpus =
			(uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * c->vcpu_overcommit_percent / 100;
	aside_mib = c->memory_reserve_mib + huge_pages_mib();
	if (!c->memory_mib && mib > aside_mib)
		c->memory_mib = (mib - aside_mib) * c->memory_overcommit_percent / 100;
}

int config_read(const char *path, struct config *ret, struct error *err)
{
	size_t len = 0;
	int r = 0;

	*ret = defaults;
	if (path) {
		char *text = read_text(path, &len, err);

		if (!text)
			return err->code ? err->code : -ENOMEM;
		r = body_read_text(&config_table, text, len, 0, ret, err);
		free(text);
	}
	if (r < 0)
		return r;
	beside("wisp", ret->wisp, sizeof(ret->wisp));
	beside("wisp-jailer", ret->wisp_jailer, sizeof(ret->wisp_jailer));
	beside("wisp-keeper", ret->wisp_keeper, sizeof(ret->wisp_keeper));
	if (!ret->anchor_file[0])
		snprintf(ret->anchor_file, sizeof(ret->anchor_file), "%.*s/anchors",
			 (int)(sizeof(ret->anchor_file) - sizeof("/anchors")), ret->state_dir);
	beside("wisp-init", ret->wisp_init, sizeof(ret->wisp_init));
	ask_host(ret);
	return 0;
}

const char *config_archive(const struct config *c, char buf[CONFIG_ARCHIVE_BYTES])
{
	snprintf(buf, CONFIG_ARCHIVE_BYTES, "%s/archive", c->state_dir);
	return buf;
}
