/* userfault.h - page faults of our own memory, told through a descriptor.
 *
 * Whoever waits in a fault waits inside the kernel, vCPUs and system calls included. So a
 * descriptor is needed that may stop the kernel, too, which is a privilege:
 * /dev/userfaultfd (Linux 6.1) for who may open it, or the system call for
 * CAP_SYS_PTRACE or where vm.unprivileged_userfaultfd is 1.
 * Kernel document: admin-guide/mm/userfaultfd.
 */
#ifndef VMM_MEMORY_USERFAULT_H
#define VMM_MEMORY_USERFAULT_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* A descriptor that does not block, with all of these UFFD_FEATURE_*. 0 and *ret, or a
 * negative errno and *err (no field). Any thread. */
int userfault_open(uint64_t features, int *ret, struct error *err);

/* What follows: 0 or a negative errno. mode: UFFDIO_REGISTER_MODE_*. */
int userfault_register(int fd, const void *host, size_t len, uint64_t mode);

/* Lets all who wait in a fault there try again. */
int userfault_wake(int fd, const void *host, size_t len);

/* Write-protects what is there, or lifts that and lets waiting writers go on. */
int userfault_protect(int fd, const void *host, size_t len, bool on);

#endif
