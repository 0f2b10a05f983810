/* reservation.c - host address space for guest memory. */
#include <errno.h>
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

int reservation_renew(void *host, size_t len)
{
	if (mmap(host, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return -errno;
	/* A core dump of the VMM must not carry the guest's secrets. */
	madvise(host, len, MADV_DONTDUMP);
	return 0;
}

void reservation_drop(struct reservation *r)
{
	if (r->len > 0)
		munmap(r->start, r->len);
	*r = (struct reservation){ 0 };
}
