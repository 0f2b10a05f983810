/* hotplug.c - the registers by which PCI devices come and go while the guest runs.
 *
 * Each register is one word that one side adds bits to and the other side takes all
 * of at once, so nothing is lost and nothing needs a lock. Bits come before their
 * interrupt, and every call sends one, so a method that has just read a register is
 * run again.
 *
 * A guest may eject any device at any time, asked or not: what it ejects it has
 * given up. Slots with nothing in them are not reported.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci/hotplug.h"
#include "vmm/base/fd.h"

struct pci_hotplug {
	struct pci_bus *bus;
	int irq_fd, ejected_fd;
	uint32_t filled, wanted, ejected; /* atomic */
};

int pci_hotplug_create(struct pci_bus *bus, int irq_fd, struct pci_hotplug **ret)
{
	struct pci_hotplug *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->bus = bus;
	h->irq_fd = irq_fd;
	h->ejected_fd = fd_event();
	if (h->ejected_fd < 0) {
		int r = h->ejected_fd;

		free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void pci_hotplug_destroy(struct pci_hotplug *h)
{
	if (!h)
		return;
	fd_close(h->ejected_fd);
	free(h);
}

void pci_hotplug_state(struct pci_hotplug *h, struct state *s)
{
	state_begin(s, STATE_PCI_HOTPLUG, 0);
	state_u32(s, &h->filled);
	state_u32(s, &h->wanted);
	if (__atomic_load_n(&h->ejected, __ATOMIC_SEQ_CST))
		state_fail(s, "the guest has just let go of a device; try again");
	state_end(s);
}

static void add(uint32_t *word, unsigned slot)
{
	__atomic_fetch_or(word, 1u << slot, __ATOMIC_SEQ_CST);
}

static uint32_t take(uint32_t *word)
{
	return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
}

void pci_hotplug_announce(struct pci_hotplug *h, unsigned slot)
{
	add(&h->filled, slot);
	fd_event_signal(h->irq_fd);
}

void pci_hotplug_ask_back(struct pci_hotplug *h, unsigned slot)
{
	add(&h->wanted, slot);
	fd_event_signal(h->irq_fd);
}

int pci_hotplug_fd(const struct pci_hotplug *h)
{
	return h->ejected_fd;
}

uint32_t pci_hotplug_take_ejected(struct pci_hotplug *h)
{
	return take(&h->ejected);
}

static void hotplug_read(void *device, uint64_t off, void *data, size_t len)
{
	struct pci_hotplug *h = device;
	uint32_t value = 0;

	memset(data, 0xff, len);
	if (len != PCI_HOTPLUG_REG_LEN || off % PCI_HOTPLUG_REG_LEN != 0)
		return;
	if (off == PCI_HOTPLUG_FILLED)
		value = take(&h->filled);
	else if (off == PCI_HOTPLUG_WANTED)
		value = take(&h->wanted);
	memcpy(data, &value, sizeof(value));
}

static void eject(struct pci_hotplug *h, uint32_t slots)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if ((slots >> i & 1) && pci_bus_unplug(h->bus, i))
			add(&h->ejected, i);
	}
	fd_event_signal(h->ejected_fd);
}

static void hotplug_write(void *device, uint64_t off, const void *data, size_t len)
{
	uint32_t value;

	if (off != PCI_HOTPLUG_EJECT || len != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	eject(device, value);
}

const struct bus_ops pci_hotplug_bus_ops = {
	.name = "pci-hotplug",
	.read = hotplug_read,
	.write = hotplug_write,
};
