/* vm_working_set.c - which pages a microVM has needed since it was loaded, in a file.
 *
 * Whoever made the snapshot knows when a copy has done what copies are for, and asks then.
 * The list is of the snapshot that this machine came from, whatever was saved since.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/machine.h"
#include "vmm/snapshot/working_set.h"
#include "vmm/vm_parts.h"

#define FIELD "working_set_path"

static int check(const struct vm *vm, struct error *err)
{
	const struct gmem *mem;
	int r = vm_check_started(vm, err);

	if (r < 0)
		return r;
	if (!vm->has_origin)
		return error_set(err, -EINVAL, NULL, "load a snapshot first",
				 "Only a microVM that was loaded has a working set");
	mem = machine_memory(vm->machine);
	if (!gmem_is_served(mem) && gmem_shows_file(mem, gpa(0), 1))
		return 0;
	return error_set(err, -EOPNOTSUPP, NULL,
			 "load it with backend_type File and pages of 4 KiB",
			 "The memory is not mapped from its file");
}

static int write_set(struct staged_file *f, const struct working_set *w, struct error *err)
{
	int r = working_set_write(f->fd, w);

	if (r < 0)
		return error_set(err, r, FIELD, "is there room on its disk?",
				 "The working set cannot be written: %s", strerror(-r));
	r = staged_file_sync(f, err);
	return r < 0 ? r : staged_file_publish(f, err);
}

int vm_save_working_set(struct vm *vm, const struct working_set_config *c, struct error *err)
{
	struct working_set *w = NULL;
	struct staged_file f;
	int r = check(vm, err);

	if (r < 0)
		return r;
	r = staged_file_open(&f, c->working_set_path, FIELD, err);
	if (r == 0)
		r = working_set_record(machine_memory(vm->machine), &vm->origin, &w, err);
	if (r == 0)
		r = write_set(&f, w, err);
	if (r == 0)
		log_info("snapshot: a working set of %" PRIu32 " runs of pages", w->count);
	staged_file_drop(&f);
	working_set_destroy(w);
	return vm_explain_refusal(vm, r, err);
}
