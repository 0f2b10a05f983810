/* report.h - what a benchmark found: samples in, a table and JSON out.
 *
 * A row is one metric of one VMM. A metric's unit is what follows the last '_' of
 * its name (exec_to_guest_us, private_kib, io_exits). Rows keep the order in which
 * their metrics first came.
 */
#ifndef BENCHES_REPORT_H
#define BENCHES_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "benches/host.h"
#include "benches/stats.h"
#include "vmm/base/error.h"

enum { REPORT_NAME_LEN = 47 };

struct report_row {
	char vmm[16];
	char metric[REPORT_NAME_LEN + 1];
	struct summary summary; /* after report_finish() or report_load() */
	struct samples samples;
};

struct report {
	char bench[16];
	struct host host;
	struct report_row *rows; /* owned */
	size_t nrows, room;
};

/* An empty report of this machine. */
void report_init(struct report *r, const char *bench);
void report_free(struct report *r);

/* Adds a sample; a value below 0 (not seen) is left out. 0 or -ENOMEM. */
int report_add(struct report *r, const char *vmm, const char *metric, int64_t value);

/* Computes the summaries; no sample can be added after it. */
void report_finish(struct report *r);

/* The row, or NULL. */
const struct report_row *report_find(const struct report *r, const char *vmm, const char *metric);

/* "us" for "exec_to_guest_us". */
const char *report_unit(const char *metric);

/* The table for people, grouped by metric, with the ratio of medians to QEMU's. */
void report_print(const struct report *r, FILE *f);

/* As described in docs/benchmarks.md. 0, or a negative errno and *err. */
int report_save(const struct report *r, const char *path, struct error *err);

/* Reads what report_save() wrote into an empty report, host included. */
int report_load(struct report *r, const char *path, struct error *err);

#endif
