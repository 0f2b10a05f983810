/* bus.c - a table sorted by address, searched by halves.
 *
 * It is filled before the vCPUs start and read without a lock afterwards. This is
 * the one place that checks what a guest may ask of a device: the width, and that
 * the access stays inside one range. A device need not look at either again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/bus.h"

enum { BUS_MAX_RANGES = 64 };

/* Bounds are inclusive, so that a range may end at the last address there is. */
struct bus_range {
	uint64_t first, last;
	const struct bus_ops *ops;
	void *device;
};

struct bus {
	unsigned count;
	struct bus_range range[BUS_MAX_RANGES];
};

int bus_create(struct bus **ret)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*ret = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	free(b);
}

/* How many ranges start at addr or below. */
static unsigned ranges_up_to(const struct bus *b, uint64_t addr)
{
	unsigned low = 0, high = b->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (b->range[middle].first <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bus_add(struct bus *b, uint64_t start, uint64_t len, const struct bus_ops *ops, void *device)
{
	uint64_t last = start + (len - 1);

	if (len == 0 || last < start)
		return -EINVAL;
	if (b->count == BUS_MAX_RANGES)
		return -ENOSPC;

	/* Ranges never overlap, so only the last one to start before the new one
	 * ends can be in its way. */
	unsigned at = ranges_up_to(b, last);

	if (at > 0 && b->range[at - 1].last >= start)
		return -EEXIST;
	memmove(&b->range[at + 1], &b->range[at], (b->count - at) * sizeof(b->range[0]));
	b->range[at] = (struct bus_range){
		.first = start,
		.last = last,
		.ops = ops,
		.device = device,
	};
	b->count++;
	return 0;
}

static bool width_is_valid(size_t len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

/* The range that holds all of [addr, addr + len), or NULL. */
static const struct bus_range *find_range(const struct bus *b, uint64_t addr, size_t len)
{
	unsigned n = ranges_up_to(b, addr);

	if (n == 0 || !width_is_valid(len))
		return NULL;

	const struct bus_range *r = &b->range[n - 1];

	if (addr > r->last || len - 1 > r->last - addr)
		return NULL;
	return r;
}

bool bus_read(const struct bus *b, uint64_t addr, void *data, size_t len)
{
	const struct bus_range *r = find_range(b, addr, len);

	if (!r) {
		memset(data, 0xff, len);
		return false;
	}
	r->ops->read(r->device, addr - r->first, data, len);
	return true;
}

bool bus_write(const struct bus *b, uint64_t addr, const void *data, size_t len)
{
	const struct bus_range *r = find_range(b, addr, len);

	if (!r)
		return false;
	r->ops->write(r->device, addr - r->first, data, len);
	return true;
}
