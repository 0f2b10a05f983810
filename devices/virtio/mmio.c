/* mmio.c - the MMIO transport: registers in front of a virtio device.
 *
 * Two kinds of threads meet here. vCPU threads read and write registers through
 * the bus; the main thread serves kicks, which reach it through one eventfd a
 * queue. One mutex a device makes each register access and each turn of a kick
 * one step to the others, so a reset waits for the turn in progress and finds no
 * request half done. A turn has a budget (the device's), which is what bounds the
 * wait of a vCPU.
 *
 * Three registers are used while the guest runs at speed, and take no lock:
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
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/mmio.h"
#include "devices/virtio/transport.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	MMIO_MAGIC = 0x74726976,  /* "virt" */
	MMIO_VERSION = 2,	  /* 1 was the legacy interface */
	MMIO_VENDOR = 0x70736977, /* "wisp" */
	REG_BYTES = 4,
};

struct mmio_queue {
	struct virtio_mmio *transport;
	unsigned index;
	int kick_fd;
	struct loop_source *source; /* main thread; NULL while detached */
	bool kept;		    /* kicked while paused; lock */
	struct virtq_layout layout; /* as the driver wrote it, unchecked; lock */
};

struct virtio_mmio {
	struct virtio_dev *dev;
	struct virtio_sink sink;
	pthread_mutex_t lock;
	int irq_fd;
	uint32_t interrupt_status; /* atomic */

	/* Under the lock. */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	struct virtio_events events;

	unsigned nqueues;
	struct mmio_queue queue[];
};

static void mmio_interrupt(const struct virtio_sink *s, enum virtio_cause cause, unsigned queue)
{
	struct virtio_mmio *t = container_of(s, struct virtio_mmio, sink);
	uint32_t bit =
		cause == VIRTIO_CAUSE_CONFIG ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;

	(void)queue; /* one interrupt for all queues */
	__atomic_fetch_or(&t->interrupt_status, bit, __ATOMIC_SEQ_CST);
	fd_event_signal(t->irq_fd);
}

static int mmio_kick_fd(const struct virtio_sink *s, unsigned queue)
{
	return container_of(s, struct virtio_mmio, sink)->queue[queue].kick_fd;
}

static int mmio_call_fd(const struct virtio_sink *s, unsigned queue)
{
	(void)queue;
	return container_of(s, struct virtio_mmio, sink)->irq_fd;
}

/* --- life --- */

static int open_eventfds(struct virtio_mmio *t)
{
	t->irq_fd = fd_event();
	if (t->irq_fd < 0)
		return t->irq_fd;
	for (unsigned i = 0; i < t->nqueues; i++) {
		t->queue[i].kick_fd = fd_event();
		if (t->queue[i].kick_fd < 0)
			return t->queue[i].kick_fd;
	}
	return 0;
}

/* All but the device, which may still be the caller's. */
static void free_transport(struct virtio_mmio *t)
{
	for (unsigned i = 0; i < t->nqueues; i++)
		fd_close(t->queue[i].kick_fd);
	fd_close(t->irq_fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int virtio_mmio_create(struct virtio_dev *dev, const struct gmem *mem, struct virtio_mmio **ret)
{
	unsigned n = dev->ops->nqueues;
	struct virtio_mmio *t = calloc(1, sizeof(*t) + n * sizeof(t->queue[0]));

	if (!t)
		return -ENOMEM;
	t->dev = dev;
	t->sink = (struct virtio_sink){
		.interrupt = mmio_interrupt,
		.kick_fd = mmio_kick_fd,
		.call_fd = mmio_call_fd,
	};
	t->nqueues = n;
	t->irq_fd = -1;
	for (unsigned i = 0; i < n; i++)
		t->queue[i] = (struct mmio_queue){ .transport = t, .index = i, .kick_fd = -1 };
	pthread_mutex_init(&t->lock, NULL);
	t->events.lock = &t->lock;

	int r = open_eventfds(t);

	if (r == 0)
		r = virtio_dev_bind(dev, mem, &t->sink);
	if (r < 0) {
		free_transport(t);
		return r;
	}
	*ret = t;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *t)
{
	if (!t)
		return;
	virtio_mmio_detach(t);
	virtio_dev_destroy(t->dev);
	free_transport(t);
}

unsigned virtio_mmio_nqueues(const struct virtio_mmio *t)
{
	return t->nqueues;
}

const char *virtio_mmio_name(const struct virtio_mmio *t)
{
	return t->dev->ops->name;
}

int virtio_mmio_irq_fd(const struct virtio_mmio *t)
{
	return t->irq_fd;
}

int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned q)
{
	return t->queue[q].kick_fd;
}

void virtio_mmio_counters(struct virtio_mmio *t, struct virtio_counters *ret)
{
	pthread_mutex_lock(&t->lock);
	*ret = t->dev->counters;
	pthread_mutex_unlock(&t->lock);
}

/* --- kicks: main thread --- */

static void on_kick(void *arg, uint32_t events)
{
	struct mmio_queue *q = arg;
	struct virtio_mmio *t = q->transport;
	bool more = false;

	/* A deferred turn (0) leaves the eventfd alone: at worst one empty turn. */
	if (events != 0)
		fd_event_drain(q->kick_fd);
	pthread_mutex_lock(&t->lock);
	if (t->events.paused)
		q->kept = true;
	else
		more = virtio_dev_kick(t->dev, q->index);
	pthread_mutex_unlock(&t->lock);
	if (more)
		loop_source_defer(q->source);
}

/* The device's own descriptors: it may have made some even if this fails. */
static int attach_device(struct virtio_mmio *t, struct loop *l)
{
	struct virtio_dev *d = t->dev;

	t->events.loop = l;
	d->events = &t->events;
	return d->ops->attach ? d->ops->attach(d) : 0;
}

int virtio_mmio_attach(struct virtio_mmio *t, struct loop *l)
{
	int r = attach_device(t, l);

	for (unsigned i = 0; i < t->nqueues && r == 0 && !t->dev->ops->remote; i++) {
		struct mmio_queue *q = &t->queue[i];

		r = loop_add(l, q->kick_fd, EPOLLIN, on_kick, q, &q->source);
	}
	if (r < 0)
		virtio_mmio_detach(t);
	return r;
}

void virtio_mmio_detach(struct virtio_mmio *t)
{
	struct virtio_dev *d = t->dev;

	for (unsigned i = 0; i < t->nqueues; i++) {
		loop_source_remove(t->queue[i].source);
		t->queue[i].source = NULL;
	}
	if (d->events && d->ops->detach)
		d->ops->detach(d);
	d->events = NULL;
}

void virtio_mmio_pause(struct virtio_mmio *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->events.paused)
		virtio_dev_drain(t->dev);
	virtio_events_pause(&t->events);
	pthread_mutex_unlock(&t->lock);
}

void virtio_mmio_resume(struct virtio_mmio *t)
{
	pthread_mutex_lock(&t->lock);
	virtio_events_resume(&t->events);
	for (unsigned i = 0; i < t->nqueues; i++) {
		if (t->queue[i].kept)
			fd_event_signal(t->queue[i].kick_fd);
		t->queue[i].kept = false;
	}
	pthread_mutex_unlock(&t->lock);
}

/* --- registers: vCPU threads --- */

static void reject(struct virtio_mmio *t, const char *what, uint64_t off, size_t len)
{
	t->dev->counters.rejected++;
	log_guest("virtio-%s: %s at %#llx, %zu bytes, ignored", t->dev->ops->name, what,
		  (unsigned long long)off, len);
}

/* NULL when the driver selected a queue that does not exist. */
static struct mmio_queue *selected(struct virtio_mmio *t)
{
	return t->queue_sel < t->nqueues ? &t->queue[t->queue_sel] : NULL;
}

static uint32_t selected_max_size(struct virtio_mmio *t)
{
	const struct mmio_queue *q = selected(t);

	return q ? virtq_max_size(t->dev->vq[q->index]) : 0;
}

static uint32_t selected_ready(struct virtio_mmio *t)
{
	const struct mmio_queue *q = selected(t);

	return q && virtq_enabled(t->dev->vq[q->index]);
}

static uint32_t offered_features(const struct virtio_mmio *t)
{
	if (t->device_features_sel > 1)
		return 0;
	return (uint32_t)(virtio_dev_features(t->dev) >> (32 * t->device_features_sel));
}

static uint32_t reg_read(struct virtio_mmio *t, uint64_t off)
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
		return offered_features(t);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return selected_max_size(t);
	case VIRTIO_MMIO_QUEUE_READY:
		return selected_ready(t);
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
		reject(t, "read", off, REG_BYTES);
		return 0;
	}
}

static void mmio_read(void *device, uint64_t off, void *data, size_t len)
{
	struct virtio_mmio *t = device;
	uint32_t value = 0;

	if (off == VIRTIO_MMIO_INTERRUPT_STATUS && len == REG_BYTES) {
		value = __atomic_load_n(&t->interrupt_status, __ATOMIC_SEQ_CST);
		if (t->dev->ops->remote)
			value |= VIRTIO_MMIO_INT_VRING;
		memcpy(data, &value, sizeof(value));
		return;
	}

	memset(data, 0, len);
	pthread_mutex_lock(&t->lock);
	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_dev_config_read(t->dev, off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len != REG_BYTES || off % REG_BYTES != 0) {
		reject(t, "read of a wrong width", off, len);
	} else {
		value = reg_read(t, off);
		memcpy(data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&t->lock);
}

static void reset(struct virtio_mmio *t)
{
	virtio_dev_reset(t->dev);
	for (unsigned i = 0; i < t->nqueues; i++)
		t->queue[i].layout = (struct virtq_layout){ 0 };
	t->device_features_sel = 0;
	t->driver_features_sel = 0;
	t->queue_sel = 0;
	__atomic_store_n(&t->interrupt_status, 0, __ATOMIC_SEQ_CST);
}

static void write_status(struct virtio_mmio *t, uint32_t value)
{
	bool was_live = virtio_dev_live(t->dev);

	if (value == 0) {
		reset(t);
		return;
	}
	virtio_dev_set_status(t->dev, (uint8_t)value);
	if (was_live || !virtio_dev_live(t->dev))
		return;
	/* A notification that came too early found the device asleep. */
	for (unsigned i = 0; i < t->nqueues; i++)
		fd_event_signal(t->queue[i].kick_fd);
}

static void write_ready(struct virtio_mmio *t, struct mmio_queue *q, uint32_t value)
{
	if (value == 0)
		virtio_dev_queue_disable(t->dev, q->index);
	else if (value == 1)
		virtio_dev_queue_enable(t->dev, q->index, &q->layout);
	else
		reject(t, "unknown value", VIRTIO_MMIO_QUEUE_READY, REG_BYTES);
}

static void set_low(gpa_t *a, uint32_t value)
{
	a->v = (a->v & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(gpa_t *a, uint32_t value)
{
	a->v = (a->v & UINT32_MAX) | (uint64_t)value << 32;
}

/* The registers of the selected queue; frozen while it is ready. */
static bool queue_write(struct virtio_mmio *t, uint64_t off, uint32_t value)
{
	struct mmio_queue *q = selected(t);

	if (!q || (off != VIRTIO_MMIO_QUEUE_READY && virtq_enabled(t->dev->vq[q->index])))
		return false;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->layout.size = value;
		return true;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(t, q, value);
		return true;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&q->layout.desc, value);
		return true;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&q->layout.desc, value);
		return true;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&q->layout.avail, value);
		return true;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&q->layout.avail, value);
		return true;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&q->layout.used, value);
		return true;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&q->layout.used, value);
		return true;
	default:
		return false;
	}
}

static bool reg_write(struct virtio_mmio *t, uint64_t off, uint32_t value)
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
		write_status(t, value);
		return true;
	case VIRTIO_MMIO_SHM_SEL:
		return true; /* every region reads as absent */
	default:
		return queue_write(t, off, value);
	}
}

/* The registers of a running driver. True when it was one of them. */
static bool fast_write(struct virtio_mmio *t, uint64_t off, uint32_t value)
{
	if (off == VIRTIO_MMIO_QUEUE_NOTIFY && value < t->nqueues) {
		fd_event_signal(t->queue[value].kick_fd);
		return true;
	}
	if (off == VIRTIO_MMIO_INTERRUPT_ACK) {
		__atomic_fetch_and(&t->interrupt_status, ~value, __ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

static void mmio_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct virtio_mmio *t = device;
	uint32_t value = 0;
	bool is_reg = off < VIRTIO_MMIO_CONFIG && len == REG_BYTES && off % REG_BYTES == 0;

	if (is_reg) {
		memcpy(&value, data, sizeof(value));
		if (fast_write(t, off, value))
			return;
	}

	pthread_mutex_lock(&t->lock);
	bool done = is_reg ? reg_write(t, off, value)
			   : off >= VIRTIO_MMIO_CONFIG &&
				     virtio_dev_config_write(t->dev, off - VIRTIO_MMIO_CONFIG, data,
							     len);

	if (!done)
		reject(t, "write", off, len);
	pthread_mutex_unlock(&t->lock);
}

const struct bus_ops virtio_mmio_bus_ops = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
};
