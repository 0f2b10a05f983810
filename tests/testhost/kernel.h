/* kernel.h - the Debian kernel that the test host boots. */
#ifndef TESTS_TESTHOST_KERNEL_H
#define TESTS_TESTHOST_KERNEL_H

struct error;
struct interrupt;

enum { KERNEL_PATH_MAX = 1024 };

struct kernel {
	char image[KERNEL_PATH_MAX];   /* vmlinux, or vmlinuz where it could not be decompressed */
	char modules[KERNEL_PATH_MAX]; /* .../lib/modules/VERSION, with modules.dep */
};

/* The kernel that is in the cache. -ENOENT (and *e): none yet. */
int kernel_find(struct kernel *ret, struct error *e);

/* Asks apt which kernel is the newest, and fetches and unpacks it into the cache
 * unless it is there. Minutes at worst; says on stderr what it does. -EINTR: i
 * said stop; nothing half-made is left. */
int kernel_prepare(struct interrupt *i, struct kernel *ret, struct error *e);

#endif
