/* compare.c - CPU templates against each other. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/compare.h"

static const char *const registers[] = { "eax", "ebx", "ecx", "edx" };

static const struct cpu_template_cpuid *find_cpuid(const struct cpu_template *t,
						   const struct cpu_template_cpuid *like)
{
	for (unsigned i = 0; i < t->ncpuid; i++) {
		const struct cpu_template_cpuid *row = &t->cpuid[i];

		if (row->leaf == like->leaf && row->subleaf == like->subleaf &&
		    row->reg == like->reg)
			return row;
	}
	return NULL;
}

static const struct cpu_template_msr *find_msr(const struct cpu_template *t, uint32_t index)
{
	for (unsigned i = 0; i < t->nmsrs; i++) {
		if (t->msrs[i].index == index)
			return &t->msrs[i];
	}
	return NULL;
}

/* The bits of a row that every template has, and has alike. */
static uint32_t cpuid_alike(const struct cpu_template *t, unsigned count,
			    const struct cpu_template_cpuid *row)
{
	uint32_t alike = row->mask;

	for (unsigned i = 0; i < count; i++) {
		const struct cpu_template_cpuid *other = find_cpuid(&t[i], row);

		alike &= other ? other->mask & ~(other->value ^ row->value) : 0;
	}
	return alike;
}

static uint64_t msr_alike(const struct cpu_template *t, unsigned count,
			  const struct cpu_template_msr *row)
{
	uint64_t alike = row->mask;

	for (unsigned i = 0; i < count; i++) {
		const struct cpu_template_msr *other = find_msr(&t[i], row->index);

		alike &= other ? other->mask & ~(other->value ^ row->value) : 0;
	}
	return alike;
}

/* t without the bits that all count templates in all have alike. */
static void strip_one(struct cpu_template *t, const struct cpu_template *all, unsigned count)
{
	unsigned ncpuid = 0, nmsrs = 0;

	for (unsigned i = 0; i < t->ncpuid; i++) {
		struct cpu_template_cpuid row = t->cpuid[i];

		row.mask &= ~cpuid_alike(all, count, &t->cpuid[i]);
		if (row.mask)
			t->cpuid[ncpuid++] = row;
	}
	for (unsigned i = 0; i < t->nmsrs; i++) {
		struct cpu_template_msr row = t->msrs[i];

		row.mask &= ~msr_alike(all, count, &t->msrs[i]);
		if (row.mask)
			t->msrs[nmsrs++] = row;
	}
	t->ncpuid = ncpuid;
	t->nmsrs = nmsrs;
}

/* Not one after the other in place: each is compared with all as they were. */
int compare_strip(struct cpu_template *t, unsigned count)
{
	struct cpu_template *all = calloc(count, sizeof(*all));

	if (!all)
		return -ENOMEM;
	memcpy(all, t, count * sizeof(*all));
	for (unsigned i = 0; i < count; i++)
		strip_one(&t[i], all, count);
	free(all);
	return 0;
}

static bool verify_cpuid(const struct cpu_template_cpuid *row, const struct cpu_template *got,
			 FILE *out)
{
	const struct cpu_template_cpuid *g = find_cpuid(got, row);

	if (g && ((g->value ^ row->value) & row->mask) == 0)
		return true;
	fprintf(out, "CPUID leaf %#" PRIx32 ", subleaf %#" PRIx32 ", %s: ", row->leaf, row->subleaf,
		registers[row->reg]);
	if (g)
		fprintf(out, "bits %#" PRIx32 " are otherwise\n",
			(g->value ^ row->value) & row->mask);
	else
		fprintf(out, "the guest does not have it\n");
	return false;
}

static bool verify_msr(const struct cpu_template_msr *row, const struct cpu_template *got,
		       FILE *out)
{
	const struct cpu_template_msr *g = find_msr(got, row->index);

	if (g && ((g->value ^ row->value) & row->mask) == 0)
		return true;
	fprintf(out, "MSR %#" PRIx32 ": ", row->index);
	if (g)
		fprintf(out, "bits %#" PRIx64 " are otherwise\n",
			(g->value ^ row->value) & row->mask);
	else
		fprintf(out, "the guest does not have it\n");
	return false;
}

unsigned compare_verify(const struct cpu_template *wanted, const struct cpu_template *got,
			FILE *out)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < wanted->ncpuid; i++)
		wrong += !verify_cpuid(&wanted->cpuid[i], got, out);
	for (unsigned i = 0; i < wanted->nmsrs; i++)
		wrong += !verify_msr(&wanted->msrs[i], got, out);
	return wrong;
}
