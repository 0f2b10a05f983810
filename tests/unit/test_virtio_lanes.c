/* test_virtio_lanes.c - devices whose queues have threads of their own: the driver's work goes
 * on while the main thread pauses, limits, resets and counts.
 *
 * The driver here is the main thread, which runs its loop until the interrupt comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/net_tap.h"
#include "tests/unit/blk_disk.h"
#include "tests/unit/net_fixture.h"

enum {
	RX,
	TX,
	RX1,
	TX1,
	CONTROL,
	SIZE = 64,
	BATCH = 32,
	ROUNDS = 200,
	LEN = 100,
	VCPUS = 2,
};

#define MERGE (1ull << VIRTIO_NET_F_MRG_RXBUF)
#define PAIRS (1ull << VIRTIO_NET_F_MQ | 1ull << VIRTIO_NET_F_CTRL_VQ)

/* --- net --- */

static int adopt(const int *fds, unsigned pairs, struct net_backend **ret)
{
	return net_tap_adopt(fds, pairs, 0, ret);
}

static int set_up(void **state)
{
	static struct net_fixture f;
	struct virtio_net_options options = { .id = "eth0" };

	memcpy(options.mac, net_mac, sizeof(net_mac));
	net_create(&f, SOCK_SEQPACKET, 2, adopt, &options);
	driver_spread(&f.d, VCPUS);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	net_destroy(*state);
	return 0;
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg, 0);
}

/* The main thread does its part of the work until there is something to read. */
static void wait_for(struct driver *d, int fd)
{
	struct loop_source *source;

	assert_int_equal(loop_add(d->loop, fd, EPOLLIN, on_ready, d->loop, &source), 0);
	assert_int_equal(loop_run(d->loop), 0);
	loop_source_remove(source);
}

/* Something has happened, or will have by the time of the next look. */
static void wait_for_interrupt(struct driver *d)
{
	wait_for(d, virtio_mmio_irq_fd(d->transport));
	driver_interrupts(d);
}

/* One command, obeyed while the others' threads stand still. */
static void use_pairs(struct net_fixture *f, uint16_t n)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		struct virtio_net_ctrl_mq mq;
		uint8_t status;
	} __attribute__((packed))
	command = { { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET }, { n }, 0xff };
	const uint64_t at = net_buffer(200);
	const struct driver_buffer b[] = { { at, 4, false }, { at + 4, 1, true } };
	struct vring_used_elem e;

	assert_int_equal(gmem_write(f->d.mem, gpa(at), &command, sizeof(command)), 0);
	net_offer(&f->ring[CONTROL], b, 2);
	driver_kick(&f->d, CONTROL);
	assert_true(net_used(&f->ring[CONTROL], &e));
	assert_int_equal(*(uint8_t *)driver_at(&f->d, at + 4, 1), VIRTIO_NET_OK);
}

static void start(struct net_fixture *f)
{
	net_start(f, MERGE | PAIRS, SIZE);
	use_pairs(f, 2);
}

/* BATCH frames on this pair's transmit queue, not waited for. */
static void send_batch(struct net_fixture *f, unsigned pair)
{
	for (unsigned i = 0; i < BATCH; i++) {
		const struct driver_buffer b = { net_buffer(pair * BATCH + i),
						 NET_HEADER_BYTES + LEN, false };

		net_frame(driver_at(&f->d, b.addr, b.len), LEN, i);
		net_offer(&f->ring[2 * pair + 1], &b, 1);
	}
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_NOTIFY, 2 * pair + 1);
}

/* The far end gets all of them in order, and the driver its buffers back. */
static void expect_batch(struct net_fixture *f, unsigned pair)
{
	uint8_t want[NET_HEADER_BYTES + LEN], got[sizeof(want)];
	struct vring_used_elem e;

	for (unsigned i = 0; i < BATCH; i++) {
		wait_for(&f->d, f->host[pair]);
		assert_int_equal(recv(f->host[pair], got, sizeof(got), 0), sizeof(got));
		net_frame(want, LEN, i);
		assert_memory_equal(got + NET_HEADER_BYTES, want + NET_HEADER_BYTES, LEN);
	}
	for (unsigned i = 0; i < BATCH; i++) {
		while (!net_used(&f->ring[2 * pair + 1], &e))
			wait_for_interrupt(&f->d);
	}
}

/* The receive buffers of the second pair are filled by its thread. */
static void expect_received(struct net_fixture *f)
{
	uint8_t frame[NET_HEADER_BYTES + LEN];
	struct vring_used_elem e;

	for (unsigned i = 0; i < BATCH; i++) {
		const struct driver_buffer b = { net_buffer(100 + i), 2000, true };

		net_offer(&f->ring[RX1], &b, 1);
	}
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_NOTIFY, RX1);
	for (unsigned i = 0; i < BATCH; i++) {
		net_frame(frame, LEN, i);
		assert_int_equal(send(f->host[1], frame, sizeof(frame), 0), sizeof(frame));
	}
	for (unsigned i = 0; i < BATCH; i++) {
		while (!net_used(&f->ring[RX1], &e))
			wait_for_interrupt(&f->d);
		assert_int_equal(e.len, sizeof(frame));
	}
}

/* What the main thread does to a device at work; n picks. */
static void disturb(struct net_fixture *f, unsigned n)
{
	const struct limiter_config none = { .has_ops = true };
	const struct limiter_config slow = { .ops = { 8, 1, 0 }, .has_ops = true };
	struct virtio_counters c;

	if (n % 4 == 0)
		virtio_transport_pause(f->d.transport);
	if (n % 4 == 1)
		virtio_net_set_limiters(f->d.dev, &none, &slow);
	if (n % 4 == 2)
		virtio_net_set_limiters(f->d.dev, &none, &none);
	virtio_dev_counters(f->d.dev, &c);
	virtio_transport_resume(f->d.transport);
	driver_get(&f->d, VIRTIO_MMIO_STATUS);
}

static void test_net(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_counters c;

	start(f);
	for (unsigned n = 0; n < ROUNDS; n++) {
		send_batch(f, 1);
		send_batch(f, 0);
		disturb(f, n);
		expect_batch(f, 0);
		expect_batch(f, 1);
	}
	virtio_dev_counters(f->d.dev, &c);
	assert_int_equal(c.requests, 2 * ROUNDS * BATCH + 1);
	assert_int_equal(c.write_bytes, 2 * ROUNDS * BATCH * LEN);
	assert_int_equal(c.errors, 0);
	assert_false(net_needs_reset(f));
}

/* The second pair comes and goes, and the device, with frames on their way. */
static void test_net_reset(void **state)
{
	struct net_fixture *f = *state;
	uint8_t drop[NET_HEADER_BYTES + LEN];

	for (unsigned n = 0; n < ROUNDS / 4; n++) {
		start(f);
		expect_received(f);
		send_batch(f, 1);
		use_pairs(f, 1);
		use_pairs(f, 2);
		expect_batch(f, 1);
		send_batch(f, 1);
		driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
		while (recv(f->host[1], drop, sizeof(drop), 0) > 0)
			continue;
	}
}

/* A broken rule on one thread stops the device for all. */
static void test_net_fails(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer bad = { net_buffer(0), 4, false };
	struct virtio_counters c;

	start(f);
	driver_interrupts(&f->d);
	net_offer(&f->ring[TX1], &bad, 1);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_NOTIFY, TX1);
	while (!net_needs_reset(f))
		wait_for_interrupt(&f->d);
	virtio_dev_counters(f->d.dev, &c);
	assert_int_equal(c.violations, 1);
	start(f);
	send_batch(f, 1);
	expect_batch(f, 1);
}

/* --- blk --- */

enum { BLK_RING = 0x100000, BLK_RING_BYTES = 0x8000, BLK_SLOT = 0x2000 };

struct two_queues {
	struct disk disk;
	struct net_ring ring[VCPUS];
};

static void start_rings(struct two_queues *t)
{
	struct driver *d = &t->disk.driver;

	driver_negotiate(d, 1ull << VIRTIO_BLK_F_MQ | FLUSH);
	for (unsigned i = 0; i < VCPUS; i++) {
		uint64_t at = BLK_RING + (uint64_t)i * BLK_RING_BYTES;
		const struct virtq_layout l = { SIZE, gpa(at), gpa(at + 0x2000), gpa(at + 0x4000) };

		assert_int_equal(gmem_zero(d->mem, gpa(at), BLK_RING_BYTES), 0);
		t->ring[i] = (struct net_ring){
			.d = d,
			.index = i,
			.desc = at,
			.avail = at + 0x2000,
			.used = at + 0x4000,
			.size = SIZE,
		};
		driver_put(d, VIRTIO_MMIO_QUEUE_SEL, i);
		driver_set_queue(d, &l);
	}
	driver_put(d, VIRTIO_MMIO_STATUS, 15);
	driver_interrupts(d);
}

static void start_disk(struct two_queues *t)
{
	struct virtio_blk_drive drive = { .serial = "", .async = disk_async, .writeback = true };
	struct virtio_dev *dev;

	disk_make(&t->disk, SECTORS * 512);
	drive.path = t->disk.path;
	assert_int_equal(virtio_blk_create(&drive, &dev, NULL), 0);
	virtio_blk_set_vcpus(dev, VCPUS);
	driver_create(&t->disk.driver, dev);
	driver_spread(&t->disk.driver, VCPUS);
	start_rings(t);
}

static uint64_t slot_of(unsigned queue, unsigned i)
{
	return DRIVER_HIGH + ((uint64_t)queue * SIZE + i) * BLK_SLOT;
}

/* A sector each, as many as the ring holds. */
static void ask(struct two_queues *t, unsigned queue, uint32_t type, unsigned count)
{
	struct driver *d = &t->disk.driver;

	for (unsigned i = 0; i < count; i++) {
		uint64_t at = slot_of(queue, i);
		const struct driver_buffer b[] = {
			{ at, 16, false },
			{ at + 0x1000, 512, type == VIRTIO_BLK_T_IN },
			{ at + 0x100, 1, true },
		};

		disk_header(&t->disk, at, type, i % SECTORS);
		memset(driver_at(d, at + 0x1000, 512),
		       type == VIRTIO_BLK_T_IN ? 0 : (int)i % SECTORS + 1, 512);
		*(uint8_t *)driver_at(d, at + 0x100, 1) = 0xff;
		net_offer(&t->ring[queue], b, 3);
	}
	driver_put(d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void expect_answers(struct two_queues *t, unsigned queue, unsigned count)
{
	struct driver *d = &t->disk.driver;
	struct vring_used_elem e;

	for (unsigned i = 0; i < count; i++) {
		while (!net_used(&t->ring[queue], &e))
			wait_for_interrupt(d);
	}
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *data = driver_at(d, slot_of(queue, i) + 0x1000, 512);

		assert_int_equal(*(uint8_t *)driver_at(d, slot_of(queue, i) + 0x100, 1),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(data[0], i % SECTORS + 1);
		assert_int_equal(data[511], i % SECTORS + 1);
	}
}

static void trouble(struct two_queues *t, unsigned n)
{
	const struct limiter_config slow = { .ops = { 8, 1, 0 }, .has_ops = true };
	const struct limiter_config none = { .has_ops = true };
	struct driver *d = &t->disk.driver;
	struct virtio_counters c;

	if (n % 4 == 0)
		virtio_transport_pause(d->transport);
	if (n % 4 == 1)
		assert_int_equal(virtio_blk_set_path(d->dev, t->disk.path, NULL), 0);
	if (n % 4 == 2)
		virtio_blk_set_limiter(d->dev, n % 8 == 2 ? &slow : &none);
	virtio_dev_counters(d->dev, &c);
	virtio_transport_resume(d->transport);
}

static void test_blk(void **state)
{
	enum { COUNT = SIZE / 3 };
	struct two_queues t = { 0 };
	struct virtio_counters c;

	(void)state;
	start_disk(&t);
	for (unsigned n = 0; n < ROUNDS; n++) {
		uint32_t type = n % 3 == 0 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

		ask(&t, 1, type, COUNT);
		ask(&t, 0, type, COUNT);
		trouble(&t, n);
		expect_answers(&t, 1, COUNT);
		expect_answers(&t, 0, COUNT);
	}
	virtio_dev_counters(t.disk.driver.dev, &c);
	assert_int_equal(c.requests, 2 * ROUNDS * COUNT);
	assert_int_equal(c.read_bytes + c.write_bytes, 2 * ROUNDS * COUNT * 512);
	assert_int_equal(c.errors, 0);
	for (unsigned n = 0; n < ROUNDS / 4; n++) {
		ask(&t, 1, VIRTIO_BLK_T_IN, COUNT);
		start_rings(&t);
		ask(&t, 1, VIRTIO_BLK_T_IN, COUNT);
		expect_answers(&t, 1, COUNT);
	}
	disk_end(&t.disk);
}

static void test_blk_async(void **state)
{
	disk_async = true;
	test_blk(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_net, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_net_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_net_fails, set_up, tear_down),
		cmocka_unit_test(test_blk),
		cmocka_unit_test(test_blk_async),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
