/* vm.h - one microVM: configured, started, paused, resumed, ended.
 *
 * Everything here runs on the main thread, the one that runs the loop, unless it
 * says otherwise. An error leaves the machine as it was, so that a caller may
 * correct the request and try again.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/base/thread_filter.h"
#include "vmm/config.h"

struct early_cpus; /* vmm/early_cpus.h */
struct event_sink;
struct json_t;		       /* jansson.h */
struct landlock;	       /* vmm/base/landlock.h */
struct virtio_balloon_hinting; /* devices/virtio/balloon.h */
struct virtio_balloon_statistics;
struct virtio_mem_status; /* devices/virtio/mem.h */
struct state;		  /* vmm/snapshot/state.h */
struct vm;

/* Bits, so that a route can name the set of states in which it is allowed. */
enum vm_state { VM_NOT_STARTED = 1, VM_RUNNING = 2, VM_PAUSED = 4 };

/* What the command line decides. */
struct vm_options {
	const char *id;		       /* copied */
	const char *kvm;	       /* as kvm_open() takes it; not copied */
	struct early_cpus *early_cpus; /* not owned */
	bool enable_pci;	       /* the devices sit on PCI, not on virtio-mmio */
	bool boot_timer;	       /* answer Firecracker's boot-timer page */
	bool restart;		       /* a guest that resets boots again */
	int page_map;		       /* as gmem_set_page_map() takes it; -1: none; not owned */
	int debug_exit_port;	       /* port whose written value ends the process; 0: none */
	uint64_t start_time_us;	       /* when exec was called, CLOCK_MONOTONIC; 0: unknown */
	size_t mmds_limit_bytes;       /* of what the metadata service knows, as compact JSON */
	struct logger *logger;	       /* for vm_put_logger(); not owned */
	struct metrics *metrics;
	const struct event_sink *events;      /* events.h; NULL: nobody wants to know */
	const struct thread_filters *filters; /* NULL: no thread is confined; not owned */
	struct landlock *landlock; /* rules so far; NULL: all files can be opened; not owned */
};

/* 0 and *ret, or a negative errno. The loop must outlive the machine. KVM is
 * not needed before vm_start(). */
int vm_create(const struct vm_options *options, struct loop *loop, struct vm **ret,
	      struct error *err);

/* Stops the vCPUs and frees everything. Accepts NULL. */
void vm_destroy(struct vm *vm);

const char *vm_id(const struct vm *vm);
enum vm_state vm_state(const struct vm *vm);

/* Before the start: set or replace one part. Files are opened and checked here,
 * so that a wrong path is refused by the request that names it. err->field is the
 * field's name in the API. */
int vm_put_logger(struct vm *vm, const struct logger_config *c, struct error *err);
int vm_put_metrics(struct vm *vm, const struct metrics_config *c, struct error *err);
int vm_put_cpu(struct vm *vm, const struct cpu_config *c, struct error *err);
int vm_put_boot_source(struct vm *vm, const struct boot_source_config *c, struct error *err);
int vm_put_serial(struct vm *vm, const struct serial_config *c, struct error *err);
int vm_put_machine(struct vm *vm, const struct machine_config *c, struct error *err);
int vm_put_drive(struct vm *vm, const struct drive_config *c, struct error *err);
int vm_put_net(struct vm *vm, const struct net_config *c, struct error *err);
int vm_put_pmem(struct vm *vm, const struct pmem_config *c, struct error *err);
int vm_put_entropy(struct vm *vm, const struct entropy_config *c, struct error *err);
int vm_put_balloon(struct vm *vm, const struct balloon_config *c, struct error *err);
int vm_put_vsock(struct vm *vm, const struct vsock_config *c, struct error *err);
int vm_put_console(struct vm *vm, const struct console_config *c, struct error *err);
int vm_put_memory(struct vm *vm, const struct memory_hotplug_config *c, struct error *err);
int vm_put_shared_directory(struct vm *vm, const struct shared_directory_config *c,
			    struct error *err);
int vm_put_mmds(struct vm *vm, const struct mmds_config *c, struct error *err);

/* What the metadata service knows, before and after the start: replaced, or merged (RFC
 * 7396). The value is shared and must not change any more. -EFBIG: it is too much. */
int vm_put_metadata(struct vm *vm, struct json_t *data, struct error *err);
int vm_patch_metadata(struct vm *vm, const struct json_t *patch, struct error *err);
const struct json_t *vm_metadata(const struct vm *vm); /* NULL: never put */

/* What was set; pointers are valid until the next vm_put_*(). NULL: none was given.
 * vm_drive() and the like: those of a kind in the guest's order, NULL past the last one. */
struct metrics *vm_metrics(const struct vm *vm);	    /* as given, to count in */
const struct logger_config *vm_logger(const struct vm *vm); /* never NULL */
const struct boot_source_config *vm_boot_source(const struct vm *vm);
const struct machine_config *vm_machine(const struct vm *vm);
const struct drive_config *vm_drive(const struct vm *vm, unsigned index);
const struct net_config *vm_net(const struct vm *vm, unsigned index);
const struct pmem_config *vm_pmem(const struct vm *vm, unsigned index);
const struct entropy_config *vm_entropy(const struct vm *vm);
const struct balloon_config *vm_balloon(const struct vm *vm);
const struct vsock_config *vm_vsock(const struct vm *vm);
const struct console_config *vm_console(const struct vm *vm);
const struct memory_hotplug_config *vm_memory(const struct vm *vm);
const struct mmds_config *vm_mmds(const struct vm *vm);
const struct shared_directory_config *vm_shared_directory(const struct vm *vm, unsigned index);

/* Builds what a machine of this shape begins with, and confines the process: vm_load() of
 * such a machine has the less to do. Others, and vm_start(), work as before. No path may
 * be used after this that the jail does not have. */
int vm_make_blank(struct vm *vm, unsigned vcpus, uint64_t mem_size_mib, struct error *err);

/* Builds the machine and runs it. A failure takes everything built down again;
 * the configuration stays. */
int vm_start(struct vm *vm, struct error *err);

/* Idempotent. After vm_pause() returns no vCPU executes guest code and no device
 * touches guest memory. */
int vm_pause(struct vm *vm, struct error *err);
int vm_resume(struct vm *vm, struct error *err);

/* Saves the paused machine: its state, with this manifest (JSON) in it, and its memory.
 * Until both are whole and on disk, what was at their paths is there. The manifest is
 * written as it is. */
int vm_save(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
	    struct error *err);

/* The same of a machine that runs, or is paused and may be resumed meanwhile: it stops for
 * a moment, and its memory is written while it goes on; one that is paused is resumed after
 * that moment, if c->resume_vm says so. Full only. 0: it has begun, and sink hears once how
 * it ended, on the main thread, the machine's end at the latest. */
struct live_result {
	uint64_t pause_us; /* that the guest stood still */
	uint64_t total_us;
	uint64_t bytes;	 /* of memory that are no zeros */
	uint64_t faults; /* times that the guest had to wait for a page to be written */
};
struct live_sink {
	/* err NULL: the files are there. */
	void (*ended)(void *ctx, const struct live_result *result, const struct error *err);
	void *ctx;
};
int vm_save_live(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
		 const struct live_sink *sink, struct error *err);

/* Which pages a machine that was loaded from a memory file has touched since, into a file:
 * for loads of the same snapshot (snapshot_load_config). Running or paused. */
int vm_save_working_set(struct vm *vm, const struct working_set_config *c, struct error *err);

/* Whether a state may be loaded: nothing was configured that is in one. */
int vm_check_blank(const struct vm *vm, struct error *err);

/* Builds the machine that was configured from its manifest and goes on where it was saved,
 * paused or not. A failure takes everything down again; vm_forget() does the same with
 * the configuration, and the metadata service knows then what it knew before (NULL:
 * nothing). The state stays the caller's. */
int vm_load(struct vm *vm, const struct snapshot_load_config *c, struct state *state,
	    struct error *err);
void vm_forget(struct vm *vm, struct json_t *known);

/* Writes a line of metrics. Without a file for them nothing happens. */
int vm_flush_metrics(struct vm *vm, struct error *err);

/* Presses Ctrl-Alt-Del on the guest's keyboard. */
int vm_send_ctrl_alt_del(struct vm *vm, struct error *err);

/* Presses the ACPI power button. */
int vm_press_power_button(struct vm *vm, struct error *err);

/* After the start: another target, another interval, what the guest has told. They
 * fail without a balloon, without a driver, or without statistics. */
int vm_patch_balloon(struct vm *vm, uint64_t amount_mib, struct error *err);
int vm_patch_balloon_statistics(struct vm *vm, uint64_t interval_s, struct error *err);
int vm_balloon_statistics(struct vm *vm, struct virtio_balloon_statistics *ret, struct error *err);

/* The same of free page hinting, which must have been configured. */
int vm_start_hinting(struct vm *vm, bool acknowledge, struct error *err);
int vm_stop_hinting(struct vm *vm, struct error *err);
int vm_hinting(struct vm *vm, struct virtio_balloon_hinting *ret, struct error *err);

/* After the start: another file, or the same one that has grown, and other limits. */
int vm_patch_drive(struct vm *vm, const struct drive_update *c, struct error *err);

/* After the start: other limits. */
int vm_patch_net(struct vm *vm, const struct net_update *c, struct error *err);
int vm_patch_pmem(struct vm *vm, const struct pmem_update *c, struct error *err);

/* After the start: how much hot-plugged memory the guest should have, and has. They
 * fail without that memory; the first also without a driver. */
int vm_patch_memory(struct vm *vm, uint64_t requested_mib, struct error *err);
int vm_memory_status(struct vm *vm, struct virtio_mem_status *ret, struct error *err);

/* Asks the guest to let go of a device, which goes when the guest has: its id is free
 * then. A guest that does not answer keeps it. Only with options.enable_pci, where
 * vm_put_drive(), vm_put_pmem(), vm_put_net() and vm_put_shared_directory() of a new id
 * after the start plug one; one with a back end only beside another from the start. */
int vm_delete_drive(struct vm *vm, const char *id, struct error *err);
int vm_delete_pmem(struct vm *vm, const char *id, struct error *err);
int vm_delete_shared_directory(struct vm *vm, const char *tag, struct error *err);
int vm_delete_net(struct vm *vm, const char *id, struct error *err);

/* Ends the loop that runs the machine, with the process's exit status. */
void vm_stop(struct vm *vm, int exit_status);

/* Writes the report of the run (timeline, exits by kind, memory) as one JSON
 * object to fd. 0 or a negative errno. */
int vm_write_report(struct vm *vm, int fd);

#endif
