/* bus.h - address ranges and who answers them. One bus for ports, one for MMIO.
 *
 * The table is filled before the vCPUs start and never changes afterwards, so
 * vCPU threads look it up without a lock. A handler runs on the vCPU's thread:
 * it must be cheap and must never block; anything with a queue behind it is an
 * ioeventfd to the main thread instead.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* off is relative to the start of the range, and off + len never passes its end.
 * len is 1, 2, 4 or 8. data is the vCPU's own copy, in guest byte order. */
struct bus_ops {
	const char *name; /* "serial": logs and metrics */
	void (*read)(void *device, uint64_t off, void *data, size_t len);
	void (*write)(void *device, uint64_t off, const void *data, size_t len);
};

struct bus;

int bus_create(struct bus **ret);
void bus_destroy(struct bus *b);

/* 0, -EEXIST when the range overlaps another, -ENOSPC when the table is full.
 * device is not owned and must outlive the bus. Main thread, before the start. */
int bus_add(struct bus *b, uint64_t start, uint64_t len, const struct bus_ops *ops, void *device);

/* False when nobody answers: a read then fills data with ones, a write is lost.
 * An access that crosses the end of a range counts as unanswered. Any thread. */
bool bus_read(const struct bus *b, uint64_t addr, void *data, size_t len);
bool bus_write(const struct bus *b, uint64_t addr, const void *data, size_t len);

#endif
