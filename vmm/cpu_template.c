/* cpu_template.c - from the texts of a CPU template to its numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu_template.h"

#define NUMBER_HINT "write 0x and hexadecimal digits, or 0b and binary ones"
#define BITMAP_HINT "write 0b, then 0, 1 or x for each bit, at most as many as the register has"

static int bad(struct error *err, const char *list, unsigned i, const char *field, const char *text,
	       const char *hint)
{
	char where[64];

	snprintf(where, sizeof(where), "%s[%u].%s", list, i, field);
	return error_set(err, -EINVAL, where, hint, "Invalid CPU template: %s cannot be '%.120s'",
			 field, text);
}

/* 32 bits, after a prefix. */
static bool parse_number(const char *text, uint32_t *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	int base = strncmp(text, "0x", 2) == 0 ? 16 : strncmp(text, "0b", 2) == 0 ? 2 : 0;
	size_t allowed = base == 2 ? 2 : sizeof(digits) - 1, len = strlen(text);
	unsigned long long n;

	if (base == 0 || len < 3)
		return false;
	for (const char *c = text + 2; *c; c++) {
		if (!memchr(digits, *c, allowed))
			return false;
	}
	errno = 0;
	n = strtoull(text + 2, NULL, base);
	*ret = (uint32_t)n;
	return errno == 0 && n <= UINT32_MAX;
}

/* The last one written is bit 0. What is not written stays as it is, like an x. */
static bool parse_bitmap(const char *text, unsigned width, uint64_t *mask, uint64_t *value)
{
	unsigned bits = 0;

	*mask = *value = 0;
	if (strncmp(text, "0b", 2) != 0)
		return false;
	for (const char *c = text + 2; *c; c++) {
		if (*c == '_')
			continue;
		if ((*c != '0' && *c != '1' && *c != 'x') || ++bits > width)
			return false;
		*mask = *mask << 1 | (*c != 'x');
		*value = *value << 1 | (*c == '1');
	}
	return bits > 0;
}

/* "171" is required; "!171" takes away one that Firecracker would require. */
static int parse_capabilities(const struct cpu_config *c, struct cpu_template *t, struct error *err)
{
	for (unsigned i = 0; i < c->ncapabilities; i++) {
		const char *text = c->capabilities[i], *number = text + (text[0] == '!');
		char *end;
		unsigned long n = strtoul(number, &end, 10);

		if (number[0] < '0' || number[0] > '9' || *end || n > UINT32_MAX)
			return error_set(err, -EINVAL, "kvm_capabilities",
					 "write the number of a KVM_CAP_, or ! and the number",
					 "Invalid CPU template: a KVM capability cannot be '%s'",
					 text);
		if (text[0] != '!')
			t->capabilities[t->ncapabilities++] = (uint32_t)n;
	}
	return 0;
}

static int parse_leaf(const struct cpuid_modifier_config *c, unsigned i, struct cpu_template *t,
		      struct error *err)
{
	static const char list[] = "cpuid_modifiers";
	struct cpu_template_cpuid row = { .flags = (uint32_t)c->flags };

	if (!parse_number(c->leaf, &row.leaf))
		return bad(err, list, i, "leaf", c->leaf, NUMBER_HINT);
	if (!parse_number(c->subleaf, &row.subleaf))
		return bad(err, list, i, "subleaf", c->subleaf, NUMBER_HINT);
	for (unsigned r = 0; r < c->nregisters; r++) {
		uint64_t mask, value;

		if (!parse_bitmap(c->registers[r].bitmap, 32, &mask, &value))
			return bad(err, list, i, "bitmap", c->registers[r].bitmap, BITMAP_HINT);
		row.reg = c->registers[r].reg;
		row.mask = (uint32_t)mask;
		row.value = (uint32_t)value;
		t->cpuid[t->ncpuid++] = row;
	}
	return 0;
}

static int parse_msr(const struct msr_modifier_config *c, unsigned i, struct cpu_template *t,
		     struct error *err)
{
	struct cpu_template_msr row;

	if (!parse_number(c->addr, &row.index))
		return bad(err, "msr_modifiers", i, "addr", c->addr, NUMBER_HINT);
	if (!parse_bitmap(c->bitmap, 64, &row.mask, &row.value))
		return bad(err, "msr_modifiers", i, "bitmap", c->bitmap, BITMAP_HINT);
	t->msrs[t->nmsrs++] = row;
	return 0;
}

int cpu_template_parse(const struct cpu_config *config, struct cpu_template *ret, struct error *err)
{
	int r;

	*ret = (struct cpu_template){ 0 };
	r = parse_capabilities(config, ret, err);
	for (unsigned i = 0; i < config->ncpuid && r == 0; i++)
		r = parse_leaf(&config->cpuid[i], i, ret, err);
	for (unsigned i = 0; i < config->nmsrs && r == 0; i++)
		r = parse_msr(&config->msrs[i], i, ret, err);
	return r;
}
