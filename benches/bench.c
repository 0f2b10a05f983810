/* bench.c - what every benchmark shares: its VMMs, its runs, its failures. */
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/bench.h"
#include "benches/busy.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	BENCH_GIVE_UP = 3, /* failures in a row after which a VMM is left alone */
	BENCH_TIMEOUT_S = 60,
	BENCH_MEM_MIB = 128,
	BENCH_LINE_US = 5000000, /* between lines of progress without a terminal */
	BENCH_TAIL_SHOWN = 600,	 /* bytes of a failed run's last words */
};

const struct bench_row *const bench_all[] = {
	&bench_startup,	    &bench_boot,	&bench_net,	    &bench_vsock,
	&bench_blk,	    &bench_blk_backend, &bench_net_backend, &bench_vsock_backend,
	&bench_rng_backend, &bench_passthrough, &bench_api,	    &bench_jail,
	&bench_restore,	    &bench_cold,	&bench_incoming,    &bench_live,
	&bench_density,	    &bench_ledger,	&bench_supervisor,  NULL,
};

#define QEMU_MACHINE                                                                \
	"microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off," \
	"auto-kernel-cmdline=off"

/* kvm-pvm refuses an MSR that `-cpu host` brings along. */
static const char *qemu_cpu(const struct bench *b)
{
	return strcmp(b->report.host.kvm, "pvm") == 0 ? "kvm64" : "host";
}

struct machine bench_machine(const struct bench *b)
{
	const struct options *o = b->options;

	return (struct machine){
		.cmdline = "",
		.mem_mib = (unsigned)option_or(o->mem_mib, BENCH_MEM_MIB),
		.vcpus = (unsigned)option_or(o->vcpus, 1),
		.huge_pages = o->huge_pages,
		.qemu_machine = o->qemu_machine ? o->qemu_machine : QEMU_MACHINE,
		.qemu_cpu = o->qemu_cpu ? o->qemu_cpu : qemu_cpu(b),
	};
}

/* ---- Which VMMs ---------------------------------------------------------------- */

static bool list_names(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

/* Every name of the list must be one of the table's. */
static int check_list(const char *list, struct error *err)
{
	size_t len;

	for (const char *at = list; *at; at += len + (at[len] == ',')) {
		bool known = false;

		len = strcspn(at, ",");
		for (size_t i = 0; vmm_all[i]; i++)
			known |= strlen(vmm_all[i]->name) == len &&
				 strncmp(vmm_all[i]->name, at, len) == 0;
		if (!known)
			return error_set(err, -EINVAL, "vmm", "wisp, qemu, firecracker",
					 "there is no VMM called \"%.*s\"", (int)len, at);
	}
	return 0;
}

/* A VMM that was asked for must be there; without --vmm those that are there run. */
static int add_vmm(struct bench *b, const struct vmm_ops *ops, struct error *err)
{
	const char *list = b->options->vmms;
	struct bench_vmm *vmm = &b->vmms[b->nvmms];
	struct error why = { 0 };
	char line[1024];
	int r;

	if (list && !list_names(list, ops->name))
		return 0;
	r = ops->locate(b->options, vmm->program, &why);
	if (r == 0) {
		vmm->ops = ops;
		b->nvmms++;
		return 0;
	}
	if (list) {
		*err = why;
		return r;
	}
	fprintf(stderr, "without %s: %s\n", ops->name, error_line(&why, line, sizeof(line)));
	return 0;
}

static int find_vmms(struct bench *b, struct error *err)
{
	int r = b->options->vmms ? check_list(b->options->vmms, err) : 0;

	for (size_t i = 0; vmm_all[i] && r == 0; i++)
		r = add_vmm(b, vmm_all[i], err);
	if (r == 0 && b->nvmms == 0)
		r = error_set(err, -ENOENT, "vmm", "install qemu-system-x86 or build wisp",
			      "there is no VMM to measure");
	return r;
}

/* ---- Life ---------------------------------------------------------------------- */

/* Whoever is prompt already, and wants the children to be, is left alone.
 *
 * The harness reads a console and takes times while the guest it measures may want
 * the same processor (the test host has one): a reader that sleeps nearly always
 * but runs at once takes the truer times. Children do not inherit this. */
static void be_prompt(void)
{
	struct sched_param param = { .sched_priority = 1 };

	if (sched_getscheduler(0) == SCHED_FIFO)
		return;
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

static int make_dir(struct bench *b, struct error *err)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(b->dir, sizeof(b->dir), "%s/wisp-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(b->dir)) {
		b->dir[0] = '\0';
		return error_errno(err, NULL, "set TMPDIR", "cannot make a directory for a run");
	}
	return 0;
}

/* Tracepoints can be readable and yet not for us to watch: one is tried on this
 * process. Without them the runs are timed all the same. */
static void find_probes(struct bench *b, const char *event)
{
	const struct probe_spec trial = { PROBE_COUNT, event, NULL };
	struct probe *p = NULL;
	struct error why = { 0 };
	char line[1024];
	int r = probe_tracefs(&why);

	b->tracefs = r < 0 ? -1 : r;
	if (r >= 0)
		r = probe_create(b->tracefs, getpid(), &trial, &p, &why);
	probe_destroy(p);
	if (r >= 0)
		return;
	b->tracefs = fd_close(b->tracefs);
	fprintf(stderr, "without what the kernel's tracepoints count: %s\n",
		error_line(&why, line, sizeof(line)));
}

int bench_init(struct bench *b, const struct bench_row *row, const struct options *o,
	       struct error *err)
{
	int r = 0;

	*b = (struct bench){ .options = o, .tracefs = -1 };
	report_init(&b->report, row->name);
	report_init(&b->details, row->name);
	if (!row->in_process && strcmp(b->report.host.kvm, "none") == 0)
		return error_set(err, -ENODEV, "kvm", "use --testhost",
				 "this machine has no /dev/kvm that can be used");
	if (!row->in_process)
		r = find_vmms(b, err);
	if (r == 0)
		r = make_dir(b, err);
	if (r < 0)
		return r;
	if (o->busy)
		b->busy = busy_start();
	if (b->busy < 0)
		return error_set(err, b->busy, "busy", NULL, "cannot keep the processor busy");
	find_probes(b, row->in_process ? "raw_syscalls/sys_enter" : "kvm/kvm_userspace_exit");
	be_prompt();
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void bench_clear(struct bench *b)
{
	if (b->dir[0])
		nftw(b->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	busy_stop(b->busy);
	fd_close(b->tracefs);
	report_free(&b->details);
	report_free(&b->report);
}

/* ---- Runs ---------------------------------------------------------------------- */

/* One line that is rewritten on a terminal, a line now and then elsewhere. */
static void show_progress(const struct bench *b, const char *what, unsigned i, unsigned n,
			  uint64_t *last_us)
{
	uint64_t now = clock_now_us();

	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r\033[K%s: %s %u of %u%s", b->report.bench, what, i, n,
			i == n ? "\r\033[K" : "");
		return;
	}
	if (now - *last_us < BENCH_LINE_US)
		return;
	*last_us = now;
	fprintf(stderr, "%s: %s %u of %u\n", b->report.bench, what, i, n);
}

int bench_alternate(struct bench *b, const char *what, unsigned n, bench_fn fn, void *arg,
		    struct error *err)
{
	uint64_t last_us = clock_now_us();
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		for (size_t turn = 0; turn < b->nvmms && r == 0; turn++) {
			struct bench_vmm *vmm = &b->vmms[(i + turn) % b->nvmms];

			if (vmm->failed_in_a_row < BENCH_GIVE_UP)
				r = fn(b, vmm, arg, err);
		}
		if (r < 0)
			return r;
		show_progress(b, what, i + 1, n, &last_us);
	}
	return 0;
}

static void print_tail(const char *label, const struct run_tail *t)
{
	size_t from = t->len > BENCH_TAIL_SHOWN ? t->len - BENCH_TAIL_SHOWN : 0;

	if (t->len > 0)
		fprintf(stderr, "  its %s ended with:\n%s\n", label, t->data + from);
}

static void print_failure(const struct bench *b, const struct bench_vmm *vmm,
			  const struct error *why, const struct run_result *result)
{
	char line[1024];

	fprintf(stderr, "%s: run %u of %s failed: %s\n", b->report.bench, vmm->runs, vmm->ops->name,
		error_line(why, line, sizeof(line)));
	print_tail("stderr", &result->err);
	print_tail("console", &result->console);
	if (vmm->failed_in_a_row == BENCH_GIVE_UP)
		fprintf(stderr, "%s: %s is not run any more\n", b->report.bench, vmm->ops->name);
}

static int run_checked(struct bench *b, struct bench_vmm *vmm, const struct bench_request *request,
		       struct run_result *ret, struct error *why)
{
	struct run_spec spec = request->spec;
	struct argv argv = { 0 };
	int r = vmm->ops->command(request->machine, vmm->program, b->dir, &argv, why);

	spec.argv = argv.v;
	spec.guest_bytes = (uint64_t)request->machine->mem_mib << 20;
	spec.timeout_s = (unsigned)option_or(b->options->timeout_s, BENCH_TIMEOUT_S);
	spec.tracefs = b->tracefs;
	if (b->tracefs < 0)
		spec.nprobes = 0;
	if (r == 0)
		r = run_once(&spec, ret, why);
	if (r == 0 && spec.end == RUN_TO_EXIT && request->exit_value >= 0 &&
	    !vmm->ops->ended_well(ret->exit_code, (unsigned)request->exit_value))
		r = error_set(why, -ECANCELED, NULL, NULL, "unexpected exit code %d",
			      ret->exit_code);
	argv_free(&argv);
	return r;
}

bool bench_run(struct bench *b, struct bench_vmm *vmm, const struct bench_request *request,
	       struct run_result *ret)
{
	struct error why = { 0 };

	*ret = (struct run_result){ 0 };
	for (size_t i = 0; i < RUN_MAX_PROBES; i++)
		ret->probes[i] = -1;
	vmm->runs++;
	if (run_checked(b, vmm, request, ret, &why) == 0) {
		vmm->failed_in_a_row = 0;
		return true;
	}
	vmm->failed++;
	vmm->failed_in_a_row++;
	print_failure(b, vmm, &why, ret);
	return false;
}

int bench_add(struct bench *b, const struct bench_vmm *vmm, const char *metric, int64_t value,
	      struct error *err)
{
	int r = report_add(&b->report, vmm->ops->name, metric, value);

	return r < 0 ? error_set(err, r, NULL, NULL, "no memory for samples") : 0;
}

int bench_add_memory(struct bench *b, const struct bench_vmm *vmm, const struct run_result *run,
		     struct error *err)
{
	int r = bench_add(b, vmm, "private_kib", run->memory.private_kib, err);

	if (r == 0)
		r = bench_add(b, vmm, "dirty_kib", run->memory.dirty_kib, err);
	if (r == 0)
		r = bench_add(b, vmm, "rss_kib", run->memory.rss_kib, err);
	return r;
}

/* kvm-pvm interprets the code of a guest kernel that does not know it and never
 * enters such a guest. */
struct probe_spec bench_first_entry(const struct bench *b)
{
	bool pvm = strcmp(b->report.host.kvm, "pvm") == 0;

	return (struct probe_spec){
		.kind = PROBE_FIRST,
		.event = pvm ? "kvm/kvm_emulate_insn" : "kvm/kvm_entry",
	};
}
