/* boot_timer.c - a page on which a guest says how far its boot has come. */
#include <string.h>

#include "devices/boot_timer.h"

static void boot_timer_read(void *device, uint64_t off, void *data, size_t len)
{
	(void)device;
	(void)off;
	memset(data, 0, len);
}

static void boot_timer_write(void *device, uint64_t off, const void *data, size_t len)
{
	const struct boot_timer *t = device;

	if (off == 0 && len == 1 && *(const uint8_t *)data == BOOT_TIMER_REACHED)
		t->reached(t->ctx);
}

const struct bus_ops boot_timer_bus_ops = {
	.name = "boot-timer",
	.read = boot_timer_read,
	.write = boot_timer_write,
};
