/* platform.c - the devices that every x86 machine has, and their lines.
 *
 * Made from one table: where each device answers, and which line it may raise.
 * A device gets an eventfd for its line when it is made; arch_platform_connect()
 * binds all of them to KVM at once, after the vCPUs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "devices/acpi_pm.h"
#include "devices/boot_timer.h"
#include "devices/debug_exit.h"
#include "devices/generation.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/pci/hotplug.h"
#include "devices/serial.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

_Static_assert(IOAPIC_MAX_PINS >= LAYOUT_MAX_PINS, "the layout promises the IOAPIC's pins");

enum line { LINE_KEYBOARD, LINE_SERIAL, LINE_GED, LINE_HOTPLUG, LINES };

static const uint32_t line_gsi[LINES] = {
	[LINE_KEYBOARD] = LAYOUT_GSI_KEYBOARD,
	[LINE_SERIAL] = LAYOUT_GSI_SERIAL,
	[LINE_GED] = LAYOUT_GSI_GED,
	[LINE_HOTPLUG] = LAYOUT_GSI_HOTPLUG,
};

struct arch_platform {
	struct arch_platform_config config;
	int line_fd[LINES];
	struct ioapic *ioapic;
	struct serial *serial;
	struct i8042 *i8042;
	struct acpi_pm *acpi_pm;
	struct generation *generation;
	struct pci_hotplug *hotplug; /* with PCI */
	struct boot_timer boot_timer;
	struct debug_exit debug_exit;
};

/* The pins that deliver, as KVM's routes. On a vCPU's thread. */
static int on_routes(void *ctx, const struct ioapic_route *routes, unsigned n)
{
	struct arch_platform *p = ctx;
	struct kvm_msi_route msi[IOAPIC_MAX_PINS];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (routes[i].masked)
			continue;
		msi[count++] = (struct kvm_msi_route){
			.gsi = routes[i].pin,
			.address = routes[i].msi_address,
			.data = routes[i].msi_data,
		};
	}
	return gsi_table_replace(p->config.gsi, 0, IOAPIC_MAX_PINS, msi, count);
}

static const struct ioapic_ops ioapic_ops = { .set_routes = on_routes };

/* Firecracker's line, which its users' tools look for. A guest may write as often
 * as it likes: each is reported, within the log's limits. */
static void on_boot_timer(void *ctx)
{
	struct arch_platform *p = ctx;
	struct timeline *t = p->config.timeline;
	uint64_t us = clock_now_us() - t->at_us[TIMELINE_START];
	uint64_t cpu_us = clock_cpu_us() - t->start_cpu_us;

	timeline_mark(t, TIMELINE_INIT);
	log_guest_at(LOG_INFO,
		     "Guest-boot-time = %6" PRIu64 " us %" PRIu64 " ms, %6" PRIu64
		     " CPU us %" PRIu64 " CPU ms",
		     us, us / 1000, cpu_us, cpu_us / 1000);
}

/* The lines of this machine: the last is there with PCI only. */
static unsigned line_count(const struct arch_platform *p)
{
	return p->config.pci ? LINES : LINE_HOTPLUG;
}

static int create_lines(struct arch_platform *p)
{
	for (unsigned i = 0; i < line_count(p); i++) {
		p->line_fd[i] = fd_event();
		if (p->line_fd[i] < 0)
			return p->line_fd[i];
	}
	return 0;
}

static int create_generation(struct arch_platform *p)
{
	const struct generation_config config = {
		.mem = p->config.mem,
		.id_page = gpa(LAYOUT_GENERATION),
		.clock_page = gpa(LAYOUT_VMCLOCK),
		.pm = p->acpi_pm,
	};

	return generation_create(&config, &p->generation);
}

static int create_devices(struct arch_platform *p)
{
	const struct acpi_pm_config pm = {
		.s5_sleep_type = ACPI_SLP_TYP_S5,
		.reset_value = LAYOUT_RESET_VALUE,
		.stop = p->config.stop,
		.irq_fd = p->line_fd[LINE_GED],
	};
	unsigned lines = p->config.pci ? 1 : p->config.virtio_devices;
	int r = ioapic_create(&ioapic_ops, p, LAYOUT_PINS(lines), &p->ioapic);

	if (r == 0)
		r = serial_create(p->line_fd[LINE_SERIAL], &p->serial);
	if (r == 0)
		r = i8042_create(p->line_fd[LINE_KEYBOARD], &p->config.stop, &p->i8042);
	if (r == 0)
		r = acpi_pm_create(&pm, &p->acpi_pm);
	if (r == 0)
		r = create_generation(p);
	if (r == 0 && p->config.pci)
		r = pci_hotplug_create(p->config.pci, p->line_fd[LINE_HOTPLUG], &p->hotplug);
	p->boot_timer = (struct boot_timer){ on_boot_timer, p };
	p->debug_exit = (struct debug_exit){ p->config.stop };
	return r;
}

static int add_to_buses(struct arch_platform *p)
{
	const struct arch_platform_config *c = &p->config;
	const struct {
		struct bus *bus;
		uint64_t start, len;
		const struct bus_ops *ops;
		void *device;
		bool present;
	} ranges[] = {
		{ c->mmio, LAYOUT_IOAPIC, IOAPIC_LEN, &ioapic_bus_ops, p->ioapic, true },
		{ c->pio, LAYOUT_SERIAL, SERIAL_LEN, &serial_bus_ops, p->serial, true },
		{ c->pio, LAYOUT_I8042, I8042_LEN, &i8042_bus_ops, p->i8042, true },
		{ c->pio, LAYOUT_ACPI_SLEEP, ACPI_PM_LEN, &acpi_pm_bus_ops, p->acpi_pm, true },
		{ c->pio, LAYOUT_PCI_HOTPLUG, PCI_HOTPLUG_LEN, &pci_hotplug_bus_ops, p->hotplug,
		  c->pci },
		{ c->mmio, LAYOUT_BOOT_TIMER, BOOT_TIMER_LEN, &boot_timer_bus_ops, &p->boot_timer,
		  c->boot_timer },
		{ c->pio, (uint64_t)c->debug_exit_port, DEBUG_EXIT_LEN, &debug_exit_bus_ops,
		  &p->debug_exit, c->debug_exit_port != 0 },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && r == 0; i++) {
		if (ranges[i].present)
			r = bus_add(ranges[i].bus, ranges[i].start, ranges[i].len, ranges[i].ops,
				    ranges[i].device);
	}
	return r;
}

int arch_platform_create(const struct arch_platform_config *config, struct arch_platform **ret,
			 struct error *err)
{
	struct arch_platform *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	p->config = *config;
	for (unsigned i = 0; i < LINES; i++)
		p->line_fd[i] = -1;
	r = create_lines(p);
	if (r == 0)
		r = create_devices(p);
	if (r == 0)
		r = add_to_buses(p);
	if (r < 0) {
		arch_platform_destroy(p);
		if (r == -EEXIST)
			return error_set(err, r, "debug-exit-port",
					 "give a port that no device has, such as 0xf4",
					 "port %#x belongs to a device", config->debug_exit_port);
		return error_set(err, r, NULL, NULL, "cannot create the platform's devices");
	}
	*ret = p;
	return 0;
}

void arch_platform_destroy(struct arch_platform *p)
{
	if (!p)
		return;
	pci_hotplug_destroy(p->hotplug);
	generation_destroy(p->generation);
	acpi_pm_destroy(p->acpi_pm);
	i8042_destroy(p->i8042);
	serial_destroy(p->serial);
	ioapic_destroy(p->ioapic);
	for (unsigned i = 0; i < LINES; i++)
		fd_close(p->line_fd[i]);
	free(p);
}

int arch_platform_connect(struct arch_platform *p, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < line_count(p) && r == 0; i++)
		r = kvm_irqfd(p->config.kvm, line_gsi[i], p->line_fd[i], err);
	return r;
}

void arch_platform_state(struct arch_platform *p, struct state *s)
{
	ioapic_exchange(p->ioapic, s);
	serial_state(p->serial, s);
	i8042_state(p->i8042, s);
	acpi_pm_state(p->acpi_pm, s);
	generation_state(p->generation, s);
	if (p->hotplug)
		pci_hotplug_state(p->hotplug, s);
}

int arch_platform_renew(struct arch_platform *p)
{
	return generation_renew(p->generation);
}

/* An edge that was on its way when the state was saved, or that came before its route
 * was there, is lost. */
void arch_platform_wake(struct arch_platform *p)
{
	for (unsigned i = 0; i < line_count(p); i++)
		fd_event_signal(p->line_fd[i]);
}

struct serial *arch_platform_serial(struct arch_platform *p)
{
	return p->serial;
}

struct pci_hotplug *arch_platform_hotplug(struct arch_platform *p)
{
	return p->hotplug;
}

int arch_ctrl_alt_del(struct arch_platform *p)
{
	return i8042_ctrl_alt_del(p->i8042);
}

int arch_power_button(struct arch_platform *p)
{
	acpi_pm_raise(p->acpi_pm, ACPI_PM_EVENT_POWER_BUTTON);
	return 0;
}
