/* mmio.c - the MMIO transport: registers in front of a virtio device.
 *
 * transport.c has what is not peculiar to this transport, and the locking. Three
 * registers are used while the guest runs at speed, and take no lock:
 * InterruptStatus and InterruptACK are one atomic word, and QueueNotify only
 * signals the eventfd (with an ioeventfd it never gets here).
 *
 * Interrupts are edges: the status bit is set first and the eventfd signalled
 * after it, every time, even if the bit was set already. A driver that was just
 * about to acknowledge the old event would otherwise never hear of the new one.
 * Another process that serves the queues signals the eventfd and cannot set the bit:
 * for such a device the bit for used buffers always reads as set. A driver that looks
 * at its queues in vain loses nothing else.
 *
 * What a guest can do wrong: any access at any offset, width and order. Control
 * registers answer aligned 4-byte accesses only (4.2.2.2). Anything else reads as
 * 0, is not written, and is counted as rejected. Queue registers are frozen while
 * the queue is ready, so that what was checked is what is used.
 */
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/mmio.h"
#include "devices/virtio/registers.h"
#include "vmm/base/fd.h"

enum {
	MMIO_MAGIC = 0x74726976,  /* "virt" */
	MMIO_VERSION = 2,	  /* 1 was the legacy interface */
	MMIO_VENDOR = 0x70736977, /* "wisp" */
	REG_BYTES = 4,
};

struct virtio_mmio {
	struct virtio_transport base;
	int irq_fd;
	uint32_t interrupt_status; /* atomic */
};

static struct virtio_mmio *to_mmio(struct virtio_transport *t)
{
	return container_of(t, struct virtio_mmio, base);
}

static void mmio_interrupt(struct virtio_transport *t, enum virtio_cause cause, unsigned queue)
{
	struct virtio_mmio *m = to_mmio(t);
	uint32_t bit =
		cause == VIRTIO_CAUSE_CONFIG ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;

	(void)queue; /* one interrupt for all queues */
	__atomic_fetch_or(&m->interrupt_status, bit, __ATOMIC_SEQ_CST);
	fd_event_signal(m->irq_fd);
}

static int mmio_call_fd(struct virtio_transport *t, unsigned queue)
{
	(void)queue;
	return to_mmio(t)->irq_fd;
}

static void mmio_reset(struct virtio_transport *t)
{
	__atomic_store_n(&to_mmio(t)->interrupt_status, 0, __ATOMIC_SEQ_CST);
}

static void mmio_state(struct virtio_transport *t, struct state *s)
{
	state_u32(s, &to_mmio(t)->interrupt_status);
}

static void mmio_destroy(struct virtio_transport *t)
{
	struct virtio_mmio *m = to_mmio(t);

	virtio_transport_fini(t);
	fd_close(m->irq_fd);
	free(m);
}

static const struct virtio_transport_ops mmio_ops = {
	.interrupt = mmio_interrupt,
	.call_fd = mmio_call_fd,
	.reset = mmio_reset,
	.state = mmio_state,
	.destroy = mmio_destroy,
};

int virtio_mmio_create(struct virtio_dev *dev, const struct gmem *mem,
		       struct virtio_transport **ret)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->irq_fd = fd_event();
	r = m->irq_fd < 0 ? m->irq_fd : virtio_transport_init(&m->base, &mmio_ops, dev, mem);
	if (r < 0) {
		fd_close(m->irq_fd);
		free(m);
		return r;
	}
	*ret = &m->base;
	return 0;
}

int virtio_mmio_irq_fd(const struct virtio_transport *t)
{
	return container_of(t, const struct virtio_mmio, base)->irq_fd;
}

/* --- registers: vCPU threads --- */

static uint32_t reg_read(struct virtio_transport *t, uint64_t off)
{
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return t->dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_transport_offered(t);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return virtio_transport_max_size(t);
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_transport_ready(t);
	case VIRTIO_MMIO_STATUS:
		return t->dev->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no region, whichever is selected */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return t->dev->config_generation;
	default:
		virtio_transport_reject(t, "read", off, REG_BYTES);
		return 0;
	}
}

static void mmio_read(void *device, uint64_t off, void *data, size_t len)
{
	struct virtio_transport *t = device;
	uint32_t value = 0;

	if (off == VIRTIO_MMIO_INTERRUPT_STATUS && len == REG_BYTES) {
		value = __atomic_load_n(&to_mmio(t)->interrupt_status, __ATOMIC_SEQ_CST);
		if (t->dev->ops->direct)
			value |= VIRTIO_MMIO_INT_VRING;
		memcpy(data, &value, sizeof(value));
		return;
	}

	memset(data, 0, len);
	virtio_events_lock(&t->events);
	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_dev_config_read(t->dev, off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len != REG_BYTES || off % REG_BYTES != 0) {
		virtio_transport_reject(t, "read of a wrong width", off, len);
	} else {
		value = reg_read(t, off);
		memcpy(data, &value, sizeof(value));
	}
	virtio_events_unlock(&t->events);
}

static void write_ready(struct virtio_transport *t, struct virtio_transport_queue *q,
			uint32_t value)
{
	if (value == 0)
		virtio_dev_queue_disable(t->dev, q->index);
	else if (value == 1)
		virtio_dev_queue_enable(t->dev, q->index, &q->layout);
	else
		virtio_transport_reject(t, "unknown value", VIRTIO_MMIO_QUEUE_READY, REG_BYTES);
}

/* The registers of the selected queue; frozen while it is ready. */
static bool queue_write(struct virtio_transport *t, uint64_t off, uint32_t value)
{
	bool is_ready = off == VIRTIO_MMIO_QUEUE_READY;
	struct virtio_transport_queue *q =
		is_ready ? virtio_transport_selected(t) : virtio_transport_writable(t);

	if (!q)
		return false;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->layout.size = value;
		return true;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(t, q, value);
		return true;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		virtio_transport_set_half(&q->layout.desc, false, value);
		return true;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_transport_set_half(&q->layout.desc, true, value);
		return true;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		virtio_transport_set_half(&q->layout.avail, false, value);
		return true;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_transport_set_half(&q->layout.avail, true, value);
		return true;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		virtio_transport_set_half(&q->layout.used, false, value);
		return true;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_transport_set_half(&q->layout.used, true, value);
		return true;
	default:
		return false;
	}
}

static bool reg_write(struct virtio_transport *t, uint64_t off, uint32_t value)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->device_features_sel = value;
		return true;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->driver_features_sel = value;
		return true;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		return virtio_dev_accept(t->dev, t->driver_features_sel, value);
	case VIRTIO_MMIO_QUEUE_SEL:
		t->queue_sel = value;
		return true;
	case VIRTIO_MMIO_STATUS:
		virtio_transport_set_status(t, value);
		return true;
	case VIRTIO_MMIO_SHM_SEL:
		return true; /* every region reads as absent */
	default:
		return queue_write(t, off, value);
	}
}

/* The registers of a running driver. True when it was one of them. */
static bool fast_write(struct virtio_transport *t, uint64_t off, uint32_t value)
{
	if (off == VIRTIO_MMIO_QUEUE_NOTIFY)
		return virtio_transport_notify(t, value);
	if (off == VIRTIO_MMIO_INTERRUPT_ACK) {
		__atomic_fetch_and(&to_mmio(t)->interrupt_status, ~value, __ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

static void mmio_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct virtio_transport *t = device;
	uint32_t value = 0;
	bool is_reg = off < VIRTIO_MMIO_CONFIG && len == REG_BYTES && off % REG_BYTES == 0;

	if (is_reg) {
		memcpy(&value, data, sizeof(value));
		if (fast_write(t, off, value))
			return;
	}

	virtio_events_lock(&t->events);
	bool done = is_reg ? reg_write(t, off, value)
			   : off >= VIRTIO_MMIO_CONFIG &&
				     virtio_dev_config_write(t->dev, off - VIRTIO_MMIO_CONFIG, data,
							     len);

	if (!done)
		virtio_transport_reject(t, "write", off, len);
	virtio_events_unlock(&t->events);
}

const struct bus_ops virtio_mmio_bus_ops = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
};
