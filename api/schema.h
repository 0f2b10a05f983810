/* schema.h - the bodies of the API and the sections of the configuration file.
 *
 * One table a body; the names, defaults and limits are Firecracker's. To add an
 * endpoint: a struct in vmm/config.h, a table here, a row in routes.c.
 */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include "api/body.h"
#include "vmm/config.h"

/* PowerButton is wisp's own: Firecracker's guests have none. */
enum action {
	ACTION_INSTANCE_START,
	ACTION_FLUSH_METRICS,
	ACTION_SEND_CTRL_ALT_DEL,
	ACTION_POWER_BUTTON
};

struct action_config {
	uint32_t action_type; /* enum action */
};

enum vm_target { VM_TARGET_PAUSED, VM_TARGET_RESUMED };

struct vm_state_config {
	uint32_t state; /* enum vm_target */
};

struct balloon_target_config {
	uint64_t amount_mib;
};

struct hinting_config {
	bool acknowledge_on_stop;
};

struct balloon_polling_config {
	uint64_t stats_polling_interval_s;
};

struct memory_target_config {
	uint64_t requested_size_mib;
};

/* A whole machine: what --config-file gives and GET /vm/config returns. */
struct machine_description {
	struct boot_source_config boot_source;
	struct machine_config machine;
	struct entropy_config entropy;
	struct balloon_config balloon;
	struct vsock_config vsock;
	struct console_config console;
	struct memory_hotplug_config memory;
	struct mmds_config mmds;
	struct logger_config logger;
	struct metrics_config metrics;
	char cpu_config_path[PATH_MAX]; /* "" : none */
	bool has_logger, has_metrics, has_boot_source, has_machine, has_entropy, has_balloon,
		has_vsock, has_memory, has_console, has_mmds;
	uint32_t ndrives, nnets, npmem;
	struct drive_config drives[VM_MAX_DRIVES];
	struct net_config nets[VM_MAX_NETS];
	struct pmem_config pmem[VM_MAX_PMEM];
	uint32_t nshared_directories;
	struct shared_directory_config shared_directories[VM_MAX_SHARED_DIRECTORIES];
};

extern const struct body_table body_logger;	 /* struct logger_config */
extern const struct body_table body_metrics;	 /* struct metrics_config */
extern const struct body_table body_cpu;	 /* struct cpu_config */
extern const struct body_table body_boot_source; /* struct boot_source_config */
extern const struct body_table body_machine;	 /* struct machine_config */
extern const struct body_table body_action;	 /* struct action_config */
extern const struct body_table body_vm_state;	 /* struct vm_state_config */
extern const struct body_table body_description; /* struct machine_description */

/* In device_schema.c. */
extern const struct body_table body_rate_limiter;     /* struct limiter_config */
extern const struct body_table body_drive;	      /* struct drive_config */
extern const struct body_table body_drive_update;     /* struct drive_update */
extern const struct body_table body_net;	      /* struct net_config */
extern const struct body_table body_net_update;	      /* struct net_update */
extern const struct body_table body_pmem;	      /* struct pmem_config */
extern const struct body_table body_pmem_update;      /* struct pmem_update */
extern const struct body_table body_entropy;	      /* struct entropy_config */
extern const struct body_table body_balloon;	      /* struct balloon_config */
extern const struct body_table body_vsock;	      /* struct vsock_config */
extern const struct body_table body_mmds;	      /* struct mmds_config */
extern const struct body_table body_memory;	      /* struct memory_hotplug_config */
extern const struct body_table body_memory_target;    /* struct memory_target_config */
extern const struct body_table body_serial;	      /* struct serial_config */
extern const struct body_table body_console;	      /* struct console_config */
extern const struct body_table body_shared_directory; /* struct shared_directory_config */
extern const struct body_table body_target;	      /* struct balloon_target_config */
extern const struct body_table body_hinting;	      /* struct hinting_config */
extern const struct body_table body_polling;	      /* struct balloon_polling_config */

/* In snapshot_schema.c. */
extern const struct body_table body_snapshot_create; /* struct snapshot_create_config */
extern const struct body_table body_snapshot_load;   /* struct snapshot_load_config */
extern const struct body_table body_working_set;     /* struct working_set_config */

#endif
