/* any.h - values of which Eva knows nothing.
 *
 * Each driver here includes the source that it is about, and calls it with any arguments
 * at all. Frama-C's Eva then follows every value that each expression may have, and says
 * where one could be undefined. Without Frama-C they compile, so that the other tools
 * read them, too.
 */
#ifndef TESTS_EVA_ANY_H
#define TESTS_EVA_ANY_H

#include <stdint.h>

#ifdef __FRAMAC__
#include <__fc_builtin.h>

/* The guest may write between any two of our accesses; a driver says what that changes. */
static void guest_writes(void);

/* Frama-C does not know these of gcc's. */
#define __atomic_load_n(at, order)	   (guest_writes(), *(at))
#define __atomic_store_n(at, value, order) (*(at) = (value), guest_writes())
#define __atomic_signal_fence(order)	   guest_writes()

/* Names of Linux that Frama-C's C library does not have. */
#define MAP_NORESERVE 0x4000
#define MADV_DONTNEED 4
#define MADV_HUGEPAGE 14
#define MADV_REMOVE   9
#define MADV_DONTDUMP 16
#else
int Frama_C_interval(int min, int max);
unsigned long Frama_C_unsigned_long_interval(unsigned long min, unsigned long max);
float Frama_C_float_interval(float min, float max);
void Frama_C_make_unknown(char *at, unsigned long len);
#endif

static inline uint64_t any_u64(void)
{
	return Frama_C_unsigned_long_interval(0, UINT64_MAX);
}

static inline int any_bool(void)
{
	return Frama_C_interval(0, 1);
}

#endif
