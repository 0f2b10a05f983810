/* dword.h - which 32-bit numbers a comparison stands for, as sets under a mask. */
#ifndef VMM_SECCOMP_DWORD_H
#define VMM_SECCOMP_DWORD_H

#include <seccomp.h>
#include <stdint.h>

enum { DWORD_SETS_MAX = 32 };

/* The numbers n with (n & mask) == value. */
struct dword_set {
	uint32_t mask, value;
};

/* Fills sets with disjoint ones that together are all numbers for which "number OP
 * value" holds (every op but SCMP_CMP_MASKED_EQ); returns how many. 0: no number. */
unsigned dword_sets(enum scmp_compare op, uint32_t value, struct dword_set sets[DWORD_SETS_MAX]);

#endif
