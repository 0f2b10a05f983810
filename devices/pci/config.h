/* config.h - the configuration space of one PCI function (PCI Local Bus 3.0,
 * chapter 6): a header of type 0, one memory BAR, a list of capabilities.
 *
 * Bytes and which of their bits the guest may change, nothing more: what a change
 * means is the bus's (bus.h) and the function's business. No lock of its own.
 */
#ifndef DEVICES_PCI_CONFIG_H
#define DEVICES_PCI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PCI_CONFIG_LEN = 256,	   /* what a function has */
	PCI_CONFIG_SPACE = 0x1000, /* what ECAM gives it; the rest reads as 0 */
};

struct pci_ids {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class_code; /* base class, subclass, interface: 24 bits */
	uint8_t revision;
};

struct pci_config {
	uint8_t bytes[PCI_CONFIG_LEN];
	uint8_t writable[PCI_CONFIG_LEN]; /* bits that the guest may change */
	uint64_t bar_len;		  /* a power of two; 0: no BAR */
	uint8_t last_link;		  /* where the list of capabilities ends */
	uint8_t free;			  /* what lies from here on is not used yet */
};

void pci_config_init(struct pci_config *c, const struct pci_ids *ids);

/* BAR 0 and 1: `len` bytes of memory, a 64-bit address, not prefetchable. */
void pci_config_set_bar(struct pci_config *c, uint64_t base, uint64_t len);

/* Appends a capability (6.7): `len` bytes that follow its two-byte header, and the
 * bits of them that the guest may change (NULL: none). Returns the offset of the
 * header. The caller sees to it that all fit. */
uint8_t pci_config_add_cap(struct pci_config *c, uint8_t id, const void *body, const void *writable,
			   size_t len);

/* Where BAR 0 lies by now, and whether the function answers there. */
uint64_t pci_config_bar(const struct pci_config *c);
bool pci_config_decodes(const struct pci_config *c);

/* Any offset and length: what lies outside reads as 0 and is not written. */
void pci_config_read(const struct pci_config *c, uint64_t off, void *data, size_t len);
void pci_config_write(struct pci_config *c, uint64_t off, const void *data, size_t len);

/* Whether [off, off + len) touches [at, at + size). */
static inline bool pci_config_touches(uint64_t off, size_t len, unsigned at, unsigned size)
{
	return off < at + size && at < off + len;
}

#endif
