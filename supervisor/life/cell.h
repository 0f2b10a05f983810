/* cell.h - where a VMM lives: its folder, its jail by wisp-jailer, its control group.
 *
 * What all runtimes have in common; these are functions of their tables (runtime.h), or
 * parts of them. Any thread, but cell_sweep(). 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_CELL_H
#define SUPERVISOR_CELL_H

#include "supervisor/life/runtime.h"

/* Of the guest's console, in the VMM's folder. */
#define CELL_CONSOLE "console.log"
/* Of the VMM's metrics, if it writes any. */
#define CELL_LINES "metrics.log"

int cell_prepare(const struct launch *l, struct error *err);
int cell_remove(const struct launch *l, struct error *err);
/* The folder above the one that the VMM sees: root's. A descriptor, or its path. */
int cell_open_jail(const struct launch *l, struct error *err);
int cell_path(const struct launch *l, char path[PATH_MAX], struct error *err);
int cell_open_folder(const struct launch *l, struct error *err);
int cell_open_log(const struct launch *l, struct error *err);
int cell_open_console(const struct launch *l, struct error *err);
int cell_open_lines(const struct launch *l, struct error *err);
int cell_clear(const struct launch *l, struct error *err);
int cell_survey(const struct runtime *runtime, const struct config *c, survey_fn fn, void *ctx,
		struct error *err);
int cell_sweep(const struct runtime *runtime, struct wispd *d, struct error *err);

/* Whether processor time is counted by control groups of version 1. */
bool cell_has_accounting_v1(void);

/* The jailer, and its options up to those of the runtime's own. */
int cell_command(const struct launch *l, struct runtime_command *ret, struct error *err);

/* The control group of what serves the VMM (companion.h), beside the VMM's own, as the jailer and
 * the keeper take it: its parent, its name, and the limits. Nothing without control groups. */
int cell_aside_command(const struct launch *l, struct runtime_command *ret, struct error *err);
/* Nobody is in it any more; 0, too, when it is not there. */
int cell_remove_aside(const char *parent, const char *id, struct error *err);

/* What its control group may have: so much for the guest, and what its VMM needs. 0, too, where
 * it has none. */
int cell_limit_memory(const struct launch *l, int64_t mem_mib, struct error *err);

/* A socket in /run that the VMM's user made, by a descriptor (O_PATH) that cannot come to
 * mean another one. -ENOENT: not yet. */
int cell_open_socket(const struct launch *l, const char *name, struct error *err);

#endif
