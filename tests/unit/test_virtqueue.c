/* test_virtqueue.c - the split ring: what a driver may do, and what it must not. */
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

#include "devices/virtio/life.h"
#include "tests/unit/virtio_driver.h"
#include "tests/unit/virtio_probe.h"

#define INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define NEXT	  VRING_DESC_F_NEXT
#define WRITE	  VRING_DESC_F_WRITE
#define TABLE	  VRING_DESC_F_INDIRECT

enum { BUF = DRIVER_BUFFERS, SIZE = 16 };

static struct probe *start(struct driver *d, uint64_t features, uint16_t size)
{
	struct probe *p = probe_create();

	assert_non_null(p);
	driver_create(d, &p->dev);
	driver_start(d, features, size);
	return p;
}

/* --- what a driver must not do --- */

static void put(struct driver *d, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
		uint16_t next)
{
	driver_desc(d, DRIVER_DESC, i, (struct vring_desc){ addr, len, (uint16_t)flags, next });
}

static void put_table(struct driver *d, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
		      uint16_t next)
{
	driver_desc(d, DRIVER_TABLE, i, (struct vring_desc){ addr, len, (uint16_t)flags, next });
}

static void loop_to_itself(struct driver *d)
{
	put(d, 0, BUF, 8, NEXT, 0);
}

static void loop_of_two(struct driver *d)
{
	put(d, 0, BUF, 8, NEXT, 1);
	put(d, 1, BUF, 8, NEXT, 0);
}

static void loop_in_table(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 32, TABLE, 0);
	put_table(d, 0, BUF, 8, NEXT, 1);
	put_table(d, 1, BUF, 8, NEXT, 0);
}

/* 65,536 descriptors, each the successor of the one before. */
static void chain_of_65536(struct driver *d)
{
	put(d, 0, DRIVER_HIGH, 65536 * 16, TABLE, 0);
	for (unsigned i = 0; i < 65536; i++)
		driver_desc(d, DRIVER_HIGH, i,
			    (struct vring_desc){ BUF, 1, NEXT, (uint16_t)(i + 1) });
}

static void one_more_than_queue(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, (PROBE_QUEUE0 + 1) * 16, TABLE, 0);
	for (unsigned i = 0; i <= PROBE_QUEUE0; i++)
		put_table(d, i, BUF, 1, i < PROBE_QUEUE0 ? NEXT : 0, (uint16_t)(i + 1));
}

/* Each buffer is in RAM; their sum is one byte more than 2^32. */
static void more_than_4g_in_all(struct driver *d)
{
	const uint32_t len = DRIVER_HIGH_END - DRIVER_HIGH;
	const unsigned n = (unsigned)((1ull << 32) / len);

	put(d, 0, DRIVER_TABLE, (n + 1) * 16, TABLE, 0);
	for (unsigned i = 0; i < n; i++)
		put_table(d, i, DRIVER_HIGH, len, WRITE | NEXT, (uint16_t)(i + 1));
	put_table(d, n, BUF, 1, WRITE, 0);
}

static void table_in_table(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 16, TABLE, 0);
	put_table(d, 0, DRIVER_TABLE, 16, TABLE, 0);
}

static void table_with_successor(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 16, TABLE | NEXT, 1);
	put_table(d, 0, BUF, 8, 0, 0);
	put(d, 1, BUF, 8, 0, 0);
}

static void table_of_length_0(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 0, TABLE, 0);
}

static void table_of_17_bytes(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 17, TABLE, 0);
	put_table(d, 0, BUF, 8, 0, 0);
}

static void table_outside(struct driver *d)
{
	put(d, 0, DRIVER_GAP, 16, TABLE, 0);
}

static void table_across_end(struct driver *d)
{
	put(d, 0, DRIVER_GAP - 16, 32, TABLE, 0);
}

static void index_beyond_table(struct driver *d)
{
	put(d, 0, DRIVER_TABLE, 32, TABLE, 0);
	put_table(d, 0, BUF, 8, NEXT, 2);
	put_table(d, 2, BUF, 8, 0, 0);
}

static void next_beyond_queue(struct driver *d)
{
	put(d, 0, BUF, 8, NEXT, SIZE);
	put(d, SIZE, BUF, 8, 0, 0);
}

static void next_65535(struct driver *d)
{
	put(d, 0, BUF, 8, NEXT, 65535);
}

static void head_beyond_queue(struct driver *d)
{
	put(d, SIZE, BUF, 8, 0, 0);
	driver_avail(d)->ring[0] = SIZE;
}

static void length_0(struct driver *d)
{
	put(d, 0, BUF, 0, 0, 0);
}

static void length_0_behind_good(struct driver *d)
{
	put(d, 0, BUF, 8, NEXT, 1);
	put(d, 1, BUF, 0, WRITE, 0);
}

static void length_wraps_address(struct driver *d)
{
	put(d, 0, UINT64_MAX - 3, 8, WRITE, 0);
}

static void length_4g(struct driver *d)
{
	put(d, 0, BUF, UINT32_MAX, WRITE, 0);
}

static void crosses_end_of_region(struct driver *d)
{
	put(d, 0, DRIVER_GAP - 4, 8, WRITE, 0);
}

static void crosses_into_region(struct driver *d)
{
	put(d, 0, DRIVER_HIGH - 4, 8, WRITE, 0);
}

static void spans_both_regions(struct driver *d)
{
	put(d, 0, DRIVER_GAP - 4, DRIVER_HIGH - DRIVER_GAP + 8, WRITE, 0);
}

static void in_the_gap(struct driver *d)
{
	put(d, 0, DRIVER_GAP, 1, WRITE, 0);
}

static void behind_ram(struct driver *d)
{
	put(d, 0, DRIVER_HIGH_END, 1, 0, 0);
}

static void writable_before_readable(struct driver *d)
{
	put(d, 0, BUF, 8, WRITE | NEXT, 1);
	put(d, 1, BUF, 8, 0, 0);
}

static void order_broken_in_table(struct driver *d)
{
	put(d, 0, BUF, 8, WRITE | NEXT, 1);
	put(d, 1, DRIVER_TABLE, 16, TABLE, 0);
	put_table(d, 0, BUF, 8, 0, 0);
}

static void index_jump(struct driver *d)
{
	put(d, 0, BUF, 8, 0, 0);
	driver_avail(d)->idx = SIZE + 1;
}

static void index_backwards(struct driver *d)
{
	put(d, 0, BUF, 8, 0, 0);
	driver_avail(d)->idx = 65535;
}

static const struct hostile {
	const char *name;
	void (*prepare)(struct driver *d);
} hostile[] = {
	{ "a descriptor that is its own successor", loop_to_itself },
	{ "a loop of two", loop_of_two },
	{ "a loop in an indirect table", loop_in_table },
	{ "a chain of 65,536", chain_of_65536 },
	{ "a chain one longer than the queue", one_more_than_queue },
	{ "more than 4 GiB in all", more_than_4g_in_all },
	{ "an indirect table in an indirect table", table_in_table },
	{ "an indirect table with a successor", table_with_successor },
	{ "an indirect table of length 0", table_of_length_0 },
	{ "an indirect table of 17 bytes", table_of_17_bytes },
	{ "an indirect table outside RAM", table_outside },
	{ "an indirect table across the end of RAM", table_across_end },
	{ "an index beyond an indirect table", index_beyond_table },
	{ "a successor beyond the queue", next_beyond_queue },
	{ "successor 65535", next_65535 },
	{ "a head beyond the queue", head_beyond_queue },
	{ "a length of 0", length_0 },
	{ "a length of 0 behind a good one", length_0_behind_good },
	{ "a length that wraps the address", length_wraps_address },
	{ "a length of 4 GiB", length_4g },
	{ "a buffer across the end of a region", crosses_end_of_region },
	{ "a buffer across the start of a region", crosses_into_region },
	{ "a buffer from one region into the other", spans_both_regions },
	{ "a buffer in the gap", in_the_gap },
	{ "a buffer behind RAM", behind_ram },
	{ "writable before readable", writable_before_readable },
	{ "writable before readable, by way of a table", order_broken_in_table },
	{ "an available index too far ahead", index_jump },
	{ "an available index that went back", index_backwards },
};

static void assert_failed(struct driver *d, const struct probe *p, const char *name)
{
	if (!(driver_get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET))
		fail_msg("%s: the device went on", name);
	assert_int_equal(p->dev.counters.violations, 1);
	assert_int_equal(driver_get(d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(driver_interrupts(d), 1);
	assert_int_equal(driver_used_ring(d)->idx, 0);
	assert_int_equal(p->readable_bytes + p->writable_bytes, 0);
}

/* The device fails, stays down through further kicks, and works after a reset. */
static void check_hostile(const struct hostile *h, uint64_t features)
{
	const struct driver_buffer good[] = { { BUF, 8, false }, { BUF + 64, 8, true } };
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = start(&d, features, SIZE);

	driver_offer(&d, 0);
	h->prepare(&d);
	driver_kick(&d, 0);
	assert_failed(&d, p, h->name);
	driver_kick(&d, 0);
	assert_int_equal(p->dev.counters.violations, 1);

	driver_start(&d, features, SIZE);
	assert_true(driver_request(&d, good, 2, &e));
	assert_int_equal(e.len, 8);
	driver_destroy(&d);
}

static void hostile_input(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		check_hostile(&hostile[i], INDIRECT);
		check_hostile(&hostile[i], INDIRECT | EVENT_IDX);
	}
}

/* Without the feature a table is as wrong as anything. */
static void indirect_not_negotiated(void **state)
{
	struct driver d;
	struct probe *p = start(&d, 0, SIZE);

	(void)state;
	put(&d, 0, DRIVER_TABLE, 16, TABLE, 0);
	put_table(&d, 0, BUF, 8, 0, 0);
	driver_offer(&d, 0);
	driver_kick(&d, 0);
	assert_failed(&d, p, "a table without the feature");
	driver_destroy(&d);
}

/* Requests before the broken one are answered. */
static void good_before_bad(void **state)
{
	const struct driver_buffer good = { BUF, 8, true };
	struct driver d;
	struct vring_used_elem e;

	(void)state;
	start(&d, EVENT_IDX, SIZE);
	driver_chain(&d, 3, &good, 1);
	driver_offer(&d, 3);
	loop_to_itself(&d);
	driver_offer(&d, 0);
	driver_kick(&d, 0);
	assert_true(driver_used(&d, &e));
	assert_int_equal(e.id, 3);
	assert_int_equal(e.len, 8);
	assert_false(driver_used(&d, &e));
	assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_destroy(&d);
}

/* --- what a driver may do --- */

static void plain_chain(void **state)
{
	const struct driver_buffer b[] = {
		{ BUF, 3, false },
		{ BUF + 100, 5, false },
		{ DRIVER_HIGH, 7, true },
		{ DRIVER_HIGH_END - 1, 1, true },
	};
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = start(&d, 0, SIZE);

	(void)state;
	memset(driver_at(&d, BUF, 3), 1, 3);
	memset(driver_at(&d, BUF + 100, 5), 2, 5);
	assert_true(driver_request(&d, b, 4, &e));
	assert_int_equal(e.id, 0);
	assert_int_equal(e.len, 8);
	assert_int_equal(p->sum, 13);
	assert_int_equal(p->last_out, 2);
	assert_int_equal(p->last_in, 2);
	assert_int_equal(*(unsigned char *)driver_at(&d, DRIVER_HIGH + 6, 1), PROBE_FILL);
	assert_int_equal(*(unsigned char *)driver_at(&d, DRIVER_HIGH + 7, 1), 0);
	assert_int_equal(driver_interrupts(&d), 1);
	driver_destroy(&d);
}

/* 2.7.5.3.2: direct descriptors may come first, and the write flag of the one that
 * names the table is ignored. The table may lie at any address. */
static void indirect_behind_direct(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = start(&d, INDIRECT, SIZE);

	(void)state;
	put(&d, 0, BUF, 4, NEXT, 5);
	put(&d, 5, DRIVER_TABLE + 3, 48, TABLE | WRITE, 0);
	driver_desc(&d, DRIVER_TABLE + 3, 0, (struct vring_desc){ BUF + 8, 4, NEXT, 2 });
	driver_desc(&d, DRIVER_TABLE + 3, 2, (struct vring_desc){ BUF + 16, 6, WRITE, 0 });
	driver_offer(&d, 0);
	driver_kick(&d, 0);
	assert_true(driver_used(&d, &e));
	assert_int_equal(e.len, 6);
	assert_int_equal(p->readable_bytes, 8);
	driver_destroy(&d);
}

static void longest_chain(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = start(&d, INDIRECT, SIZE);

	(void)state;
	put(&d, 0, DRIVER_TABLE, PROBE_QUEUE0 * 16, TABLE, 0);
	for (unsigned i = 0; i < PROBE_QUEUE0; i++)
		put_table(&d, i, BUF + i, 1, i + 1 < PROBE_QUEUE0 ? NEXT | WRITE : WRITE,
			  (uint16_t)(i + 1));
	driver_offer(&d, 0);
	driver_kick(&d, 0);
	assert_true(driver_used(&d, &e));
	assert_int_equal(e.len, PROBE_QUEUE0);
	assert_int_equal(p->last_in, PROBE_QUEUE0);
	driver_destroy(&d);
}

/* A whole ring at once takes several turns and is one request each. */
static void full_ring(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = start(&d, EVENT_IDX, PROBE_QUEUE0);

	(void)state;
	for (unsigned i = 0; i < PROBE_QUEUE0; i++) {
		const struct driver_buffer b = { BUF + 16 * i, 16, true };

		driver_chain(&d, (uint16_t)i, &b, 1);
		driver_offer(&d, (uint16_t)i);
	}
	driver_kick(&d, 0);
	for (unsigned i = 0; i < PROBE_QUEUE0; i++) {
		assert_true(driver_used(&d, &e));
		assert_int_equal(e.id, i);
	}
	assert_int_equal(p->dev.counters.requests, PROBE_QUEUE0);
	assert_true(p->dev.counters.kicks >= PROBE_QUEUE0 / PROBE_BURST);
	driver_destroy(&d);
}

/* Past 65535 -> 0, twice, with both event indices in use: every request is heard
 * of, and each one that the driver waits for raises exactly one interrupt. */
static void indices_wrap(void **state)
{
	const struct driver_buffer b = { BUF, 4, true };
	struct driver d;
	struct probe *p = start(&d, EVENT_IDX, SIZE);
	struct vring_used_elem e;

	(void)state;
	driver_chain(&d, 7, &b, 1);
	for (unsigned i = 0; i < 2 * 65536 + 10; i++) {
		uint16_t *avail_event = (uint16_t *)(void *)&driver_used_ring(&d)->ring[SIZE];

		assert_int_equal(*avail_event, d.avail_idx);
		driver_avail(&d)->ring[SIZE] = d.used_idx;
		driver_offer(&d, 7);
		assert_false(virtio_dev_kick(d.dev, 0));
		assert_true(driver_used(&d, &e));
		assert_int_equal(e.id, 7);
		assert_int_equal(p->dev.counters.interrupts, i + 1);
	}
	driver_destroy(&d);
}

/* --- interrupts --- */

static void offer_n(struct driver *d, unsigned n)
{
	const struct driver_buffer b = { BUF, 4, true };

	for (unsigned i = 0; i < n; i++) {
		driver_chain(d, (uint16_t)i, &b, 1);
		driver_offer(d, (uint16_t)i);
	}
}

static void one_interrupt_a_burst(void **state)
{
	struct driver d;

	(void)state;
	start(&d, 0, SIZE);
	offer_n(&d, PROBE_BURST - 1);
	driver_kick(&d, 0);
	assert_int_equal(driver_interrupts(&d), 1);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	driver_kick(&d, 0);
	assert_int_equal(driver_interrupts(&d), 0);
	driver_destroy(&d);
}

static void no_interrupt_flag(void **state)
{
	struct driver d;

	(void)state;
	start(&d, 0, SIZE);
	driver_avail(&d)->flags = VRING_AVAIL_F_NO_INTERRUPT;
	driver_avail(&d)->ring[SIZE] = 0; /* used_event, to be ignored */
	offer_n(&d, 1);
	driver_kick(&d, 0);
	assert_int_equal(driver_used_ring(&d)->idx, 1);
	assert_int_equal(driver_interrupts(&d), 0);
	driver_destroy(&d);
}

static void used_event(void **state)
{
	struct driver d;

	(void)state;
	start(&d, EVENT_IDX, SIZE);
	driver_avail(&d)->flags = VRING_AVAIL_F_NO_INTERRUPT; /* to be ignored */
	driver_avail(&d)->ring[SIZE] = 4;
	offer_n(&d, 4);
	driver_kick(&d, 0);
	assert_int_equal(driver_interrupts(&d), 0);
	offer_n(&d, 1);
	driver_kick(&d, 0);
	assert_int_equal(driver_interrupts(&d), 1);
	offer_n(&d, 1);
	driver_kick(&d, 0);
	assert_int_equal(driver_interrupts(&d), 0);
	assert_int_equal(driver_used_ring(&d)->flags, 0);
	driver_destroy(&d);
}

/* --- layout --- */

static const struct bad_layout {
	const char *name;
	struct virtq_layout l;
} bad_layouts[] = {
	{ "size 0", { 0, { 0x1000 }, { 0x3000 }, { 0x5000 } } },
	{ "size 3", { 3, { 0x1000 }, { 0x3000 }, { 0x5000 } } },
	{ "size 512", { 512, { 0x1000 }, { 0x4000 }, { 0x6000 } } },
	{ "size 32768", { 32768, { 0 }, { 0x90000 }, { 0xb0000 } } },
	{ "size 65536 + 16", { 65552, { 0x1000 }, { 0x3000 }, { 0x5000 } } },
	{ "size 2^31", { 1u << 31, { 0x1000 }, { 0x3000 }, { 0x5000 } } },
	{ "descriptors off by 8", { 16, { 0x1008 }, { 0x3000 }, { 0x5000 } } },
	{ "available ring off by 1", { 16, { 0x1000 }, { 0x3001 }, { 0x5000 } } },
	{ "used ring off by 2", { 16, { 0x1000 }, { 0x3000 }, { 0x5002 } } },
	{ "descriptors in the gap", { 16, { DRIVER_GAP }, { 0x3000 }, { 0x5000 } } },
	{ "descriptors across the end", { 16, { DRIVER_GAP - 240 }, { 0x3000 }, { 0x5000 } } },
	{ "available ring across the end", { 16, { 0x1000 }, { DRIVER_GAP - 36 }, { 0x5000 } } },
	{ "used ring across the end", { 16, { 0x1000 }, { 0x3000 }, { DRIVER_GAP - 132 } } },
	{ "used ring at the end of RAM", { 16, { 0x1000 }, { 0x3000 }, { DRIVER_HIGH_END } } },
	{ "descriptors that wrap", { 16, { UINT64_MAX - 15 }, { 0x3000 }, { 0x5000 } } },
	{ "available ring that wraps", { 16, { 0x1000 }, { UINT64_MAX - 1 }, { 0x5000 } } },
	{ "a 33-bit address", { 16, { 0x100001000 }, { 0x3000 }, { 0x5000 } } },
};

static void layouts_refused(void **state)
{
	struct probe *p = probe_create();
	struct driver d;

	(void)state;
	driver_create(&d, &p->dev);
	for (size_t i = 0; i < sizeof(bad_layouts) / sizeof(bad_layouts[0]); i++) {
		driver_negotiate(&d, EVENT_IDX);
		driver_set_queue(&d, &bad_layouts[i].l);
		if (driver_get(&d, VIRTIO_MMIO_QUEUE_READY) != 0)
			fail_msg("%s: accepted", bad_layouts[i].name);
		assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		/* Before DRIVER_OK nobody may be interrupted. */
		assert_int_equal(driver_interrupts(&d), 0);
	}
	driver_destroy(&d);
}

/* The last bytes of a region are as good as any. */
static void layout_at_the_very_end(void **state)
{
	const struct virtq_layout l = { 16, gpa(DRIVER_GAP - 512), gpa(DRIVER_GAP - 38),
					gpa(DRIVER_HIGH_END - 136) };
	struct probe *p = probe_create();
	struct driver d;

	(void)state;
	driver_create(&d, &p->dev);
	driver_negotiate(&d, EVENT_IDX);
	driver_set_queue(&d, &l);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 1);
	driver_destroy(&d);
}

/* A request into spans of the caller's outlives the next pop; one that is put back
 * comes again, and a third time from the ring as it is by then. */
static void kept_and_put_back(void **state)
{
	struct iovec mine[PROBE_QUEUE0];
	struct virtq_req kept, req;
	struct driver d;
	struct virtq *q;

	(void)state;
	start(&d, 0, SIZE);
	q = d.dev->vq[0];
	put(&d, 0, BUF, 8, NEXT, 1);
	put(&d, 1, BUF + 8, 24, WRITE, 0);
	put(&d, 2, BUF + 0x100, 4, 0, 0);
	driver_offer(&d, 0);
	driver_offer(&d, 2);
	assert_int_equal(virtq_pop_into(q, &kept, mine), 1);
	assert_int_equal(virtq_pop(q, &req), 1);
	assert_int_equal(req.head, 2);
	assert_ptr_equal(kept.out.vec, mine);
	assert_ptr_equal(kept.out.vec->iov_base, driver_at(&d, BUF, 8));
	assert_ptr_equal(kept.in.vec->iov_base, driver_at(&d, BUF + 8, 24));
	assert_int_equal(kept.in.len, 24);

	virtq_unpop(q);
	assert_int_equal(d.dev->counters.requests, 1);
	put(&d, 2, BUF + 0x200, 5, WRITE, 0);
	assert_int_equal(virtq_pop(q, &req), 1);
	assert_int_equal(req.head, 2);
	assert_int_equal(req.in.len, 5);
	assert_int_equal(virtq_pop(q, &req), 0);
	assert_int_equal(d.dev->counters.requests, 2);
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_input),
		cmocka_unit_test(indirect_not_negotiated),
		cmocka_unit_test(good_before_bad),
		cmocka_unit_test(plain_chain),
		cmocka_unit_test(indirect_behind_direct),
		cmocka_unit_test(longest_chain),
		cmocka_unit_test(full_ring),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(one_interrupt_a_burst),
		cmocka_unit_test(no_interrupt_flag),
		cmocka_unit_test(kept_and_put_back),
		cmocka_unit_test(used_event),
		cmocka_unit_test(layouts_refused),
		cmocka_unit_test(layout_at_the_very_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
