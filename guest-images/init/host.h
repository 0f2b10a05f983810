/* host.h - what the guest's first process tells the VMM directly.
 *
 * Both are hardware as far as the guest is concerned; the implementation is in
 * host_ARCHITECTURE.c.
 */
#ifndef GUEST_IMAGES_INIT_HOST_H
#define GUEST_IMAGES_INIT_HOST_H

#include <stdint.h>

/* Writes the byte 123 to the boot timer's page (Firecracker's --boot-timer device).
 * Needs /dev/mem. 0 or a negative errno. */
int host_boot_timer(void);

/* Writes the status, 32 bits, to the I/O port. The VMM ends the guest in the middle of
 * it: that this returns at all means nobody listened (0) or the port could not be
 * reached (a negative errno). */
int host_exit(unsigned port, uint32_t status);

#endif
