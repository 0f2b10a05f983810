/* reservation.c - host address space for guest memory. */
#include <stdint.h>
#include <sys/mman.h>

#include "vmm/memory/reservation.h"

enum { GUARD = RESERVATION_ALIGN };

void *reservation_make(size_t len, struct reservation *ret)
{
	size_t total = len + 2 * (size_t)GUARD + RESERVATION_ALIGN;
	char *start =
		mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	*ret = (struct reservation){ start, total };

	size_t beyond = (uintptr_t)start % RESERVATION_ALIGN;

	return start + GUARD + (beyond ? RESERVATION_ALIGN - beyond : 0);
}

void reservation_drop(struct reservation *r)
{
	if (r->len > 0)
		munmap(r->start, r->len);
	*r = (struct reservation){ 0 };
}
