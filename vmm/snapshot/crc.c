/* crc.c - CRC-32C, by the processor's own instruction where it has one (SSE 4.2), since a
 * load waits for it; what is left, or all of it elsewhere, four bits at a time.
 */
#include <string.h>

#ifdef __x86_64__
#include <nmmintrin.h>
#include <sys/platform/x86.h>
#endif

#include "vmm/snapshot/crc.h"

/* What each value of the low four bits adds, for the reversed polynomial 0x82f63b78. */
static const uint32_t by_nibble[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

/* Takes as many bytes as it can, eight at a time, and returns how many. */
#ifdef __x86_64__
__attribute__((target("sse4.2"))) static size_t by_eights(uint32_t *crc, const uint8_t *at,
							  size_t len)
{
	size_t done = 0;

	for (; len - done >= sizeof(uint64_t); done += sizeof(uint64_t)) {
		uint64_t eight;

		memcpy(&eight, at + done, sizeof(eight));
		*crc = (uint32_t)_mm_crc32_u64(*crc, eight);
	}
	return done;
}

/* The C library has asked the processor already. The compiler's __builtin_cpu_supports() asks
 * again before main(), and on a virtual host the hypervisor answers each CPUID. */
static size_t by_instruction(uint32_t *crc, const uint8_t *at, size_t len)
{
	return CPU_FEATURE_ACTIVE(SSE4_2) ? by_eights(crc, at, len) : 0;
}
#else
static size_t by_instruction(uint32_t *crc, const uint8_t *at, size_t len)
{
	(void)crc;
	(void)at;
	(void)len;
	return 0;
}
#endif

uint32_t crc32c(uint32_t before, const void *data, size_t len)
{
	const uint8_t *at = data;
	uint32_t crc = ~before;

	for (size_t i = by_instruction(&crc, at, len); i < len; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ by_nibble[crc & 0xf];
		crc = crc >> 4 ^ by_nibble[crc & 0xf];
	}
	return ~crc;
}
