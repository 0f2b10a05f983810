/* i8042.h - the PC's keyboard controller, with a keyboard that only knows one trick.
 *
 * It is here for two reasons: guests reset the machine through it, and the host
 * presses Ctrl-Alt-Del on its keyboard. Drivers that probe it get every answer at
 * once, so that none of them waits for a timeout. There is no mouse port.
 *
 *   offset 0  data (port 0x60)
 *          1  system control port B (0x61): speaker and timer bits
 *          4  status when read, command when written (0x64)
 *
 * Only single bytes answer; wider reads give ones, wider writes are lost.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/bus.h"
#include "devices/stop.h"
#include "vmm/snapshot/state.h"

enum { I8042_LEN = 5 };

struct i8042;

/* The device argument on the bus is the struct i8042. vCPU threads. */
extern const struct bus_ops i8042_bus_ops;

/* irq_fd: eventfd of the keyboard's edge-triggered line; not owned, must outlive
 * the controller. stop gets STOP_RESET. 0 and *ret, or -ENOMEM. */
int i8042_create(int irq_fd, const struct stop_sink *stop, struct i8042 **ret);

/* Accepts NULL. The bus must have let go. */
void i8042_destroy(struct i8042 *k);

/* Presses and releases the three keys, in the scan codes that the guest chose. 0,
 * or -EAGAIN while the guest has not read what was typed before. Any thread. */
int i8042_ctrl_alt_del(struct i8042 *k);

/* Saves or loads its section (vmm/snapshot/state.h). The vCPUs must not run; main thread. */
void i8042_state(struct i8042 *k, struct state *s);

#endif
