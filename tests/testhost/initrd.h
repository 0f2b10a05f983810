/* initrd.h - the initial RAM disk of one run: busybox, modules, init, the job. */
#ifndef TESTS_TESTHOST_INITRD_H
#define TESTS_TESTHOST_INITRD_H

#include <stddef.h>

struct error;
struct kernel;

struct initrd_source {
	const struct kernel *kernel;
	const char *busybox; /* path of a static one */
	const char *job;
	size_t job_len;
};

/* 0 and *ret, a descriptor of an anonymous file; or a negative errno and *e. */
int initrd_create(const struct initrd_source *from, int *ret, struct error *e);

#endif
