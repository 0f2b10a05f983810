/* vm_live.c - a microVM saved while it runs.
 *
 * live_save.h has how memory is caught at one moment. Here is what else belongs to that
 * moment: the machine is paused, its state put together, memory protected, and the machine
 * goes on; the state's file is written when it does. The files are put in their places when
 * all of both is on disk, as vm_snapshot.c does.
 *
 * What the guest writes to its disks after that moment is not undone. So a machine that runs
 * must have none that it can write to; whoever pauses it first can copy them before asking,
 * and have it resumed as soon as memory is protected, or resume it at leisure.
 *
 * Steps are taken when the thread that writes says that it got on: on the main thread, as
 * all else here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/base/clock.h"
#include "vmm/machine.h"
#include "vmm/snapshot/live_save.h"
#include "vmm/vm_parts.h"

struct live_snapshot {
	struct vm *vm;
	struct live_sink sink;
	struct staged_file state_file, memory_file;
	struct snapshot_id id;
	char *manifest;
	struct state *state;
	struct live_save *save;
	struct loop_source *source;
	struct live_result result;
	uint64_t start_us;
	bool resume; /* one that is paused goes on when memory is caught */
};

static void live_destroy(struct live_snapshot *l)
{
	if (!l)
		return;
	loop_source_remove(l->source);
	live_save_destroy(l->save);
	state_destroy(l->state);
	staged_file_drop(&l->memory_file);
	staged_file_drop(&l->state_file);
	free(l->manifest);
	free(l);
}

/* --- what can be saved so --- */

static int check_disks(const struct vm *vm, struct error *err)
{
	static const char hint[] = "pause the machine, copy its disks, create, and resume it";
	const struct drive_config *drive;
	const struct pmem_config *pmem;

	for (unsigned i = 0; (drive = vm_drive(vm, i)) != NULL; i++) {
		if (!drive->is_read_only)
			return error_set(err, -EBUSY, "live", hint,
					 "The guest may write to drive \"%s\" meanwhile",
					 drive->drive_id);
	}
	for (unsigned i = 0; (pmem = vm_pmem(vm, i)) != NULL; i++) {
		if (!pmem->read_only)
			return error_set(err, -EBUSY, "live", hint,
					 "The guest may write to pmem device \"%s\" meanwhile",
					 pmem->id);
	}
	return 0;
}

static int check_memory(const struct gmem *mem, struct error *err)
{
	if (!gmem_is_private(mem))
		return error_set(err, -EOPNOTSUPP, "live", "pause the machine and leave it out",
				 "Memory in pages of 2 MiB, or shared with a back end, cannot be "
				 "saved while the guest runs");
	if (gmem_is_served(mem))
		return error_set(
			err, -EOPNOTSUPP, "live", "pause the machine and leave it out",
			"Memory that a handler brings cannot be saved while the guest runs");
	return 0;
}

static int check(const struct vm *vm, const struct snapshot_create_config *c, struct error *err)
{
	int r = vm_check_started(vm, err);

	if (r == 0)
		r = vm_check_create(vm, c, err);
	if (r == 0)
		r = check_memory(machine_memory(vm->machine), err);
	if (r == 0 && vm->state == VM_RUNNING)
		r = check_disks(vm, err);
	return r;
}

/* --- the steps --- */

static void end(struct live_snapshot *l, const struct error *err)
{
	const struct live_sink sink = l->sink;
	struct live_result result = l->result;

	l->vm->live = NULL;
	result.total_us = clock_now_us() - l->start_us;
	live_destroy(l);
	sink.ended(sink.ctx, &result, err);
}

/* The moment. */
static int freeze(struct live_snapshot *l, struct error *err)
{
	int r = vm_save_state(l->vm, &l->id, l->manifest, l->state, err);

	if (r == 0)
		r = live_save_freeze(l->save, err);
	if (r == 0)
		return 0;
	/* What is protected already must not stop anybody who goes on. */
	live_save_destroy(l->save);
	l->save = NULL;
	return r;
}

static int take(struct live_snapshot *l, struct error *err)
{
	struct vm *vm = l->vm;
	bool running = vm->state == VM_RUNNING;
	uint64_t start_us = clock_now_us();
	int r = running ? check_disks(vm, err) : 0;

	if (r < 0)
		return r;
	if (running)
		machine_pause(vm->machine);
	r = freeze(l, err);
	if (running)
		machine_resume(vm->machine);
	else if (r == 0 && l->resume)
		r = vm_resume(vm, err);
	l->result.pause_us = running ? clock_now_us() - start_us : 0;
	if (r == 0)
		r = vm_write_state(&l->state_file, l->state, err);
	if (r == 0)
		live_save_finish(l->save);
	return r;
}

static int publish(struct live_snapshot *l, struct error *err)
{
	const struct live_figures f = live_save_figures(l->save);
	int r = staged_file_publish(&l->memory_file, err);

	if (r == 0)
		r = staged_file_publish(&l->state_file, err);
	if (r < 0)
		return r;
	vm_set_base(l->vm, &l->id);
	l->result.bytes = f.bytes;
	l->result.faults = f.faults;
	return 0;
}

static void on_stage(void *arg, uint32_t events)
{
	struct live_snapshot *l = arg;
	struct error err = { 0 };
	int r = 0;

	(void)events;
	switch (live_save_stage(l->save)) {
	case LIVE_PREPARING:
	case LIVE_WRITING:
		return;
	case LIVE_PREPARED:
		r = take(l, &err);
		break;
	case LIVE_WRITTEN:
		if (publish(l, &err) == 0) {
			end(l, NULL);
			return;
		}
		r = err.code;
		break;
	case LIVE_FAILED:
		r = live_save_error(l->save, &err);
		break;
	}
	if (r < 0)
		end(l, &err);
}

void vm_live_abort(struct vm *vm)
{
	struct error err = { 0 };

	if (!vm->live)
		return;
	error_set(&err, -ECANCELED, NULL, NULL, "The machine ended before it was saved");
	end(vm->live, &err);
}

/* --- the beginning --- */

static int begin(struct live_snapshot *l, const struct snapshot_create_config *c, struct error *err)
{
	struct memory_label label = { 0 };
	int r = snapshot_id_make(&l->id);

	if (r == 0)
		r = state_create(&l->state);
	if (r < 0 || !l->manifest)
		return error_set(err, r < 0 ? r : -ENOMEM, NULL, NULL, "cannot begin a snapshot");
	label.id = l->id;
	r = staged_file_open(&l->state_file, c->snapshot_path, "snapshot_path", err);
	if (r == 0)
		r = staged_file_open(&l->memory_file, c->mem_file_path, "mem_file_path", err);
	if (r == 0)
		r = live_save_create(machine_memory(l->vm->machine), l->memory_file.fd,
				     l->state_file.fd, &label, &l->save, err);
	if (r < 0)
		return r;
	r = loop_add(l->vm->loop, live_save_fd(l->save), EPOLLIN, on_stage, l, &l->source);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot watch the snapshot") : 0;
}

int vm_save_live(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
		 const struct live_sink *sink, struct error *err)
{
	struct live_snapshot *l;
	int r = check(vm, c, err);

	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	l->vm = vm;
	l->sink = *sink;
	l->start_us = clock_now_us();
	l->resume = c->resume_vm;
	l->state_file.fd = l->memory_file.fd = -1;
	l->manifest = strdup(manifest);
	r = begin(l, c, err);
	if (r < 0) {
		live_destroy(l);
		return r;
	}
	vm->live = l;
	return 0;
}
