/* options.h - the command line of wisp-bench: one table parses it, prints the help
 * and writes it out again for the copy that runs inside the test host. */
#ifndef BENCHES_OPTIONS_H
#define BENCHES_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "benches/argv.h"
#include "vmm/base/error.h"

/* Unset numbers are -1, unset strings NULL: a benchmark has its own defaults.
 * Strings are owned; those that name files are absolute. */
struct options {
	int64_t runs, warmup, inspect, timeout_s, mem_mib, vcpus;
	char *vmms; /* "wisp,qemu" */
	char *json, *plot;
	char *kernel, *initrd, *disk, *cmdline, *marker, *end;
	char *wisp, *qemu, *firecracker, *huge_pages, *qemu_machine, *qemu_cpu;
	bool kvm, testhost, details, no_table, busy, help;
};

#define OPTIONS_UNSET                                                                    \
	{                                                                                \
		.runs = -1, .warmup = -1, .inspect = -1, .timeout_s = -1, .mem_mib = -1, \
		.vcpus = -1                                                              \
	}

/* An option's value, or the default of who asks. */
static inline int64_t option_or(int64_t value, int64_t preset)
{
	return value >= 0 ? value : preset;
}

/* Reads argv[1..] into *ret; the first word that is no option goes to *name (NULL:
 * none; it points into argv). FIRECRACKER and QEMU in the environment count as the
 * options of that name. 0, or a negative errno and *err; *ret is to be freed either
 * way. */
int options_parse(int argc, char **argv, struct options *ret, const char **name, struct error *err);

/* The options again, without those that concern the outer copy alone. */
void options_write(const struct options *o, struct argv *ret);

void options_print(FILE *f);
void options_free(struct options *o);

#endif
