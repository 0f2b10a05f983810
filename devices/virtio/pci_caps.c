/* pci_caps.c - what the configuration space of a virtio device says about it. */
#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "devices/virtio/pci_caps.h"

enum {
	VENDOR = 0x1af4,
	DEVICE_BASE = 0x1040, /* and the virtio device's id */
	REVISION = 1,	      /* 0 was the legacy interface */
};

/* A class for people who list devices; drivers go by the id. */
static uint32_t class_of(uint32_t id)
{
	static const struct {
		uint32_t id, class_code;
	} classes[] = {
		{ VIRTIO_ID_NET, 0x020000 },	 /* Ethernet controller */
		{ VIRTIO_ID_BLOCK, 0x018000 },	 /* mass storage */
		{ VIRTIO_ID_CONSOLE, 0x078000 }, /* communication controller */
		{ VIRTIO_ID_PMEM, 0x058000 },	 /* memory controller */
		{ VIRTIO_ID_MEM, 0x058000 },	 { VIRTIO_ID_FS, 0x018000 },
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (classes[i].id == id)
			return classes[i].class_code;
	}
	return 0xff0000; /* no class fits */
}

enum { CAP_HEADER = 2 }; /* id and link, which pci_config_add_cap() makes */

static void add_region_cap(struct pci_config *c, uint8_t type, uint32_t offset, uint32_t length)
{
	struct virtio_pci_notify_cap cap = {
		.cap = {
			.cap_len = sizeof(cap.cap),
			.cfg_type = type,
			.offset = offset,
			.length = length,
		},
		.notify_off_multiplier = VIRTIO_PCI_NOTIFY_STRIDE,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap.cap.cap_len = sizeof(cap);
	pci_config_add_cap(c, PCI_CAP_ID_VNDR, (const char *)&cap + CAP_HEADER, NULL,
			   cap.cap.cap_len - CAP_HEADER);
}

static uint8_t add_window_cap(struct pci_config *c)
{
	const struct virtio_pci_cfg_cap cap = {
		.cap = { .cap_len = sizeof(cap), .cfg_type = VIRTIO_PCI_CAP_PCI_CFG },
	};
	const struct virtio_pci_cfg_cap writable = {
		.cap = { .bar = UINT8_MAX, .offset = UINT32_MAX, .length = UINT32_MAX },
		.pci_cfg_data = { UINT8_MAX, UINT8_MAX, UINT8_MAX, UINT8_MAX },
	};

	return pci_config_add_cap(c, PCI_CAP_ID_VNDR, (const char *)&cap + CAP_HEADER,
				  (const char *)&writable + CAP_HEADER, sizeof(cap) - CAP_HEADER);
}

static uint8_t add_msix_cap(struct pci_config *c, unsigned vectors)
{
	struct {
		uint16_t flags;
		uint32_t table, pending;
	} __attribute__((packed))
	cap = { (uint16_t)(vectors - 1), VIRTIO_PCI_BAR_TABLE, VIRTIO_PCI_BAR_PENDING },
	writable = { .flags = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL };

	return pci_config_add_cap(c, PCI_CAP_ID_MSIX, &cap, &writable, sizeof(cap));
}

void virtio_pci_describe(const struct virtio_ops *ops, unsigned vectors, struct pci_config *c,
			 struct virtio_pci_caps *ret)
{
	const struct pci_ids ids = {
		.vendor = VENDOR,
		.device = (uint16_t)(DEVICE_BASE + ops->id),
		.subsystem_vendor = VENDOR,
		.subsystem = (uint16_t)(DEVICE_BASE + ops->id),
		.class_code = class_of(ops->id),
		.revision = REVISION,
	};

	pci_config_init(c, &ids);
	pci_config_set_bar(c, 0, VIRTIO_PCI_BAR_LEN);
	ret->msix = add_msix_cap(c, vectors);
	add_region_cap(c, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_BAR_COMMON,
		       sizeof(struct virtio_pci_common_cfg));
	add_region_cap(c, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_BAR_NOTIFY,
		       ops->nqueues * VIRTIO_PCI_NOTIFY_STRIDE);
	add_region_cap(c, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_BAR_ISR, 1);
	if (ops->config_len > 0)
		add_region_cap(c, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_BAR_DEVICE,
			       (uint32_t)ops->config_len);
	ret->window = add_window_cap(c);
}
