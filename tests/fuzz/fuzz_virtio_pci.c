/* fuzz_virtio_pci.c - any access to a PCI bus with a virtio device on it, and to the
 * registers by which the device goes and comes back.
 *
 * The input is a list of steps of STEP_BYTES each: what to do, where, how wide, and a
 * value. A shortcut brings the driver up, so that the queues move, too. What must hold
 * whatever the guest does is checked as it happens: a BAR never leaves the window, KVM
 * is told of vectors that exist, the bridge stays.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/pci/hotplug.h"
#include "devices/virtio/life.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/pci_caps.h"
#include "tests/unit/virtio_probe.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

#define WINDOW UINT64_C(0xd0000000)

enum {
	STEP_BYTES = 8,
	SLOT = 1,
	RAM_BYTES = 0x10000,
	DESC = 0x1000,
	AVAIL = 0x2000,
	USED = 0x3000,
	QUEUE_SIZE = 16,
	VECTORS = 3,
	MAX_TURNS = 3,
	LIVE = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
	       VIRTIO_CONFIG_S_DRIVER_OK,
};

struct machine {
	struct gmem *mem;
	struct pci_bus *bus;
	struct pci_hotplug *hotplug;
	int irq_fd;
	struct virtio_transport *transport; /* NULL while the slot is empty */
	struct virtio_dev *dev;
};

struct step {
	uint8_t kind;
	uint16_t where;
	size_t width;
	uint64_t value;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static int on_routes(void *ctx, const struct msix_route *routes, unsigned n)
{
	(void)ctx;
	require(n == VECTORS);
	for (unsigned i = 0; i < n; i++)
		require(routes[i].used || (routes[i].address == 0 && routes[i].data == 0));
	/* Now and then KVM has no memory for it. */
	return routes[0].data % 5 == 4 ? -1 : 0;
}

static void on_moved(void *ctx, uint64_t base)
{
	(void)ctx;
	require(base >= WINDOW && base - WINDOW <= PCI_WINDOW_LEN - VIRTIO_PCI_BAR_LEN);
	require(base % VIRTIO_PCI_BAR_LEN == 0);
}

static const struct virtio_pci_ops ops = { { on_routes }, on_moved };

static void plug(struct machine *m)
{
	struct probe *probe = probe_create();

	require(probe != NULL);
	m->dev = &probe->dev;
	require(virtio_pci_create(m->dev, m->mem, &ops, NULL, &m->transport) == 0);
	require(pci_bus_plug(m->bus, SLOT, virtio_pci_function(m->transport)) == 0);
	pci_hotplug_announce(m->hotplug, SLOT);
}

static void create(struct machine *m)
{
	const struct gmem_config config = { .size_bytes = RAM_BYTES, .backing = GMEM_ANON };

	m->irq_fd = fd_event();
	require(gmem_create(&config, &m->mem, NULL) == 0);
	require(pci_bus_create(WINDOW, &m->bus) == 0);
	require(pci_hotplug_create(m->bus, m->irq_fd, &m->hotplug) == 0);
	plug(m);
}

static void destroy(struct machine *m)
{
	virtio_transport_destroy(m->transport);
	pci_hotplug_destroy(m->hotplug);
	pci_bus_destroy(m->bus);
	gmem_destroy(m->mem);
	fd_close(m->irq_fd);
}

static void config_access(struct machine *m, const struct step *s)
{
	/* Mostly the device's, and mostly the part that exists. */
	uint64_t off = s->where & 0x8000
			       ? s->where * 17 % (PCI_ECAM_LEN - 8)
			       : SLOT << 15 | (s->where & (s->where & 0x4000 ? 0xfff : 0xff));
	uint64_t value = s->value;

	if (s->kind & 1)
		pci_ecam_bus_ops.read(m->bus, off, &value, s->width);
	else
		pci_ecam_bus_ops.write(m->bus, off, &value, s->width);
}

static void bar_access(struct machine *m, const struct step *s)
{
	uint64_t off = (s->where & 0x8000 ? s->value % (PCI_WINDOW_LEN - 8)
					  : (uint64_t)SLOT * PCI_BAR_MAX) +
		       (s->where & 0x7fff);
	uint64_t value = s->value;

	if (off + s->width > PCI_WINDOW_LEN)
		return;
	if (s->kind & 1)
		pci_window_bus_ops.read(m->bus, off, &value, s->width);
	else
		pci_window_bus_ops.write(m->bus, off, &value, s->width);
}

static void put(struct machine *m, uint64_t off, uint64_t value, size_t len)
{
	pci_window_bus_ops.write(m->bus, (uint64_t)SLOT * PCI_BAR_MAX + off, &value, len);
}

static void start(struct machine *m, const struct step *s)
{
	uint32_t command = PCI_COMMAND_MEMORY;
	uint64_t bar = WINDOW + (uint64_t)SLOT * PCI_BAR_MAX;

	pci_ecam_bus_ops.write(m->bus, SLOT << 15 | PCI_COMMAND, &command, 2);
	pci_ecam_bus_ops.write(m->bus, SLOT << 15 | PCI_BASE_ADDRESS_0, &bar, 8);
	put(m, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	put(m, VIRTIO_PCI_COMMON_STATUS, LIVE & 3, 1);
	put(m, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	put(m, VIRTIO_PCI_COMMON_GF, s->value, 4);
	put(m, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	put(m, VIRTIO_PCI_COMMON_GF, 1, 4);
	put(m, VIRTIO_PCI_COMMON_STATUS, LIVE & ~VIRTIO_CONFIG_S_DRIVER_OK, 1);
	put(m, VIRTIO_PCI_COMMON_Q_SELECT, s->where & 1, 2);
	put(m, VIRTIO_PCI_COMMON_Q_SIZE, QUEUE_SIZE, 2);
	put(m, VIRTIO_PCI_COMMON_Q_MSIX, s->where >> 8 & 3, 2);
	put(m, VIRTIO_PCI_COMMON_Q_DESCLO, DESC, 4);
	put(m, VIRTIO_PCI_COMMON_Q_AVAILLO, AVAIL, 4);
	put(m, VIRTIO_PCI_COMMON_Q_USEDLO, USED, 4);
	put(m, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	put(m, VIRTIO_PCI_COMMON_STATUS, LIVE, 1);
}

static void memory(struct machine *m, const struct step *s)
{
	(void)gmem_write(m->mem, gpa(s->where), &s->value, s->width);
}

/* A descriptor, and its head on the available ring. */
static void offer(struct machine *m, const struct step *s)
{
	const struct vring_desc d = {
		.addr = s->value & 0xffff,
		.len = (uint32_t)(s->value >> 16 & 0xff),
		.flags = (uint16_t)(s->value >> 24 & 7),
		.next = (uint16_t)(s->value >> 28),
	};
	unsigned i = s->where % QUEUE_SIZE;
	struct vring_avail *avail = gmem_span(m->mem, gpa(AVAIL), 6 + 2 * QUEUE_SIZE);

	(void)gmem_write(m->mem, gpa(DESC + i * sizeof(d)), &d, sizeof(d));
	avail->ring[avail->idx % QUEUE_SIZE] = (uint16_t)i;
	avail->idx++;
}

static void kick(struct machine *m, const struct step *s)
{
	unsigned q = s->where % 2;

	put(m, virtio_pci_notify(s->where % 5), 0, 2);
	for (int turn = 0; m->transport && turn < MAX_TURNS && virtio_dev_kick(m->dev, q); turn++)
		;
}

/* Reads and ejections; what is gone comes back at the next of these steps. */
static void hotplug(struct machine *m, const struct step *s)
{
	uint64_t off = s->where % PCI_HOTPLUG_LEN, value = s->value;
	uint32_t bridge = 0;

	if (!m->transport)
		plug(m);
	if (off + s->width <= PCI_HOTPLUG_LEN && (s->where & 0x100))
		pci_hotplug_bus_ops.read(m->hotplug, off, &value, s->width);
	else if (off + s->width <= PCI_HOTPLUG_LEN)
		pci_hotplug_bus_ops.write(m->hotplug, off, &value, s->width);
	if (pci_hotplug_take_ejected(m->hotplug) & 1u << SLOT) {
		virtio_transport_destroy(m->transport);
		m->transport = NULL;
	}
	pci_ecam_bus_ops.read(m->bus, 0, &bridge, sizeof(bridge));
	require(bridge == 0x0d578086);
}

/* What the host does meanwhile. */
static void host(struct machine *m, const struct step *s)
{
	if (!m->transport)
		return;
	if (s->where & 1)
		pci_hotplug_ask_back(m->hotplug, SLOT);
	else if (s->where & 2)
		virtio_dev_config_changed(m->dev);
	else
		virtio_dev_fail(m->dev, "as asked");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct machine *, const struct step *) = {
		config_access, config_access, bar_access, bar_access, start, memory,
		offer,	       offer,	      kick,	  hotplug,    host,
	};
	struct machine m = { 0 };

	log_setup(&(struct log_config){ .id = "fuzz", .level = LOG_OFF, .fd = -1 });
	create(&m);
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES) {
		struct step s = {
			.kind = data[0] % (sizeof(steps) / sizeof(steps[0])),
			.where = (uint16_t)(data[1] | data[2] << 8),
			.width = (size_t)1 << data[3] % 4,
		};

		memcpy(&s.value, data + 4, 4);
		s.value |= s.value << 32;
		steps[s.kind](&m, &s);
	}
	destroy(&m);
	return 0;
}
