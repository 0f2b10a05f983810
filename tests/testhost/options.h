/* options.h - what `wisp-testhost run` was asked for. */
#ifndef TESTS_TESTHOST_OPTIONS_H
#define TESTS_TESTHOST_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

struct error;

enum {
	OPTIONS_SHARES_MAX = 16,
	OPTIONS_MODULES_MAX = 64,
};

struct options {
	bool icount, vfio, verbose;
	unsigned smp;  /* 0: not given */
	unsigned numa; /* nodes; 0 and 1: one */
	unsigned mem_mib;
	unsigned timeout_s;		  /* of the whole run */
	unsigned patience_s;		  /* with a guest that stands still */
	const char *cpu;		  /* QEMU's name of the processor model */
	char *shares[OPTIONS_SHARES_MAX]; /* absolute; owned */
	unsigned nshares;
	const char *modules[OPTIONS_MODULES_MAX];
	unsigned nmodules;
	char *const *command; /* NULL-ended, at least one */
};

/* Reads the arguments behind "run". 0, or -EINVAL and *e with the option in its
 * field. *o points into argv and must be cleared in either case. */
int options_parse(char *const argv[], struct options *o, struct error *e);

void options_clear(struct options *o);

/* One line for each option. */
void options_help(FILE *to);

#endif
