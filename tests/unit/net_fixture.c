/* net_fixture.c - a network interface under test. */
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
#include <sys/socket.h>

#include "tests/unit/net_fixture.h"
#include "vmm/base/fd.h"

enum { RINGS = 0x100000, RING_BYTES = 0x8000, AVAIL_OFF = 0x2000, USED_OFF = 0x4000 };

const uint8_t net_mac[6] = { 0x06, 0, 0, 0, 0, 1 };

void net_create(struct net_fixture *f, int type, unsigned pairs, net_adopt_fn adopt,
		const struct virtio_net_options *options)
{
	net_create_served(f, type, pairs, adopt, options, NULL, 0);
}

void net_create_served(struct net_fixture *f, int type, unsigned pairs, net_adopt_fn adopt,
		       const struct virtio_net_options *options, struct mmds *m, in_addr_t address)
{
	struct net_backend *b;
	struct virtio_dev *dev;
	int fds[2][2], device[2];

	memset(f, 0, sizeof(*f));
	f->host[0] = f->host[1] = -1;
	for (unsigned i = 0; i < pairs; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds[i]), 0);
		f->host[i] = fds[i][0];
		device[i] = fds[i][1];
	}
	assert_int_equal(adopt(device, pairs, &b), 0);
	assert_int_equal(virtio_net_create(options, b, &dev), 0);
	virtio_net_set_vcpus(dev, pairs);
	if (m)
		assert_int_equal(virtio_net_set_mmds(dev, m, address), 0);
	driver_create(&f->d, dev);
}

void net_destroy(struct net_fixture *f)
{
	driver_destroy(&f->d);
	fd_close(f->host[0]);
	fd_close(f->host[1]);
}

static void ring_init(struct net_fixture *f, unsigned i, uint16_t size)
{
	struct net_ring *r = &f->ring[i];
	uint64_t base = RINGS + (uint64_t)i * RING_BYTES;

	*r = (struct net_ring){
		.d = &f->d,
		.index = i,
		.desc = i == 0 ? DRIVER_DESC : base,
		.avail = i == 0 ? DRIVER_AVAIL : base + AVAIL_OFF,
		.used = i == 0 ? DRIVER_USED : base + USED_OFF,
		.size = size,
	};
	if (i == 0)
		return;

	const struct virtq_layout l = { size, gpa(r->desc), gpa(r->avail), gpa(r->used) };

	assert_int_equal(gmem_zero(f->d.mem, gpa(base), RING_BYTES), 0);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_SEL, i);
	driver_set_queue(&f->d, &l);
	assert_int_equal(driver_get(&f->d, VIRTIO_MMIO_QUEUE_READY), 1);
}

void net_start(struct net_fixture *f, uint64_t features, uint16_t size)
{
	driver_start(&f->d, features, size);
	for (unsigned i = 0; i < f->d.dev->ops->nqueues; i++)
		ring_init(f, i, size);
}

uint64_t net_buffer(unsigned i)
{
	return NET_BUFFER + (uint64_t)i * NET_BUFFER_BYTES;
}

uint16_t net_offer(struct net_ring *r, const struct driver_buffer *b, unsigned n)
{
	struct vring_avail *avail = driver_at(r->d, r->avail, 6 + 2 * (size_t)r->size);
	uint16_t head = r->next_desc;

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = r->next_desc;
		struct vring_desc desc = { .addr = b[i].addr, .len = b[i].len };

		r->next_desc = (uint16_t)((at + 1) % r->size);
		desc.next = r->next_desc;
		desc.flags = (uint16_t)((b[i].writable ? VRING_DESC_F_WRITE : 0) |
					(i + 1 < n ? VRING_DESC_F_NEXT : 0));
		driver_desc(r->d, r->desc, at, desc);
	}
	avail->ring[r->avail_idx % r->size] = head;
	__atomic_store_n(&avail->idx, ++r->avail_idx, __ATOMIC_SEQ_CST);
	return head;
}

bool net_used(struct net_ring *r, struct vring_used_elem *e)
{
	struct vring_used *used = driver_at(r->d, r->used, 6 + 8 * (size_t)r->size);

	if (__atomic_load_n(&used->idx, __ATOMIC_SEQ_CST) == r->used_idx)
		return false;
	*e = used->ring[r->used_idx++ % r->size];
	return true;
}

void net_frame(void *at, size_t len, unsigned seed)
{
	struct ethhdr eth = { .h_proto = 0x0008 };
	uint8_t *p = at;

	memcpy(eth.h_source, net_mac, sizeof(net_mac));
	memset(p, 0, NET_HEADER_BYTES);
	p += NET_HEADER_BYTES;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + seed);
	memcpy(p, &eth, len < sizeof(eth) ? len : sizeof(eth));
}

void net_transmit(struct net_fixture *f, unsigned pair, unsigned i, size_t len)
{
	const struct driver_buffer b = { net_buffer(i), (uint32_t)(NET_HEADER_BYTES + len), false };

	net_frame(driver_at(&f->d, b.addr, b.len), len, i);
	net_offer(&f->ring[2 * pair + 1], &b, 1);
	driver_kick(&f->d, 2 * pair + 1);
}

bool net_needs_reset(struct net_fixture *f)
{
	return driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
