/* filter_file.h - the format of a filter file, for who writes and who reads one.
 *
 * The magic, then programs to the end of the file: a struct filter_file_program and its
 * instructions, each a struct sock_filter. All of it is a multiple of an instruction's 8
 * bytes long, in the machine's byte order.
 */
#ifndef VMM_BASE_FILTER_FILE_H
#define VMM_BASE_FILTER_FILE_H

#include <stdint.h>

#define FILTER_FILE_MAGIC "WISPBPF1"

enum {
	FILTER_FILE_MAGIC_BYTES = 8,
	FILTER_FILE_MAX_BYTES = 1 << 20,
	FILTER_FILE_NAME_BYTES = 12,
};

struct filter_file_program {
	char name[FILTER_FILE_NAME_BYTES]; /* "main" or "vcpu", padded with NUL */
	uint32_t len;			   /* instructions that follow */
};

#endif
