/* vm_parts.h - what a microVM consists of, for vm.c, vm_blank.c, vm_config.c, vm_files.c,
 * vm_live.c, vm_mmds.c, vm_snapshot.c and vm_working_set.c.
 *
 * For these alone. Main thread.
 */
#ifndef VMM_VM_PARTS_H
#define VMM_VM_PARTS_H

#include "vmm/notices.h"
#include "vmm/slots.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/timeline.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct frame; /* frame.h */
struct machine;
struct live_snapshot; /* vm_live.c */
struct mmds;	      /* devices/mmds/mmds.h */
struct machine_saved;

struct vm {
	char id[VM_ID_LEN + 1];
	struct vm_options options;
	struct loop *loop;
	enum vm_state state;
	struct timeline timeline;

	bool has_boot_source;
	struct boot_source_config boot_source;
	int kernel_fd, initrd_fd;
	int serial_fd; /* -1: standard output */
	struct token_bucket serial_limit;
	struct machine_config machine_config;
	struct cpu_template *cpu_template; /* the one given last, by whichever name; NULL: none */
	struct slots *slots;
	struct notices *notices; /* NULL: nobody wants to know */

	struct mmds *mmds; /* NULL until it is configured or knows something */
	struct mmds_config mmds_config;
	bool has_mmds;

	/* Of the snapshot that the machine was loaded from, or that was made last: what a
	 * difference goes over. */
	bool has_base;
	struct snapshot_id base;
	bool has_origin; /* it was loaded, from this one */
	struct snapshot_id origin;
	struct live_snapshot *live; /* that is being made; or NULL */

	bool files_confined; /* by Landlock, from the first start on */
	bool is_blank;	     /* vm_make_blank(): a frame of this shape is kept ready */
	struct machine_config blank_shape; /* vCPUs and memory */
	struct frame *frame;		   /* NULL: none is */

	struct machine *machine; /* from the start on; NULL when it could not restart */
	uint64_t restarts;
	uint64_t past_exits[VCPU_EXIT_KINDS]; /* of the machines before this one */
};

/* 0, or a negative errno with Firecracker's text. */
int vm_check_not_started(const struct vm *vm, struct error *err);
int vm_check_started(const struct vm *vm, struct error *err);

/* Tells that a device of the running machine was "plugged" or "unplugged". */
void vm_tell_device(const struct vm *vm, const struct virtio_dev *dev, const char *change);

/* Puts the metadata service on devices that are not on the loop yet: on this one if it is
 * an interface that should have it, and on all of a machine that is being built. 0 or a
 * negative errno. */
int vm_mmds_serve(struct vm *vm, const char *iface_id, struct error *err);
int vm_mmds_serve_all(struct vm *vm, struct error *err);

/* Before the first guest instruction, in the main thread, before it starts others: from
 * here on only what the configuration and the command line name can be opened. Once; 0
 * where Landlock is not wanted. 0, or a negative errno and *err. */
int vm_confine_files(struct vm *vm, struct error *err);

/* The result of a request that opens files while the guest runs: if it may have been
 * Landlock that refused, err->hint says so. Returns r. */
int vm_explain_refusal(const struct vm *vm, int r, struct error *err);

/* Whether path, if it is "fd:N", is no other device's than this one's. 0, or -EBUSY and
 * *err about field. */
int vm_check_descriptor(const struct vm *vm, enum slot_kind kind, const char *id, const char *path,
			const char *field, struct error *err);

/* Whether the connection that path names as "fd:N" will do: a second start has none. */
int vm_check_connection(const struct vm *vm, const char *path, const char *field,
			struct error *err);

/* What the service adds to the metrics. */
void vm_mmds_add_metrics(const struct vm *vm, struct json_t *totals);

/* The machine from what was configured, in vm->machine: booting, or going on. */
int vm_build_machine(struct vm *vm, const struct machine_saved *saved, struct error *err);

/* What a blank has ready, for a machine that fits it; NULL otherwise, and it is gone. */
struct frame *vm_take_frame(struct vm *vm, bool is_saved);

/* After a load that failed: a blank is one again. */
void vm_renew_frame(struct vm *vm);

void vm_drop_frame(struct vm *vm);

/* Whether a snapshot can be begun with these paths. */
int vm_check_create(const struct vm *vm, const struct snapshot_create_config *c, struct error *err);

/* A snapshot was kept: later ones differ from it. */
void vm_set_base(struct vm *vm, const struct snapshot_id *id);

/* The sections of the paused machine's state, with this manifest; into a file. */
int vm_save_state(struct vm *vm, const struct snapshot_id *id, const char *manifest,
		  struct state *s, struct error *err);
int vm_write_state(const struct staged_file *f, struct state *s, struct error *err);

/* Gives up a live snapshot, before its machine goes. */
void vm_live_abort(struct vm *vm);

/* vm->machine runs: the state, and metrics from now on. */
int vm_set_going(struct vm *vm, enum vm_state state, struct error *err);

#endif
