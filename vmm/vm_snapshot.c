/* vm_snapshot.c - a microVM saved to files, and loaded from them.
 *
 * Saving: the state is put together in memory and goes into one file, RAM into another,
 * both aside of their places. When both are on disk, the memory is put in place first and
 * the state last. Should the process end between the two, the memory's label does not
 * match the old state, which a load says; the new state is still there, whole, under its
 * path with ".new" behind it.
 *
 * Loading: the machine is built as for a start, from a configuration that the caller took
 * out of the manifest, but with RAM from the file and every part from the state instead
 * of a kernel. The vCPUs' threads start at a closed gate, so nothing runs before all of
 * it is in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "devices/mmds/mmds.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/machine.h"
#include "vmm/snapshot/overview.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/vm_parts.h"

_Static_assert((int)OVERVIEW_ID_LEN >= (int)VM_ID_LEN &&
		       (int)OVERVIEW_MAX_DEVICES >= (int)VM_MAX_DEVICES,
	       "an overview has room for every machine");

/* --- saving --- */

static int list_devices(const struct vm *vm, struct overview *o, struct error *err)
{
	struct slot_name slot;

	for (o->devices = 0; slots_name(vm->slots, o->devices, &slot); o->devices++) {
		int place = machine_place(vm->machine, slot.dev);

		if (place < 0)
			return error_set(err, -EAGAIN, NULL, "try again",
					 "%s \"%s\" is just coming or going", slot.kind, slot.id);
		o->device[o->devices].place = (uint32_t)place;
		strncpy(o->device[o->devices].kind, slot.kind, OVERVIEW_KIND_LEN);
		strncpy(o->device[o->devices].id, slot.id, OVERVIEW_ID_LEN);
	}
	return 0;
}

void vm_set_base(struct vm *vm, const struct snapshot_id *id)
{
	gmem_mark_saved(machine_memory(vm->machine));
	vm->base = *id;
	vm->has_base = true;
}

int vm_save_state(struct vm *vm, const struct snapshot_id *id, const char *manifest,
		  struct state *s, struct error *err)
{
	struct overview o = {
		.id = *id,
		.ram_bytes = gmem_size(machine_memory(vm->machine)),
		.pci = vm->options.enable_pci,
	};
	int r = list_devices(vm, &o, err);

	if (r < 0)
		return r;
	state_begin(s, STATE_MANIFEST, 0);
	state_bytes(s, (void *)manifest, strlen(manifest));
	state_end(s);
	overview_state(&o, s);
	return machine_save(vm->machine, s, err);
}

int vm_write_state(const struct staged_file *f, struct state *s, struct error *err)
{
	size_t len;
	const void *bytes = state_seal(s, &len);
	int r = bytes ? fd_pwrite_all(f->fd, bytes, len, 0) : state_error(s, err);

	if (!bytes || r == 0)
		return r;
	return error_set(err, r, f->field, "is there room on its disk?",
			 "The state cannot be written: %s", strerror(-r));
}

/* Whether what starts as a copy of the file in place will be whole: that one is, and is
 * the very snapshot that this machine has gone on from. */
static bool is_base(const struct vm *vm, const struct staged_file *f)
{
	uint64_t bytes = gmem_saved_bytes(machine_memory(vm->machine));
	struct memory_label label;

	return vm->has_base && memory_file_label(f->fd, bytes, &label, NULL) == 0 &&
	       !label.is_difference && snapshot_id_equals(&label.id, &vm->base);
}

static int write_difference(struct vm *vm, struct staged_file *f, const struct snapshot_id *id,
			    struct error *err)
{
	const struct gmem *mem = machine_memory(vm->machine);
	struct memory_label label = { .id = *id, .is_difference = true, .base = vm->base };
	bool over_old;
	uint64_t bytes;
	int r = staged_file_start_from_old(f, gmem_saved_bytes(mem) + MEMORY_LABEL_BYTES, &over_old,
					   err);

	if (r < 0)
		return r;
	if (over_old && !is_base(vm, f))
		return error_set(err, -EINVAL, "mem_file_path",
				 "give the path of the last snapshot's memory, or of no file",
				 "The file %.128s is not what this microVM differs from", f->path);
	label.is_difference = vm->has_base && !over_old;
	r = memory_file_write_changes(f->fd, mem, &label, &bytes, err);
	if (r == 0)
		log_info("snapshot: %" PRIu64 " bytes of memory may have changed", bytes);
	return r;
}

static int write_memory(struct vm *vm, uint32_t type, struct staged_file *f,
			const struct snapshot_id *id, struct error *err)
{
	const struct memory_label label = { .id = *id };

	if (type == SNAPSHOT_DIFF && vm->has_base)
		return write_difference(vm, f, id, err);
	return memory_file_write(f->fd, machine_memory(vm->machine), &label, err);
}

static int publish(struct staged_file *state, struct staged_file *memory, struct error *err)
{
	int r = staged_file_sync(memory, err);

	if (r == 0)
		r = staged_file_sync(state, err);
	if (r == 0)
		r = staged_file_publish(memory, err);
	return r < 0 ? r : staged_file_publish(state, err);
}

static int save_files(struct vm *vm, const struct snapshot_create_config *c,
		      const struct snapshot_id *id, struct state *s, struct error *err)
{
	struct staged_file state, memory = { .fd = -1 };
	int r = staged_file_open(&state, c->snapshot_path, "snapshot_path", err);

	if (r == 0)
		r = staged_file_open(&memory, c->mem_file_path, "mem_file_path", err);
	if (r == 0)
		r = vm_write_state(&state, s, err);
	if (r == 0)
		r = write_memory(vm, c->snapshot_type, &memory, id, err);
	if (r == 0)
		r = publish(&state, &memory, err);
	staged_file_drop(&memory);
	staged_file_drop(&state);
	return r;
}

int vm_check_create(const struct vm *vm, const struct snapshot_create_config *c, struct error *err)
{
	if (strcmp(c->snapshot_path, c->mem_file_path) == 0)
		return error_set(err, -EINVAL, "mem_file_path", "give each its own",
				 "State and memory cannot be one file");
	if (vm->live)
		return error_set(err, -EBUSY, NULL, "wait for its answer",
				 "A live snapshot is being written");
	return 0;
}

int vm_save(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
	    struct error *err)
{
	struct snapshot_id id;
	struct state *s = NULL;
	int r = vm_check_started(vm, err);

	if (r == 0)
		r = vm_check_create(vm, c, err);
	if (r < 0)
		return r;
	r = snapshot_id_make(&id);
	if (r == 0)
		r = state_create(&s);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot begin a snapshot: %s", strerror(-r));
	r = vm_save_state(vm, &id, manifest, s, err);
	if (r == 0)
		r = save_files(vm, c, &id, s, err);
	state_destroy(s);
	if (r < 0)
		return vm_explain_refusal(vm, r, err);
	vm_set_base(vm, &id);
	return 0;
}

/* --- loading --- */

#define NOT_BLANK \
	"Loading a microVM snapshot not allowed after configuring boot-specific resources."

int vm_check_blank(const struct vm *vm, struct error *err)
{
	static const struct machine_config plain = MACHINE_CONFIG_DEFAULT;
	const struct machine_config *c = &vm->machine_config;
	struct slot_name slot;
	bool is_plain = c->vcpu_count == plain.vcpu_count &&
			c->mem_size_mib == plain.mem_size_mib && !c->smt &&
			c->huge_pages == plain.huge_pages;
	int r = vm_check_not_started(vm, err);

	if (r < 0)
		return r;
	if (is_plain && !vm->has_boot_source && !vm->has_mmds && !vm->cpu_template &&
	    !slots_name(vm->slots, 0, &slot))
		return 0;
	return error_set(err, -EBUSY, NULL, "load it first, it has all of them", NOT_BLANK);
}

/* The place of each device that was configured, as the state has it. */
static int find_places(const struct vm *vm, const struct overview *o, struct machine_saved *saved,
		       struct error *err)
{
	struct slot_name slot;
	unsigned n;

	for (n = 0; slots_name(vm->slots, n, &slot); n++) {
		uint32_t i = 0;

		while (i < o->devices && (strcmp(o->device[i].kind, slot.kind) != 0 ||
					  strcmp(o->device[i].id, slot.id) != 0))
			i++;
		if (i == o->devices)
			return error_set(err, -EBADMSG, NULL, NULL,
					 "The state has no %s \"%s\", which its manifest names",
					 slot.kind, slot.id);
		saved->place[n] = o->device[i].place;
	}
	if (n == o->devices)
		return 0;
	return error_set(err, -EBADMSG, NULL, NULL,
			 "The state has %u devices, and its manifest names %u", o->devices, n);
}

static int check_label(int fd, const struct overview *o, struct error *err)
{
	struct memory_label label;
	int r = memory_file_label(fd, o->memory_bytes, &label, err);

	if (r < 0)
		return r;
	if (!snapshot_id_equals(&label.id, &o->id))
		return error_set(err, -EBADMSG, "mem_file_path",
				 "give the files of one snapshot; after a create that was "
				 "interrupted, the state is in snapshot_path with .new behind it",
				 "The memory file belongs to another snapshot than the state");
	if (label.is_difference)
		return error_set(err, -EBADMSG, "mem_file_path",
				 "lay it over the snapshot's before: wisp-snapshot rebase",
				 "The memory file has only what changed since another snapshot");
	return 0;
}

static int open_memory(const struct snapshot_load_config *c, const struct overview *o, int *ret,
		       struct error *err)
{
	const char *path = c->has_memory ? c->memory.backend_path : c->mem_file_path;
	int fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0), r;

	if (fd < 0)
		return error_errno(err, "mem_file_path",
				   "give the path of a file that wisp may read",
				   "The memory file %.128s cannot be opened", path);
	r = check_label(fd, o, err);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	*ret = fd;
	return 0;
}

static int check_overview(const struct vm *vm, const struct overview *o, struct error *err)
{
	uint64_t ram_bytes = vm->machine_config.mem_size_mib << 20;

	if (o->ram_bytes == ram_bytes)
		return 0;
	return error_set(err, -EBADMSG, NULL, NULL,
			 "The state has %" PRIu64 " bytes of memory, and its manifest %" PRIu64,
			 o->ram_bytes, ram_bytes);
}

static int build_saved(struct vm *vm, const struct snapshot_load_config *c,
		       const struct overview *o, struct machine_saved *saved, struct error *err)
{
	int r = find_places(vm, o, saved, err);

	if (c->has_memory && c->memory.backend_type == MEMORY_BACKEND_UFFD)
		saved->handler = c->memory.backend_path;
	else if (r == 0)
		r = open_memory(c, o, &saved->memory_fd, err);
	if (r < 0)
		return r;
	vm->options.enable_pci = o->pci;
	r = vm_build_machine(vm, saved, err);
	/* What was mapped of it stays mapped. */
	fd_close(saved->memory_fd);
	return r;
}

int vm_load(struct vm *vm, const struct snapshot_load_config *c, struct state *state,
	    struct error *err)
{
	struct machine_saved saved = {
		.state = state,
		.memory_fd = -1,
		.catch_up = c->clock_realtime,
		.working_set = c->working_set_path[0] ? c->working_set_path : NULL,
	};
	struct overview o = { 0 };
	int r = vm_check_not_started(vm, err);

	if (r < 0)
		return r;
	timeline_mark(&vm->timeline, TIMELINE_START);
	vm->timeline.start_cpu_us = clock_cpu_us();
	saved.id = &o.id;
	overview_state(&o, state);
	r = state_error(state, err);
	if (r == 0)
		r = check_overview(vm, &o, err);
	if (r == 0)
		r = build_saved(vm, c, &o, &saved, err);
	if (r == 0)
		r = vm_set_going(vm, c->resume_vm ? VM_RUNNING : VM_PAUSED, err);
	if (r < 0)
		return vm_explain_refusal(vm, r, err);
	vm->base = vm->origin = o.id;
	vm->has_base = vm->has_origin = true;
	return 0;
}

void vm_forget(struct vm *vm, struct json_t *known)
{
	struct slots *blank;

	if (vm->state != VM_NOT_STARTED || slots_create(&blank) < 0)
		return;
	slots_destroy(vm->slots);
	vm->slots = blank;
	vm->has_mmds = false;
	if (vm->mmds)
		mmds_reset(vm->mmds, known);
	vm->machine_config = (struct machine_config)MACHINE_CONFIG_DEFAULT;
	vm_renew_frame(vm);
}
