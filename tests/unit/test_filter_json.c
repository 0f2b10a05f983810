/* test_filter_json.c - filters from JSON: what they let through, tried on the kernel, and
 * what is refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/seccomp/dword.h"
#include "vmm/seccomp/filter_json.h"

enum { REFUSED = 77, NO_FILTER = 43 };

/* --- sets of numbers --- */

static const uint32_t numbers[] = {
	0,	    1,		2,	    3,		7,	    8,
	100,	    255,	256,	    0x7ffffffe, 0x7fffffff, 0x80000000,
	0x80000001, 0xaaaaaaaa, 0xfffffffd, 0xfffffffe, 0xffffffff,
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static bool holds(enum scmp_compare op, uint64_t number, uint64_t value)
{
	switch ((int)op) {
	case SCMP_CMP_EQ:
		return number == value;
	case SCMP_CMP_NE:
		return number != value;
	case SCMP_CMP_LT:
		return number < value;
	case SCMP_CMP_LE:
		return number <= value;
	case SCMP_CMP_GT:
		return number > value;
	default:
		return number >= value;
	}
}

static const struct {
	const char *name;
	enum scmp_compare op;
} ops[] = {
	{ "eq", SCMP_CMP_EQ }, { "ne", SCMP_CMP_NE }, { "lt", SCMP_CMP_LT },
	{ "le", SCMP_CMP_LE }, { "gt", SCMP_CMP_GT }, { "ge", SCMP_CMP_GE },
};

enum { OPS = sizeof(ops) / sizeof(ops[0]) };

/* Each number in as many sets as it should be in: one or none. */
static void check_sets(enum scmp_compare op, uint32_t value)
{
	struct dword_set sets[DWORD_SETS_MAX];
	unsigned count = dword_sets(op, value, sets);

	assert_true(count <= DWORD_SETS_MAX);
	for (unsigned i = 0; i < NUMBERS; i++) {
		unsigned in = 0;

		for (unsigned k = 0; k < count; k++)
			in += (numbers[i] & sets[k].mask) == sets[k].value;
		if (in != holds(op, numbers[i], value))
			fail_msg("op %d, %#x: %#x is in %u sets", (int)op, value, numbers[i], in);
	}
}

static void test_sets(void **state)
{
	(void)state;
	for (unsigned op = 0; op < OPS; op++)
		for (unsigned i = 0; i < NUMBERS; i++)
			check_sets(ops[op].op, numbers[i]);
}

/* --- on the kernel --- */

static struct program *compile(const char *text, struct error *err)
{
	struct program *p = calloc(FILTER_THREADS, sizeof(*p));
	json_t *root = json_loads(text, 0, NULL);

	assert_non_null(root);
	if (filter_json_compile(root, p, err) < 0) {
		free(p);
		p = NULL;
	}
	json_decref(root);
	return p;
}

/* A filter that refuses everything but one argument of one call, and a child's own end. */
static struct program *compile_condition(const char *type, const char *op, uint64_t value)
{
	static const char format[] =
		"{\"default_action\": {\"errno\": 77}, \"filter_action\": \"allow\", \"filter\": ["
		"{\"syscall\": \"exit_group\"}, {\"syscall\": \"write\"},"
		"{\"syscall\": \"getpgid\", \"comment\": \"under test\", \"args\": [{\"index\": 0, "
		"\"type\": \"%s\", \"op\": %s, \"val\": %" PRIu64 "}]}]}";
	char filter[512], text[1200];
	struct error err = { 0 };
	struct program *p;

	snprintf(filter, sizeof(filter), format, type, op, value);
	snprintf(text, sizeof(text), "{\"vmm\": %s, \"vcpu\": %s}", filter, filter);
	p = compile(text, &err);
	if (!p)
		fail_msg("%s: %s", text, err.text);
	return p;
}

static bool install(const struct program *p)
{
	const struct sock_fprog program = { (unsigned short)p->count,
					    (struct sock_filter *)p->code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child: bit i of the answer, whether the call with values[i] was let through. The
 * sixth argument is the first one's lowest bit. */
static uint64_t try_values(const struct program *p, const uint64_t *values, unsigned count)
{
	uint64_t bits = 0;
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!install(p))
			_exit(NO_FILTER);
		for (unsigned i = 0; i < count; i++)
			if (syscall(SYS_getpgid, values[i], 0, 0, 0, 0, values[i] & 1) >= 0 ||
			    errno != REFUSED)
				bits |= 1ull << i;
		(void)!write(pipes[1], &bits, sizeof(bits));
		syscall(SYS_exit_group, 0); /* a sanitizer's _exit() would look for leaks */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipes[0], &bits, sizeof(bits)), sizeof(bits));
	close(pipes[0]);
	close(pipes[1]);
	return bits;
}

/* Each number by itself, and with something above its 32 bits: a dword does not care. */
static unsigned spread(uint64_t values[2 * NUMBERS])
{
	for (unsigned i = 0; i < NUMBERS; i++) {
		values[2 * i] = numbers[i];
		values[2 * i + 1] = numbers[i] | 0x500000000ull;
	}
	return 2 * NUMBERS;
}

static void check_op(bool dword, unsigned op, uint64_t value)
{
	uint64_t values[2 * NUMBERS], wanted = 0, got;
	unsigned count = spread(values);
	char quoted[16];
	struct program *p;

	snprintf(quoted, sizeof(quoted), "\"%s\"", ops[op].name);
	p = compile_condition(dword ? "dword" : "qword", quoted, value);
	for (unsigned i = 0; i < count; i++)
		if (holds(ops[op].op, dword ? (uint32_t)values[i] : values[i], value))
			wanted |= 1ull << i;
	got = try_values(&p[FILTER_MAIN], values, count);
	if (got != wanted)
		fail_msg("%s %s %#" PRIx64 ": %#" PRIx64 ", not %#" PRIx64,
			 dword ? "dword" : "qword", ops[op].name, value, got, wanted);
	assert_int_equal(try_values(&p[FILTER_VCPU], values, count), wanted);
	free(p);
}

/* Neither 0 nor the last number: comparisons that never hold are refused. */
static void test_comparisons(void **state)
{
	static const uint64_t values[] = { 1, 100, 0x80000000, 0xfffffffe };

	(void)state;
	for (unsigned op = 0; op < OPS; op++)
		for (unsigned i = 0; i < 4; i++) {
			check_op(true, op, values[i]);
			check_op(false, op, values[i]);
		}
	check_op(true, 5, 0); /* every number is at least 0 */
	check_op(false, 0, 0x500000008);
}

static void test_masks(void **state)
{
	static const uint64_t values[] = { 4, 5, 7, 0, 0x500000004, 0xc };
	struct program *p = compile_condition("dword", "{\"masked_eq\": 6}", 4);

	(void)state;
	assert_int_equal(try_values(p, values, 6), 0x33);
	free(p);
	p = compile_condition("qword", "{\"masked_eq\": 4294967302}", 4);
	assert_int_equal(try_values(p, values, 6), 0x23);
	free(p);
}

/* vmm and api are one thread; more conditions hold together, more rules each. */
static void test_rules_add_up(void **state)
{
	static const uint64_t values[] = { 1, 2, 3, 4, 5, 6, 7 };
	static const char text[] =
		"{\"vmm\": {\"default_action\": {\"errno\": 77}, \"filter_action\": \"allow\","
		" \"filter\": [{\"syscall\": \"exit_group\"}, {\"syscall\": \"write\"},"
		"{\"syscall\": \"getpgid\", \"args\": [{\"index\": 0, \"type\": \"dword\", \"op\":"
		" \"lt\", \"val\": 3}]}]},"
		"\"api\": {\"default_action\": {\"errno\": 77}, \"filter_action\": \"allow\","
		" \"filter\": [{\"syscall\": \"getpgid\", \"args\": [{\"index\": 0, \"type\":"
		" \"dword\", \"op\": \"eq\", \"val\": 5}]}, {\"syscall\": \"getpgid\", \"args\":"
		" [{\"index\": 0, \"type\": \"dword\", \"op\": \"gt\", \"val\": 5}, {\"index\": 5,"
		" \"type\": \"qword\", \"op\": \"ne\", \"val\": 0}]}]},"
		"\"vcpu\": {\"default_action\": \"allow\", \"filter_action\": \"kill_process\","
		" \"filter\": []}}";
	struct error err = { 0 };
	struct program *p = compile(text, &err);

	(void)state;
	assert_non_null(p);
	assert_int_equal(try_values(p, values, 7), 0x53);
	assert_int_equal(try_values(&p[FILTER_VCPU], values, 7), 0x7f);
	free(p);
}

/* --- what is refused --- */

#define HEAD \
	"{\"vcpu\": {\"default_action\": \"trap\", \"filter_action\": \"allow\", \"filter\": []}, "
#define VMM(rules) \
	HEAD "\"vmm\": {\"default_action\": \"trap\", \"filter_action\": \"allow\", " rules "}}"
#define RULE(rule)     VMM("\"filter\": [{\"syscall\": \"read\"}, " rule "]")
#define CONDITION(arg) RULE("{\"syscall\": \"ioctl\", \"args\": [" arg "]}")

static const struct {
	const char *text, *field, *says;
} refused[] = {
	{ "[]", "", "not an object of threads" },
	{ "{}", "vmm", "is missing" },
	{ HEAD "\"vm\": {}}", "vm", "is not known" },
	{ HEAD "\"vmm\": 3}", "vmm", "is not an object" },
	{ HEAD "\"vmm\": {}}", "vmm.default_action", "is missing" },
	{ HEAD "\"vmm\": {\"default_action\": \"halt\"}}", "vmm.default_action",
	  "is not an action" },
	{ HEAD "\"vmm\": {\"default_action\": {\"errno\": 5000}}}", "vmm.default_action",
	  "is not an action" },
	{ HEAD "\"vmm\": {\"default_action\": {\"errno\": 1, \"trace\": 1}}}", "vmm.default_action",
	  "is not an action" },
	{ HEAD "\"vmm\": {\"default_action\": {\"trace\": -1}}}", "vmm.default_action",
	  "is not an action" },
	{ HEAD "\"vmm\": {\"default_action\": \"trap\"}}", "vmm.filter_action", "is missing" },
	{ HEAD "\"vmm\": {\"default_action\": \"log\", \"filter_action\": \"log\"}}",
	  "vmm.filter_action", "makes no difference" },
	{ VMM("\"comment\": 1"), "vmm.filter", "is missing" },
	{ VMM("\"filter\": {}"), "vmm.filter", "is not a list of rules" },
	{ VMM("\"rules\": []"), "vmm.rules", "is not known" },
	{ RULE("3"), "vmm.filter[1]", "is not an object" },
	{ RULE("{}"), "vmm.filter[1].syscall", "is no system call" },
	{ RULE("{\"syscall\": \"raed\"}"), "vmm.filter[1].syscall", "is no system call" },
	{ RULE("{\"syscall\": \"socketcall\"}"), "vmm.filter[1].syscall",
	  "is no system call of this machine" },
	{ RULE("{\"syscall\": \"read\", \"arg\": []}"), "vmm.filter[1].arg", "is not known" },
	{ RULE("{\"syscall\": \"read\", \"args\": {}}"), "vmm.filter[1].args", "is not a list" },
	{ RULE("{\"syscall\": \"read\", \"args\": [1,2,3,4,5,6,7]}"), "vmm.filter[1].args",
	  "is not a list" },
	{ CONDITION("1"), "vmm.filter[1].args[0]", "is not an object" },
	{ CONDITION("{}"), "vmm.filter[1].args[0].index", "is missing" },
	{ CONDITION("{\"index\": 6}"), "vmm.filter[1].args[0].index", "is out of range" },
	{ CONDITION("{\"index\": \"0\"}"), "vmm.filter[1].args[0].index", "not a whole number" },
	{ CONDITION("{\"index\": 0, \"type\": \"word\"}"), "vmm.filter[1].args[0].type",
	  "is not a type" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": \"is\"}"),
	  "vmm.filter[1].args[0].op", "is not a comparison" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": {\"masked_eq\": 4294967296}}"),
	  "vmm.filter[1].args[0].op.masked_eq", "is out of range" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": \"eq\"}"),
	  "vmm.filter[1].args[0].val", "is missing" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": \"eq\", \"val\": 4294967296}"),
	  "vmm.filter[1].args[0].val", "is out of range" },
	{ CONDITION("{\"index\": 0, \"type\": \"qword\", \"op\": \"eq\", \"val\": -1}"),
	  "vmm.filter[1].args[0].val", "is out of range" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": \"lt\", \"val\": 0}"),
	  "vmm.filter[1].args[0].val", "never holds" },
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": {\"masked_eq\": 2}, \"val\": 1}"),
	  "vmm.filter[1].args[0].val", "never holds" },
	{ CONDITION("{\"index\": 1, \"type\": \"dword\", \"op\": \"gt\", \"val\": 1}, "
		    "{\"index\": 1, \"type\": \"dword\", \"op\": \"lt\", \"val\": 9}"),
	  "vmm.filter[1].args[1].index", "a second time" },
	/* 31 times 31 times 31 rules. */
	{ CONDITION("{\"index\": 0, \"type\": \"dword\", \"op\": \"gt\", \"val\": 1}, "
		    "{\"index\": 1, \"type\": \"dword\", \"op\": \"gt\", \"val\": 1}, "
		    "{\"index\": 2, \"type\": \"dword\", \"op\": \"gt\", \"val\": 1}"),
	  "vmm.filter[1]", "cannot be compiled" },
	{ VMM("\"filter\": []"), NULL, NULL }, /* good */
	{ HEAD "\"vmm\": {\"default_action\": \"trap\", \"filter_action\": \"allow\", \"filter\": "
	       "[]}, \"api\": {\"default_action\": \"log\", \"filter_action\": \"allow\", "
	       "\"filter\": []}}",
	  "api", "has other actions" },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct error err = { 0 };
		struct program *p = compile(refused[i].text, &err);

		if (!refused[i].field != !!p)
			fail_msg("%s: %s", refused[i].text, err.text);
		if (!p && (strcmp(err.field, refused[i].field) != 0 ||
			   !strstr(err.text, refused[i].says) || !err.hint[0]))
			fail_msg("%s: %s: %s (%s)", refused[i].text, err.field, err.text, err.hint);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),	cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_masks),	cmocka_unit_test(test_rules_add_up),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
