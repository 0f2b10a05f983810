/* ioapic.c - redirection entries in, MSI routes out.
 *
 * The guest's driver writes each entry in two halves, several times
 * over while it boots, nearly always masked. Telling KVM of a change costs a grace
 * period, so an entry is first turned into the message it would send, and only a
 * message that differs from the one KVM has is worth a call. Masked entries send
 * nothing and are all alike.
 *
 * One mutex guards the registers and is held across the call, so that two vCPUs
 * cannot hand their tables to KVM in the wrong order. That wait is the guest's own
 * doing and rare.
 *
 * Deliveries do not pass through here: a device signals its irqfd and KVM sends
 * the message. All lines are edges (a condition that lasts signals again), so
 * nothing is ever held back until an EOI. Hence an entry's delivery status and
 * remote IRR always read 0, and an EOI has nothing to do, be it a write to the EOI
 * register or the exit KVM makes for an entry that the guest set to level.
 *
 * Version 0x20, not the 0x11 of the original chip: the local APICs of a split
 * irqchip offer the suppression of EOI broadcasts, and a guest that uses it must
 * find an EOI register here. With it Linux ends a level interrupt by one write
 * instead of reprogramming the entry twice.
 *
 * What a guest can do wrong: anything to its own interrupts. Only aligned 4-byte
 * accesses to known registers do something; the rest reads as 0 or is lost.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/ioapic.h"
#include "vmm/base/log.h"

/* Memory-mapped registers. */
enum { MMIO_SELECT = 0x00, MMIO_WINDOW = 0x10, MMIO_REG_BYTES = 4 };

/* Registers behind the window. */
enum {
	REG_ID = 0x00,
	REG_VERSION = 0x01,
	REG_ARBITRATION = 0x02,
	REG_ENTRIES = 0x10, /* two a pin, the low half first */

	ID_MASK = 0x0f000000,
	VERSION = 0x20,
	VERSION_LAST_PIN_SHIFT = 16,
};

/* Redirection entry. */
#define ENTRY_MESSAGE	 0x000007ffull /* vector and delivery mode, as in MSI data */
#define ENTRY_LOGICAL	 (1ull << 11)  /* destination mode */
#define ENTRY_LEVEL	 (1ull << 15)
#define ENTRY_MASKED	 (1ull << 16)
#define ENTRY_DEST_SHIFT 56
#define ENTRY_WRITABLE	 0xff0000000001afffull /* all but the two status bits */

/* The message (Intel SDM volume 3, 11.11). KVM reads the same fields. */
#define MSI_ADDRESS	    0xfee00000ull
#define MSI_DEST_SHIFT	    12
#define MSI_ADDRESS_LOGICAL (1ull << 2)
#define MSI_DATA_ASSERT	    (1u << 14)
#define MSI_DATA_LEVEL	    (1u << 15)

/* All that a guest can read back. */
struct ioapic_state {
	uint32_t id;
	uint8_t select;
	uint64_t entry[IOAPIC_MAX_PINS];
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *ctx;
	unsigned pins;

	/* Under the lock. */
	pthread_mutex_t lock;
	struct ioapic_state state;
	struct ioapic_route route[IOAPIC_MAX_PINS]; /* what the entries mean */
	bool stale;				    /* the last set_routes failed */
};

static struct ioapic_route make_route(unsigned pin, uint64_t entry)
{
	struct ioapic_route r = { .pin = pin, .masked = entry & ENTRY_MASKED };

	if (r.masked)
		return r;
	r.msi_address = MSI_ADDRESS | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT;
	if (entry & ENTRY_LOGICAL)
		r.msi_address |= MSI_ADDRESS_LOGICAL;
	r.msi_data = (uint32_t)(entry & ENTRY_MESSAGE);
	if (entry & ENTRY_LEVEL)
		r.msi_data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return r;
}

static bool route_equals(const struct ioapic_route *a, const struct ioapic_route *b)
{
	return a->masked == b->masked && a->msi_address == b->msi_address &&
	       a->msi_data == b->msi_data;
}

int ioapic_create(const struct ioapic_ops *ops, void *ctx, unsigned pins, struct ioapic **ret)
{
	struct ioapic *a;

	if (pins < 1 || pins > IOAPIC_MAX_PINS)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->ops = ops;
	a->ctx = ctx;
	a->pins = pins;
	for (unsigned pin = 0; pin < pins; pin++) {
		a->state.entry[pin] = ENTRY_MASKED;
		a->route[pin] = make_route(pin, ENTRY_MASKED);
	}
	pthread_mutex_init(&a->lock, NULL);
	*ret = a;
	return 0;
}

void ioapic_destroy(struct ioapic *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* All of them at once, and also when none delivers: KVM's table must be this one. */
static void publish_all(struct ioapic *a, struct state *s)
{
	for (unsigned pin = 0; pin < a->pins; pin++) {
		a->state.entry[pin] &= ENTRY_WRITABLE;
		a->route[pin] = make_route(pin, a->state.entry[pin]);
	}
	if (a->ops->set_routes(a->ctx, a->route, a->pins) < 0)
		state_fail(s, "KVM refused the interrupt routes");
}

void ioapic_exchange(struct ioapic *a, struct state *s)
{
	uint32_t pins = a->pins;

	state_begin(s, STATE_IOAPIC, 0);
	state_u32(s, &pins);
	if (pins != a->pins)
		state_fail(s, "another number of pins than this machine's");
	state_u32(s, &a->state.id);
	state_u8(s, &a->state.select);
	for (unsigned pin = 0; pin < a->pins; pin++)
		state_u64(s, &a->state.entry[pin]);
	state_end(s);
	a->state.id &= ID_MASK;
	if (state_loading(s) && !state_failed(s))
		publish_all(a, s);
}

/* --- registers: vCPU threads, under the lock --- */

/* The pin whose entry the select register names, and which half of it. */
static bool selected_entry(const struct ioapic *a, unsigned *pin, bool *high)
{
	unsigned reg = a->state.select;

	if (reg < REG_ENTRIES || reg >= REG_ENTRIES + 2 * a->pins)
		return false;
	*pin = (reg - REG_ENTRIES) / 2;
	*high = reg % 2;
	return true;
}

static uint32_t window_read(const struct ioapic *a)
{
	unsigned pin;
	bool high;

	if (selected_entry(a, &pin, &high))
		return (uint32_t)(a->state.entry[pin] >> (high ? 32 : 0));
	switch (a->state.select) {
	case REG_ID:
	case REG_ARBITRATION:
		return a->state.id;
	case REG_VERSION:
		return VERSION | (a->pins - 1) << VERSION_LAST_PIN_SHIFT;
	default:
		return 0;
	}
}

static void publish(struct ioapic *a, unsigned pin)
{
	struct ioapic_route route = make_route(pin, a->state.entry[pin]);

	if (route_equals(&route, &a->route[pin]) && !a->stale)
		return;
	a->route[pin] = route;

	int r = a->ops->set_routes(a->ctx, a->route, a->pins);

	a->stale = r < 0;
	if (r < 0)
		log_guest("ioapic: cannot set the interrupt routes: %s", strerror(-r));
}

static void write_entry(struct ioapic *a, unsigned pin, bool high, uint32_t value)
{
	uint64_t entry = a->state.entry[pin];

	if (high)
		entry = (uint64_t)value << 32 | (uint32_t)entry;
	else
		entry = (entry & ~(uint64_t)UINT32_MAX) | value;
	a->state.entry[pin] = entry & ENTRY_WRITABLE;
	publish(a, pin);
}

static void window_write(struct ioapic *a, uint32_t value)
{
	unsigned pin;
	bool high;

	if (selected_entry(a, &pin, &high))
		write_entry(a, pin, high, value);
	else if (a->state.select == REG_ID)
		a->state.id = value & ID_MASK;
}

static void ioapic_read(void *device, uint64_t off, void *data, size_t len)
{
	struct ioapic *a = device;
	uint32_t value = 0;

	memset(data, 0, len);
	if (len != MMIO_REG_BYTES || (off != MMIO_SELECT && off != MMIO_WINDOW))
		return;
	pthread_mutex_lock(&a->lock);
	value = off == MMIO_SELECT ? a->state.select : window_read(a);
	pthread_mutex_unlock(&a->lock);
	memcpy(data, &value, sizeof(value));
}

static void ioapic_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct ioapic *a = device;
	uint32_t value;

	if (len != MMIO_REG_BYTES || (off != MMIO_SELECT && off != MMIO_WINDOW))
		return;
	memcpy(&value, data, sizeof(value));
	pthread_mutex_lock(&a->lock);
	if (off == MMIO_SELECT)
		a->state.select = (uint8_t)value;
	else
		window_write(a, value);
	pthread_mutex_unlock(&a->lock);
}

const struct bus_ops ioapic_bus_ops = {
	.name = "ioapic",
	.read = ioapic_read,
	.write = ioapic_write,
};
