/* feature_names.c - what the bits of CPUID's feature words are called. */
#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86_64/feature_names.h"

enum { BITS = 32 };

static const struct {
	const char *word;
	const char *name[BITS]; /* NULL: none is in use */
} words[] = {
	{ "1.ecx",
	  { [0] = "pni",
	    [1] = "pclmulqdq",
	    [9] = "ssse3",
	    [12] = "fma",
	    [13] = "cx16",
	    [17] = "pcid",
	    [19] = "sse4_1",
	    [20] = "sse4_2",
	    [21] = "x2apic",
	    [22] = "movbe",
	    [23] = "popcnt",
	    [25] = "aes",
	    [26] = "xsave",
	    [28] = "avx",
	    [29] = "f16c",
	    [30] = "rdrand" } },
	{ "1.edx", { [0] = "fpu",  [1] = "vme",	   [2] = "de",	     [3] = "pse",  [4] = "tsc",
		     [5] = "msr",  [6] = "pae",	   [7] = "mce",	     [8] = "cx8",  [9] = "apic",
		     [11] = "sep", [12] = "mtrr",  [13] = "pge",     [14] = "mca", [15] = "cmov",
		     [16] = "pat", [17] = "pse36", [19] = "clflush", [23] = "mmx", [24] = "fxsr",
		     [25] = "sse", [26] = "sse2",  [27] = "ss" } },
	{ "7.ebx", { [0] = "fsgsbase",	  [1] = "tsc_adjust",  [3] = "bmi1",	 [4] = "hle",
		     [5] = "avx2",	  [7] = "smep",	       [8] = "bmi2",	 [9] = "erms",
		     [10] = "invpcid",	  [11] = "rtm",	       [14] = "mpx",	 [16] = "avx512f",
		     [17] = "avx512dq",	  [18] = "rdseed",     [19] = "adx",	 [20] = "smap",
		     [21] = "avx512ifma", [23] = "clflushopt", [24] = "clwb",	 [28] = "avx512cd",
		     [29] = "sha_ni",	  [30] = "avx512bw",   [31] = "avx512vl" } },
	{ "7.ecx",
	  { [1] = "avx512vbmi",
	    [2] = "umip",
	    [3] = "pku",
	    [5] = "waitpkg",
	    [6] = "avx512_vbmi2",
	    [8] = "gfni",
	    [9] = "vaes",
	    [10] = "vpclmulqdq",
	    [11] = "avx512_vnni",
	    [12] = "avx512_bitalg",
	    [14] = "avx512_vpopcntdq",
	    [16] = "la57",
	    [22] = "rdpid",
	    [25] = "cldemote",
	    [27] = "movdiri",
	    [28] = "movdir64b" } },
	{ "7.edx",
	  { [4] = "fsrm",
	    [8] = "avx512_vp2intersect",
	    [10] = "md_clear",
	    [14] = "serialize",
	    [16] = "tsxldtrk",
	    [22] = "amx_bf16",
	    [23] = "avx512_fp16",
	    [24] = "amx_tile",
	    [25] = "amx_int8",
	    [26] = "spec_ctrl",
	    [27] = "intel_stibp",
	    [28] = "flush_l1d",
	    [29] = "arch_capabilities",
	    [31] = "ssbd" } },
	{ "7:1.eax",
	  { [4] = "avx_vnni",
	    [5] = "avx512_bf16",
	    [10] = "fzrm",
	    [11] = "fsrs",
	    [12] = "fsrc",
	    [21] = "amx_fp16",
	    [23] = "avx_ifma" } },
	{ "d:1.eax",
	  { [0] = "xsaveopt", [1] = "xsavec", [2] = "xgetbv1", [3] = "xsaves", [4] = "xfd" } },
	{ "80000001.ecx",
	  { [0] = "lahf_lm",
	    [2] = "svm",
	    [4] = "cr8_legacy",
	    [5] = "abm",
	    [6] = "sse4a",
	    [7] = "misalignsse",
	    [8] = "3dnowprefetch",
	    [9] = "osvw",
	    [11] = "xop",
	    [16] = "fma4",
	    [21] = "tbm",
	    [22] = "topoext",
	    [23] = "perfctr_core" } },
	{ "80000001.edx",
	  { [11] = "syscall",
	    [20] = "nx",
	    [22] = "mmxext",
	    [25] = "fxsr_opt",
	    [26] = "pdpe1gb",
	    [27] = "rdtscp",
	    [29] = "lm",
	    [30] = "3dnowext",
	    [31] = "3dnow" } },
	{ "80000008.ebx",
	  { [0] = "clzero",
	    [2] = "xsaveerptr",
	    [9] = "wbnoinvd",
	    [12] = "ibpb",
	    [14] = "ibrs",
	    [15] = "stibp",
	    [24] = "amd_ssbd",
	    [25] = "virt_ssbd" } },
};

static const char *const *names_of(const char *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, word) == 0)
			return words[i].name;
	}
	return NULL;
}

void feature_names_print(const char *word, uint32_t bits, char *text, size_t size)
{
	const char *const *name = names_of(word);
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < BITS; i++) {
		char one[32];
		int n;

		if (!(bits >> i & 1))
			continue;
		if (name && name[i])
			n = snprintf(one, sizeof(one), "%s%s", at ? ", " : "", name[i]);
		else
			n = snprintf(one, sizeof(one), "%sbit %u", at ? ", " : "", i);
		if ((size_t)n >= size - at)
			return;
		memcpy(text + at, one, (size_t)n + 1);
		at += (size_t)n;
	}
}
