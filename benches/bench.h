/* bench.h - what every benchmark shares: its row in the table, its VMMs, its runs.
 *
 * A benchmark is one row of bench_all[] and one file. Its run() measures with
 * bench_alternate() and bench_run(), and adds what it saw to the report.
 */
#ifndef BENCHES_BENCH_H
#define BENCHES_BENCH_H

#include <limits.h>

#include "benches/options.h"
#include "benches/plot.h"
#include "benches/report.h"
#include "benches/run.h"
#include "benches/vmm.h"

enum { BENCH_MAX_VMMS = 4 };

struct bench_vmm {
	const struct vmm_ops *ops;
	char program[PATH_MAX];
	unsigned runs, failed;
	unsigned failed_in_a_row; /* after a few it is not run any more */
};

struct bench {
	const struct options *options;
	struct report report;
	struct report details; /* wisp's own figures */
	struct bench_vmm vmms[BENCH_MAX_VMMS];
	size_t nvmms;
	int tracefs;	    /* -1: no probes on this machine */
	pid_t busy;	    /* the process of --busy, or 0 */
	char dir[PATH_MAX]; /* for files of one run; removed in the end */
};

struct bench_row {
	const char *name, *help;
	bool needs_fast_kvm;		 /* boots a whole kernel: the test host where KVM is slow */
	bool in_process;		 /* measures parts of wisp: needs no KVM and no VMM */
	const struct plot_phase *phases; /* NULL: no plot */
	int (*run)(struct bench *b, struct error *err);
};

extern const struct bench_row bench_startup, bench_boot, bench_net, bench_vsock, bench_blk,
	bench_blk_backend, bench_net_backend, bench_vsock_backend, bench_rng_backend, bench_api,
	bench_jail, bench_restore, bench_cold, bench_incoming, bench_live, bench_density,
	bench_passthrough, bench_ledger, bench_supervisor;

/* NULL-ended. */
extern const struct bench_row *const bench_all[];

/* Finds the VMMs asked for and what the machine offers. 0, or a negative errno and
 * *err; *b is to be cleared either way. */
int bench_init(struct bench *b, const struct bench_row *row, const struct options *o,
	       struct error *err);
void bench_clear(struct bench *b);

/* One run of one VMM; what is a failure is for bench_run() to say. A negative errno
 * and *err are the end of the whole benchmark. */
typedef int (*bench_fn)(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err);

/* Calls fn n times for each VMM, in turns, so that a change of the machine's mood
 * meets all alike; shows progress under `what`. */
int bench_alternate(struct bench *b, const char *what, unsigned n, bench_fn fn, void *arg,
		    struct error *err);

/* What of a run is wanted; the rest of the run_spec follows from it. */
struct bench_request {
	const struct machine *machine;
	struct run_spec spec; /* argv, tracefs, guest_bytes and timeout_s are filled in */
	int exit_value;	      /* what the guest writes to the exit port; -1: any */
};

/* Runs it once. True with *ret: the run counts. False: it failed, which has been
 * reported on stderr, with the VMM's last words, and counted. */
bool bench_run(struct bench *b, struct bench_vmm *vmm, const struct bench_request *request,
	       struct run_result *ret);

/* Adds a sample of this VMM to the report; -1 (not seen) is left out. */
int bench_add(struct bench *b, const struct bench_vmm *vmm, const char *metric, int64_t value,
	      struct error *err);

/* Adds the memory that a run with run_spec.memory saw. */
int bench_add_memory(struct bench *b, const struct bench_vmm *vmm, const struct run_result *run,
		     struct error *err);

/* The probe for the first entry into guest mode on this machine's KVM. */
struct probe_spec bench_first_entry(const struct bench *b);

/* The machine that every benchmark starts from: memory, vCPUs, QEMU's settings. */
struct machine bench_machine(const struct bench *b);

#endif
