/* named_template.h - the CPU templates that have names.
 *
 * The names are Firecracker's, and so is what each shows a guest and which processors it
 * is good for: a template makes different processors look alike to a guest that moves
 * between them, which is only right on those that it was made for. Main thread.
 */
#ifndef VMM_ARCH_X86_64_NAMED_TEMPLATE_H
#define VMM_ARCH_X86_64_NAMED_TEMPLATE_H

#include "vmm/cpu_template.h"

/* What CPUID leaves 0 and 1 say of the processor. */
struct host_cpu {
	char vendor[13];
	unsigned family, model, stepping;
};

void named_template_host(struct host_cpu *ret);

/* 0, or -EOPNOTSUPP with Firecracker's text when the template is not for this processor. */
int named_template_check(enum cpu_template_name name, const struct host_cpu *host,
			 struct error *err);

/* The template, empty for CPU_TEMPLATE_NONE and those of other architectures. */
void named_template_make(enum cpu_template_name name, struct cpu_template *ret);

#endif
