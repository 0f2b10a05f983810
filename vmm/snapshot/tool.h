/* tool.h - the commands of wisp-snapshot, a file each, and what they share.
 *
 * A command takes its arguments, as many as its row of the table in tool.c allows, and a
 * NULL behind them. It returns 0, a positive exit status of its own, or a negative errno
 * with *err, which is printed. Nothing that it reads is trusted.
 */
#ifndef VMM_SNAPSHOT_TOOL_H
#define VMM_SNAPSHOT_TOOL_H

#include <jansson.h>

#include "vmm/snapshot/overview.h"
#include "vmm/snapshot/snapshot_files.h"

enum { TOOL_DIFFERENT = 3 /* exit status: the snapshots are not alike */ };

int tool_diff(char *const argv[], struct error *err);
int tool_edit(char *const argv[], struct error *err);
int tool_export(char *const argv[], struct error *err);
int tool_import(char *const argv[], struct error *err);
int tool_optimise(char *const argv[], struct error *err);

/* Prints a value of a section or a page, if it is another one: tool_sections.c. */
int tool_diff_sections(struct state *a, struct state *b, bool *differ, struct error *err);

/* For reading. field: for messages. 0 and *ret, or a negative errno and *err. */
int tool_open(const char *path, const char *field, int *ret, struct error *err);

/* The state's first section, parsed; the caller's. */
int tool_manifest(struct state *s, json_t **ret, struct error *err);

int tool_overview(struct state *s, struct overview *o, struct error *err);

/* That the memory file is as long as the state's memory, and belongs to that state. */
int tool_check_memory(int fd, const struct overview *o, struct memory_label *ret,
		      struct error *err);

/* That the working set is of this memory file, and what it has of it is the same. */
int tool_check_working_set(const char *path, int memory, struct error *err);

#endif
