/* pci.c - the PCI transport: a function of a PCI bus in front of a virtio device.
 *
 * transport.c has what is not peculiar to this transport, pci_caps.c tells the driver
 * where in the BAR everything is.
 *
 * Two locks meet: the bus's, held by every access that comes from the guest, and
 * inside of it the device's, which guards all of this file's state. The main thread
 * takes the second alone. Interrupts are MSI-X vectors; while a driver has MSI-X off
 * it can only poll the ISR status, for there is no interrupt line.
 *
 * What a guest can do wrong: any access at any offset, width and order. A register
 * answers an access of its own width (4.1.3.1); anything else reads as 0, is not
 * written, and is counted as rejected. The window in configuration space (4.1.4.9)
 * leads to the same registers and cannot leave the BAR either.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/pci.h"
#include "devices/virtio/pci_caps.h"
#include "devices/virtio/registers.h"
#include "vmm/base/fd.h"

enum {
	REGION_SHIFT = 12, /* each of the BAR's regions is one page */
	REGION_LEN = 1 << REGION_SHIFT,
	ISR_QUEUE = 1,
};

struct virtio_pci {
	struct virtio_transport base;
	struct pci_function function;
	const struct virtio_pci_ops *ops;
	void *ctx;
	struct virtio_pci_caps caps;
	int unassigned_fd; /* of a remote device: where a queue without a vector signals */

	/* Under the device's lock. */
	struct msix *msix;
	uint8_t isr; /* atomically set: an interrupt needs one lane's lock */
	uint16_t config_vector, queue_vector[VIRTIO_MAX_QUEUES];
};

static struct virtio_pci *to_pci(struct virtio_transport *t)
{
	return container_of(t, struct virtio_pci, base);
}

/* --- what transport.c asks for --- */

static void pci_interrupt(struct virtio_transport *t, enum virtio_cause cause, unsigned queue)
{
	struct virtio_pci *p = to_pci(t);
	bool is_config = cause == VIRTIO_CAUSE_CONFIG;

	if (msix_enabled(p->msix))
		msix_raise(p->msix, is_config ? p->config_vector : p->queue_vector[queue]);
	else
		__atomic_fetch_or(&p->isr, is_config ? VIRTIO_PCI_ISR_CONFIG : ISR_QUEUE,
				  __ATOMIC_RELAXED);
}

static int pci_call_fd(struct virtio_transport *t, unsigned queue)
{
	struct virtio_pci *p = to_pci(t);
	unsigned vector = p->queue_vector[queue];

	return vector < msix_vectors(p->msix) ? msix_fd(p->msix, vector) : p->unassigned_fd;
}

static void pci_reset(struct virtio_transport *t)
{
	struct virtio_pci *p = to_pci(t);

	msix_set_live(p->msix, false);
	p->isr = 0;
	p->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned i = 0; i < t->nqueues; i++) {
		p->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
		t->queue[i].layout.size = virtq_max_size(t->dev->vq[i]);
	}
}

/* Vectors that do not exist were never stored, but a state may have them. */
static void vector_state(const struct virtio_pci *p, uint16_t *vector, struct state *s)
{
	state_u16(s, vector);
	if (*vector >= msix_vectors(p->msix))
		*vector = VIRTIO_MSI_NO_VECTOR;
}

/* The function's configuration, with MSI-X's control in it, is in place (bus.h). */
static void pci_state(struct virtio_transport *t, struct state *s)
{
	struct virtio_pci *p = to_pci(t);
	uint16_t flags;

	state_u8(s, &p->isr);
	vector_state(p, &p->config_vector, s);
	for (unsigned i = 0; i < t->nqueues; i++)
		vector_state(p, &p->queue_vector[i], s);
	msix_state(p->msix, s);
	if (!state_loading(s) || state_failed(s))
		return;
	memcpy(&flags, &p->function.config.bytes[p->caps.msix + PCI_MSIX_FLAGS], sizeof(flags));
	msix_set_control(p->msix, flags);
	msix_set_live(p->msix, t->dev->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void free_pci(struct virtio_pci *p)
{
	msix_destroy(p->msix);
	fd_close(p->unassigned_fd);
	free(p);
}

static void pci_destroy(struct virtio_transport *t)
{
	virtio_transport_fini(t);
	free_pci(to_pci(t));
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = pci_interrupt,
	.call_fd = pci_call_fd,
	.reset = pci_reset,
	.state = pci_state,
	.destroy = pci_destroy,
};

/* --- common configuration (4.1.4.3) --- */

/* The address register that byte `off` belongs to, in the selected queue's layout. */
static gpa_t *queue_address(struct virtio_transport_queue *q, uint64_t off)
{
	if (off < VIRTIO_PCI_COMMON_Q_AVAILLO)
		return &q->layout.desc;
	return off < VIRTIO_PCI_COMMON_Q_USEDLO ? &q->layout.avail : &q->layout.used;
}

/* The registers of a queue that exists. */
static uint32_t queue_read(struct virtio_pci *p, struct virtio_transport_queue *q, uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->layout.size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return p->queue_vector[q->index];
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return virtio_transport_ready(&p->base);
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return q->index;
	default:
		return (uint32_t)(queue_address(q, off)->v >> (off % 8 ? 32 : 0));
	}
}

static uint32_t accepted_features(const struct virtio_transport *t)
{
	if (t->driver_features_sel > 1)
		return 0;
	return (uint32_t)(t->dev->accepted >> (32 * t->driver_features_sel));
}

static uint32_t common_read(struct virtio_pci *p, uint64_t off)
{
	struct virtio_transport *t = &p->base;
	struct virtio_transport_queue *q = virtio_transport_selected(t);

	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return t->device_features_sel;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_transport_offered(t);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return t->driver_features_sel;
	case VIRTIO_PCI_COMMON_GF:
		return accepted_features(t);
	case VIRTIO_PCI_COMMON_MSIX:
		return p->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return t->nqueues;
	case VIRTIO_PCI_COMMON_STATUS:
		return t->dev->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return t->dev->config_generation & UINT8_MAX;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return t->queue_sel;
	default:
		return q ? queue_read(p, q, off) : 0;
	}
}

/* A vector that does not exist reads back as none, which tells the driver (4.1.5.1.2). */
static uint16_t take_vector(const struct virtio_pci *p, uint32_t value)
{
	return (uint16_t)(value < msix_vectors(p->msix) ? value : VIRTIO_MSI_NO_VECTOR);
}

/* The registers of the selected queue; frozen while it is in use. */
static bool queue_write(struct virtio_pci *p, uint64_t off, uint32_t value)
{
	struct virtio_transport_queue *q = virtio_transport_writable(&p->base);

	if (!q || off == VIRTIO_PCI_COMMON_Q_NOFF)
		return false;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		q->layout.size = value;
		return true;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		p->queue_vector[q->index] = take_vector(p, value);
		return true;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			virtio_dev_queue_enable(p->base.dev, q->index, &q->layout);
		return value == 1;
	default:
		virtio_transport_set_half(queue_address(q, off), off % 8, value);
		return true;
	}
}

/* The vectors' routes are KVM's business from the moment when the device may use
 * them, all at once. */
static void write_status(struct virtio_pci *p, uint32_t value)
{
	struct virtio_transport *t = &p->base;

	if (value & VIRTIO_CONFIG_S_DRIVER_OK)
		msix_set_live(p->msix, true);
	virtio_transport_set_status(t, value);
	if (!(t->dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		msix_set_live(p->msix, false);
}

static bool common_write(struct virtio_pci *p, uint64_t off, uint32_t value)
{
	struct virtio_transport *t = &p->base;

	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		t->device_features_sel = value;
		return true;
	case VIRTIO_PCI_COMMON_GFSELECT:
		t->driver_features_sel = value;
		return true;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_dev_accept(t->dev, t->driver_features_sel, value);
	case VIRTIO_PCI_COMMON_MSIX:
		p->config_vector = take_vector(p, value);
		return true;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(p, value);
		return true;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		t->queue_sel = value;
		return true;
	case VIRTIO_PCI_COMMON_DF:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return false;
	default:
		return queue_write(p, off, value);
	}
}

/* The width of the register that starts at off; 0: none does. */
static size_t common_width(uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return 2;
	default:
		return off % 4 == 0 && off < sizeof(struct virtio_pci_common_cfg) ? 4 : 0;
	}
}

static bool region_common_read(struct virtio_pci *p, uint64_t off, void *data, size_t len)
{
	uint32_t value;

	if (len != common_width(off))
		return false;
	value = common_read(p, off);
	memcpy(data, &value, len);
	return true;
}

static bool region_common_write(struct virtio_pci *p, uint64_t off, const void *data, size_t len)
{
	uint32_t value = 0;

	if (len != common_width(off))
		return false;
	memcpy(&value, data, len);
	return common_write(p, off, value);
}

/* --- the other regions of the BAR --- */

/* Reading takes the bits off (4.1.4.5). */
static bool region_isr_read(struct virtio_pci *p, uint64_t off, void *data, size_t len)
{
	if (off != 0 || len != 1)
		return false;
	memcpy(data, &p->isr, 1);
	p->isr = 0;
	return true;
}

static bool region_device_read(struct virtio_pci *p, uint64_t off, void *data, size_t len)
{
	virtio_dev_config_read(p->base.dev, off, data, len);
	return true;
}

static bool region_device_write(struct virtio_pci *p, uint64_t off, const void *data, size_t len)
{
	return virtio_dev_config_write(p->base.dev, off, data, len);
}

/* Each queue has its own place, so what is written there does not matter. */
static bool region_notify_write(struct virtio_pci *p, uint64_t off, const void *data, size_t len)
{
	(void)data;
	(void)len;
	return off % VIRTIO_PCI_NOTIFY_STRIDE == 0 &&
	       virtio_transport_notify(&p->base, (uint32_t)off / VIRTIO_PCI_NOTIFY_STRIDE);
}

static bool region_table_read(struct virtio_pci *p, uint64_t off, void *data, size_t len)
{
	return msix_table_read(p->msix, off, data, len);
}

static bool region_table_write(struct virtio_pci *p, uint64_t off, const void *data, size_t len)
{
	return msix_table_write(p->msix, off, data, len);
}

static bool region_pending_read(struct virtio_pci *p, uint64_t off, void *data, size_t len)
{
	return msix_pending_read(p->msix, off, data, len);
}

/* False when there is nothing to access; a read has 0 in data by then. */
struct region {
	bool (*read)(struct virtio_pci *p, uint64_t off, void *data, size_t len);
	bool (*write)(struct virtio_pci *p, uint64_t off, const void *data, size_t len);
};

static const struct region regions[VIRTIO_PCI_BAR_LEN >> REGION_SHIFT] = {
	[VIRTIO_PCI_BAR_COMMON >> REGION_SHIFT] = { region_common_read, region_common_write },
	[VIRTIO_PCI_BAR_ISR >> REGION_SHIFT] = { region_isr_read, NULL },
	[VIRTIO_PCI_BAR_DEVICE >> REGION_SHIFT] = { region_device_read, region_device_write },
	[VIRTIO_PCI_BAR_NOTIFY >> REGION_SHIFT] = { NULL, region_notify_write },
	[VIRTIO_PCI_BAR_TABLE >> REGION_SHIFT] = { region_table_read, region_table_write },
	[VIRTIO_PCI_BAR_PENDING >> REGION_SHIFT] = { region_pending_read, NULL },
};

static void bar_read(struct pci_function *f, uint64_t off, void *data, size_t len)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);
	const struct region *r = &regions[off >> REGION_SHIFT];

	memset(data, 0, len);
	virtio_events_lock(&p->base.events);
	if (!r->read || !r->read(p, off % REGION_LEN, data, len))
		virtio_transport_reject(&p->base, "read", off, len);
	virtio_events_unlock(&p->base.events);
}

static void bar_write(struct pci_function *f, uint64_t off, const void *data, size_t len)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);
	const struct region *r = &regions[off >> REGION_SHIFT];

	virtio_events_lock(&p->base.events);
	if (!r->write || !r->write(p, off % REGION_LEN, data, len))
		virtio_transport_reject(&p->base, "write", off, len);
	virtio_events_unlock(&p->base.events);
}

/* --- configuration space --- */

/* What the driver put into the window (4.1.4.9): true when it leads to the BAR. */
static bool window_target(const struct virtio_pci *p, uint64_t *off, size_t *len)
{
	struct virtio_pci_cap cap;

	memcpy(&cap, &p->function.config.bytes[p->caps.window], sizeof(cap));
	*off = cap.offset;
	*len = cap.length;
	return cap.bar == 0 && (cap.length == 1 || cap.length == 2 || cap.length == 4) &&
	       cap.offset % cap.length == 0 && cap.offset < VIRTIO_PCI_BAR_LEN;
}

static uint8_t *window_data(struct virtio_pci *p)
{
	return &p->function.config.bytes[p->caps.window + sizeof(struct virtio_pci_cap)];
}

static bool touches_window(const struct virtio_pci *p, uint64_t off, size_t len)
{
	return pci_config_touches(off, len,
				  p->caps.window + (unsigned)sizeof(struct virtio_pci_cap), 4);
}

static void config_reading(struct pci_function *f, uint64_t off, size_t len)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);
	uint64_t at;
	size_t width;

	if (touches_window(p, off, len) && window_target(p, &at, &width))
		bar_read(f, at, window_data(p), width);
}

static void config_written(struct pci_function *f, uint64_t off, size_t len)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);
	uint16_t flags;
	uint64_t at;
	size_t width;

	if (touches_window(p, off, len) && window_target(p, &at, &width))
		bar_write(f, at, window_data(p), width);
	if (!pci_config_touches(off, len, p->caps.msix + PCI_MSIX_FLAGS, sizeof(flags)))
		return;
	memcpy(&flags, &f->config.bytes[p->caps.msix + PCI_MSIX_FLAGS], sizeof(flags));
	virtio_events_lock(&p->base.events);
	msix_set_control(p->msix, flags);
	virtio_events_unlock(&p->base.events);
}

static void bar_moved(struct pci_function *f, uint64_t base)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, function);

	p->ops->moved(p->ctx, base);
}

static const struct pci_function_ops function_ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_moved = bar_moved,
	.bar_read = bar_read,
	.bar_write = bar_write,
};

/* --- life --- */

static int create_interrupts(struct virtio_pci *p, const struct virtio_ops *ops)
{
	if (ops->remote) {
		p->unassigned_fd = fd_event();
		if (p->unassigned_fd < 0)
			return p->unassigned_fd;
	}
	return msix_create(ops->nqueues + 1, ops->remote, &p->ops->msix, p->ctx, &p->msix);
}

int virtio_pci_create(struct virtio_dev *dev, const struct gmem *mem,
		      const struct virtio_pci_ops *ops, void *ctx, struct virtio_transport **ret)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->ops = ops;
	p->ctx = ctx;
	p->unassigned_fd = -1;
	r = create_interrupts(p, dev->ops);
	if (r == 0)
		r = virtio_transport_init(&p->base, &transport_ops, dev, mem);
	if (r < 0) {
		free_pci(p);
		return r;
	}
	p->function.ops = &function_ops;
	virtio_pci_describe(dev->ops, msix_vectors(p->msix), &p->function.config, &p->caps);
	pci_reset(&p->base);
	*ret = &p->base;
	return 0;
}

struct pci_function *virtio_pci_function(struct virtio_transport *t)
{
	return &to_pci(t)->function;
}

unsigned virtio_pci_vectors(const struct virtio_transport *t)
{
	return msix_vectors(container_of(t, const struct virtio_pci, base)->msix);
}

int virtio_pci_vector_fd(const struct virtio_transport *t, unsigned vector)
{
	return msix_fd(container_of(t, const struct virtio_pci, base)->msix, vector);
}

uint64_t virtio_pci_notify(unsigned q)
{
	return VIRTIO_PCI_BAR_NOTIFY + (uint64_t)q * VIRTIO_PCI_NOTIFY_STRIDE;
}
