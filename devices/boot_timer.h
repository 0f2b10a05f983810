/* boot_timer.h - a page on which a guest says how far its boot has come.
 *
 * As Firecracker's boot timer: the guest's init writes the byte
 * BOOT_TIMER_REACHED at the start of the page. Anything else is ignored, and the
 * page reads as zeros.
 */
#ifndef DEVICES_BOOT_TIMER_H
#define DEVICES_BOOT_TIMER_H

#include "devices/bus.h"

enum { BOOT_TIMER_LEN = 0x1000, BOOT_TIMER_REACHED = 123 };

/* reached is called once for each such write, on the vCPU's thread; it must not
 * block. Filled before the guest starts and constant from then on. */
struct boot_timer {
	void (*reached)(void *ctx);
	void *ctx;
};

/* The device argument on the bus is the struct boot_timer. */
extern const struct bus_ops boot_timer_bus_ops;

#endif
