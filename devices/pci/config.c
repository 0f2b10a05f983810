/* config.c - the configuration space of one PCI function. */
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/pci/config.h"

enum { CAP_ALIGN = 4, BAR_FLAG_BITS = 4 };

static void put(uint8_t *at, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

void pci_config_init(struct pci_config *c, const struct pci_ids *ids)
{
	*c = (struct pci_config){
		.last_link = PCI_CAPABILITY_LIST,
		.free = PCI_STD_HEADER_SIZEOF,
	};
	put(&c->bytes[PCI_VENDOR_ID], ids->vendor, 2);
	put(&c->bytes[PCI_DEVICE_ID], ids->device, 2);
	put(&c->bytes[PCI_CLASS_REVISION], ids->class_code << 8 | ids->revision, 4);
	put(&c->bytes[PCI_SUBSYSTEM_VENDOR_ID], ids->subsystem_vendor, 2);
	put(&c->bytes[PCI_SUBSYSTEM_ID], ids->subsystem, 2);
	/* A driver may turn all of it off. The interrupt line is a note of the
	 * system's to itself: there is no pin behind it. */
	put(&c->writable[PCI_COMMAND],
	    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	c->writable[PCI_CACHE_LINE_SIZE] = UINT8_MAX;
	c->writable[PCI_INTERRUPT_LINE] = UINT8_MAX;
}

/* Address bits below the size read as 0, which is how a guest learns the size. */
void pci_config_set_bar(struct pci_config *c, uint64_t base, uint64_t len)
{
	c->bar_len = len;
	put(&c->bytes[PCI_BASE_ADDRESS_0], base | PCI_BASE_ADDRESS_MEM_TYPE_64, 8);
	put(&c->writable[PCI_BASE_ADDRESS_0], ~(len - 1), 8);
}

uint8_t pci_config_add_cap(struct pci_config *c, uint8_t id, const void *body, const void *writable,
			   size_t len)
{
	uint8_t at = c->free;

	c->bytes[at] = id;
	memcpy(&c->bytes[at + PCI_CAP_FLAGS], body, len);
	if (writable)
		memcpy(&c->writable[at + PCI_CAP_FLAGS], writable, len);
	c->bytes[c->last_link] = at;
	c->last_link = (uint8_t)(at + PCI_CAP_LIST_NEXT);
	c->bytes[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->free = (uint8_t)((at + PCI_CAP_FLAGS + len + CAP_ALIGN - 1) & ~(CAP_ALIGN - 1u));
	return at;
}

uint64_t pci_config_bar(const struct pci_config *c)
{
	uint64_t bar;

	memcpy(&bar, &c->bytes[PCI_BASE_ADDRESS_0], sizeof(bar));
	return bar >> BAR_FLAG_BITS << BAR_FLAG_BITS;
}

bool pci_config_decodes(const struct pci_config *c)
{
	return c->bar_len > 0 && (c->bytes[PCI_COMMAND] & PCI_COMMAND_MEMORY);
}

void pci_config_read(const struct pci_config *c, uint64_t off, void *data, size_t len)
{
	uint8_t *to = data;

	for (size_t i = 0; i < len; i++)
		to[i] = off + i < PCI_CONFIG_LEN ? c->bytes[off + i] : 0;
}

void pci_config_write(struct pci_config *c, uint64_t off, const void *data, size_t len)
{
	const uint8_t *from = data;

	for (size_t i = 0; i < len && off + i < PCI_CONFIG_LEN; i++) {
		uint8_t mask = c->writable[off + i], *byte = &c->bytes[off + i];

		*byte = (uint8_t)((*byte & ~mask) | (from[i] & mask));
	}
}
