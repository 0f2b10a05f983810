/* config.h - what a machine is made of, as its user asked for it.
 *
 * Plain values in the units and with the names of the API. The API and the
 * configuration file fill these from JSON (api/body.h checks types and ranges of
 * single fields); vm_put_*() check what needs the host or other fields.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/limiter.h"
#include "vmm/cpu_template.h"

enum {
	VM_MAX_VCPUS = 32,
	VM_MAX_DEVICES = 32, /* virtio devices of all kinds */
	VM_MAX_DRIVES = 16,
	VM_MAX_NETS = 16,
	VM_MAX_PMEM = 16,
	VM_MAX_SHARED_DIRECTORIES = 8,
	VM_MAX_CMDLINE = 2048, /* bytes, the terminating NUL included */
	VM_ID_LEN = 64,
	VM_TAG_LEN = 36,
};

/* Firecracker's default is Info. */
#define LOGGER_LEVEL_DEFAULT "Info"

struct logger_config {
	char log_path[PATH_MAX]; /* "" : stderr */
	char level[16];		 /* as log_level_parse() takes it */
	bool show_level, show_log_origin, has_format;
	uint32_t format;  /* enum log_format; wisp's own */
	char module[128]; /* only what begins in this source folder or file; "" : all */
};

enum { METRICS_PROPERTIES_BYTES = 8192 };

struct metrics_config {
	char metrics_path[PATH_MAX];
	bool has_emit_id, emit_id; /* each line begins with the machine's ID */
	bool has_properties;
	char properties[METRICS_PROPERTIES_BYTES]; /* a JSON object of strings, for each line */
};

struct boot_source_config {
	char kernel_image_path[PATH_MAX];
	char initrd_path[PATH_MAX];	/* "" : none */
	char boot_args[VM_MAX_CMDLINE]; /* "" with has_boot_args: an empty line */
	bool has_boot_args;		/* false: the default command line */
};

enum huge_pages { HUGE_PAGES_NONE, HUGE_PAGES_TRANSPARENT, HUGE_PAGES_2M };

struct machine_config {
	uint64_t vcpu_count;   /* 1 to VM_MAX_VCPUS */
	uint64_t mem_size_mib; /* at least 1 */
	bool smt;	       /* two threads a core; vcpu_count is then 1 or even */
	bool track_dirty_pages;
	uint32_t huge_pages; /* enum huge_pages */
	bool has_cpu_template;
	uint32_t cpu_template; /* enum cpu_template_name */
};

/* Firecracker's defaults: 1 vCPU, 128 MiB. */
#define MACHINE_CONFIG_DEFAULT                       \
	{                                            \
		.vcpu_count = 1, .mem_size_mib = 128 \
	}

enum cache_type { CACHE_UNSAFE, CACHE_WRITEBACK };
enum io_engine { IO_ENGINE_SYNC, IO_ENGINE_ASYNC, IO_ENGINE_DIRECT };

/* A file of the host, or a vhost-user back end, which then decides what is left out. */
struct drive_config {
	char drive_id[VM_ID_LEN + 1];
	char path_on_host[PATH_MAX]; /* "" : a back end */
	char socket[PATH_MAX];	     /* "" : a file */
	char partuuid[64];	     /* "" : none */
	bool is_root_device;
	bool has_read_only, is_read_only; /* a file's */
	uint32_t cache_type;		  /* enum cache_type */
	bool has_io_engine;
	uint32_t io_engine; /* enum io_engine, a file's */
	bool has_rate_limiter;
	struct limiter_config rate_limiter;
};

/* What of a drive may change while the guest runs. */
struct drive_update {
	char drive_id[VM_ID_LEN + 1];
	char path_on_host[PATH_MAX]; /* "": stays */
	bool has_rate_limiter;
	struct limiter_config rate_limiter; /* buckets that it has not stay */
};

struct pmem_config {
	char id[VM_ID_LEN + 1];
	char path_on_host[PATH_MAX];
	bool root_device;
	bool read_only;
	bool has_rate_limiter;
	struct limiter_config rate_limiter; /* of flushes */
};

/* What of it may change while the guest runs. */
struct pmem_update {
	char id[VM_ID_LEN + 1];
	bool has_rate_limiter;
	struct limiter_config rate_limiter; /* buckets that it has not stay */
};

struct entropy_config {
	bool has_rate_limiter;
	struct limiter_config rate_limiter;
};

struct balloon_config {
	uint64_t amount_mib; /* the target: at most the machine's memory */
	bool deflate_on_oom;
	uint64_t stats_polling_interval_s; /* 0: no statistics */
	bool free_page_hinting;
	bool free_page_reporting;
};

/* One of host_dev_name and passt_socket is given. */
struct net_config {
	char iface_id[VM_ID_LEN + 1];
	char host_dev_name[16];	     /* of a tap; the length is Linux's */
	char passt_socket[PATH_MAX]; /* where a passt listens */
	char guest_mac[18];	     /* "": a random one */
	uint64_t mtu;
	bool whole_frames, has_whole_frames; /* nothing of a frame is left to the tap's other end */
	bool has_mtu, has_rx_rate_limiter, has_tx_rate_limiter;
	struct limiter_config rx_rate_limiter, tx_rate_limiter;
};

/* What may be changed of a running machine's interface. */
struct net_update {
	char iface_id[VM_ID_LEN + 1];
	bool has_rx_rate_limiter, has_tx_rate_limiter;
	struct limiter_config rx_rate_limiter, tx_rate_limiter; /* buckets not given stay */
};

enum { MMDS_ADDRESS_CHARS = 15 };

/* The metadata service, on interfaces that there are already. */
struct mmds_config {
	char ipv4_address[MMDS_ADDRESS_CHARS + 1]; /* link-local */
	uint32_t version;			   /* enum mmds_version */
	uint32_t ninterfaces;			   /* at least 1 */
	char network_interfaces[VM_MAX_NETS][VM_ID_LEN + 1];
	bool imds_compat;
};

#define MMDS_CONFIG_DEFAULT                       \
	{                                         \
		.ipv4_address = "169.254.169.254" \
	}

struct memory_hotplug_config {
	uint64_t total_size_mib; /* a multiple of slot_size_mib */
	uint64_t block_size_mib; /* a power of two, 2 or more */
	uint64_t slot_size_mib;	 /* a multiple of block_size_mib, 128 or more */
};

#define MEMORY_HOTPLUG_DEFAULT                            \
	{                                                 \
		.block_size_mib = 2, .slot_size_mib = 128 \
	}

struct serial_config {
	char serial_out_path[PATH_MAX]; /* "": standard output */
	bool has_rate_limiter;
	struct token_bucket rate_limiter; /* bytes; what exceeds it is dropped */
};

/* wisp's own. One of uds_path and pty_path is given. */
struct console_config {
	char uds_path[PATH_MAX];
	char pty_path[PATH_MAX]; /* where a link to the terminal is made */
	uint64_t history_bytes;	 /* at least 1 */
	bool has_rate_limiter;
	struct token_bucket rate_limiter; /* bytes; what exceeds it is dropped */
};

#define CONSOLE_CONFIG_DEFAULT         \
	{                              \
		.history_bytes = 65536 \
	}

/* 0 to 2 are the hypervisor's, this machine's and the host's, the largest is any. */
#define VSOCK_MIN_CID 3
#define VSOCK_MAX_CID (UINT32_MAX - 1)

struct vsock_config {
	uint64_t guest_cid;	      /* from VSOCK_MIN_CID to VSOCK_MAX_CID */
	char uds_path[PATH_MAX];      /* at most 96 bytes, for a port's number behind it */
	char vsock_id[VM_ID_LEN + 1]; /* deprecated, means nothing */
};

/* A directory of the host, by way of a vhost-user back end. */
struct shared_directory_config {
	char tag[VM_TAG_LEN + 1];
	char socket[PATH_MAX];
};

enum snapshot_type { SNAPSHOT_FULL, SNAPSHOT_DIFF };

struct snapshot_create_config {
	char snapshot_path[PATH_MAX]; /* where the state goes */
	char mem_file_path[PATH_MAX];
	uint32_t snapshot_type; /* enum snapshot_type */
	bool live;		/* wisp's own: the guest runs on while memory is written */
	bool resume_vm;		/* wisp's own, with live: one that is paused goes on, too */
};

enum { HUGE_PAGES_AS_SAVED = HUGE_PAGES_2M + 1 };

enum memory_backend { MEMORY_BACKEND_FILE, MEMORY_BACKEND_UFFD };

struct memory_backend_config {
	uint32_t backend_type; /* enum memory_backend */
	char backend_path[PATH_MAX];
};

/* An interface that has another tap now, and maybe another address. */
struct network_override {
	char iface_id[VM_ID_LEN + 1];
	char host_dev_name[16];
	char guest_mac[18]; /* wisp's own; "": as it was saved */
};

/* wisp's own: a drive that has another file now. */
struct drive_override {
	char drive_id[VM_ID_LEN + 1];
	char path_on_host[PATH_MAX];
};

/* wisp's own: the same of persistent memory. */
struct pmem_override {
	char id[VM_ID_LEN + 1];
	char path_on_host[PATH_MAX];
};

struct vsock_override {
	char uds_path[PATH_MAX];
	uint64_t guest_cid; /* wisp's own; 0: as it was saved */
};

/* wisp's own: the console is at another socket now. */
struct console_override {
	char uds_path[PATH_MAX];
};

/* wisp's own: where the pages that a loaded machine has touched are listed. */
struct working_set_config {
	char working_set_path[PATH_MAX];
};

enum { MMDS_DATA_BYTES = 65536 }; /* more than a request has by default */

/* One of memory and mem_file_path is given. */
struct snapshot_load_config {
	char snapshot_path[PATH_MAX];
	char mem_file_path[PATH_MAX]; /* deprecated; "": not given */
	bool has_memory;
	struct memory_backend_config memory;
	bool track_dirty_pages, enable_diff_snapshots; /* the second is deprecated */
	char working_set_path[PATH_MAX]; /* wisp's own: what to prefetch; "": nothing */
	bool resume_vm;
	bool clock_realtime; /* the guest's clock goes on from now */
	bool has_huge_pages;
	uint32_t huge_pages;	  /* enum huge_pages, or HUGE_PAGES_AS_SAVED */
	bool allow_changed_disks; /* wisp's own: disks written to since are accepted */
	uint32_t nnetworks, ndrives, npmem;
	struct network_override networks[VM_MAX_NETS];
	struct drive_override drives[VM_MAX_DRIVES];
	struct pmem_override pmem[VM_MAX_PMEM];
	bool has_vsock, has_console;
	struct vsock_override vsock;
	struct console_override console;
	char mmds_data[MMDS_DATA_BYTES]; /* wisp's own: JSON; "": what it knows already */
};

#endif
