/* reservation.h - host address space for guest memory. */
#ifndef VMM_MEMORY_RESERVATION_H
#define VMM_MEMORY_RESERVATION_H

#include <stddef.h>

enum { RESERVATION_ALIGN = 2 * 1024 * 1024 };

/* All of it, guards and alignment slack included; all zeroes: none. */
struct reservation {
	void *start;
	size_t len;
};

/* Address space for len bytes, aligned for huge pages, between two guards, so that a
 * bug that slips past the checks faults. Nothing in it can be accessed until something
 * is mapped over it. NULL with errno set, or where the len bytes are, and *ret. */
void *reservation_make(size_t len, struct reservation *ret);

/* Puts fresh memory, to be read and written, in place of what is mapped there, in one step:
 * whoever touches it meanwhile finds the one or the other. 0 or a negative errno. */
int reservation_renew(void *host, size_t len);

/* Unmaps everything in it. Accepts an empty one. */
void reservation_drop(struct reservation *r);

#endif
