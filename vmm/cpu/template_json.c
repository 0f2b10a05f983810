/* template_json.c - CPU templates as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/schema.h"
#include "vmm/arch/arch.h"
#include "vmm/cpu/template_json.h"

static const char *const registers[] = { "eax", "ebx", "ecx", "edx" };

json_t *json_from_file(const char *path, struct error *err)
{
	json_error_t fault;
	json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &fault);

	if (!j)
		error_set(err, -EBADMSG, NULL, "give a file that this program has written",
			  "%s: %s (line %d)", path, fault.text, fault.line);
	return j;
}

int template_json_read(const json_t *object, struct cpu_template *ret, struct error *err)
{
	struct cpu_config *config = calloc(1, sizeof(*config));
	int r = config ? body_read(&body_cpu, object, 0, config, err)
		       : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	if (r >= 0)
		r = cpu_template_parse(config, ret, err);
	free(config);
	return r < 0 ? r : 0;
}

static int load_name(const char *name, struct cpu_template *ret, struct error *err)
{
	struct machine_config machine = MACHINE_CONFIG_DEFAULT;
	json_t *body = json_pack("{s:s}", "cpu_template", name);
	int r = body ? body_read(&body_machine, body, BODY_PARTIAL, &machine, err)
		     : error_set(err, -EINVAL, NULL, NULL, "%s is neither a file nor a name", name);

	json_decref(body);
	if (r < 0)
		return r;
	arch_make_template((enum cpu_template_name)machine.cpu_template, ret);
	return 0;
}

int template_json_load(const char *path, struct cpu_template *ret, struct error *err)
{
	json_t *j;
	int r;

	if (access(path, F_OK) < 0 && errno == ENOENT && !strchr(path, '/'))
		return load_name(path, ret, err);
	j = json_from_file(path, err);
	r = j ? template_json_read(j, ret, err) : -EBADMSG;
	json_decref(j);
	return r;
}

static json_t *hex(uint32_t n)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%" PRIx32, n);
	return json_string(text);
}

static json_t *bitmap(uint64_t mask, uint64_t value, unsigned width)
{
	char text[2 + 64 + 1] = "0b";

	for (unsigned i = 0; i < width; i++) {
		unsigned bit = width - 1 - i;

		text[2 + i] = !(mask >> bit & 1) ? 'x' : value >> bit & 1 ? '1' : '0';
	}
	return json_string(text);
}

static bool same_leaf(const struct cpu_template_cpuid *a, const struct cpu_template_cpuid *b)
{
	return a->leaf == b->leaf && a->subleaf == b->subleaf && a->flags == b->flags;
}

/* The leaf of row i and of those that follow it with the same; *next is behind them. */
static json_t *leaf_json(const struct cpu_template *t, unsigned i, unsigned *next)
{
	const struct cpu_template_cpuid *first = &t->cpuid[i];
	json_t *modifiers = json_array();

	for (; i < t->ncpuid && same_leaf(first, &t->cpuid[i]); i++)
		json_array_append_new(modifiers,
				      json_pack("{s:s, s:o}", "register",
						registers[t->cpuid[i].reg], "bitmap",
						bitmap(t->cpuid[i].mask, t->cpuid[i].value, 32)));
	*next = i;
	return json_pack("{s:o, s:o, s:I, s:o}", "leaf", hex(first->leaf), "subleaf",
			 hex(first->subleaf), "flags", (json_int_t)first->flags, "modifiers",
			 modifiers);
}

json_t *template_json_write(const struct cpu_template *t)
{
	json_t *leaves = json_array(), *msrs = json_array();

	for (unsigned i = 0; i < t->ncpuid;)
		json_array_append_new(leaves, leaf_json(t, i, &i));
	for (unsigned i = 0; i < t->nmsrs; i++)
		json_array_append_new(
			msrs, json_pack("{s:o, s:o}", "addr", hex(t->msrs[i].index), "bitmap",
					bitmap(t->msrs[i].mask, t->msrs[i].value, 64)));
	return json_pack("{s:o, s:o}", "cpuid_modifiers", leaves, "msr_modifiers", msrs);
}
