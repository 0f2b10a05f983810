/* virtio_driver.c - a guest driver in host memory, for tests. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"
#include "vmm/base/fd.h"

/* Enough for any deferred turns a test leaves behind. */
enum { ROUNDS = 64 };

static int on_memslot(void *ctx, const struct memslot *slot)
{
	struct driver *d = ctx;

	d->memslots += slot->len ? 1u : -1u;
	return 0;
}

static void place_window(struct driver *d, struct window *w)
{
	const struct memslot_sink sink = { on_memslot, d };

	assert_int_equal(window_place(w, gpa(DRIVER_WINDOW), &sink, 0), 0);
	assert_int_equal(gmem_attach(d->mem, w), 0);
}

void driver_create(struct driver *d, struct virtio_dev *dev)
{
	const struct gmem_config config = {
		.size_bytes = DRIVER_GAP + (DRIVER_HIGH_END - DRIVER_HIGH),
		.backing = dev->ops->remote ? GMEM_MEMFD : GMEM_ANON,
		.gap_start = DRIVER_GAP,
		.gap_end = DRIVER_HIGH,
	};

	memset(d, 0, sizeof(*d));
	d->dev = dev;
	assert_int_equal(gmem_create(&config, &d->mem, NULL), 0);
	if (dev->ops->hand_over)
		place_window(d, dev->ops->hand_over(dev));
	assert_int_equal(loop_create(&d->loop), 0);
	assert_int_equal(virtio_mmio_create(dev, d->mem, &d->transport), 0);
	assert_int_equal(virtio_transport_attach(d->transport, d->loop), 0);
}

void driver_destroy(struct driver *d)
{
	virtio_transport_destroy(d->transport);
	lanes_destroy(d->lanes);
	loop_destroy(d->loop);
	gmem_destroy(d->mem);
}

void driver_spread(struct driver *d, unsigned vcpus)
{
	virtio_transport_detach(d->transport);
	assert_int_equal(lanes_create(d->loop, vcpus, NULL, &d->lanes), 0);
	assert_int_equal(virtio_transport_attach_lanes(d->transport, d->lanes), 0);
	assert_int_equal(lanes_start(d->lanes), 0);
	lanes_release(d->lanes);
}

uint32_t driver_get(struct driver *d, uint64_t reg)
{
	uint32_t value = 0;

	virtio_mmio_bus_ops.read(d->transport, reg, &value, sizeof(value));
	return value;
}

void driver_put(struct driver *d, uint64_t reg, uint32_t value)
{
	virtio_mmio_bus_ops.write(d->transport, reg, &value, sizeof(value));
}

uint64_t driver_offered(struct driver *d)
{
	driver_put(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);

	uint64_t low = driver_get(d, VIRTIO_MMIO_DEVICE_FEATURES);

	driver_put(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)driver_get(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

static void add_status(struct driver *d, uint32_t bit)
{
	driver_put(d, VIRTIO_MMIO_STATUS, driver_get(d, VIRTIO_MMIO_STATUS) | bit);
}

uint32_t driver_negotiate(struct driver *d, uint64_t features)
{
	features |= 1ull << VIRTIO_F_VERSION_1;
	driver_put(d, VIRTIO_MMIO_STATUS, 0);
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(d, VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t word = 0; word < 2; word++) {
		driver_put(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		driver_put(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * word)));
	}
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	return driver_get(d, VIRTIO_MMIO_STATUS);
}

void driver_set_queue(struct driver *d, const struct virtq_layout *l)
{
	driver_put(d, VIRTIO_MMIO_QUEUE_NUM, l->size);
	driver_put(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)l->desc.v);
	driver_put(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(l->desc.v >> 32));
	driver_put(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)l->avail.v);
	driver_put(d, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(l->avail.v >> 32));
	driver_put(d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)l->used.v);
	driver_put(d, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(l->used.v >> 32));
	driver_put(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

void driver_start(struct driver *d, uint64_t features, uint16_t size)
{
	const struct virtq_layout l = { size, gpa(DRIVER_DESC), gpa(DRIVER_AVAIL),
					gpa(DRIVER_USED) };

	assert_true(driver_negotiate(d, features) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(gmem_zero(d->mem, gpa(DRIVER_DESC), DRIVER_BUFFERS - DRIVER_DESC), 0);
	d->size = size;
	d->avail_idx = 0;
	d->used_idx = 0;
	driver_put(d, VIRTIO_MMIO_QUEUE_SEL, 0);
	driver_set_queue(d, &l);
	assert_int_equal(driver_get(d, VIRTIO_MMIO_QUEUE_READY), 1);
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
	driver_interrupts(d);
}

void *driver_at(struct driver *d, uint64_t addr, size_t len)
{
	void *p = gmem_span(d->mem, gpa(addr), len);

	assert_non_null(p);
	return p;
}

struct vring_avail *driver_avail(struct driver *d)
{
	return driver_at(d, DRIVER_AVAIL, 6 + 2 * (size_t)d->size);
}

struct vring_used *driver_used_ring(struct driver *d)
{
	return driver_at(d, DRIVER_USED, 6 + 8 * (size_t)d->size);
}

void driver_desc(struct driver *d, uint64_t table, unsigned i, struct vring_desc desc)
{
	assert_int_equal(gmem_write(d->mem, gpa(table + i * sizeof(desc)), &desc, sizeof(desc)), 0);
}

void driver_chain(struct driver *d, uint16_t first, const struct driver_buffer *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned flags = b[i].writable ? VRING_DESC_F_WRITE : 0;
		struct vring_desc desc = { .addr = b[i].addr, .len = b[i].len };

		if (i + 1 < n)
			flags |= VRING_DESC_F_NEXT;
		desc.flags = (uint16_t)flags;
		desc.next = (uint16_t)(first + i + 1);
		driver_desc(d, DRIVER_DESC, first + i, desc);
	}
}

void driver_offer(struct driver *d, uint16_t head)
{
	struct vring_avail *avail = driver_avail(d);

	avail->ring[d->avail_idx % d->size] = head;
	d->avail_idx++;
	__atomic_store_n(&avail->idx, d->avail_idx, __ATOMIC_SEQ_CST);
}

struct countdown {
	struct loop *loop;
	int rounds;
};

static void on_round(void *arg, uint32_t events)
{
	struct countdown *c = arg;

	(void)events;
	if (--c->rounds == 0)
		loop_stop(c->loop, 0);
}

/* A descriptor that is always ready keeps the loop turning for ROUNDS rounds. */
void driver_run(struct driver *d)
{
	struct countdown c = { d->loop, ROUNDS };
	struct loop_source *source;
	int fd = fd_event();

	assert_true(fd >= 0);
	fd_event_signal(fd);
	assert_int_equal(loop_add(d->loop, fd, EPOLLIN, on_round, &c, &source), 0);
	assert_int_equal(loop_run(d->loop), 0);
	loop_source_remove(source);
	fd_close(fd);
}

void driver_kick(struct driver *d, unsigned queue)
{
	driver_put(d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	driver_run(d);
}

bool driver_used(struct driver *d, struct vring_used_elem *e)
{
	struct vring_used *used = driver_used_ring(d);

	if (__atomic_load_n(&used->idx, __ATOMIC_SEQ_CST) == d->used_idx)
		return false;
	*e = used->ring[d->used_idx % d->size];
	d->used_idx++;
	return true;
}

bool driver_request(struct driver *d, const struct driver_buffer *b, unsigned n,
		    struct vring_used_elem *used)
{
	driver_chain(d, 0, b, n);
	driver_offer(d, 0);
	driver_kick(d, 0);
	return driver_used(d, used);
}

unsigned driver_interrupts(struct driver *d)
{
	uint64_t count = 0;

	if (read(virtio_mmio_irq_fd(d->transport), &count, sizeof(count)) < 0)
		return 0;
	return (unsigned)count;
}
