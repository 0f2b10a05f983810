/* compile.c - compiles the lists of allowed system calls, when the project is built.
 *
 *   compile-filters OUT.c
 *
 * libseccomp makes a BPF program of each role's lists (roles.h); they are written as C
 * arrays, so that wisp installs a filter with one system call, does not carry libseccomp,
 * and parses nothing on the way to the first guest instruction.
 *
 * Every program checks the architecture first: a call through another entry of the
 * kernel (32 bits, x32) kills the process outright. What no rule allows raises SIGSYS,
 * which thread_filter.c turns into a line of the log and an exit status.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/seccomp/program.h"
#include "vmm/seccomp/roles.h"

enum { CALLS_MAX = 512 };

static const char *const symbols[THREAD_ROLES] = {
	[THREAD_MAIN] = "THREAD_MAIN",
	[THREAD_MAIN_PCI] = "THREAD_MAIN_PCI",
	[THREAD_MAIN_RESTART] = "THREAD_MAIN_RESTART",
	[THREAD_MAIN_BLANK] = "THREAD_MAIN_BLANK",
	[THREAD_VCPU] = "THREAD_VCPU",
	[THREAD_WORKER] = "THREAD_WORKER",
	[THREAD_IO] = "THREAD_IO",
};

static bool fails(const char *what, int r)
{
	if (r >= 0)
		return false;
	fprintf(stderr, "compile-filters: %s: %s\n", what, strerror(-r));
	return true;
}

/* Two lists may have the same rule: not an error. */
static int add_rule(scmp_filter_ctx filter, const struct syscall_rule *rule)
{
	struct scmp_arg_cmp conditions[RULE_CONDITIONS];
	int call = seccomp_syscall_resolve_name(rule->call), r;
	uint32_t action = rule->refusal ? SCMP_ACT_ERRNO((unsigned)rule->refusal) : SCMP_ACT_ALLOW;
	unsigned n = 0;

	if (call == __NR_SCMP_ERROR)
		return -ENOSYS;
	for (; n < RULE_CONDITIONS && rule->condition[n].text; n++)
		conditions[n] = rule->condition[n].compare;
	r = seccomp_rule_add_array(filter, action, call, n, conditions);
	return r == -EEXIST ? 0 : r;
}

static int add_list(scmp_filter_ctx filter, const struct syscall_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (fails(list->rules[i].call, add_rule(filter, &list->rules[i])))
			return -EINVAL;
	return 0;
}

/* The guest's exits all end in one ioctl: it is looked at first. */
static int set_up(scmp_filter_ctx filter, enum thread_role role)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0 && role == THREAD_VCPU)
		r = seccomp_syscall_priority(filter, SCMP_SYS(ioctl), UINT8_MAX);
	if (r == 0 && role != THREAD_VCPU)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
	return r;
}

static int print_code(scmp_filter_ctx filter, const struct role *role, FILE *out)
{
	struct program p;
	int r = program_export(filter, &p);

	if (r < 0)
		return r;
	fprintf(out, "static const struct sock_filter code_%s[] = {\n", symbols[role->role]);
	for (size_t i = 0; i < p.count; i++)
		fprintf(out, "\t{ 0x%x, %u, %u, 0x%x },\n", p.code[i].code, p.code[i].jt,
			p.code[i].jf, p.code[i].k);
	fprintf(out, "};\n\n");
	return 0;
}

static int compile_role(const struct role *role, FILE *out)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int r = filter ? set_up(filter, role->role) : -ENOMEM;

	for (unsigned i = 0; i < ROLE_LISTS && r == 0; i++)
		r = add_list(filter, &role->lists[i]);
	if (r == 0)
		r = print_code(filter, role, out);
	seccomp_release(filter);
	return r;
}

static void print_rule(FILE *out, const struct syscall_rule *rule)
{
	fprintf(out, "\t\"%s", rule->call);
	if (rule->refusal)
		fprintf(out, ": fails, %s", strerrorname_np(rule->refusal));
	for (unsigned i = 0; i < RULE_CONDITIONS && rule->condition[i].text; i++)
		fprintf(out, "%s%s", i ? ", " : ": ", rule->condition[i].text);
	fprintf(out, "\\n\"\n");
}

static void print_rules(FILE *out)
{
	fprintf(out, "const char *const thread_filter_rules[THREAD_ROLES] = {\n");
	for (size_t n = 0; n < sizeof(roles) / sizeof(roles[0]); n++) {
		fprintf(out, "[%s] =\n", symbols[roles[n].role]);
		for (unsigned i = 0; i < ROLE_LISTS; i++)
			for (size_t k = 0; k < roles[n].lists[i].count; k++)
				print_rule(out, &roles[n].lists[i].rules[k]);
		fprintf(out, ",\n");
	}
	fprintf(out, "};\n\n");
}

static void print_programs(FILE *out)
{
	fprintf(out, "const struct thread_filters thread_filter_programs = { .role = {\n");
	for (int i = 0; i < THREAD_ROLES; i++)
		fprintf(out, "\t[%s] = { code_%s, sizeof(code_%s) / sizeof(code_%s[0]) },\n",
			symbols[i], symbols[i], symbols[i], symbols[i]);
	fprintf(out, "} };\n\n");
}

static void print_calls(FILE *out)
{
	fprintf(out, "const char *const thread_filter_calls[] = {\n");
	for (int i = 0; i < CALLS_MAX; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		if (name)
			fprintf(out, "\t[%d] = \"%s\",\n", i, name);
		free(name);
	}
	fprintf(out, "};\nconst unsigned thread_filter_calls_count =\n"
		     "\tsizeof(thread_filter_calls) / sizeof(thread_filter_calls[0]);\n");
}

static int write_tables(FILE *out)
{
	fprintf(out, "/* Written by compile-filters; the lists are in *_syscalls.h. */\n"
		     "#include \"vmm/base/thread_filter_tables.h\"\n\n");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (fails(symbols[roles[i].role], compile_role(&roles[i], out)))
			return EXIT_FAILURE;
	print_programs(out);
	print_rules(out);
	print_calls(out);
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;
	int status;

	if (!out) {
		fprintf(stderr, "usage: compile-filters OUT.c\n");
		return EXIT_FAILURE;
	}
	status = write_tables(out);
	if (fclose(out) != 0)
		status = EXIT_FAILURE;
	if (status != EXIT_SUCCESS)
		unlink(argv[1]);
	return status;
}
