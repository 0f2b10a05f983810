/* vm_blank.c - a process that waits for its snapshot.
 *
 * A blank has guessed the shape of its machine, vCPUs and memory, and has built what that
 * decides (frame.h); its vCPUs' threads wait at their gate, confined. Files are out of reach
 * but for what the command line allows. The main thread is confined too, by a filter that lets it load a state and, when the guess was wrong, build
 * a machine; before the guest runs it takes that of any other machine on top. A snapshot
 * of another shape, and a guest that is booted, only find that nothing is done yet.
 *
 * A load that fails may have used the frame up: then another one is made.
 */
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/base/prefault.h"
#include "vmm/base/thread_filter.h"
#include "vmm/config_check.h"
#include "vmm/frame.h"
#include "vmm/vm_parts.h"

static int make_frame(struct vm *vm, struct error *err)
{
	const struct frame_config config = {
		.machine = &vm->blank_shape,
		.kvm = vm->options.kvm,
		.early_cpus = vm->options.early_cpus,
		.timeline = &vm->timeline,
		.filters = vm->options.filters,
	};
	int r = frame_create(&config, &vm->frame, err);

	if (r < 0)
		return r;
	r = frame_make_ready(vm->frame, err);
	if (r < 0)
		vm_drop_frame(vm);
	return r;
}

void vm_drop_frame(struct vm *vm)
{
	frame_destroy(vm->frame);
	vm->frame = NULL;
}

int vm_make_blank(struct vm *vm, unsigned vcpus, uint64_t mem_size_mib, struct error *err)
{
	int r;

	vm->blank_shape = (struct machine_config){
		.vcpu_count = vcpus,
		.mem_size_mib = mem_size_mib,
	};
	r = config_check_machine(&vm->blank_shape, err);
	if (r < 0)
		return r;
	vm->is_blank = true;
	/* Threads have the rules of who started them, and only those. */
	r = vm_confine_files(vm, err);
	if (r == 0)
		r = make_frame(vm, err);
	if (r < 0)
		return r;
	prefault_process();
	r = thread_filter_install(vm->options.filters, THREAD_MAIN_BLANK);
	return r < 0 ? error_set(err, r, "seccomp-filter", "does the kernel have seccomp?",
				 "cannot confine the main thread: %s", strerror(-r))
		     : 0;
}

struct frame *vm_take_frame(struct vm *vm, bool is_saved)
{
	struct frame *f = vm->frame;

	if (f && (!is_saved || !frame_fits(f, &vm->machine_config))) {
		log_info("the blank machine does not fit: it is made anew");
		vm_drop_frame(vm);
		f = NULL;
	}
	vm->frame = NULL;
	return f;
}

void vm_renew_frame(struct vm *vm)
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint)];

	if (!vm->is_blank || vm->frame || make_frame(vm, &err) == 0)
		return;
	log_warn("no blank machine is ready for the next load: %s",
		 error_line(&err, line, sizeof(line)));
}
