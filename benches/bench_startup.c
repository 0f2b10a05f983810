/* bench_startup.c - what a VMM costs before and around its guest.
 *
 * The guest is ours and does next to nothing, so that the figures are the VMM's:
 * startup.elf writes one byte to the debug exit port and ends, idle.elf says
 * "ready" on the serial port and halts for good. Both are ELF files of 16 MiB with
 * the segments of a vmlinux, because loading the kernel is part of starting.
 *
 *   exec_to_guest_us   execve(2) to the first entry into guest mode
 *   exec_to_port_us    execve(2) to the guest's own first effect, its port write:
 *                      a VMM's firmware, if it has one, runs in between
 *   exec_to_exit_us    execve(2) until the process is reaped
 *
 * and of the idle guest, memory (smaps.h). The first entry into guest mode is the
 * kernel's tracepoint kvm_entry. kvm-pvm interprets the code of such a guest and
 * never enters it: there it is kvm_emulate_insn, the first instruction interpreted.
 */
#include <string.h>

#include "benches/bench.h"

enum {
	STARTUP_RUNS = 100,
	STARTUP_INSPECT = 5,
	STARTUP_VALUE = 0x2a, /* as in guests/startup.S */
};

#define IDLE_MARKER "ready" /* as in guests/idle.S */

enum { PROBE_GUEST, PROBE_PORT, NPROBES };

struct startup {
	char kernel[PATH_MAX], idle[PATH_MAX];
	struct probe_spec probes[NPROBES];
};

static const struct plot_phase phases[] = {
	{ "exec_to_guest_us", "exec to first guest instruction" },
	{ "guest_to_port_us", "to the guest's first port write" },
	{ "port_to_exit_us", "to the end of the process" },
	{ NULL, NULL },
};

static int add_times(struct bench *b, const struct bench_vmm *vmm, const struct run_result *run,
		     struct error *err)
{
	int64_t guest = run->probes[PROBE_GUEST], port = run->probes[PROBE_PORT];
	const struct {
		const char *metric;
		int64_t value;
	} all[] = {
		{ "exec_to_guest_us", guest },
		{ "exec_to_port_us", port },
		{ "exec_to_exit_us", run->exit_us },
		{ "guest_to_port_us", guest < 0 || port < 0 ? -1 : port - guest },
		{ "port_to_exit_us", port < 0 ? -1 : run->exit_us - port },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++)
		r = bench_add(b, vmm, all[i].metric, all[i].value, err);
	return r;
}

static bool run_timed(struct bench *b, struct bench_vmm *vmm, const struct startup *s,
		      struct run_result *ret)
{
	struct machine m = bench_machine(b);
	struct bench_request request = {
		.machine = &m,
		.spec = { .end = RUN_TO_EXIT, .probes = s->probes, .nprobes = NPROBES },
		.exit_value = STARTUP_VALUE,
	};

	m.kernel = s->kernel;
	return bench_run(b, vmm, &request, ret);
}

static int warm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result run;

	(void)err;
	run_timed(b, vmm, arg, &run);
	return 0;
}

static int timed(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result run;

	return run_timed(b, vmm, arg, &run) ? add_times(b, vmm, &run, err) : 0;
}

static int inspected(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	const struct startup *s = arg;
	struct machine m = bench_machine(b);
	struct bench_request request = {
		.machine = &m,
		.spec = { .marker = IDLE_MARKER, .end = RUN_TO_MARKER, .memory = true },
		.exit_value = -1,
	};
	struct run_result run;

	m.kernel = s->idle;
	return bench_run(b, vmm, &request, &run) ? bench_add_memory(b, vmm, &run, err) : 0;
}

static int find_guests(struct startup *s, struct error *err)
{
	int r = vmm_beside("../share/wisp/bench/startup.elf", s->kernel);

	if (r == 0)
		r = vmm_beside("../share/wisp/bench/idle.elf", s->idle);
	if (r < 0)
		error_set(err, r, NULL, "build or install the whole of wisp-bench",
			  "the guests of this benchmark are missing: %s",
			  s->idle[0] ? s->idle : s->kernel);
	return r;
}

static int startup_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	struct startup s = {
		.probes = {
			[PROBE_GUEST] = bench_first_entry(b),
			[PROBE_PORT] = { PROBE_FIRST, "kvm/kvm_pio", "port == 244" },
		},
	};
	int r = find_guests(&s, err);

	if (r == 0)
		r = bench_alternate(b, "warm-up", (unsigned)option_or(o->warmup, 1), warm, &s, err);
	if (r == 0)
		r = bench_alternate(b, "run", (unsigned)option_or(o->runs, STARTUP_RUNS), timed, &s,
				    err);
	if (r == 0)
		r = bench_alternate(b, "memory run",
				    (unsigned)option_or(o->inspect, STARTUP_INSPECT), inspected, &s,
				    err);
	return r;
}

const struct bench_row bench_startup = {
	.name = "startup",
	.help = "exec to the first guest instruction, and memory, with a guest that does nothing",
	.phases = phases,
	.run = startup_run,
};
