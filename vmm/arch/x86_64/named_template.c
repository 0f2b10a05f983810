/* named_template.c - the CPU templates that have names.
 *
 * Four of them have most of their bits in common: what a Haswell server has, and what the
 * newer processors have alike. Each row clears bits of one register or sets them; the
 * names of the bits are those of the Intel SDM (volume 2A, CPUID) and of the AMD APM
 * (volume 3, appendix E).
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/named_template.h"

#define BIT(n) (1u << (n))

enum { MAX_MODELS = 3, MSR_ARCH_CAPABILITIES = 0x10a };

/* Leaf 1. The signature: everything but the reserved bits. */
#define SIGNATURE	  0x0fff3fffu
#define HASWELL_SERVER	  0x000306f2u
#define IVY_BRIDGE_SERVER 0x000306e4u
#define ECX1_DTES64	  BIT(2)
#define ECX1_MONITOR	  BIT(3)
#define ECX1_DS_CPL	  BIT(4)
#define ECX1_VMX	  BIT(5)
#define ECX1_SMX	  BIT(6)
#define ECX1_EIST	  BIT(7)
#define ECX1_TM2	  BIT(8)
#define ECX1_CNXT_ID	  BIT(10)
#define ECX1_SDBG	  BIT(11)
#define ECX1_FMA	  BIT(12)
#define ECX1_XTPR	  BIT(14)
#define ECX1_PDCM	  BIT(15)
#define ECX1_DCA	  BIT(18)
#define ECX1_MOVBE	  BIT(22)
#define EDX1_MCE	  BIT(7)
#define EDX1_MTRR	  BIT(12)
#define EDX1_PSN	  BIT(18)
#define EDX1_DS		  BIT(21)
#define EDX1_ACPI	  BIT(22)
#define EDX1_SS		  BIT(27)
#define EDX1_TM		  BIT(29)
#define EDX1_IA64	  BIT(30)
#define EDX1_PBE	  BIT(31)

/* Leaf 7. */
#define EBX7_SGX	   BIT(2)
#define EBX7_BMI1	   BIT(3)
#define EBX7_HLE	   BIT(4)
#define EBX7_AVX2	   BIT(5)
#define EBX7_BMI2	   BIT(8)
#define EBX7_ERMS	   BIT(9)
#define EBX7_INVPCID	   BIT(10)
#define EBX7_RTM	   BIT(11)
#define EBX7_RDT_M	   BIT(12)
#define EBX7_MPX	   BIT(14)
#define EBX7_RDT_A	   BIT(15)
#define EBX7_AVX512F	   BIT(16)
#define EBX7_AVX512DQ	   BIT(17)
#define EBX7_RDSEED	   BIT(18)
#define EBX7_ADX	   BIT(19)
#define EBX7_AVX512_IFMA   BIT(21)
#define EBX7_RESERVED_22   BIT(22)
#define EBX7_CLFLUSHOPT	   BIT(23)
#define EBX7_CLWB	   BIT(24)
#define EBX7_PT		   BIT(25)
#define EBX7_AVX512PF	   BIT(26)
#define EBX7_AVX512ER	   BIT(27)
#define EBX7_AVX512CD	   BIT(28)
#define EBX7_SHA	   BIT(29)
#define EBX7_AVX512BW	   BIT(30)
#define EBX7_AVX512VL	   BIT(31)
#define ECX7_AVX512_VBMI   BIT(1)
#define ECX7_UMIP	   BIT(2)
#define ECX7_PKU	   BIT(3)
#define ECX7_OSPKE	   BIT(4)
#define ECX7_AVX512_VBMI2  BIT(6)
#define ECX7_GFNI	   BIT(8)
#define ECX7_VAES	   BIT(9)
#define ECX7_VPCLMULQDQ	   BIT(10)
#define ECX7_AVX512_VNNI   BIT(11)
#define ECX7_AVX512_BITALG BIT(12)
#define ECX7_AVX512_POPCNT BIT(14)
#define ECX7_LA57	   BIT(16)
#define ECX7_RDPID	   BIT(22)
#define ECX7_SGX_LC	   BIT(30)
#define EDX7_AVX512_4VNNIW BIT(2)
#define EDX7_AVX512_4FMAPS BIT(3)
#define EDX7_FSRM	   BIT(4)
#define EDX7_AVX512_VP2	   BIT(8)

/* Leaf 0xd: which state XSAVE knows, and how. */
#define XCR0_MPX      (BIT(3) | BIT(4))
#define XCR0_AVX512   (BIT(5) | BIT(6) | BIT(7))
#define XCR0_PKRU     BIT(9)
#define XSAVE_XSAVEC  BIT(1)
#define XSAVE_XGETBV1 BIT(2)
#define XSAVE_XSAVES  BIT(3)

/* Leaves 0x80000001 and 0x80000008. */
#define ECX81_SVM	   BIT(2)
#define ECX81_LZCNT	   BIT(5)
#define ECX81_SSE4A	   BIT(6)
#define ECX81_MISALIGN_SSE BIT(7)
#define ECX81_PREFETCHW	   BIT(8)
#define ECX81_MONITORX	   BIT(29)
#define EDX81_MMXEXT	   BIT(22)
#define EDX81_MMX	   BIT(23)
#define EDX81_FXSR	   BIT(24)
#define EDX81_FFXSR	   BIT(25)
#define EDX81_PAGE_1GB	   BIT(26)
#define EBX88_CLZERO	   BIT(0)
#define EBX88_RSTR_FP_ERR  BIT(2)
#define EBX88_WBNOINVD	   BIT(9)
#define EBX88_IBRS_PREFER  BIT(18)
#define EBX88_IBRS_SAME	   BIT(19)
#define EBX88_NO_LMSLE	   BIT(20)

#define AVX512_EBX7                                                                        \
	(EBX7_AVX512F | EBX7_AVX512DQ | EBX7_AVX512_IFMA | EBX7_AVX512PF | EBX7_AVX512ER | \
	 EBX7_AVX512CD | EBX7_AVX512BW | EBX7_AVX512VL)

struct row {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t clear, set;
};

/* clang-format off */
static const struct row haswell_rows[] = {
	{ 0x1, 0, CPUID_EAX, SIGNATURE, HASWELL_SERVER },
	{ 0x1, 0, CPUID_ECX,
	  ECX1_DTES64 | ECX1_MONITOR | ECX1_DS_CPL | ECX1_VMX | ECX1_SMX | ECX1_EIST | ECX1_TM2 |
	  ECX1_CNXT_ID | ECX1_SDBG | ECX1_XTPR | ECX1_PDCM | ECX1_DCA, 0 },
	{ 0x1, 0, CPUID_EDX,
	  EDX1_PSN | EDX1_DS | EDX1_ACPI | EDX1_SS | EDX1_TM | EDX1_IA64 | EDX1_PBE,
	  EDX1_MCE | EDX1_MTRR },
	{ 0x7, 0, CPUID_EBX,
	  EBX7_SGX | EBX7_HLE | EBX7_RTM | EBX7_RDT_M | EBX7_MPX | EBX7_RDT_A | AVX512_EBX7 |
	  EBX7_RDSEED | EBX7_ADX | EBX7_RESERVED_22 | EBX7_CLFLUSHOPT | EBX7_CLWB | EBX7_PT |
	  EBX7_SHA, EBX7_ERMS },
	{ 0x7, 0, CPUID_ECX,
	  ECX7_AVX512_VBMI | ECX7_UMIP | ECX7_PKU | ECX7_OSPKE | ECX7_AVX512_VBMI2 | ECX7_GFNI |
	  ECX7_VAES | ECX7_VPCLMULQDQ | ECX7_AVX512_VNNI | ECX7_AVX512_BITALG |
	  ECX7_AVX512_POPCNT | ECX7_LA57 | ECX7_RDPID | ECX7_SGX_LC, 0 },
	{ 0x7, 0, CPUID_EDX,
	  EDX7_AVX512_4VNNIW | EDX7_AVX512_4FMAPS | EDX7_FSRM | EDX7_AVX512_VP2, 0 },
	{ 0xd, 0, CPUID_EAX, XCR0_MPX | XCR0_AVX512 | XCR0_PKRU, 0 },
	{ 0xd, 1, CPUID_EAX, XSAVE_XSAVEC | XSAVE_XGETBV1 | XSAVE_XSAVES, 0 },
	{ 0x80000001, 0, CPUID_ECX, ECX81_PREFETCHW | ECX81_MONITORX, 0 },
	{ 0x80000001, 0, CPUID_EDX, EDX81_PAGE_1GB, 0 },
	{ 0x80000008, 0, CPUID_EBX, EBX88_WBNOINVD, 0 },
};

/* T2CL and T2A together: what either vendor has alone. */
static const struct row t2cl_rows[] = {
	{ 0x80000001, 0, CPUID_ECX, ECX81_SSE4A | ECX81_MISALIGN_SSE, 0 },
	{ 0x80000001, 0, CPUID_EDX, EDX81_MMXEXT | EDX81_MMX | EDX81_FXSR | EDX81_FFXSR, 0 },
};

static const struct row t2a_rows[] = {
	{ 0x80000001, 0, CPUID_ECX, ECX81_SSE4A | ECX81_MISALIGN_SSE | ECX81_SVM, 0 },
	{ 0x80000001, 0, CPUID_EDX, EDX81_MMXEXT | EDX81_FFXSR, 0 },
	{ 0x80000008, 0, CPUID_EBX, EBX88_CLZERO,
	  EBX88_RSTR_FP_ERR | EBX88_IBRS_PREFER | EBX88_IBRS_SAME | EBX88_NO_LMSLE },
};

static const struct row c3_rows[] = {
	{ 0x1, 0, CPUID_EAX, SIGNATURE, IVY_BRIDGE_SERVER },
	{ 0x1, 0, CPUID_ECX,
	  ECX1_DTES64 | ECX1_MONITOR | ECX1_DS_CPL | ECX1_VMX | ECX1_TM2 | ECX1_CNXT_ID |
	  ECX1_SDBG | ECX1_FMA | ECX1_XTPR | ECX1_PDCM | ECX1_MOVBE, 0 },
	{ 0x1, 0, CPUID_EDX,
	  EDX1_PSN | EDX1_DS | EDX1_ACPI | EDX1_SS | EDX1_TM | EDX1_PBE, EDX1_MCE | EDX1_MTRR },
	{ 0x7, 0, CPUID_EBX,
	  EBX7_SGX | EBX7_BMI1 | EBX7_HLE | EBX7_AVX2 | EBX7_BMI2 | EBX7_INVPCID | EBX7_RTM |
	  EBX7_RDT_M | EBX7_MPX | EBX7_RDT_A | AVX512_EBX7 | EBX7_RDSEED | EBX7_ADX |
	  EBX7_CLFLUSHOPT | EBX7_CLWB | EBX7_PT | EBX7_SHA, 0 },
	{ 0x7, 0, CPUID_ECX,
	  ECX7_AVX512_VBMI | ECX7_UMIP | ECX7_PKU | ECX7_OSPKE | ECX7_AVX512_VNNI |
	  ECX7_AVX512_POPCNT | ECX7_LA57 | ECX7_RDPID | ECX7_SGX_LC, 0 },
	{ 0x7, 0, CPUID_EDX, EDX7_AVX512_4VNNIW | EDX7_AVX512_4FMAPS, 0 },
	{ 0xd, 0, CPUID_EAX, XCR0_MPX | XCR0_AVX512 | XCR0_PKRU, 0 },
	{ 0xd, 1, CPUID_EAX, XSAVE_XSAVEC | XSAVE_XGETBV1 | XSAVE_XSAVES, 0 },
	{ 0x80000001, 0, CPUID_ECX, ECX81_LZCNT | ECX81_PREFETCHW, 0 },
	{ 0x80000001, 0, CPUID_EDX, EDX81_PAGE_1GB, 0 },
};

/* IA32_ARCH_CAPABILITIES. T2S: the same on both its processors. T2CL: which flaws the
 * processor is without, as it is. */
#define T2S_CAPABILITIES  UINT64_C(0x0c0a0c4c)
#define T2CL_CAPABILITIES UINT64_C(0x1d0ae1ff)

struct model {
	const char *name;
	unsigned family, model, stepping;
};
#define SKYLAKE	     { "Skylake", 6, 0x55, 4 }
#define CASCADE_LAKE { "Cascade Lake", 6, 0x55, 7 }
#define ICE_LAKE     { "Ice Lake", 6, 0x6a, 6 }
#define MILAN	     { "Milan", 0x19, 1, 1 }

static const char intel[] = "GenuineIntel", amd[] = "AuthenticAMD";

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

static const struct named {
	const char *vendor; /* NULL: no x86 processor's */
	struct model models[MAX_MODELS];
	const struct row *rows;
	size_t nrows;
	const struct row *more;
	size_t nmore;
	uint64_t msr_mask, msr_value; /* of IA32_ARCH_CAPABILITIES */
} named[] = {
	[CPU_TEMPLATE_C3] = { intel, { SKYLAKE, CASCADE_LAKE, ICE_LAKE }, ROWS(c3_rows) },
	[CPU_TEMPLATE_T2] = { intel, { SKYLAKE, CASCADE_LAKE, ICE_LAKE }, ROWS(haswell_rows) },
	[CPU_TEMPLATE_T2S] = { intel, { SKYLAKE, CASCADE_LAKE }, ROWS(haswell_rows),
			       .msr_mask = UINT64_MAX, .msr_value = T2S_CAPABILITIES },
	[CPU_TEMPLATE_T2CL] = { intel, { CASCADE_LAKE, ICE_LAKE }, ROWS(haswell_rows),
				ROWS(t2cl_rows), .msr_mask = ~T2CL_CAPABILITIES },
	[CPU_TEMPLATE_T2A] = { amd, { MILAN }, ROWS(haswell_rows), ROWS(t2a_rows) },
	[CPU_TEMPLATE_V1N1] = { .vendor = NULL },
};
/* clang-format on */

void named_template_host(struct host_cpu *ret)
{
	uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;

	memset(ret, 0, sizeof(*ret));
	__cpuid(0, eax, ebx, ecx, edx);
	memcpy(ret->vendor, &ebx, 4);
	memcpy(ret->vendor + 4, &edx, 4);
	memcpy(ret->vendor + 8, &ecx, 4);
	__cpuid(1, eax, ebx, ecx, edx);
	ret->family = eax >> 8 & 0xf;
	ret->model = eax >> 4 & 0xf;
	ret->stepping = eax & 0xf;
	if (ret->family == 6 || ret->family == 0xf)
		ret->model |= (eax >> 16 & 0xf) << 4;
	if (ret->family == 0xf)
		ret->family += eax >> 20 & 0xff;
}

static bool fits(const struct named *t, const struct host_cpu *host)
{
	for (unsigned i = 0; i < MAX_MODELS && t->models[i].name; i++) {
		const struct model *m = &t->models[i];

		if (m->family == host->family && m->model == host->model &&
		    m->stepping == host->stepping)
			return true;
	}
	return false;
}

int named_template_check(enum cpu_template_name name, const struct host_cpu *host,
			 struct error *err)
{
	const struct named *t = &named[name];
	char hint[sizeof(err->hint)];

	if (name == CPU_TEMPLATE_NONE)
		return 0;
	if (!t->vendor || strcmp(t->vendor, host->vendor) != 0)
		return error_set(err, -EOPNOTSUPP, "cpu_template",
				 "use a host that it is for, or a template of your own",
				 "CPU vendor mismatched between actual CPU and CPU template. "
				 "This host's vendor is %s, the template's %s",
				 host->vendor, t->vendor ? t->vendor : "Arm");
	if (fits(t, host))
		return 0;
	snprintf(hint, sizeof(hint),
		 "it is for %s%s%s%s%s; use one of those, or a template of "
		 "your own",
		 t->models[0].name, t->models[1].name ? ", " : "",
		 t->models[1].name ? t->models[1].name : "", t->models[2].name ? ", " : "",
		 t->models[2].name ? t->models[2].name : "");
	return error_set(err, -EOPNOTSUPP, "cpu_template", hint,
			 "The current CPU model is not permitted to apply the CPU template. It is "
			 "family %u, model %u, stepping %u",
			 host->family, host->model, host->stepping);
}

static void add_rows(struct cpu_template *t, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		t->cpuid[t->ncpuid++] = (struct cpu_template_cpuid){
			.leaf = rows[i].leaf,
			.subleaf = rows[i].subleaf,
			.reg = rows[i].reg,
			.mask = rows[i].clear | rows[i].set,
			.value = rows[i].set,
		};
}

void named_template_make(enum cpu_template_name name, struct cpu_template *ret)
{
	const struct named *t = &named[name];

	*ret = (struct cpu_template){ 0 };
	if (name == CPU_TEMPLATE_NONE)
		return;
	add_rows(ret, t->rows, t->nrows);
	add_rows(ret, t->more, t->nmore);
	if (t->msr_mask)
		ret->msrs[ret->nmsrs++] = (struct cpu_template_msr){
			.index = MSR_ARCH_CAPABILITIES,
			.mask = t->msr_mask,
			.value = t->msr_value,
		};
}
