/* metrics.h - what one microVM did, as JSON lines.
 *
 * A line has Firecracker's groups and names where the meaning is the same, and names
 * of wisp's own ("requests_count") beside them. Counters say how much was added since
 * the line before; durations and what happens once are as they stand. A line is
 * written when the machine starts, every minute from then on, when it is asked for, and
 * at the end. docs/metrics-schema.json is its JSON Schema.
 *
 *   {"utc_timestamp_ms": 1769860800000, "id": "vm-1", "properties": {"owner": "ci"},
 *    "api_server": {"process_startup_time_us": 1830, ...},
 *    "put_api_requests": {"boot_source_count": 1, "boot_source_fails": 0, ...},
 *    "vcpu": {"exit_io": 120, ...}, "block": {...}, "block_root": {...}, ...}
 *
 * Main thread throughout, but for metrics_tell_violation().
 */
#ifndef VMM_METRICS_H
#define VMM_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/config.h"

struct metrics;

/* What stands for itself, not for what was added. */
enum metric {
	METRIC_STARTUP_US,     /* exec to a served API */
	METRIC_STARTUP_CPU_US, /* the same in CPU time */
	METRIC_PAUSE_US,       /* the last pause */
	METRIC_RESUME_US,
	METRIC_CREATE_FULL_US, /* the last snapshot, from the request to files that are safe */
	METRIC_CREATE_DIFF_US,
	METRIC_LOAD_US,
	METRIC_SIGHUP,
	METRIC_SIGXCPU,
	METRIC_SIGXFSZ,
	METRIC_SECCOMP_FAULTS, /* 0, but for the line that tells of one */
	METRICS,
};

enum metrics_verb { METRICS_GET, METRICS_PUT, METRICS_PATCH, METRICS_VERBS };

/* Asked, for each line, to add what the machine has done so far, by metrics_add(). */
struct metrics_source {
	void (*add)(void *ctx, json_t *totals);
	void *ctx;
};

/* Counts from the first moment; lines have to be asked for by metrics_open(). id: the
 * machine's, for lines that are to tell it; it stays the caller's. */
int metrics_create(const char *id, struct metrics **ret);
void metrics_destroy(struct metrics *m); /* accepts NULL; writes nothing */

void metrics_set(struct metrics *m, enum metric which, uint64_t value);

/* One request of the API. name: as Firecracker's metrics call what it was for, one that
 * they do not count has no effect. */
void metrics_count_request(struct metrics *m, enum metrics_verb verb, const char *name,
			   bool failed);
void metrics_count_deprecated(struct metrics *m);

/* Where lines go: a file, made if it is missing, or a FIFO, which may still have no
 * reader. 0, or a negative errno: -EBUSY when it was said before. */
int metrics_open(struct metrics *m, const struct metrics_config *config, struct error *err);

const struct metrics_config *metrics_config(const struct metrics *m); /* NULL: none */

/* The machine runs: a line now and every minute on this loop. Neither the loop nor what
 * source points to may go before metrics_destroy(). What fails is logged. */
void metrics_start(struct metrics *m, const struct metrics_source *source, struct loop *loop);

/* Adds n to a counter of the totals, made if it is not there. */
void metrics_add(json_t *totals, const char *group, const char *name, uint64_t n);

/* What was counted so far, and what stands for itself: groups of numbers, the caller's.
 * NULL when memory is short. */
json_t *metrics_counters(const struct metrics *m);
json_t *metrics_values(const struct metrics *m);

/* A line. 0, also without a file; or a negative errno, and the counts are in the next
 * line. */
int metrics_flush(struct metrics *m);

/* A thread made a system call that it may not, and the process ends: a line that counts
 * this and nothing else. For that thread, which may be any, from the signal's handler. */
void metrics_tell_violation(const struct metrics *m);

#endif
