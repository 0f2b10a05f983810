/* acpi_pm.c - power management of a hardware-reduced ACPI machine, in four bytes.
 *
 * Two things meet here: vCPUs that read and write registers, and the main thread
 * that has events to tell. A mutex held for a few instructions guards the state;
 * the stop sink and the interrupt are called outside it.
 *
 * An event's bit is set before its edge is sent, and every event sends one, so an
 * event handler that has just read the selector is run again.
 *
 * A guest that asks for a sleep state this machine does not have would wait for
 * the wake status for ever: it is told at once that it woke up.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { REG_SLEEP_CONTROL, REG_SLEEP_STATUS, REG_RESET, REG_EVENTS };

enum {
	SLP_TYP_SHIFT = 2,
	SLP_TYP_MASK = 0x7 << SLP_TYP_SHIFT,
	SLP_EN = 0x20, /* write-only */
	WAK_STS = 0x80,
};

struct acpi_pm {
	struct acpi_pm_config config;

	pthread_mutex_t lock;
	uint8_t sleep_control, sleep_status, events;
};

int acpi_pm_create(const struct acpi_pm_config *config, struct acpi_pm **ret)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return -ENOMEM;
	pm->config = *config;
	pthread_mutex_init(&pm->lock, NULL);
	*ret = pm;
	return 0;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

void acpi_pm_state(struct acpi_pm *pm, struct state *s)
{
	state_begin(s, STATE_ACPI_PM, 0);
	state_u8(s, &pm->sleep_control);
	state_u8(s, &pm->sleep_status);
	state_u8(s, &pm->events);
	state_end(s);
}

void acpi_pm_raise(struct acpi_pm *pm, uint8_t events)
{
	pthread_mutex_lock(&pm->lock);
	pm->events |= events;
	pthread_mutex_unlock(&pm->lock);
	fd_event_signal(pm->config.irq_fd);
}

static uint8_t reg_read(struct acpi_pm *pm, uint64_t off)
{
	uint8_t value;

	switch (off) {
	case REG_SLEEP_CONTROL:
		return pm->sleep_control;
	case REG_SLEEP_STATUS:
		return pm->sleep_status;
	case REG_EVENTS:
		value = pm->events;
		pm->events = 0;
		return value;
	default:
		return 0;
	}
}

static void acpi_pm_read(void *device, uint64_t off, void *data, size_t len)
{
	struct acpi_pm *pm = device;

	memset(data, 0xff, len);
	if (len != 1)
		return;
	pthread_mutex_lock(&pm->lock);
	*(uint8_t *)data = reg_read(pm, off);
	pthread_mutex_unlock(&pm->lock);
}

static void write_sleep_control(struct acpi_pm *pm, uint8_t value)
{
	unsigned type = (unsigned)(value & SLP_TYP_MASK) >> SLP_TYP_SHIFT;
	bool sleeps = value & SLP_EN;
	bool is_s5 = type == pm->config.s5_sleep_type;

	pthread_mutex_lock(&pm->lock);
	pm->sleep_control = value & SLP_TYP_MASK;
	if (sleeps && !is_s5)
		pm->sleep_status |= WAK_STS;
	pthread_mutex_unlock(&pm->lock);

	if (sleeps && is_s5)
		stop_request(&pm->config.stop, STOP_POWER_OFF, 0);
	else if (sleeps)
		log_guest("acpi: sleep type %u does not exist, the guest goes on", type);
}

static void write_sleep_status(struct acpi_pm *pm, uint8_t value)
{
	pthread_mutex_lock(&pm->lock);
	pm->sleep_status &= (uint8_t) ~(value & WAK_STS);
	pthread_mutex_unlock(&pm->lock);
}

static void acpi_pm_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct acpi_pm *pm = device;
	uint8_t value = *(const uint8_t *)data;

	if (len != 1)
		return;
	if (off == REG_SLEEP_CONTROL)
		write_sleep_control(pm, value);
	else if (off == REG_SLEEP_STATUS)
		write_sleep_status(pm, value);
	else if (off == REG_RESET && value == pm->config.reset_value)
		stop_request(&pm->config.stop, STOP_RESET, 0);
}

const struct bus_ops acpi_pm_bus_ops = {
	.name = "acpi-pm",
	.read = acpi_pm_read,
	.write = acpi_pm_write,
};
