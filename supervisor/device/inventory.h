/* inventory.h - the PCI functions of this host, and what it says about passing them on.
 *
 * All of it is read from sysfs and procfs below a root, "/" or one that a test made, anew
 * each time: devices come and go, and drivers change, without telling us. Any thread; it
 * takes some 50 us a function.
 */
#ifndef SUPERVISOR_DEVICE_INVENTORY_H
#define SUPERVISOR_DEVICE_INVENTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

enum {
	PCI_ADDRESS_BYTES = 16, /* "0000:00:04.0", whose domain may be longer */
	PCI_NAME_BYTES = 32,
	PCI_USE_BYTES = 96,
	PCI_BARS = 6,
	INVENTORY_FUNCTIONS_MAX = 4096,
	INVENTORY_NODES_MAX = 64,
};

struct pci_bar {
	uint64_t bytes; /* 0: there is none */
	bool io, prefetchable;
};

struct pci_function {
	char address[PCI_ADDRESS_BYTES];
	uint32_t class_code; /* class, subclass, interface */
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	char driver[PCI_NAME_BYTES];	      /* "": none */
	char driver_override[PCI_NAME_BYTES]; /* "": none */
	int group;			      /* of the IOMMU; -1: none */
	int node;			      /* -1: unknown */
	char cpus[64];			      /* near it, as "0-3" */
	char reset[64];			      /* methods, in the order of trying; "": none */
	char power[16];			      /* "D0"; "": unknown */
	bool answers;			      /* its configuration space is not all ones */
	uint8_t header;			      /* type, without the bit for many functions */
	char physical[PCI_ADDRESS_BYTES];     /* of a virtual function: whose it is; or "" */
	unsigned virtuals_most, virtuals;     /* that it can have, and has */
	struct pci_bar bars[PCI_BARS];
	uint64_t rom_bytes;
	char link_speed[PCI_NAME_BYTES], link_speed_most[PCI_NAME_BYTES]; /* "": no link */
	unsigned link_width, link_width_most;
	uint64_t errors_fatal, errors_nonfatal; /* that AER has counted */
	char use[PCI_USE_BYTES];		/* what the host uses it for; "": nothing */
};

struct host_node {
	int number;
	uint64_t huge_free_mib; /* in huge pages of any size */
};

struct host_facts {
	unsigned iommus, groups;
	bool remaps_interrupts, allows_unsafe_interrupts;
	bool overrides_acs; /* by the kernel's command line */
	bool has_vfio;	    /* vfio-pci, vfio_iommu_type1 and /dev/vfio/vfio */
	uint64_t dma_entries;
	bool merges_pages;	/* KSM */
	uint64_t available_mib; /* of memory */
	uint64_t memlock_mib;	/* that a process of ours can be allowed; UINT64_MAX: any */
	unsigned nodes;
	struct host_node node[INVENTORY_NODES_MAX];
};

struct inventory {
	struct host_facts host;
	unsigned count;
	struct pci_function *functions; /* by address */
};

/* 0, also when there is no PCI, or a negative errno; inventory_clear() in any case. */
int inventory_read(const char *root, struct inventory *ret, struct error *err);
void inventory_clear(struct inventory *v);

/* What a process of ours can be allowed to lock; UINT64_MAX: any. */
uint64_t inventory_memlock_mib(void);

/* NULL: there is none. */
const struct pci_function *inventory_find(const struct inventory *v, const char *address);

/* A bridge is the bus's and passes on nothing but what is behind it. */
bool pci_is_bridge(const struct pci_function *f);

/* "network", "nvme", ...; "other" where there is no name. Static. */
const char *pci_class_name(uint32_t class_code);

/* What a user may say for a device: "pci:" and a class (a name, or 2, 4 or 6 hexadecimal
 * digits), VENDOR:DEVICE, or an address, whose domain may be left out. */
struct pci_selector {
	char address[PCI_ADDRESS_BYTES]; /* or "" */
	uint32_t class_code, class_mask;
	uint32_t vendor, device, ids_mask; /* 0: they do not matter */
};

int pci_selector_parse(const char *text, struct pci_selector *ret, struct error *err);
bool pci_selector_matches(const struct pci_selector *s, const struct pci_function *f);

/* The caller owns the reference. */
json_t *pci_describe(const struct inventory *v, const struct pci_function *f);

#endif
