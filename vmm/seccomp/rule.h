/* rule.h - how a list of allowed system calls is written.
 *
 * The lists stand beside the code that needs the calls, in headers named NAME_syscalls.h,
 * each a const array of struct syscall_rule with a reason for what is not obvious. Only
 * the compiler (compile.c) includes them, when the project is built. What a list does
 * not name ends the process.
 *
 *   ALLOW(read)                                  whatever its arguments
 *   ALLOW_IF(ioctl, IS(1, KVM_RUN))              one value, of the argument's low 32 bits
 *   ALLOW_IF(mmap, WITHOUT(2, PROT_EXEC))        none of these bits
 *   ALLOW_IF(futex, MASKED(1, FUTEX_CMD_MASK, FUTEX_WAKE))
 *   REFUSE(clone3, ENOSYS)                       the call fails, the process lives on
 *
 * Arguments count from 0. More than one condition: all must hold, each on an argument of
 * its own. More than one rule for a call: one must hold.
 */
#ifndef VMM_SECCOMP_RULE_H
#define VMM_SECCOMP_RULE_H

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

enum { RULE_CONDITIONS = 2 };

struct syscall_condition {
	struct scmp_arg_cmp compare;
	const char *text; /* "argument 1 = KVM_RUN" */
};

struct syscall_rule {
	const char *call;
	int refusal; /* the errno that the caller gets; 0: the call is allowed */
	struct syscall_condition condition[RULE_CONDITIONS]; /* up to the first without text */
};

struct syscall_list {
	const struct syscall_rule *rules;
	size_t count;
};

/* clang-format off */
#define ALLOW(name)           { .call = #name }
#define ALLOW_IF(name, ...)   { .call = #name, .condition = { __VA_ARGS__ } }
#define REFUSE(name, error)   { .call = #name, .refusal = (error) }

#define MASKED(n, mask, value)                                                            \
	{ { n, SCMP_CMP_MASKED_EQ, (uint32_t)(mask), (uint32_t)(value) },                 \
	  "argument " #n " & " #mask " = " #value }
#define IS(n, value)                                                                      \
	{ { n, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value) }, "argument " #n " = " #value }
#define WITHOUT(n, bits)                                                                  \
	{ { n, SCMP_CMP_MASKED_EQ, (uint32_t)(bits), 0 }, "argument " #n " without " #bits }

#define SYSCALL_LIST(array)   { array, sizeof(array) / sizeof((array)[0]) }
/* clang-format on */

#endif
