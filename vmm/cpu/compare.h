/* compare.h - CPU templates against each other. Any thread. */
#ifndef VMM_CPU_COMPARE_H
#define VMM_CPU_COMPARE_H

#include <stdio.h>

#include "vmm/cpu_template.h"

/* Takes out of each template every bit that all of them have alike, and what is empty
 * then: what is left is what a template for all these processors has to deal with. 0 or
 * -ENOMEM. */
int compare_strip(struct cpu_template *t, unsigned count);

/* Says on out what wanted asks for and got has otherwise, one line each. How many. */
unsigned compare_verify(const struct cpu_template *wanted, const struct cpu_template *got,
			FILE *out);

#endif
