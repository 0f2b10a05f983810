/* dword.c - which 32-bit numbers a comparison stands for, as sets under a mask.
 *
 * A range that begins at 0 or ends at the last number falls into at most 32 blocks whose
 * length is a power of two and which begin at a multiple of it, at most one of each
 * length; so do the two ranges beside one number, together.
 */
#include "vmm/seccomp/dword.h"

/* Adds the blocks of first to last, which is not empty; returns the new count. */
static unsigned add_range(uint64_t first, uint64_t last, struct dword_set *sets, unsigned count)
{
	while (first <= last) {
		uint64_t length = first ? first & -first : (uint64_t)UINT32_MAX + 1;

		while (first + length - 1 > last)
			length /= 2;
		sets[count++] = (struct dword_set){ (uint32_t)-length, (uint32_t)first };
		first += length;
	}
	return count;
}

/* below: the numbers less than limit; above: those from limit on. */
static unsigned add_below(uint64_t limit, struct dword_set *sets, unsigned count)
{
	return limit > 0 ? add_range(0, limit - 1, sets, count) : count;
}

static unsigned add_above(uint64_t limit, struct dword_set *sets, unsigned count)
{
	return limit <= UINT32_MAX ? add_range(limit, UINT32_MAX, sets, count) : count;
}

unsigned dword_sets(enum scmp_compare op, uint32_t value, struct dword_set sets[DWORD_SETS_MAX])
{
	switch ((int)op) {
	case SCMP_CMP_EQ:
		return add_range(value, value, sets, 0);
	case SCMP_CMP_NE:
		return add_above((uint64_t)value + 1, sets, add_below(value, sets, 0));
	case SCMP_CMP_LT:
		return add_below(value, sets, 0);
	case SCMP_CMP_LE:
		return add_below((uint64_t)value + 1, sets, 0);
	case SCMP_CMP_GT:
		return add_above((uint64_t)value + 1, sets, 0);
	case SCMP_CMP_GE:
		return add_above(value, sets, 0);
	default:
		return 0;
	}
}
