/* config.h - what wispd is told at its start: one JSON file, and defaults. */
#ifndef SUPERVISOR_CONFIG_H
#define SUPERVISOR_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/body.h"
#include "vmm/base/error.h"

enum {
	CONFIG_PRINCIPALS_MAX = 64,
	CONFIG_SHARES_MAX = 32,
	CONFIG_NETNS_FOLDERS_MAX = 8,
	CONFIG_TENANT_BYTES = 64,
	CONFIG_FOLDER_BYTES = 512,
	CONFIG_ARCHIVE_BYTES = PATH_MAX + 16,
};

/* What a caller may do, each more than the one before. */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };

/* Who connects with this user or group id has this role. */
struct principal {
	uint64_t uid, gid;
	bool has_uid, has_gid;
	uint32_t role; /* index in config_role_names */
	char tenant[CONFIG_TENANT_BYTES];
};

/* A folder of the host that a tenant's guests may be given, with what is below it. */
struct shared_folder {
	char path[CONFIG_FOLDER_BYTES];
	char tenant[CONFIG_TENANT_BYTES];
	uint64_t user; /* of the host, and group: what a guest's root does there, he does */
	/* Who does what the guest's users from 1 on do, and their groups; count 0: nobody. */
	uint64_t uid_first, uid_count;
	bool read_only;
};

/* Read once, then the same until the end: any thread may look. */
struct config {
	char state_dir[PATH_MAX]; /* the database and the images */
	char socket[108];
	char jail_dir[PATH_MAX]; /* wisp-jailer's --chroot-base-dir */
	char wisp[PATH_MAX], wisp_jailer[PATH_MAX], qemu[PATH_MAX];
	char device_root[PATH_MAX]; /* where sysfs and procfs are: "/", but in tests */
	char nft[PATH_MAX], passt[PATH_MAX], virtiofsd[PATH_MAX], dnsmasq[PATH_MAX];
	char ovs_vsctl[PATH_MAX], ovs_ofctl[PATH_MAX];
	char wisp_keeper[PATH_MAX];    /* what keeps companions running (companion.h) */
	char wisp_init[PATH_MAX];      /* what is put into guests (image_agent.h) */
	uint64_t uid_first, uid_count; /* users that VMMs run as: one each */
	char cgroup[128];	       /* their control groups' parent; "": none */
	uint64_t stop_timeout_ms, start_timeout_ms;
	uint64_t agent_timeout_ms, agent_interval_ms;
	uint64_t client_grace_ms;     /* of life/attend.h */
	uint64_t confirm_interval_ms; /* of heartbeat.h */
	uint64_t count_interval_ms;   /* after which its counters are told in events */
	uint64_t reconcile_interval_ms;
	uint64_t roll_up_after_days; /* of metering/retention.h; 0: never */
	char anchor_file[PATH_MAX];  /* where signed heads of the ledger are added */
	char events_file[PATH_MAX];  /* receivers of events (outbox.h); "": none */
	char events_url[1024];
	uint64_t workers;
	uint64_t import_uid_first; /* of users that imports are taken apart by (confined.h) */
	uint64_t image_max_mib;
	uint64_t console_max_bytes, console_bytes_per_s;
	uint64_t instances_max;
	uint64_t vcpu_overcommit_percent, memory_overcommit_percent, memory_reserve_mib;
	/* Of queue.h: 0 starts a second: as many as come. */
	uint64_t queue_max, starts_per_s, queue_age_ms, queue_starve_ms;
	bool live_snapshots;	    /* VMMs get what it takes to be saved while they run */
	uint64_t disk_reserve_mib;  /* of state_dir's file system: not for volumes */
	uint64_t vcpus, memory_mib; /* what the host has to give; 0: as it is */
	char host_labels[PATH_MAX]; /* an operator's words about this host; "": none */
	uint64_t host_interval_ms;  /* after which it is looked at again (host/watch.h) */
	uint32_t log_level;
	uint32_t nprincipals;
	struct principal principals[CONFIG_PRINCIPALS_MAX];
	uint32_t nshares;
	struct shared_folder shares[CONFIG_SHARES_MAX];
	uint32_t nnetns_folders; /* in which network namespaces are that guests may be given */
	char netns_folders[CONFIG_NETNS_FOLDERS_MAX][CONFIG_FOLDER_BYTES];
};

extern const struct body_table config_table; /* of struct config */
extern const char *const config_role_names[];

/* The defaults, then the file, unless path is NULL; finds the programs beside this one.
 * 0 or a negative errno and *err. */
int config_read(const char *path, struct config *ret, struct error *err);

/* The folder of events that were rolled up (books/event_archive.h), into buf; returns buf. */
const char *config_archive(const struct config *c, char buf[CONFIG_ARCHIVE_BYTES]);

#endif
