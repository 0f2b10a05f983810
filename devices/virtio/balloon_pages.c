/* balloon_pages.c - guest memory that goes back to the host.
 *
 * A list is sorted and given back in runs, so that the host is asked once for neighbours
 * whatever their order.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>

#include "devices/virtio/balloon_pages.h"
#include "vmm/base/log.h"

/* One run of guest memory goes back. Only what no driver in its right mind does
 * counts as an error: a backing may have reasons to keep a run. */
static void give_back(struct virtio_dev *d, gpa_t at, size_t len)
{
	int r = gmem_discard(d->mem, at, len);

	if (r == 0) {
		d->counters.write_bytes += len;
		return;
	}
	if (r != -EFAULT)
		return;
	d->counters.errors++;
	log_guest("virtio-balloon: no RAM at %#llx, %zu bytes", (unsigned long long)at.v, len);
}

static int compare_pfns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Gives the listed pages back; returns in how many runs. */
static unsigned give_back_pages(struct virtio_dev *d, uint32_t *pfn, size_t count)
{
	unsigned runs = 0;

	qsort(pfn, count, sizeof(pfn[0]), compare_pfns);
	for (size_t i = 0; i < count; runs++) {
		uint64_t first = pfn[i], end = first + 1;

		/* A page that is listed twice lies below the end of the run. */
		while (++i < count && pfn[i] <= end)
			end = pfn[i] + UINT64_C(1);
		give_back(d, gpa(first << VIRTIO_BALLOON_PFN_SHIFT),
			  (size_t)(end - first) << VIRTIO_BALLOON_PFN_SHIFT);
	}
	return runs;
}

unsigned balloon_give_listed(struct virtio_dev *d, const struct iov *list, uint32_t *pfn)
{
	size_t count = list->len / sizeof(pfn[0]);

	if (count > BALLOON_PFNS_MAX)
		count = BALLOON_PFNS_MAX;
	iov_read(list, 0, pfn, count * sizeof(pfn[0]));
	for (size_t i = 0; i < count; i++)
		pfn[i] = le32toh(pfn[i]);
	return give_back_pages(d, pfn, count);
}

size_t balloon_give_spans(struct virtio_dev *d, struct iov *in)
{
	iov_truncate(in, BALLOON_GIVE_MAX_BYTES);
	for (unsigned i = 0; i < in->count; i++) {
		gpa_t at;

		if (gmem_address(d->mem, in->vec[i].iov_base, &at))
			give_back(d, at, in->vec[i].iov_len);
	}
	return in->len;
}
