/* thread_filter.h - what each thread may ask of the kernel: seccomp filters by role.
 *
 * The built-in filters are compiled from the lists beside the code (vmm/seccomp/rule.h)
 * when the project is built; installing one is a single system call. A call that is not
 * allowed is not made: the process logs it and ends with THREAD_FILTER_EXIT_STATUS.
 * Kernel document: userspace-api/seccomp_filter.
 */
#ifndef VMM_BASE_THREAD_FILTER_H
#define VMM_BASE_THREAD_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "vmm/base/error.h"

enum { THREAD_FILTER_EXIT_STATUS = 148 }; /* Firecracker's */

enum thread_role {
	THREAD_MAIN,
	THREAD_MAIN_PCI,     /* the main thread, where devices come while the guest runs */
	THREAD_MAIN_RESTART, /* the same, where it builds a machine again as well */
	THREAD_MAIN_BLANK,   /* the main thread, where it waits for a snapshot */
	THREAD_VCPU,
	THREAD_WORKER, /* a device's own thread */
	THREAD_IO,     /* serves queues of devices */
	THREAD_ROLES,
};

struct thread_filters {
	struct {
		const struct sock_filter *code;
		unsigned short len; /* in instructions; 0: no filter for this role */
	} role[THREAD_ROLES];
};

const struct thread_filters *thread_filters_builtin(void);

/* Filters of a file (docs/jail.md has the format) instead of the built-in ones. *ret is
 * the caller's, for thread_filters_free(), which accepts NULL. */
int thread_filters_load(const char *path, struct thread_filters **ret, struct error *err);
void thread_filters_free(struct thread_filters *filters);

/* Main thread, once, before any filter: violations are reported from here on. tell: called
 * with ctx in the thread that is at fault, after the log, just before the process ends; it
 * runs in a signal handler and under the filter. NULL: nobody else wants to know. */
int thread_filters_prepare(void (*tell)(void *ctx), void *ctx, struct error *err);

/* Confines the calling thread for good; it can never gain privileges again, either.
 * 0, or a negative errno. filters NULL: nothing, 0. */
int thread_filter_install(const struct thread_filters *filters, enum thread_role role);

/* For a thread that was started by another: if that one was confined, the built-in
 * filter of role on top of the one that was inherited. */
int thread_filter_follow(enum thread_role role);

/* "vcpu"; NULL past the last role. */
const char *thread_role_name(enum thread_role role);

/* The built-in lists, a call and its conditions a line. False: out cannot be written. */
bool thread_filters_show(FILE *out);

#endif
