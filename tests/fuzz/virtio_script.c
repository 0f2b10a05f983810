/* virtio_script.c - fuzzer input as a guest driver that does as it pleases. */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "tests/fuzz/virtio_script.h"
#include "vmm/base/log.h"

/* RAM is [0, GAP) and [HIGH, HIGH_END); rings and a table at fixed places. */
enum {
	DESC = 0x1000,
	AVAIL = 0x2000,
	USED = 0x3000,
	TABLE = 0x4000,
	BUFFERS = 0x6000,
	GAP = 0x10000,
	HIGH = 0x40000,
	HIGH_END = 0x50000,
	WINDOW = 0x200000, /* memory that the device brings */
	MAX_STEPS = 512,
	MAX_TURNS = 3,
};

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next n bytes as a little-endian number; zeros behind the end. */
static uint64_t take(struct input *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n && in->left > 0; i++, in->left--)
		value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

static int on_memslot(void *ctx, const struct memslot *slot)
{
	(void)ctx;
	(void)slot;
	return 0;
}

static void place_window(struct virtio_script *s, struct window *w)
{
	const struct memslot_sink sink = { on_memslot, NULL };

	if (window_place(w, gpa(WINDOW), &sink, 0) < 0 || gmem_attach(s->mem, w) < 0)
		abort();
}

void virtio_script_create(struct virtio_script *s, struct virtio_dev *dev)
{
	const struct log_config quiet = { .id = "fuzz", .level = LOG_OFF, .fd = 2 };
	const struct gmem_config config = {
		.size_bytes = GAP + (HIGH_END - HIGH),
		.backing = GMEM_ANON,
		.gap_start = GAP,
		.gap_end = HIGH,
	};

	log_setup(&quiet);
	s->dev = dev;
	if (gmem_create(&config, &s->mem, NULL) < 0)
		abort();
	if (dev->ops->hand_over)
		place_window(s, dev->ops->hand_over(dev));
	if (virtio_mmio_create(dev, s->mem, &s->transport) < 0)
		abort();
}

static void put(struct virtio_script *s, uint64_t reg, uint32_t value)
{
	virtio_mmio_bus_ops.write(s->transport, reg, &value, sizeof(value));
}

/* An address that is likely to be near something. */
static uint64_t take_address(struct input *in)
{
	static const uint64_t near[] = { BUFFERS, TABLE, DESC, USED, GAP, HIGH, HIGH_END, 0 };
	uint64_t how = take(in, 1);

	if (how & 0x80)
		return take(in, 8);
	if (how & 0x20)
		return WINDOW + take(in, 3) - (how & 0x40 ? 0x100 : 0);
	return near[how & 7] + take(in, 2) - (how & 0x40 ? 0x100 : 0);
}

static void step_write(struct virtio_script *s, struct input *in)
{
	uint64_t how = take(in, 2), value = take(in, 4), wide = value | value << 32;
	uint64_t off = how & 0x1fff;
	size_t len = (size_t)1 << (how >> 14);

	/* Mostly registers as they are meant: aligned, 4 bytes. */
	if (how & 0x2000) {
		off &= 0x1fc;
		len = 4;
	}
	if (off + len <= VIRTIO_MMIO_LEN)
		virtio_mmio_bus_ops.write(s->transport, off, &wide, len);
}

static void step_read(struct virtio_script *s, struct input *in)
{
	uint64_t how = take(in, 2), value;
	uint64_t off = how & 0xfff;
	size_t len = (size_t)1 << (how >> 14);

	if (off + len <= VIRTIO_MMIO_LEN)
		virtio_mmio_bus_ops.read(s->transport, off, &value, len);
}

/* All queues share their rings: each goes through them at its own pace. */
static void set_queue(struct virtio_script *s, unsigned q, uint32_t queue_size)
{
	put(s, VIRTIO_MMIO_QUEUE_SEL, q);
	put(s, VIRTIO_MMIO_QUEUE_NUM, queue_size);
	put(s, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	put(s, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	put(s, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	put(s, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void start(struct virtio_script *s, uint64_t features, uint32_t queue_size)
{
	put(s, VIRTIO_MMIO_STATUS, 0);
	put(s, VIRTIO_MMIO_STATUS, 3);
	put(s, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	put(s, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(s, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	put(s, VIRTIO_MMIO_STATUS, 11);
	for (unsigned q = 0; q < s->dev->ops->nqueues; q++)
		set_queue(s, q, queue_size);
	put(s, VIRTIO_MMIO_STATUS, 15);
}

void virtio_script_start(struct virtio_script *s)
{
	start(s, virtio_dev_features(s->dev), 1);
}

static void step_start(struct virtio_script *s, struct input *in)
{
	uint64_t how = take(in, 1);

	start(s, virtio_dev_features(s->dev) & ~(take(in, 4) & how), 1u << (how & 7));
}

static void step_memory(struct virtio_script *s, struct input *in)
{
	uint64_t addr = take_address(in);
	size_t len = take(in, 1);

	if (len > in->left)
		len = in->left;
	if (gmem_write(s->mem, gpa(addr), in->at, len) == 0) {
		in->at += len;
		in->left -= len;
	}
}

static void step_descriptor(struct virtio_script *s, struct input *in)
{
	uint64_t how = take(in, 1);
	struct vring_desc d = {
		.addr = take_address(in),
		.len = (uint32_t)take(in, how & 8 ? 4 : 2),
		.flags = how & 7,
		.next = (uint16_t)take(in, 1),
	};
	uint64_t table = how & 0x10 ? TABLE : DESC;

	gmem_write(s->mem, gpa(table + 16 * take(in, 1)), &d, sizeof(d));
}

/* Puts a head where the available index points, and moves the index on. */
static void step_offer(struct virtio_script *s, struct input *in)
{
	struct vring_avail *avail = gmem_span(s->mem, gpa(AVAIL), 6 + 2 * VIRTQ_MAX_SIZE);
	uint64_t how = take(in, 1);

	if (how & 0x80)
		avail->idx = (uint16_t)take(in, 2);
	/* The queue's size is one of eight: write the entry wherever it may be. */
	for (unsigned n = 0; n < 8; n++)
		avail->ring[avail->idx & ((1u << n) - 1)] = how & 0x7f;
	avail->idx++;
}

static void step_kick(struct virtio_script *s, struct input *in)
{
	unsigned q = (unsigned)take(in, 1);
	bool drain = q & 0x40;

	put(s, VIRTIO_MMIO_QUEUE_NOTIFY, q);
	q %= s->dev->ops->nqueues;
	for (int turn = 0; turn < MAX_TURNS && virtio_dev_kick(s->dev, q); turn++)
		;
	if (drain)
		virtio_dev_drain(s->dev);
}

void virtio_script_run(struct virtio_script *s, const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct virtio_script *, struct input *) = {
		step_write,	 step_read,  step_start, step_memory,
		step_descriptor, step_offer, step_kick,	 step_descriptor,
	};
	struct input in = { data, size };

	put(s, VIRTIO_MMIO_STATUS, 0);
	gmem_zero(s->mem, gpa(0), GAP);
	gmem_zero(s->mem, gpa(HIGH), HIGH_END - HIGH);
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++)
		steps[take(&in, 1) % (sizeof(steps) / sizeof(steps[0]))](s, &in);
	put(s, VIRTIO_MMIO_STATUS, 0);
}
