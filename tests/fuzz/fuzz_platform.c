/* fuzz_platform.c - any access, of any width, in any order, to the platform's
 * devices, with the host's side of each in between.
 *
 * The input is a list of steps of STEP_BYTES each: what to do, where, how wide,
 * and a value. What must hold whatever the guest does is checked as it happens.
 */
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/boot_timer.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/serial.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { STEP_BYTES = 8, PIO = 0, MMIO = 1 };

enum {
	SERIAL_AT = 0x3f8,
	I8042_AT = 0x60,
	ACPI_AT = 0x600,
	EXIT_AT = 0xf4,
	TIMER_AT = 0x1000,
	IOAPIC_AT = 0x2000,
};

struct platform {
	struct bus *bus[2];
	struct serial *serial;
	struct i8042 *i8042;
	struct acpi_pm *acpi_pm;
	struct ioapic *ioapic;
	struct boot_timer timer;
	struct debug_exit debug_exit;
	int irq_fd;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void on_stop(void *ctx, enum stop_reason reason, int value)
{
	(void)ctx;
	require(reason == STOP_RESET || reason == STOP_POWER_OFF || reason == STOP_DEBUG_EXIT);
	require(value >= 0 && value <= 0xff);
}

static void on_boot(void *ctx)
{
	(void)ctx;
}

/* A masked pin sends nothing; the others send to a local APIC, and only there. */
static int on_routes(void *ctx, const struct ioapic_route *routes, unsigned n)
{
	(void)ctx;
	require(n == IOAPIC_MAX_PINS);
	for (unsigned i = 0; i < n; i++) {
		const struct ioapic_route *r = &routes[i];

		require(r->pin == i);
		if (r->masked)
			require(r->msi_address == 0 && r->msi_data == 0);
		else
			require(r->msi_address >> 20 == 0xfee && !(r->msi_data & ~0xc7ffu));
	}
	/* Now and then KVM has no memory for it. */
	return routes[0].msi_data % 5 == 4 ? -1 : 0;
}

static const struct ioapic_ops ops = { on_routes };

static void create(struct platform *p)
{
	const struct stop_sink stop = { on_stop, NULL };
	struct acpi_pm_config pm = { .s5_sleep_type = 5, .reset_value = 1, .stop = stop };

	p->irq_fd = fd_event();
	pm.irq_fd = p->irq_fd;
	p->timer = (struct boot_timer){ on_boot, NULL };
	p->debug_exit.stop = stop;
	require(bus_create(&p->bus[PIO]) == 0 && bus_create(&p->bus[MMIO]) == 0);
	require(serial_create(p->irq_fd, &p->serial) == 0);
	require(i8042_create(p->irq_fd, &stop, &p->i8042) == 0);
	require(acpi_pm_create(&pm, &p->acpi_pm) == 0);
	require(ioapic_create(&ops, NULL, IOAPIC_MAX_PINS, &p->ioapic) == 0);
	bus_add(p->bus[PIO], SERIAL_AT, SERIAL_LEN, &serial_bus_ops, p->serial);
	bus_add(p->bus[PIO], I8042_AT, I8042_LEN, &i8042_bus_ops, p->i8042);
	bus_add(p->bus[PIO], ACPI_AT, ACPI_PM_LEN, &acpi_pm_bus_ops, p->acpi_pm);
	bus_add(p->bus[PIO], EXIT_AT, DEBUG_EXIT_LEN, &debug_exit_bus_ops, &p->debug_exit);
	bus_add(p->bus[MMIO], TIMER_AT, BOOT_TIMER_LEN, &boot_timer_bus_ops, &p->timer);
	bus_add(p->bus[MMIO], IOAPIC_AT, IOAPIC_LEN, &ioapic_bus_ops, p->ioapic);
}

static void destroy(struct platform *p)
{
	bus_destroy(p->bus[MMIO]);
	bus_destroy(p->bus[PIO]);
	ioapic_destroy(p->ioapic);
	acpi_pm_destroy(p->acpi_pm);
	i8042_destroy(p->i8042);
	serial_destroy(p->serial);
	fd_close(p->irq_fd);
}

/* The host's side: step[1] bytes of input or output, keys, the button. */
static void host_step(struct platform *p, const uint8_t *step)
{
	uint8_t buf[256];
	size_t n = step[1];

	memset(buf, step[2], sizeof(buf));
	switch (step[0] % 4) {
	case 0:
		require(serial_put_input(p->serial, buf, n) <= SERIAL_INPUT_BYTES);
		break;
	case 1:
		require(serial_take_output(p->serial, buf, n) <= n);
		break;
	case 2:
		i8042_ctrl_alt_del(p->i8042);
		break;
	default:
		acpi_pm_raise(p->acpi_pm, ACPI_PM_EVENT_POWER_BUTTON);
		break;
	}
}

static void guest_step(struct platform *p, const uint8_t *step)
{
	static const struct {
		unsigned bus;
		uint64_t base;
	} places[] = {
		{ PIO, SERIAL_AT }, { PIO, I8042_AT },	{ PIO, ACPI_AT },
		{ PIO, EXIT_AT },   { MMIO, TIMER_AT }, { MMIO, IOAPIC_AT },
	};
	unsigned place = step[0] / 4 % (sizeof(places) / sizeof(places[0]));
	struct bus *bus = p->bus[places[place].bus];
	uint64_t addr = places[place].base + step[1];
	size_t len = (size_t)1 << step[2] % 4;
	uint8_t value[8] = { 0 };

	memcpy(value, step + 4, 4);
	if (step[0] % 4 == 1)
		bus_read(bus, addr, value, len);
	else
		bus_write(bus, addr, value, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct platform p;

	log_setup(&(struct log_config){ .id = "fuzz", .level = LOG_OFF, .fd = -1 });
	create(&p);
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES) {
		if (data[3] % 4 == 3)
			host_step(&p, data);
		else
			guest_step(&p, data);
	}
	destroy(&p);
	return 0;
}
