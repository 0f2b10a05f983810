/* program.h - the instructions that libseccomp makes of a filter. */
#ifndef VMM_SECCOMP_PROGRAM_H
#define VMM_SECCOMP_PROGRAM_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>

struct program {
	struct sock_filter code[BPF_MAXINSNS];
	size_t count;
};

/* 0, or a negative errno: -E2BIG when the kernel would not take so many. */
int program_export(scmp_filter_ctx filter, struct program *ret);

#endif
