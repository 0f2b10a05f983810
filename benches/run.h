/* run.h - one run of a VMM, from its exec to its end, and what was seen of it. */
#ifndef BENCHES_RUN_H
#define BENCHES_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "benches/probe_perf.h"
#include "benches/smaps.h"
#include "vmm/base/error.h"

enum { RUN_MAX_PROBES = 12, RUN_TAIL_BYTES = 2048 };

enum run_end {
	RUN_TO_EXIT,   /* the VMM ends by itself */
	RUN_TO_MARKER, /* it is killed once the marker was seen */
};

struct run_spec {
	char *const *argv;
	const char *marker; /* text that the guest's console is watched for; NULL: none */
	enum run_end end;
	bool memory; /* stop the VMM at the marker and read its memory */
	uint64_t guest_bytes;
	unsigned timeout_s;
	int tracefs; /* as probe_tracefs() gave it; -1: no probes */
	const struct probe_spec *probes;
	size_t nprobes; /* at most RUN_MAX_PROBES */
};

/* The last bytes of a stream, for the message about a run that failed. */
struct run_tail {
	char data[RUN_TAIL_BYTES + 1]; /* NUL-terminated */
	size_t len;
};

/* Times are microseconds since the VMM's exec; -1 where a thing did not happen. */
struct run_result {
	int64_t console_us; /* first byte on the guest's console, as its reader sees it */
	int64_t marker_us;
	int64_t exit_us;		/* reaped */
	int64_t probes[RUN_MAX_PROBES]; /* PROBE_FIRST: us; PROBE_COUNT: count */
	struct smaps memory;		/* with run_spec.memory */
	int exit_code;			/* -1: ended by a signal */
	int signal;
	struct run_tail console, err;
};

/* Runs it. 0 with *ret filled when the run went as far as run_spec.end says
 * (whatever its exit code), or a negative errno and *err: -ETIMEDOUT, -ENOENT when
 * the marker never came; the tails in *ret are filled then too. The process is gone
 * in any case. */
int run_once(const struct run_spec *spec, struct run_result *ret, struct error *err);

/* Where the console's new bytes hold the marker; false where it directly follows a
 * '=': that is the kernel repeating its own command line. */
bool run_has_marker(const char *text, size_t len, const char *marker);

#endif
