/* cpu_template.h - which bits of the processor a guest sees otherwise.
 *
 * What PUT /cpu-config asks for, checked and in numbers: registers of CPUID leaves,
 * model-specific registers, and capabilities that KVM must have. The names and the
 * way of writing are Firecracker's.
 */
#ifndef VMM_CPU_TEMPLATE_H
#define VMM_CPU_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

enum {
	CPU_TEMPLATE_LEAVES = 128,
	CPU_TEMPLATE_REGISTERS = 4, /* of one leaf */
	CPU_TEMPLATE_MSRS = 256,
	CPU_TEMPLATE_CAPABILITIES = 32,
	CPU_TEMPLATE_NUMBER = 24,  /* bytes of a number's text */
	CPU_TEMPLATE_BITMAP = 112, /* of a bitmap's: 64 bits and some underscores */
};

/* Templates that need no more than a name; Firecracker's. */
enum cpu_template_name {
	CPU_TEMPLATE_NONE,
	CPU_TEMPLATE_C3,
	CPU_TEMPLATE_T2,
	CPU_TEMPLATE_T2S,
	CPU_TEMPLATE_T2CL,
	CPU_TEMPLATE_T2A,
	CPU_TEMPLATE_V1N1, /* arm64's */
};

/* As it was asked for: texts. */
struct cpuid_register_config {
	uint32_t reg;			  /* eax, ebx, ecx, edx */
	char bitmap[CPU_TEMPLATE_BITMAP]; /* "0b10x_x01" */
};

struct cpuid_modifier_config {
	char leaf[CPU_TEMPLATE_NUMBER], subleaf[CPU_TEMPLATE_NUMBER]; /* "0x80000001" */
	uint64_t flags;						      /* KVM's, of the entry */
	uint32_t nregisters;
	struct cpuid_register_config registers[CPU_TEMPLATE_REGISTERS];
};

struct msr_modifier_config {
	char addr[CPU_TEMPLATE_NUMBER];
	char bitmap[CPU_TEMPLATE_BITMAP];
};

struct cpu_config {
	uint32_t ncapabilities, ncpuid, nmsrs;
	char capabilities[CPU_TEMPLATE_CAPABILITIES][CPU_TEMPLATE_NUMBER]; /* "121", "!121" */
	struct cpuid_modifier_config cpuid[CPU_TEMPLATE_LEAVES];
	struct msr_modifier_config msrs[CPU_TEMPLATE_MSRS];
};

/* In numbers. A bit of mask is replaced by that of value. */
struct cpu_template_cpuid {
	uint32_t leaf, subleaf, flags;
	unsigned reg; /* 0 to 3: eax, ebx, ecx, edx */
	uint32_t mask, value;
};

struct cpu_template_msr {
	uint32_t index;
	uint64_t mask, value;
};

struct cpu_template {
	unsigned ncapabilities, ncpuid, nmsrs;
	uint32_t capabilities[CPU_TEMPLATE_CAPABILITIES]; /* numbers of KVM_CAP_*; required */
	struct cpu_template_cpuid cpuid[CPU_TEMPLATE_LEAVES * CPU_TEMPLATE_REGISTERS];
	struct cpu_template_msr msrs[CPU_TEMPLATE_MSRS];
};

/* 0, or -EINVAL and *err with the field, as "cpuid_modifiers[1].leaf", what it says and
 * how it is written. Any thread. */
int cpu_template_parse(const struct cpu_config *config, struct cpu_template *ret,
		       struct error *err);

#endif
