/* feature_names.h - what the bits of CPUID's feature words are called.
 *
 * The names are those of /proc/cpuinfo, by which people know them. Any thread.
 */
#ifndef VMM_ARCH_X86_64_FEATURE_NAMES_H
#define VMM_ARCH_X86_64_FEATURE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Writes the names of the bits of a word, as "avx2, erms", into text, of size bytes; word: "7.ebx",
 * as a message has it. A bit without a name is "bit 13". What does not fit is left out. */
void feature_names_print(const char *word, uint32_t bits, char *text, size_t size);

#endif
