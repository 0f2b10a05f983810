/* bench_boot.c - a whole boot, phase by phase, the same under each VMM.
 *
 * Kernel, initrd, disk, memory, vCPUs and command line are the same for all; only
 * what a VMM adds to the command line itself differs (vmm_*.c).
 *
 *   exec -> first entry into guest mode -> first byte on the console -> the marker
 *   that init prints -> the end of the process
 *
 * Timed runs carry one probe, which goes off at the first entry and is then turned
 * off. A few runs after them are inspected: tracepoints count every exit, and at
 * the marker the VMM is stopped and its memory read. Those are not timed.
 *
 * By default it boots the project's minimal kernel and its wisp-init, which prints
 * the marker first thing and ends the machine through the debug exit port.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "benches/bench.h"

enum { BOOT_RUNS = 20, BOOT_INSPECT = 5 };

#define BOOT_MARKER "WISP-BENCH-INIT"

/* Exits to user space by KVM's reason for them (KVM_EXIT_*), each a tracepoint's
 * filter; the rest are the difference to all of them. */
static const struct {
	const char *metric;
	struct probe_spec probe;
	bool part; /* of all exits to user space */
} exits[] = {
	{ "io_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 2" }, true },
	{ "mmio_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 6" }, true },
	{ "hlt_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 5" }, true },
	{ "shutdown_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 8" }, true },
	{ "intr_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 10" }, true },
	{ "system_event_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", "reason == 24" }, true },
	{ "user_exits", { PROBE_COUNT, "kvm/kvm_userspace_exit", NULL }, false },
	{ "kvm_exits", { PROBE_COUNT, "kvm/kvm_exit", NULL }, false },
	{ "page_fault_exits", { PROBE_COUNT, "kvm/kvm_page_fault", NULL }, false },
};

enum { NEXITS = sizeof(exits) / sizeof(exits[0]), USER_EXITS = 6 };

struct boot {
	struct machine machine;
	char kernel[PATH_MAX], initrd[PATH_MAX];
	char cmdline[1024];
	const char *marker;
	enum run_end end;
	int exit_value;
	struct probe_spec first, counters[NEXITS];
};

static const struct plot_phase phases[] = {
	{ "exec_to_guest_us", "exec to first guest instruction" },
	{ "guest_to_console_us", "to first byte on the console" },
	{ "console_to_init_us", "to init" },
	{ "init_to_exit_us", "to the end of the process" },
	{ NULL, NULL },
};

/* to - from, or -1 when one of them did not happen. */
static int64_t between(int64_t from, int64_t to)
{
	return from < 0 || to < 0 ? -1 : to - from;
}

static int add_times(struct bench *b, const struct bench_vmm *vmm, const struct boot *boot,
		     const struct run_result *run, struct error *err)
{
	int64_t guest = run->probes[0], init = run->marker_us;
	int64_t exit = boot->end == RUN_TO_EXIT ? run->exit_us : -1;
	const struct {
		const char *metric;
		int64_t value;
	} all[] = {
		{ "exec_to_guest_us", guest },
		{ "guest_to_console_us", between(guest, run->console_us) },
		{ "console_to_init_us", between(run->console_us, init) },
		{ "init_to_exit_us", between(init, exit) },
		{ "exec_to_init_us", init },
		{ "guest_to_init_us", between(guest, init) },
		{ "exec_to_exit_us", exit },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++)
		r = bench_add(b, vmm, all[i].metric, all[i].value, err);
	return r;
}

static int add_exits(struct bench *b, const struct bench_vmm *vmm, const struct run_result *run,
		     struct error *err)
{
	int64_t rest = run->probes[USER_EXITS];
	int r = 0;

	for (size_t i = 0; i < NEXITS && r == 0; i++) {
		if (exits[i].part && run->probes[i] >= 0)
			rest -= run->probes[i];
		r = bench_add(b, vmm, exits[i].metric, run->probes[i], err);
	}
	return r < 0 ? r : bench_add(b, vmm, "other_user_exits", rest, err);
}

/* ---- wisp's own report ---------------------------------------------------------- */

static const struct {
	const char *section, *unit;
} sections[] = {
	{ "timeline_us", "us" },
	{ "exits", "exits" },
	{ "memory_kib", "kib" },
};

static void add_section(struct bench *b, const struct bench_vmm *vmm, json_t *section,
			const char *unit)
{
	const char *key;
	json_t *value;

	json_object_foreach(section, key, value)
	{
		char metric[REPORT_NAME_LEN + 1];

		snprintf(metric, sizeof(metric), "%.38s_%s", key, unit);
		if (json_is_integer(value))
			report_add(&b->details, vmm->ops->name, metric, json_integer_value(value));
	}
}

static void add_details(struct bench *b, const struct bench_vmm *vmm, const char *path)
{
	json_t *root = json_load_file(path, 0, NULL);

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		add_section(b, vmm, json_object_get(root, sections[i].section), sections[i].unit);
	json_decref(root);
	remove(path);
}

/* ---- Runs ----------------------------------------------------------------------- */

static bool run_timed(struct bench *b, struct bench_vmm *vmm, const struct boot *boot,
		      const char *report, struct run_result *ret)
{
	struct machine m = boot->machine;
	const struct bench_request request = {
		.machine = &m,
		.spec = { .marker = boot->marker,
			  .end = boot->end,
			  .probes = &boot->first,
			  .nprobes = 1 },
		.exit_value = boot->exit_value,
	};

	m.report = report;
	return bench_run(b, vmm, &request, ret);
}

static int warm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result run;

	(void)err;
	run_timed(b, vmm, arg, NULL, &run);
	return 0;
}

static int timed(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	const struct boot *boot = arg;
	char report[PATH_MAX + 16];
	struct run_result run;

	snprintf(report, sizeof(report), "%s/report.json", b->dir);
	if (!run_timed(b, vmm, boot, b->options->details ? report : NULL, &run))
		return 0;
	if (b->options->details)
		add_details(b, vmm, report);
	return add_times(b, vmm, boot, &run, err);
}

static int inspected(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	const struct boot *boot = arg;
	const struct bench_request request = {
		.machine = &boot->machine,
		.spec = { .marker = boot->marker,
			  .end = boot->end,
			  .memory = boot->marker != NULL,
			  .probes = boot->counters,
			  .nprobes = NEXITS },
		.exit_value = boot->exit_value,
	};
	struct run_result run;
	int r = 0;

	if (!bench_run(b, vmm, &request, &run))
		return 0;
	if (boot->marker)
		r = bench_add_memory(b, vmm, &run, err);
	return r < 0 ? r : add_exits(b, vmm, &run, err);
}

/* ---- What is booted ------------------------------------------------------------- */

static int default_image(const char *relative, char path[static PATH_MAX], const char **ret,
			 struct error *err)
{
	int r = vmm_beside(relative, path);

	*ret = path;
	if (r < 0)
		return error_set(err, r, "kernel",
				 "build the guest images, or give --kernel and --initrd",
				 "there is no %s", path);
	return 0;
}

static int choose_images(const struct options *o, struct boot *boot, struct error *err)
{
	struct machine *m = &boot->machine;
	int r = 0;

	m->kernel = o->kernel;
	m->initrd = o->initrd;
	m->disk = o->disk;
	if (!m->kernel)
		r = default_image("../images/vmlinux-minimal", boot->kernel, &m->kernel, err);
	if (r == 0 && !m->initrd && !m->disk && !o->cmdline)
		r = default_image("../images/initramfs-init.cpio", boot->initrd, &m->initrd, err);
	return r;
}

/* With a command line of the user's own the harness knows no marker and no exit
 * code but those that it was told. An initrd of the user's own may have a shell, and
 * wisp-init would start it and wait for ever. */
static int choose_cmdline(const struct options *o, struct boot *boot, struct error *err)
{
	const char *marker = o->marker ? o->marker : BOOT_MARKER;

	if (strlen(marker) == 0 || strlen(marker) > 256)
		return error_set(err, -EINVAL, "marker", NULL, "--marker has 1 to 256 bytes");
	snprintf(boot->cmdline, sizeof(boot->cmdline),
		 "console=ttyS0 quiet reboot=k panic=-1 wisp.marker=%s wisp.exit_port=0x%x%s",
		 marker, VMM_EXIT_PORT, o->initrd ? " -- true" : "");
	boot->machine.cmdline = o->cmdline ? o->cmdline : boot->cmdline;
	boot->marker = o->cmdline ? o->marker : marker;
	boot->exit_value = o->cmdline ? -1 : 0;
	boot->end = o->end && strcmp(o->end, "marker") == 0 ? RUN_TO_MARKER : RUN_TO_EXIT;
	if (boot->end == RUN_TO_MARKER && !boot->marker)
		return error_set(err, -EINVAL, "end", "give --marker TEXT",
				 "--end marker needs a marker");
	return 0;
}

static int boot_init(struct bench *b, struct boot *boot, struct error *err)
{
	int r;

	*boot = (struct boot){ .machine = bench_machine(b), .first = bench_first_entry(b) };
	/* QEMU asks for transparent huge pages by itself. */
	if (!boot->machine.huge_pages)
		boot->machine.huge_pages = "Transparent";
	for (size_t i = 0; i < NEXITS; i++)
		boot->counters[i] = exits[i].probe;
	r = choose_images(b->options, boot, err);
	return r < 0 ? r : choose_cmdline(b->options, boot, err);
}

static int boot_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	struct boot boot;
	int r = boot_init(b, &boot, err);

	if (r == 0)
		r = bench_alternate(b, "warm-up", (unsigned)option_or(o->warmup, 1), warm, &boot,
				    err);
	if (r == 0)
		r = bench_alternate(b, "boot", (unsigned)option_or(o->runs, BOOT_RUNS), timed,
				    &boot, err);
	if (r == 0)
		r = bench_alternate(b, "inspected boot",
				    (unsigned)option_or(o->inspect, BOOT_INSPECT), inspected, &boot,
				    err);
	return r;
}

const struct bench_row bench_boot = {
	.name = "boot",
	.help = "a whole boot, phase by phase, with exits and memory",
	.needs_fast_kvm = true,
	.phases = phases,
	.run = boot_run,
};
