/* serial.h - a 16550A serial port whose other end is the host.
 *
 * Registers follow the National Semiconductor PC16550D data sheet. What the guest
 * sends goes into a ring that the host empties; when the ring is full, bytes are
 * dropped and counted, and the guest never waits. What the host sends goes into a
 * queue of SERIAL_INPUT_BYTES and is refused when that is full.
 *
 * Every function may be called on any thread.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "devices/bus.h"
#include "vmm/snapshot/state.h"

enum {
	SERIAL_LEN = 8, /* ports */
	SERIAL_OUTPUT_BYTES = 64 * 1024,
	SERIAL_INPUT_BYTES = 64,
};

struct serial;

/* The device argument on the bus is the struct serial. */
extern const struct bus_ops serial_bus_ops;

/* irq_fd: eventfd of the port's edge-triggered line; not owned, must outlive the
 * port. 0 and *ret, or a negative errno. */
int serial_create(int irq_fd, struct serial **ret);

/* Accepts NULL. The bus must have let go. */
void serial_destroy(struct serial *s);

/* An eventfd, owned by the port, that is signalled when the first byte falls into
 * an empty ring: whoever drains it goes on until serial_take_output() gives 0. */
int serial_output_fd(const struct serial *s);

/* Takes up to len bytes of what the guest sent; returns how many. */
size_t serial_take_output(struct serial *s, void *buf, size_t len);

/* Bytes lost so far because the ring was full. */
uint64_t serial_dropped(struct serial *s);

/* Hands the guest up to len bytes; returns how many were taken. In the loopback
 * mode of a driver's self-test the line is cut and none are. */
size_t serial_put_input(struct serial *s, const void *buf, size_t len);

/* An eventfd, owned by the port, that is signalled when a queue that had refused
 * bytes is empty again. */
int serial_input_fd(const struct serial *s);

/* Saves or loads its section (vmm/snapshot/state.h). What the guest sent and nobody has taken
 * yet stays with the machine that was saved. The vCPUs must not run; main thread. */
void serial_state(struct serial *s, struct state *state);

#endif
