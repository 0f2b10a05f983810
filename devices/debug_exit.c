/* debug_exit.c - a port that ends the machine with a status of the guest's choice. */
#include <string.h>

#include "devices/debug_exit.h"

static void debug_exit_read(void *device, uint64_t off, void *data, size_t len)
{
	(void)device;
	(void)off;
	memset(data, 0, len);
}

/* The guest's values are little-endian: the first byte is the lowest. */
static void debug_exit_write(void *device, uint64_t off, const void *data, size_t len)
{
	const struct debug_exit *d = device;

	(void)len;
	if (off == 0)
		stop_request(&d->stop, STOP_DEBUG_EXIT, *(const uint8_t *)data);
}

const struct bus_ops debug_exit_bus_ops = {
	.name = "debug-exit",
	.read = debug_exit_read,
	.write = debug_exit_write,
};
