/* bus.c - a PCI host bridge with one bus.
 *
 * vCPU threads come through ECAM and through the window, the main thread plugs and
 * unplugs. One lock guards the table of slots and all configuration space. ECAM
 * takes it exclusively: configuration is rare. An access to a BAR shares it, so
 * that two vCPUs reach two devices at once, and a function cannot go away under
 * either. Writers go first, or vCPUs that keep reading could hold up the main
 * thread for as long as they like.
 *
 * What a guest can do wrong: any access to any byte. Absent functions read as ones.
 * A BAR that it puts outside of the window answers nowhere, and of two in one place
 * the one in the lower slot does: it is the guest's own loss.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci/bus.h"

enum { ECAM_SLOT_SHIFT = 15, ECAM_FUNCTION_SHIFT = 12, ECAM_FUNCTION_MASK = 7 };

/* What Firecracker's guests find: an Intel bridge with no driver of its own. */
static const struct pci_ids bridge_ids = {
	.vendor = 0x8086,
	.device = 0x0d57,
	.class_code = 0x060000,
};

struct pci_bus {
	uint64_t window;
	pthread_rwlock_t lock;
	struct pci_function *slot[PCI_SLOTS];
	struct pci_function bridge;
};

static const struct pci_function_ops bridge_ops = { 0 };

static void init_lock(struct pci_bus *b)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&b->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int pci_bus_create(uint64_t window, struct pci_bus **ret)
{
	struct pci_bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->window = window;
	init_lock(b);
	b->bridge.ops = &bridge_ops;
	pci_config_init(&b->bridge.config, &bridge_ids);
	b->slot[0] = &b->bridge;
	*ret = b;
	return 0;
}

void pci_bus_destroy(struct pci_bus *b)
{
	if (!b)
		return;
	pthread_rwlock_destroy(&b->lock);
	free(b);
}

uint64_t pci_bus_bar(const struct pci_bus *b, unsigned slot)
{
	return b->window + (uint64_t)slot * PCI_BAR_MAX;
}

int pci_bus_plug(struct pci_bus *b, unsigned slot, struct pci_function *f)
{
	int r = 0;

	if (slot == 0 || slot >= PCI_SLOTS || f->config.bar_len > PCI_BAR_MAX)
		return -EINVAL;
	f->base = pci_bus_bar(b, slot);
	f->decodes = false;
	pci_config_set_bar(&f->config, f->base, f->config.bar_len);
	pthread_rwlock_wrlock(&b->lock);
	if (b->slot[slot])
		r = -EBUSY;
	else
		b->slot[slot] = f;
	pthread_rwlock_unlock(&b->lock);
	return r;
}

bool pci_bus_unplug(struct pci_bus *b, unsigned slot)
{
	bool was_filled;

	if (slot == 0 || slot >= PCI_SLOTS)
		return false;
	pthread_rwlock_wrlock(&b->lock);
	was_filled = b->slot[slot];
	b->slot[slot] = NULL;
	pthread_rwlock_unlock(&b->lock);
	return was_filled;
}

/* --- configuration space --- */

/* The function that owns all of [off, off + len), with the lock held; NULL: none. */
static struct pci_function *find_function(const struct pci_bus *b, uint64_t off, size_t len)
{
	if ((off >> ECAM_FUNCTION_SHIFT & ECAM_FUNCTION_MASK) != 0 ||
	    off % PCI_CONFIG_SPACE + len > PCI_CONFIG_SPACE)
		return NULL;
	return b->slot[off >> ECAM_SLOT_SHIFT];
}

static void ecam_read(void *device, uint64_t off, void *data, size_t len)
{
	struct pci_bus *b = device;
	uint64_t reg = off % PCI_CONFIG_SPACE;
	struct pci_function *f;

	memset(data, 0xff, len);
	pthread_rwlock_wrlock(&b->lock);
	f = find_function(b, off, len);
	if (f && f->ops->config_reading)
		f->ops->config_reading(f, reg, len);
	if (f)
		pci_config_read(&f->config, reg, data, len);
	pthread_rwlock_unlock(&b->lock);
}

static bool in_window(const struct pci_bus *b, uint64_t base, uint64_t len)
{
	return base >= b->window && base - b->window <= PCI_WINDOW_LEN - len;
}

/* While a guest looks for the size of a BAR, or writes its halves, the BAR does not
 * decode, so it has moved only when it answers again. */
static void update_bar(const struct pci_bus *b, struct pci_function *f)
{
	uint64_t base = pci_config_bar(&f->config);

	f->decodes = pci_config_decodes(&f->config) && in_window(b, base, f->config.bar_len);
	if (!f->decodes || base == f->base)
		return;
	f->base = base;
	if (f->ops->bar_moved)
		f->ops->bar_moved(f, base);
}

static void ecam_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct pci_bus *b = device;
	uint64_t reg = off % PCI_CONFIG_SPACE;
	struct pci_function *f;

	pthread_rwlock_wrlock(&b->lock);
	f = find_function(b, off, len);
	if (f) {
		pci_config_write(&f->config, reg, data, len);
		update_bar(b, f);
	}
	if (f && f->ops->config_written)
		f->ops->config_written(f, reg, len);
	pthread_rwlock_unlock(&b->lock);
}

/* What a guest cannot change must be as it is here. */
static void load_config(const struct pci_bus *b, struct pci_function *f, const uint8_t *bytes,
			struct state *s)
{
	struct pci_config *c = &f->config;

	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++) {
		if ((bytes[i] ^ c->bytes[i]) & ~c->writable[i])
			state_fail(s, "another PCI function than the machine's");
	}
	if (state_failed(s))
		return;
	memcpy(c->bytes, bytes, PCI_CONFIG_LEN);
	update_bar(b, f);
}

void pci_bus_state(struct pci_bus *b, unsigned slot, struct state *s)
{
	uint8_t bytes[PCI_CONFIG_LEN] = { 0 };
	struct pci_function *f;

	pthread_rwlock_wrlock(&b->lock);
	f = b->slot[slot];
	if (f)
		memcpy(bytes, f->config.bytes, sizeof(bytes));
	state_bytes(s, bytes, sizeof(bytes));
	if (!f)
		state_fail(s, "no function in its slot");
	else if (state_loading(s))
		load_config(b, f, bytes, s);
	pthread_rwlock_unlock(&b->lock);
}

const struct bus_ops pci_ecam_bus_ops = {
	.name = "pci-ecam",
	.read = ecam_read,
	.write = ecam_write,
};

/* --- BARs --- */

/* Who answers all of [address, address + len), with the lock held. */
static struct pci_function *find_bar(const struct pci_bus *b, uint64_t address, size_t len)
{
	for (unsigned i = 1; i < PCI_SLOTS; i++) {
		struct pci_function *f = b->slot[i];

		if (f && f->decodes && address >= f->base &&
		    address - f->base <= f->config.bar_len - len)
			return f;
	}
	return NULL;
}

static void window_read(void *device, uint64_t off, void *data, size_t len)
{
	struct pci_bus *b = device;
	struct pci_function *f;

	pthread_rwlock_rdlock(&b->lock);
	f = find_bar(b, b->window + off, len);
	if (f)
		f->ops->bar_read(f, b->window + off - f->base, data, len);
	else
		memset(data, 0xff, len);
	pthread_rwlock_unlock(&b->lock);
}

static void window_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct pci_bus *b = device;
	struct pci_function *f;

	pthread_rwlock_rdlock(&b->lock);
	f = find_bar(b, b->window + off, len);
	if (f)
		f->ops->bar_write(f, b->window + off - f->base, data, len);
	pthread_rwlock_unlock(&b->lock);
}

const struct bus_ops pci_window_bus_ops = {
	.name = "pci-window",
	.read = window_read,
	.write = window_write,
};
