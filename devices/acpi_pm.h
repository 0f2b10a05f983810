/* acpi_pm.h - power management of a hardware-reduced ACPI machine, in four bytes.
 *
 *   offset 0  sleep control register   (ACPI 6.5, 4.8.3.7)
 *          1  sleep status register    (the same)
 *          2  reset register           (4.8.3.6)
 *          3  event selector of the generic event device (5.6.9): reading it
 *             returns the events since the last read and clears them
 *
 * The tables give the guest these addresses and values. Only single bytes answer;
 * wider reads give ones, wider writes are lost.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/bus.h"
#include "devices/stop.h"
#include "vmm/snapshot/state.h"

enum {
	ACPI_PM_LEN = 4,
};

/* Bits of the event selector. What the guest does about each stands in the tables
 * (vmm/arch/x86_64/acpi.c, `events`): an event needs a bit here and a row there. */
enum {
	ACPI_PM_EVENT_POWER_BUTTON = 1 << 0,
	ACPI_PM_EVENT_GENERATION = 1 << 1,
	ACPI_PM_EVENT_CLOCK = 1 << 2,
};

struct acpi_pm_config {
	uint8_t s5_sleep_type; /* SLP_TYP of \_S5, 0 to 7: STOP_POWER_OFF */
	uint8_t reset_value;   /* what the reset register wants: STOP_RESET */
	struct stop_sink stop;
	int irq_fd; /* eventfd of the event device's edge; not owned, must outlive */
};

struct acpi_pm;

/* The device argument on the bus is the struct acpi_pm. vCPU threads. */
extern const struct bus_ops acpi_pm_bus_ops;

/* 0 and *ret, or -ENOMEM. */
int acpi_pm_create(const struct acpi_pm_config *config, struct acpi_pm **ret);

/* Accepts NULL. The bus must have let go. */
void acpi_pm_destroy(struct acpi_pm *pm);

/* Tells the guest of these events, bits of the event selector. Any thread. */
void acpi_pm_raise(struct acpi_pm *pm, uint8_t events);

/* Saves or loads its section (vmm/snapshot/state.h). The vCPUs must not run; main thread. */
void acpi_pm_state(struct acpi_pm *pm, struct state *s);

#endif
