/* debug_exit.h - a port that ends the machine with a status of the guest's choice.
 *
 * For tests: a tiny guest writes its result there. A write of 1, 2 or 4 bytes at
 * the port itself asks for STOP_DEBUG_EXIT with the low 8 bits of the value; the
 * port reads as zeros.
 */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "devices/bus.h"
#include "devices/stop.h"

/* Wide enough for the widest OUT instruction. */
enum { DEBUG_EXIT_LEN = 4 };

/* Filled before the guest starts and constant from then on. */
struct debug_exit {
	struct stop_sink stop;
};

/* The device argument on the bus is the struct debug_exit. */
extern const struct bus_ops debug_exit_bus_ops;

#endif
