/* gpa.h - a guest-physical address. */
#ifndef VMM_MEMORY_GPA_H
#define VMM_MEMORY_GPA_H

#include <stdint.h>

/* A struct, not an integer: a guest address cannot be dereferenced or mixed up
 * with a length by accident, and the compiler says so. */
typedef struct {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t address)
{
	return (gpa_t){ address };
}

#endif
