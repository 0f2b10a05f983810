/* filter_json.c - filters as Firecracker's compiler of filters reads them, in JSON.
 *
 * libseccomp makes the program; this maps the one's rules onto the other's. They differ
 * in one thing: libseccomp compares all 64 bits of an argument, and a "dword" means the
 * lower 32, whatever the upper ones hold. Equality of the lower half is a comparison under a
 * mask. An order is not: but each set of numbers that "gt", "ne" and so on stand for is a
 * union of at most 32 sets which have their upper bits in common (dword.c), and so one rule
 * becomes as many as it takes.
 *
 * A member that the schema does not have is refused rather than passed over: a condition
 * with a misspelt name would otherwise be no condition.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vmm/seccomp/dword.h"
#include "vmm/seccomp/filter_json.h"

enum {
	ARGS_MAX = 6,
	RULES_MAX = BPF_MAXINSNS, /* each takes an instruction at least */
	ERRNO_MAX = 4095,	  /* of the kernel */
	FIELD_BYTES = 64,
};

static const struct {
	const char *name; /* in the file */
	enum filter_thread thread;
} categories[] = {
	{ "vmm", FILTER_MAIN },
	{ "api", FILTER_MAIN },
	{ "vcpu", FILTER_VCPU },
};

enum { CATEGORIES = sizeof(categories) / sizeof(categories[0]) };

static const char *const thread_names[FILTER_THREADS] = {
	[FILTER_MAIN] = "main",
	[FILTER_VCPU] = "vcpu",
};

/* Where in the file one is: "vmm.filter[3].args[0]". */
struct place {
	char text[FIELD_BYTES];
};

/* One condition, as the sets of which one must hold. */
struct choice {
	struct scmp_arg_cmp set[DWORD_SETS_MAX];
	unsigned count;
};

struct rule {
	int call;
	struct choice choice[ARGS_MAX];
	unsigned count;
};

/* A thread's filter on its way. */
struct filter {
	scmp_filter_ctx ctx;
	uint32_t otherwise, match; /* the actions of its categories */
	unsigned rules;		   /* of libseccomp's */
};

const char *filter_thread_name(enum filter_thread thread)
{
	return thread_names[thread];
}

static struct place below(const struct place *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct place below(const struct place *p, const char *format, ...)
{
	struct place r = *p;
	size_t used = strlen(r.text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(r.text + used, sizeof(r.text) - used, format, ap);
	va_end(ap);
	return r;
}

static int bad(const struct place *p, const char *member, const char *hint, struct error *err,
	       const char *what)
{
	struct place full = *p;

	if (member)
		full = below(p, "%s%s", p->text[0] ? "." : "", member);
	return error_set(err, -EINVAL, full.text, hint, "%s %s", full.text, what);
}

/* All members of o must be in known, which NULL ends; "comment" may always be there. */
static int check_members(const json_t *o, const char *const *known, const struct place *p,
			 struct error *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(o))
		return bad(p, NULL, "see wisp-seccomp(1)", err, "is not an object");
	json_object_foreach((json_t *)o, name, value)
	{
		unsigned i = 0;

		while (known[i] && strcmp(known[i], name) != 0)
			i++;
		if (!known[i] && strcmp(name, "comment") != 0)
			return bad(p, name, "remove it, or see to its spelling", err,
				   "is not known here");
	}
	return 0;
}

/* --- actions --- */

/* {"errno": N} and {"trace": N}. */
static int read_numbered_action(const json_t *o, uint32_t *ret)
{
	json_int_t number;

	if (json_object_size(o) != 1)
		return -EINVAL;
	number = json_integer_value(json_object_get(o, "errno"));
	if (json_is_integer(json_object_get(o, "errno")) && number >= 0 && number <= ERRNO_MAX) {
		*ret = SCMP_ACT_ERRNO((uint32_t)number);
		return 0;
	}
	number = json_integer_value(json_object_get(o, "trace"));
	if (json_is_integer(json_object_get(o, "trace")) && number >= 0 && number <= UINT16_MAX) {
		*ret = SCMP_ACT_TRACE((uint32_t)number);
		return 0;
	}
	return -EINVAL;
}

static int read_action(const json_t *o, const char *member, const struct place *p, uint32_t *ret,
		       struct error *err)
{
	static const struct {
		const char *name;
		uint32_t action;
	} names[] = {
		{ "allow", SCMP_ACT_ALLOW },
		{ "log", SCMP_ACT_LOG },
		{ "trap", SCMP_ACT_TRAP },
		{ "kill_thread", SCMP_ACT_KILL_THREAD },
		{ "kill_process", SCMP_ACT_KILL_PROCESS },
	};
	const json_t *value = json_object_get(o, member);
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) != 0)
			continue;
		*ret = names[i].action;
		return 0;
	}
	if (json_is_object(value) && read_numbered_action(value, ret) == 0)
		return 0;
	return bad(p, member,
		   "allow, log, trap, kill_thread, kill_process, {\"errno\": N} or {\"trace\": N}",
		   err, value ? "is not an action" : "is missing");
}

/* --- one condition --- */

static int read_number(const json_t *o, const char *member, json_int_t most, const struct place *p,
		       uint64_t *ret, struct error *err)
{
	const json_t *value = json_object_get(o, member);

	if (!json_is_integer(value))
		return bad(p, member, "give a number, decimal", err,
			   value ? "is not a whole number" : "is missing");
	if (json_integer_value(value) < 0 || json_integer_value(value) > most)
		return bad(p, member,
			   most == ARGS_MAX - 1 ? "0 to 5"
						: "0 to 4294967295 for a dword, 0 to "
						  "9223372036854775807 for a qword",
			   err, "is out of range");
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_type(const json_t *o, const struct place *p, bool *dword, struct error *err)
{
	const char *type = json_string_value(json_object_get(o, "type"));

	*dword = type && strcmp(type, "dword") == 0;
	if (*dword || (type && strcmp(type, "qword") == 0))
		return 0;
	return bad(p, "type", "dword or qword", err, "is not a type");
}

/* *mask: of masked_eq. */
static int read_op(const json_t *o, json_int_t most, const struct place *p, enum scmp_compare *ret,
		   uint64_t *mask, struct error *err)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} names[] = {
		{ "eq", SCMP_CMP_EQ }, { "ne", SCMP_CMP_NE }, { "lt", SCMP_CMP_LT },
		{ "le", SCMP_CMP_LE }, { "gt", SCMP_CMP_GT }, { "ge", SCMP_CMP_GE },
	};
	const json_t *value = json_object_get(o, "op");
	const char *text = json_string_value(value);
	struct place op = below(p, ".op");

	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) != 0)
			continue;
		*ret = names[i].op;
		return 0;
	}
	if (json_object_size(value) == 1 && json_object_get(value, "masked_eq")) {
		*ret = SCMP_CMP_MASKED_EQ;
		return read_number(value, "masked_eq", most, &op, mask, err);
	}
	return bad(p, "op", "eq, ne, lt, le, gt, ge or {\"masked_eq\": MASK}", err,
		   "is not a comparison");
}

/* The sets of one condition. A choice without any can never hold. */
static void make_choice(unsigned index, bool dword, enum scmp_compare op, uint64_t mask,
			uint64_t value, struct choice *ret)
{
	struct dword_set sets[DWORD_SETS_MAX];

	ret->count = 1;
	ret->set[0] = (struct scmp_arg_cmp){ index, op, value, 0 };
	if (op == SCMP_CMP_MASKED_EQ)
		ret->set[0] = (struct scmp_arg_cmp){ index, op, mask, value };
	if (op == SCMP_CMP_MASKED_EQ && value & ~mask)
		ret->count = 0;
	if (!dword || op == SCMP_CMP_MASKED_EQ)
		return;
	ret->count = dword_sets(op, (uint32_t)value, sets);
	for (unsigned i = 0; i < ret->count; i++)
		ret->set[i] = (struct scmp_arg_cmp){ index, SCMP_CMP_MASKED_EQ, sets[i].mask,
						     sets[i].value };
}

static int read_condition(const json_t *o, const struct place *p, struct rule *rule,
			  struct error *err)
{
	static const char *const known[] = { "index", "type", "op", "val", NULL };
	uint64_t index = 0, value = 0, mask = 0;
	enum scmp_compare op = SCMP_CMP_EQ;
	struct choice *choice = &rule->choice[rule->count];
	bool dword = false;
	json_int_t most;
	int r = check_members(o, known, p, err);

	if (r == 0)
		r = read_number(o, "index", ARGS_MAX - 1, p, &index, err);
	if (r == 0)
		r = read_type(o, p, &dword, err);
	most = dword ? UINT32_MAX : INT64_MAX;
	if (r == 0)
		r = read_op(o, most, p, &op, &mask, err);
	if (r == 0)
		r = read_number(o, "val", most, p, &value, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < rule->count; i++)
		if (rule->choice[i].set[0].arg == index)
			return bad(p, "index", "one condition an argument; write two rules", err,
				   "names an argument a second time");
	make_choice((unsigned)index, dword, op, mask, value, choice);
	if (choice->count == 0)
		return bad(p, "val", "remove the rule", err, "makes a condition that never holds");
	rule->count++;
	return 0;
}

/* --- one rule --- */

/* One combination of the choices' sets. */
static int add_picked(struct filter *f, const struct rule *rule, const unsigned pick[ARGS_MAX])
{
	struct scmp_arg_cmp set[ARGS_MAX];
	unsigned used = 0;
	int r;

	for (unsigned i = 0; i < rule->count; i++) {
		const struct scmp_arg_cmp *c = &rule->choice[i].set[pick[i]];

		/* A mask without bits: any value will do. */
		if (c->op != SCMP_CMP_MASKED_EQ || c->datum_a)
			set[used++] = *c;
	}
	if (++f->rules > RULES_MAX)
		return -E2BIG;
	r = seccomp_rule_add_array(f->ctx, f->match, rule->call, used, set);
	return r == -EEXIST ? 0 : r;
}

/* The next combination; false after the last. */
static bool next_pick(const struct rule *rule, unsigned pick[ARGS_MAX])
{
	for (unsigned i = 0; i < rule->count; i++) {
		if (++pick[i] < rule->choice[i].count)
			return true;
		pick[i] = 0;
	}
	return false;
}

static int add_rule(struct filter *f, const struct rule *rule)
{
	unsigned pick[ARGS_MAX] = { 0 };
	int r;

	do
		r = add_picked(f, rule, pick);
	while (r == 0 && next_pick(rule, pick));
	return r;
}

static int read_conditions(const json_t *args, const struct place *p, struct rule *rule,
			   struct error *err)
{
	struct place all = below(p, ".args");
	int r = 0;

	if (args && (!json_is_array(args) || json_array_size(args) > ARGS_MAX))
		return bad(&all, NULL, "at most one for each of six arguments", err,
			   "is not a list of conditions");
	for (size_t i = 0; r == 0 && i < json_array_size(args); i++) {
		struct place one = below(&all, "[%zu]", i);

		r = read_condition(json_array_get(args, i), &one, rule, err);
	}
	return r;
}

static int read_call(const json_t *o, const struct place *p, int *ret, struct error *err)
{
	const char *name = json_string_value(json_object_get(o, "syscall"));

	*ret = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR;
	if (*ret >= 0)
		return 0;
	return bad(p, "syscall", "a name as in syscalls(2)", err,
		   *ret == __NR_SCMP_ERROR ? "is no system call"
					   : "is no system call of this machine");
}

static int cannot_compile(const char *what, int r, struct error *err)
{
	return error_set(err, r, what,
			 r == -E2BIG ? "the kernel takes 4096 instructions; fewer rules, or eq "
				       "and masked_eq, which take the fewest"
				     : NULL,
			 "%s cannot be compiled: %s", what, strerror(-r));
}

static int read_rule(const json_t *o, const struct place *p, struct filter *f, struct error *err)
{
	static const char *const known[] = { "syscall", "args", NULL };
	struct rule rule = { .count = 0 };
	int r = check_members(o, known, p, err);

	if (r == 0)
		r = read_call(o, p, &rule.call, err);
	if (r == 0)
		r = read_conditions(json_object_get(o, "args"), p, &rule, err);
	if (r < 0)
		return r;
	r = add_rule(f, &rule);
	return r < 0 ? cannot_compile(p->text, r, err) : 0;
}

/* --- a thread --- */

static int read_rules(const json_t *category, const struct place *p, struct filter *f,
		      struct error *err)
{
	const json_t *rules = json_object_get(category, "filter");
	int r = 0;

	if (!json_is_array(rules))
		return bad(p, "filter", "[{\"syscall\": \"read\"}, ...]", err,
			   rules ? "is not a list of rules" : "is missing");
	for (size_t i = 0; r == 0 && i < json_array_size(rules); i++) {
		struct place one = below(p, ".filter[%zu]", i);

		r = read_rule(json_array_get(rules, i), &one, f, err);
	}
	return r;
}

/* The first category of a thread begins its filter. */
static int begin(struct filter *f, uint32_t otherwise, uint32_t match)
{
	f->otherwise = otherwise;
	f->match = match;
	f->ctx = seccomp_init(otherwise);
	return f->ctx ? seccomp_attr_set(f->ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)
		      : -ENOMEM;
}

static int add_category(const json_t *category, const struct place *p, struct filter *f,
			struct error *err)
{
	static const char *const known[] = { "default_action", "filter_action", "filter", NULL };
	uint32_t otherwise = 0, match = 0;
	int r = check_members(category, known, p, err);

	if (r == 0)
		r = read_action(category, "default_action", p, &otherwise, err);
	if (r == 0)
		r = read_action(category, "filter_action", p, &match, err);
	if (r < 0)
		return r;
	if (otherwise == match)
		return bad(p, "filter_action", "give another one than default_action", err,
			   "makes no difference");
	if (!f->ctx && (r = begin(f, otherwise, match)) < 0)
		return cannot_compile(p->text, r, err);
	if (otherwise != f->otherwise || match != f->match)
		return bad(p, NULL, "vmm and api are one thread in wisp", err,
			   "has other actions than vmm");
	return read_rules(category, p, f, err);
}

/* Of the categories of a thread the first must be there. */
static int read_categories(const json_t *root, enum filter_thread thread, struct filter *f,
			   struct error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < CATEGORIES; i++) {
		const json_t *category = json_object_get(root, categories[i].name);
		struct place none = { "" }, p = below(&none, "%s", categories[i].name);

		if (categories[i].thread != thread)
			continue;
		if (category)
			r = add_category(category, &p, f, err);
		else if (!f->ctx)
			r = bad(&p, NULL, "there must be filters for vmm and for vcpu", err,
				"is missing");
	}
	return r;
}

static int compile_thread(const json_t *root, enum filter_thread thread, struct program *ret,
			  struct error *err)
{
	struct filter f = { .ctx = NULL };
	int r = read_categories(root, thread, &f, err);

	if (r == 0 && (r = program_export(f.ctx, ret)) < 0)
		cannot_compile(thread_names[thread], r, err);
	seccomp_release(f.ctx);
	return r;
}

int filter_json_compile(const json_t *root, struct program ret[FILTER_THREADS], struct error *err)
{
	static const char *const known[] = { "vmm", "api", "vcpu", NULL };
	struct place p = { "" };
	int r = json_is_object(root) ? check_members(root, known, &p, err)
				     : error_set(err, -EINVAL, NULL, "see wisp-seccomp(1)",
						 "The file is not an object of threads");

	for (int i = 0; r == 0 && i < FILTER_THREADS; i++)
		r = compile_thread(root, (enum filter_thread)i, &ret[i], err);
	return r;
}
