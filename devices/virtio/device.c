/* device.c - the life of a virtio device: status, features, queues, failure.
 *
 * The driver drives a device through its status byte (2.1): it acknowledges the
 * device, agrees on features, sets up queues, says DRIVER_OK. From then on the
 * device is live: kicks reach it and it may touch guest memory. It stops being
 * live when it is reset, when the driver sets FAILED, or when it is failed here
 * because the driver broke a rule. A failed device answers register accesses and
 * nothing else, the rest of the machine goes on, and only a reset cures it.
 *
 * What a driver gets wrong before DRIVER_OK is refused and counted, because all
 * of that can be tried again: a step out of order, features not on offer. A queue
 * that does not lie in guest memory fails the device, since a driver that goes on
 * would wait for it forever.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

#define BIT(n) (UINT64_C(1) << (n))

static const uint64_t core_features =
	BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX);

static bool ops_valid(const struct virtio_ops *ops)
{
	if (ops->nqueues > VIRTIO_MAX_QUEUES)
		return false;
	for (unsigned i = 0; i < ops->nqueues; i++) {
		uint16_t n = ops->queue_sizes[i];

		if (n == 0 || n > VIRTQ_MAX_SIZE || (n & (n - 1)) != 0)
			return false;
	}
	return true;
}

static void free_queues(struct virtio_dev *d)
{
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		virtq_destroy(d->vq[i]);
		d->vq[i] = NULL;
	}
}

int virtio_dev_bind(struct virtio_dev *d, const struct gmem *mem, const struct virtio_sink *sink)
{
	if (!ops_valid(d->ops))
		return -EINVAL;
	for (unsigned i = 0; i < d->ops->nqueues; i++) {
		int r = virtq_create(d, i, d->ops->queue_sizes[i], &d->vq[i]);

		if (r < 0) {
			free_queues(d);
			return r;
		}
	}
	d->mem = mem;
	d->sink = sink;
	return 0;
}

static void quiesce(struct virtio_dev *d)
{
	if ((d->status & VIRTIO_CONFIG_S_DRIVER_OK) && d->ops->quiesce)
		d->ops->quiesce(d);
}

static void forget_driver(struct virtio_dev *d)
{
	d->status = 0;
	d->accepted = 0;
	d->accepted_unknown = false;
}

void virtio_dev_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	quiesce(d);
	free_queues(d);
	if (d->kept)
		forget_driver(d);
	else
		d->ops->destroy(d);
}

uint64_t virtio_dev_features(const struct virtio_dev *d)
{
	uint64_t own = d->ops->features ? d->ops->features(d) : 0;

	return d->ops->remote ? own : core_features | own;
}

bool virtio_dev_accept(struct virtio_dev *d, uint32_t word, uint32_t bits)
{
	if (d->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return false;
	if (word > 1)
		d->accepted_unknown = d->accepted_unknown || bits != 0;
	else if (word == 1)
		d->accepted = (d->accepted & UINT32_MAX) | (uint64_t)bits << 32;
	else
		d->accepted = (d->accepted & ~(uint64_t)UINT32_MAX) | bits;
	return true;
}

/* FEATURES_OK is refused for a driver that takes more than was offered, and for
 * one from before virtio 1.0 (2.2.2, 6.2). */
static bool features_agree(const struct virtio_dev *d)
{
	return !d->accepted_unknown && (d->accepted & ~virtio_dev_features(d)) == 0 &&
	       virtio_dev_has(d, VIRTIO_F_VERSION_1);
}

static void activate(struct virtio_dev *d)
{
	if (d->ops->activate && d->ops->activate(d) < 0)
		virtio_dev_fail(d, "the device could not be started");
}

static void take_step(struct virtio_dev *d, uint8_t bit, uint8_t needs)
{
	if ((d->status & needs) != needs) {
		d->counters.rejected++;
		log_guest("virtio-%s: driver status %#x is out of order", d->ops->name, bit);
		return;
	}
	if (bit == VIRTIO_CONFIG_S_FEATURES_OK && !features_agree(d)) {
		d->counters.rejected++;
		log_guest("virtio-%s: driver features %#llx refused", d->ops->name,
			  (unsigned long long)d->accepted);
		return;
	}
	d->status |= bit;
	if (bit == VIRTIO_CONFIG_S_DRIVER_OK)
		activate(d);
}

void virtio_dev_set_status(struct virtio_dev *d, uint8_t value)
{
	static const uint8_t order[] = {
		VIRTIO_CONFIG_S_ACKNOWLEDGE,
		VIRTIO_CONFIG_S_DRIVER,
		VIRTIO_CONFIG_S_FEATURES_OK,
		VIRTIO_CONFIG_S_DRIVER_OK,
	};
	uint8_t needs = 0;

	for (size_t i = 0; i < sizeof(order); i++) {
		if (value & ~d->status & order[i])
			take_step(d, order[i], needs);
		needs |= order[i];
	}
	if (value & VIRTIO_CONFIG_S_FAILED)
		d->status |= VIRTIO_CONFIG_S_FAILED;
}

static void add_counters(struct virtio_counters *to, const struct virtio_counters *more)
{
	to->requests += more->requests;
	to->read_bytes += more->read_bytes;
	to->write_bytes += more->write_bytes;
	to->errors += more->errors;
	to->kicks += more->kicks;
	to->interrupts += more->interrupts;
	to->violations += more->violations;
	to->rejected += more->rejected;
}

void virtio_dev_counters(struct virtio_dev *d, struct virtio_counters *ret)
{
	virtio_events_lock(d->events);
	*ret = d->counters;
	for (size_t i = 0; i < sizeof(d->more) / sizeof(d->more[0]); i++)
		add_counters(ret, &d->more[i].counters);
	virtio_events_unlock(d->events);
}

void virtio_dev_take_notice(struct virtio_dev *d, struct virtio_notice *ret)
{
	virtio_events_lock(d->events);
	*ret = d->notice;
	d->notice = (struct virtio_notice){ 0 };
	virtio_events_unlock(d->events);
}

static void tell_listener(const struct virtio_dev *d)
{
	if (d->listener)
		d->listener->tell(d->listener);
}

void virtio_dev_note_fault(struct virtio_dev *d, const char *why)
{
	d->notice.fault = why;
	tell_listener(d);
}

void virtio_dev_note_change(struct virtio_dev *d)
{
	d->notice.changed = true;
	tell_listener(d);
}

void virtio_dev_reset(struct virtio_dev *d)
{
	quiesce(d);
	for (unsigned i = 0; i < d->ops->nqueues; i++)
		virtq_disable(d->vq[i]);
	forget_driver(d);
}

void virtio_dev_queue_enable(struct virtio_dev *d, unsigned q, const struct virtq_layout *l)
{
	if (virtq_enabled(d->vq[q]))
		return;
	if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		virtio_dev_fail(d, "queue set up before the features were agreed on");
		return;
	}

	const char *why = virtq_enable(d->vq[q], l, d->mem, d->accepted);

	if (why)
		virtio_dev_fail(d, why);
}

void virtio_dev_queue_disable(struct virtio_dev *d, unsigned q)
{
	if (!virtq_enabled(d->vq[q]))
		return;
	quiesce(d);
	virtq_disable(d->vq[q]);
}

bool virtio_dev_live(const struct virtio_dev *d)
{
	const uint8_t over = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	uint8_t status = __atomic_load_n(&d->status, __ATOMIC_RELAXED);

	return (status & VIRTIO_CONFIG_S_DRIVER_OK) && !(status & over);
}

void virtio_dev_set_lane(struct virtio_dev *d, unsigned q, unsigned lane)
{
	virtq_set_counters(d->vq[q], lane == 0 ? &d->counters : &d->more[lane - 1].counters);
}

bool virtio_dev_needs_all(const struct virtio_dev *d, unsigned q)
{
	return d->ops->needs_all && d->ops->needs_all(d, q);
}

bool virtio_dev_kick(struct virtio_dev *d, unsigned q)
{
	if (!virtio_dev_live(d) || !virtq_enabled(d->vq[q]))
		return false;
	virtq_counters(d->vq[q])->kicks++;
	return d->ops->kick(d, q) && virtio_dev_live(d);
}

void virtio_dev_drain(struct virtio_dev *d)
{
	if ((d->status & VIRTIO_CONFIG_S_DRIVER_OK) && d->ops->drain)
		d->ops->drain(d);
}

void virtio_dev_config_read(const struct virtio_dev *d, uint64_t off, void *dst, size_t len)
{
	size_t end = d->ops->config_len;

	memset(dst, 0, len);
	if (off < end)
		d->ops->config_read(d, (size_t)off, dst, len < end - off ? len : end - (size_t)off);
}

bool virtio_dev_config_write(struct virtio_dev *d, uint64_t off, const void *src, size_t len)
{
	size_t end = d->ops->config_len;

	if (!d->ops->config_write || off > end || len > end - off)
		return false;
	d->ops->config_write(d, (size_t)off, src, len);
	virtio_dev_note_change(d);
	return true;
}

/* Atomically: a lane that fails the device interrupts for the configuration, too. */
static void count_interrupt(struct virtio_counters *c)
{
	__atomic_fetch_add(&c->interrupts, 1, __ATOMIC_RELAXED);
}

void virtio_dev_poke(struct virtio_dev *d, unsigned q)
{
	fd_event_signal(d->sink->kick_fd(d->sink, q));
}

void virtio_dev_interrupt(struct virtio_dev *d, unsigned q)
{
	count_interrupt(virtq_counters(d->vq[q]));
	d->sink->interrupt(d->sink, VIRTIO_CAUSE_QUEUE, q);
}

static void config_interrupt(struct virtio_dev *d)
{
	if (!(__atomic_load_n(&d->status, __ATOMIC_RELAXED) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	count_interrupt(&d->counters);
	d->sink->interrupt(d->sink, VIRTIO_CAUSE_CONFIG, 0);
}

void virtio_dev_config_changed(struct virtio_dev *d)
{
	d->config_generation++;
	config_interrupt(d);
	virtio_dev_note_change(d);
}

void virtio_dev_fail(struct virtio_dev *d, const char *why)
{
	const uint8_t bit = VIRTIO_CONFIG_S_NEEDS_RESET;

	/* Of two lanes that find something at once, one goes on. */
	if (__atomic_fetch_or(&d->status, bit, __ATOMIC_RELAXED) & bit)
		return;
	d->counters.violations++;
	log_guest("virtio-%s: %s; the device waits for a reset", d->ops->name, why);
	config_interrupt(d);
	virtio_dev_note_fault(d, why);
}
