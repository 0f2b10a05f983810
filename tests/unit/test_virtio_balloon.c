/* test_virtio_balloon.c - pages that go back to the host, and drivers that lie. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "devices/virtio/balloon.h"
#include "tests/unit/virtio_driver.h"

enum {
	LIST = DRIVER_BUFFERS, /* where page lists are */
	PAGE = 4096,
	SIZE = 64, /* of the queue */
	FILL = 0x5a,
	TARGET = VIRTIO_MMIO_CONFIG,
	ACTUAL = VIRTIO_MMIO_CONFIG + 4,
	HINT_CMD = VIRTIO_MMIO_CONFIG + 8,
};

enum { INFLATE, DEFLATE, STATS, HINTING, REPORTING };

#define F(name) (1ull << VIRTIO_BALLOON_F_##name)

/* Linked in place of the system call: a timer that is set has run out, once. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	const struct itimerspec now = { .it_value.tv_nsec = t->it_value.tv_sec != 0 };

	return __real_timerfd_settime(fd, flags, &now, old);
}

static void create(struct driver *d, const struct virtio_balloon_options *o)
{
	struct virtio_dev *dev;

	assert_int_equal(virtio_balloon_create(o, &dev), 0);
	driver_create(d, dev);
}

/* Up to DRIVER_OK with these features and, of the queues, this one. */
static void start(struct driver *d, uint64_t features, unsigned queue)
{
	const struct virtq_layout l = { SIZE, gpa(DRIVER_DESC), gpa(DRIVER_AVAIL),
					gpa(DRIVER_USED) };
	uint32_t status = driver_negotiate(d, features);

	assert_true(status & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(gmem_zero(d->mem, gpa(DRIVER_DESC), DRIVER_BUFFERS - DRIVER_DESC), 0);
	d->size = SIZE;
	d->avail_idx = d->used_idx = 0;
	driver_put(d, VIRTIO_MMIO_QUEUE_SEL, queue);
	driver_set_queue(d, &l);
	driver_put(d, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
	driver_interrupts(d);
}

static void create_all(struct driver *d, uint64_t features, unsigned queue)
{
	const struct virtio_balloon_options o = {
		.target_pages = 0x12345,
		.deflate_on_oom = true,
		.free_page_reporting = true,
		.interval_s = 1,
	};

	create(d, &o);
	start(d, features, queue);
}

static bool request(struct driver *d, unsigned queue, const struct driver_buffer *b, unsigned n)
{
	struct vring_used_elem e;

	driver_chain(d, 0, b, n);
	driver_offer(d, 0);
	driver_kick(d, queue);
	if (!driver_used(d, &e))
		return false;
	assert_int_equal(e.id, 0);
	assert_int_equal(e.len, 0);
	return true;
}

static bool failed(struct driver *d)
{
	return driver_get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void fill(struct driver *d, uint64_t at, size_t len)
{
	memset(driver_at(d, at, len), FILL, len);
}

/* All of [at, at + len) has this value. */
static bool holds(struct driver *d, uint64_t at, size_t len, unsigned char value)
{
	const unsigned char *p = driver_at(d, at, len);

	for (size_t i = 0; i < len; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

static uint32_t pfn(uint64_t address)
{
	return htole32((uint32_t)(address / PAGE));
}

static void write_list(struct driver *d, const uint32_t *list, size_t count)
{
	assert_int_equal(gmem_write(d->mem, gpa(LIST), list, count * sizeof(*list)), 0);
}

static bool inflate(struct driver *d, const uint32_t *list, size_t count)
{
	const struct driver_buffer b = { LIST, (uint32_t)(count * sizeof(*list)), false };

	write_list(d, list, count);
	return request(d, INFLATE, &b, 1);
}

static void features_follow_the_options(void **state)
{
	static const struct {
		struct virtio_balloon_options options;
		uint64_t features;
	} rows[] = {
		{ { 0 }, 0 },
		{ { .deflate_on_oom = true }, F(DEFLATE_ON_OOM) },
		{ { .free_page_reporting = true }, F(REPORTING) },
		{ { .free_page_hinting = true }, F(FREE_PAGE_HINT) },
		{ { .interval_s = 5 }, F(STATS_VQ) },
	};
	const uint64_t all = F(MUST_TELL_HOST) | F(STATS_VQ) | F(DEFLATE_ON_OOM) |
			     F(FREE_PAGE_HINT) | F(PAGE_POISON) | F(REPORTING);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct driver d;

		create(&d, &rows[i].options);
		assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BALLOON);
		assert_int_equal(driver_offered(&d) & all, rows[i].features);
		driver_destroy(&d);
	}
}

/* Any order, with repetitions: those pages are zeros, their neighbours untouched. */
static void inflated_pages_are_given_back(void **state)
{
	const uint64_t at = 0x100000;
	const uint32_t list[] = { pfn(at + 3 * PAGE), pfn(at + 1 * PAGE), pfn(at + 2 * PAGE),
				  pfn(at + 1 * PAGE), pfn(at + 6 * PAGE), pfn(DRIVER_HIGH) };
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, at, 8 * PAGE);
	fill(&d, DRIVER_HIGH, 2 * PAGE);
	assert_true(inflate(&d, list, sizeof(list) / sizeof(list[0])));
	assert_true(holds(&d, at, PAGE, FILL));
	assert_true(holds(&d, at + PAGE, 3 * PAGE, 0));
	assert_true(holds(&d, at + 4 * PAGE, 2 * PAGE, FILL));
	assert_true(holds(&d, at + 6 * PAGE, PAGE, 0));
	assert_true(holds(&d, at + 7 * PAGE, PAGE, FILL));
	assert_true(holds(&d, DRIVER_HIGH, PAGE, 0));
	assert_true(holds(&d, DRIVER_HIGH + PAGE, PAGE, FILL));
	assert_int_equal(d.dev->counters.write_bytes, 5 * PAGE);
	assert_int_equal(d.dev->counters.errors, 0);
	fill(&d, at + PAGE, PAGE);
	assert_true(holds(&d, at + PAGE, PAGE, FILL));
	driver_destroy(&d);
}

/* In the gap, behind the end, over the edge of RAM, as far as a number goes. */
static void pages_outside_ram_are_left_alone(void **state)
{
	const uint32_t list[] = { pfn(DRIVER_GAP), pfn(DRIVER_HIGH_END), pfn(DRIVER_HIGH - PAGE),
				  UINT32_MAX,	   UINT32_MAX - 1,	 pfn(0x100000) };
	const uint32_t across[] = { pfn(DRIVER_GAP - PAGE), pfn(DRIVER_GAP) };
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, 0x100000, PAGE);
	fill(&d, DRIVER_GAP - PAGE, PAGE);
	assert_true(inflate(&d, list, sizeof(list) / sizeof(list[0])));
	assert_true(holds(&d, 0x100000, PAGE, 0));
	/* The two largest numbers are neighbours, and so one run. */
	assert_int_equal(d.dev->counters.errors, 4);
	assert_true(inflate(&d, across, 2));
	assert_int_equal(d.dev->counters.errors, 5);
	assert_true(holds(&d, DRIVER_GAP - PAGE, PAGE, FILL));
	assert_false(failed(&d));
	driver_destroy(&d);
}

/* The list itself is read once and may be given back by itself. */
static void list_in_its_own_page(void **state)
{
	const uint32_t list[] = { pfn(LIST), pfn(LIST + PAGE) };
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, LIST + PAGE, PAGE);
	assert_true(inflate(&d, list, 2));
	assert_true(holds(&d, LIST, 2 * PAGE, 0));
	driver_destroy(&d);
}

static void broken_lists_fail_the_device(void **state)
{
	static const struct driver_buffer lists[][2] = {
		{ { LIST, 3, false } },
		{ { LIST, 4097, false } },
		{ { LIST, 4, true } },
		{ { LIST, 4, false }, { LIST + 64, 4, true } },
	};
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		start(&d, 0, INFLATE);
		assert_false(request(&d, INFLATE, lists[i], lists[i][1].len ? 2 : 1));
		assert_true(failed(&d));
	}
	driver_destroy(&d);
}

/* A list is as long as the driver likes; what is done for one is limited. */
static void giant_list_is_cut(void **state)
{
	enum { PAGES = 4000, KEPT = 1024 };
	const struct driver_buffer b = { LIST, PAGES * 4, false };
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, DRIVER_HIGH, 2 * PAGES * PAGE);
	for (uint32_t i = 0; i < PAGES; i++) {
		const uint32_t one = pfn(DRIVER_HIGH + 2ull * i * PAGE);

		assert_int_equal(gmem_write(d.mem, gpa(LIST + 4ull * i), &one, 4), 0);
	}
	assert_true(request(&d, INFLATE, &b, 1));
	assert_int_equal(d.dev->counters.write_bytes, (uint64_t)KEPT * PAGE);
	assert_true(holds(&d, DRIVER_HIGH + 2ull * (KEPT - 1) * PAGE, PAGE, 0));
	assert_true(holds(&d, DRIVER_HIGH + 2ull * KEPT * PAGE, PAGE, FILL));
	driver_destroy(&d);
}

/* Many lists of scattered pages take turns. */
static void inflation_takes_turns(void **state)
{
	enum { PAGES = 1024 };
	const struct driver_buffer b = { LIST, PAGES * 4, false };
	struct vring_used_elem e;
	uint32_t list[PAGES];
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	for (uint32_t i = 0; i < PAGES; i++)
		list[i] = pfn(DRIVER_HIGH + 2ull * i * PAGE);
	write_list(&d, list, PAGES);
	for (uint16_t i = 0; i < 8; i++) {
		driver_chain(&d, i, &b, 1);
		driver_offer(&d, i);
	}
	driver_kick(&d, INFLATE);
	for (unsigned i = 0; i < 8; i++)
		assert_true(driver_used(&d, &e));
	assert_true(d.dev->counters.kicks >= 8);
	driver_destroy(&d);
}

static void deflation_changes_nothing(void **state)
{
	const struct driver_buffer b = { LIST, 8, false };
	const uint32_t list[] = { pfn(0x100000), UINT32_MAX };
	struct driver d;

	(void)state;
	create_all(&d, 0, DEFLATE);
	fill(&d, 0x100000, PAGE);
	write_list(&d, list, 2);
	assert_true(request(&d, DEFLATE, &b, 1));
	assert_true(holds(&d, 0x100000, PAGE, FILL));
	assert_int_equal(d.dev->counters.errors, 0);
	driver_destroy(&d);
}

/* Where the specification has it, and where Linux puts it with and without statistics. */
static void reported_pages_are_given_back(void **state)
{
	static const struct {
		uint64_t features;
		unsigned queue;
	} rows[] = {
		{ F(REPORTING) | F(STATS_VQ), REPORTING },
		{ F(REPORTING), REPORTING },
		{ F(REPORTING) | F(STATS_VQ), 3 },
		{ F(REPORTING), 2 },
	};
	const struct driver_buffer b[] = {
		{ 0x100000, 2 * PAGE, true },
		{ DRIVER_HIGH_END - PAGE, PAGE, true },
		{ DRIVER_GAP - PAGE, PAGE, true },
	};
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&d, rows[i].features, rows[i].queue);
		fill(&d, 0x100000, 3 * PAGE);
		fill(&d, DRIVER_HIGH_END - 2 * PAGE, 2 * PAGE);
		fill(&d, DRIVER_GAP - PAGE, PAGE);
		assert_true(request(&d, rows[i].queue, b, 3));
		assert_true(holds(&d, 0x100000, 2 * PAGE, 0));
		assert_true(holds(&d, 0x100000 + 2 * PAGE, PAGE, FILL));
		assert_true(holds(&d, DRIVER_HIGH_END - 2 * PAGE, PAGE, FILL));
		assert_true(holds(&d, DRIVER_HIGH_END - PAGE, PAGE, 0));
		assert_true(holds(&d, DRIVER_GAP - PAGE, PAGE, 0));
	}
	driver_destroy(&d);
}

/* Not whole pages: they stay. Outside of RAM or readable: no such request. */
static void bad_reports(void **state)
{
	static const struct {
		struct driver_buffer b;
		bool fails;
	} rows[] = {
		{ { 0x100001, PAGE, true }, false },
		{ { 0x100000, PAGE - 1, true }, false },
		{ { 0x100000, 1, true }, false },
		{ { 0x100000, PAGE, false }, true },
		{ { DRIVER_GAP - PAGE, 2 * PAGE, true }, true },
		{ { DRIVER_GAP, PAGE, true }, true },
		{ { UINT64_MAX & ~0xfffull, PAGE, true }, true },
		{ { 0x100000, UINT32_MAX, true }, true },
	};
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, 0x100000, 2 * PAGE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&d, F(REPORTING), REPORTING);
		assert_int_equal(request(&d, REPORTING, &rows[i].b, 1), !rows[i].fails);
		assert_int_equal(failed(&d), rows[i].fails);
		assert_true(holds(&d, 0x100000, 2 * PAGE, FILL));
	}
	assert_int_equal(d.dev->counters.write_bytes, 0);
	driver_destroy(&d);
}

static void create_hinting(struct driver *d, unsigned queue)
{
	const struct virtio_balloon_options o = { .free_page_hinting = true };

	create(d, &o);
	start(d, F(FREE_PAGE_HINT), queue);
}

static bool tell(struct driver *d, unsigned queue, uint32_t cmd)
{
	const struct driver_buffer b = { LIST, sizeof(cmd), false };

	write_list(d, &cmd, 1);
	return request(d, queue, &b, 1);
}

static bool hint(struct driver *d, unsigned queue, uint64_t at)
{
	const struct driver_buffer b = { at, 2 * PAGE, true };

	fill(d, at, 2 * PAGE);
	return request(d, queue, &b, 1);
}

/* A run from start to end, with the queue where the specification has it, and where
 * Linux puts it. Only what comes with the run's number counts. */
static void hinted_pages_are_given_back(void **state)
{
	static const unsigned queues[] = { HINTING, STATS };
	const uint64_t at = DRIVER_HIGH;
	struct virtio_balloon_hinting h;
	struct driver d;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned q = queues[i];

		create_hinting(&d, q);
		assert_true(hint(&d, q, at));
		assert_true(holds(&d, at, 2 * PAGE, FILL));
		assert_int_equal(virtio_balloon_hint_start(d.dev, true), 0);
		assert_int_equal(driver_interrupts(&d), 2);
		assert_int_equal(driver_get(&d, HINT_CMD), 2);
		assert_true(hint(&d, q, at));
		assert_true(holds(&d, at, 2 * PAGE, FILL));
		assert_true(tell(&d, q, 3));
		assert_true(hint(&d, q, at));
		assert_true(holds(&d, at, 2 * PAGE, FILL));
		assert_true(tell(&d, q, 2));
		assert_true(hint(&d, q, at));
		assert_true(holds(&d, at, 2 * PAGE, 0));
		assert_int_equal(virtio_balloon_hint_status(d.dev, &h), 0);
		assert_true(h.guest_told && h.host_cmd == 2 && h.guest_cmd == 2);
		assert_true(tell(&d, q, 0));
		assert_int_equal(driver_get(&d, HINT_CMD), 1);
		assert_true(hint(&d, q, at));
		assert_true(holds(&d, at, 2 * PAGE, FILL));
		/* The next run has another number, and this time the host ends it. */
		assert_int_equal(virtio_balloon_hint_start(d.dev, false), 0);
		assert_int_equal(driver_get(&d, HINT_CMD), 3);
		assert_true(tell(&d, q, 3));
		assert_true(tell(&d, q, 0));
		assert_int_equal(driver_get(&d, HINT_CMD), 3);
		assert_int_equal(virtio_balloon_hint_stop(d.dev), 0);
		assert_int_equal(driver_get(&d, HINT_CMD), 1);
		driver_destroy(&d);
	}
}

static void bad_hints(void **state)
{
	static const struct driver_buffer rows[] = {
		{ LIST, 3, false },
		{ LIST, 5, false },
		{ DRIVER_HIGH_END - PAGE, 2 * PAGE, true },
	};
	struct driver d;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		create_hinting(&d, HINTING);
		assert_false(request(&d, HINTING, &rows[i], 1));
		assert_true(failed(&d));
		assert_int_equal(virtio_balloon_hint_start(d.dev, true), -ENODEV);
		driver_destroy(&d);
	}
}

static void no_hints_without_the_feature(void **state)
{
	struct virtio_balloon_hinting h;
	struct driver d;

	(void)state;
	create_all(&d, F(REPORTING), REPORTING);
	assert_int_equal(virtio_balloon_hint_start(d.dev, true), -ENODATA);
	assert_int_equal(virtio_balloon_hint_status(d.dev, &h), -ENODATA);
	driver_destroy(&d);
	create_hinting(&d, HINTING);
	assert_int_equal(virtio_balloon_hint_start(d.dev, true), 0);
	/* A new driver knows nothing of the old one's run. */
	start(&d, F(FREE_PAGE_HINT), HINTING);
	assert_int_equal(driver_get(&d, HINT_CMD), 0);
	assert_int_equal(virtio_balloon_hint_status(d.dev, &h), 0);
	assert_false(h.guest_told);
	start(&d, 0, INFLATE);
	assert_int_equal(virtio_balloon_hint_stop(d.dev), -ENODEV);
	driver_destroy(&d);
}

static void queue_without_its_feature(void **state)
{
	static const unsigned queues[] = { STATS, 3, REPORTING };
	const struct driver_buffer b = { 0x100000, PAGE, true };
	struct driver d;

	(void)state;
	create_all(&d, 0, INFLATE);
	fill(&d, 0x100000, PAGE);
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		start(&d, F(DEFLATE_ON_OOM), queues[i]);
		assert_false(request(&d, queues[i], &b, 1));
		assert_true(failed(&d));
	}
	assert_true(holds(&d, 0x100000, PAGE, FILL));
	driver_destroy(&d);
}

static void target_and_actual(void **state)
{
	struct virtio_balloon_statistics s;
	struct driver d;

	(void)state;
	create_all(&d, F(STATS_VQ), INFLATE);
	assert_int_equal(driver_get(&d, TARGET), 0x12345);
	assert_int_equal(driver_get(&d, ACTUAL), 0);

	uint32_t generation = driver_get(&d, VIRTIO_MMIO_CONFIG_GENERATION);

	assert_int_equal(virtio_balloon_set_target(d.dev, 77), 0);
	assert_int_equal(driver_interrupts(&d), 1);
	assert_int_not_equal(driver_get(&d, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_int_equal(driver_get(&d, TARGET), 77);
	driver_put(&d, TARGET, 1);
	driver_put(&d, ACTUAL, UINT32_MAX);
	driver_put(&d, ACTUAL + 4, 1);
	assert_int_equal(driver_get(&d, TARGET), 77);
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), 0);
	assert_int_equal(s.target_pages, 77);
	assert_int_equal(s.actual_pages, UINT32_MAX);
	start(&d, 0, INFLATE);
	assert_int_equal(driver_get(&d, ACTUAL), 0);
	driver_destroy(&d);
}

static void no_driver_no_target(void **state)
{
	const struct virtio_balloon_options o = { .target_pages = 5 };
	struct virtio_balloon_statistics s;
	struct driver d;

	(void)state;
	create(&d, &o);
	assert_int_equal(virtio_balloon_set_target(d.dev, 6), -ENODEV);
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), -ENODATA);
	assert_int_equal(virtio_balloon_set_interval(d.dev, 1), -ENODATA);
	assert_int_equal(virtio_balloon_set_interval(d.dev, 0), 0);
	start(&d, 0, INFLATE);
	assert_int_equal(driver_get(&d, TARGET), 5);
	driver_destroy(&d);
}

static void offer_stats(struct driver *d, uint16_t first, const struct virtio_balloon_stat *stats,
			size_t len)
{
	const struct driver_buffer b = { LIST, (uint32_t)len, false };

	assert_int_equal(gmem_write(d->mem, gpa(LIST), stats, len), 0);
	driver_chain(d, first, &b, 1);
	driver_offer(d, first);
	driver_kick(d, STATS);
}

/* The buffer is held until the timer asks for the next one. */
static void statistics_take_turns(void **state)
{
	const struct virtio_balloon_stat stats[] = {
		{ htole16(VIRTIO_BALLOON_S_MEMFREE), htole64(1000) },
		{ htole16(99), htole64(1) },
		{ htole16(15), htole64(UINT64_MAX) },
		{ htole16(UINT16_MAX), htole64(1) },
		{ htole16(VIRTIO_BALLOON_S_MEMTOT), htole64(2000) },
	};
	struct virtio_balloon_statistics s;
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	create_all(&d, F(STATS_VQ), STATS);
	driver_run(&d); /* the timer finds nothing to ask with */
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), 0);
	assert_int_equal(s.known, 0);
	offer_stats(&d, 3, stats, sizeof(stats) - 1);
	assert_false(driver_used(&d, &e));
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), 0);
	assert_int_equal(s.known, 1u << VIRTIO_BALLOON_S_MEMFREE | 1u << 15);
	assert_int_equal(s.value[VIRTIO_BALLOON_S_MEMFREE], 1000);
	assert_int_equal(s.value[15], UINT64_MAX);
	assert_int_equal(virtio_balloon_set_interval(d.dev, 2), 0);
	driver_run(&d);
	assert_true(driver_used(&d, &e));
	assert_int_equal(e.id, 3);
	assert_int_equal(virtio_balloon_set_interval(d.dev, 0), -ENODATA);
	offer_stats(&d, 4, stats, sizeof(stats));
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), 0);
	assert_int_equal(s.value[VIRTIO_BALLOON_S_MEMTOT], 2000);
	driver_destroy(&d);
}

/* More than one buffer goes back; a reset forgets the one in hand. */
static void too_many_statistics(void **state)
{
	struct virtio_balloon_stat stats[200];
	struct virtio_balloon_statistics s;
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	memset(stats, 0, sizeof(stats));
	create_all(&d, F(STATS_VQ), STATS);
	driver_run(&d);
	offer_stats(&d, 0, stats, sizeof(stats));
	offer_stats(&d, 1, stats, sizeof(stats));
	assert_true(driver_used(&d, &e));
	assert_int_equal(e.id, 0);
	assert_false(driver_used(&d, &e));
	start(&d, F(STATS_VQ), STATS);
	assert_int_equal(virtio_balloon_set_interval(d.dev, 1), 0);
	driver_run(&d);
	assert_false(driver_used(&d, &e));
	assert_int_equal(virtio_balloon_statistics(d.dev, &s), 0);
	assert_int_equal(s.known, 0);
	assert_false(failed(&d));
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_follow_the_options),
		cmocka_unit_test(inflated_pages_are_given_back),
		cmocka_unit_test(pages_outside_ram_are_left_alone),
		cmocka_unit_test(list_in_its_own_page),
		cmocka_unit_test(broken_lists_fail_the_device),
		cmocka_unit_test(giant_list_is_cut),
		cmocka_unit_test(inflation_takes_turns),
		cmocka_unit_test(deflation_changes_nothing),
		cmocka_unit_test(reported_pages_are_given_back),
		cmocka_unit_test(bad_reports),
		cmocka_unit_test(hinted_pages_are_given_back),
		cmocka_unit_test(bad_hints),
		cmocka_unit_test(no_hints_without_the_feature),
		cmocka_unit_test(queue_without_its_feature),
		cmocka_unit_test(target_and_actual),
		cmocka_unit_test(no_driver_no_target),
		cmocka_unit_test(statistics_take_turns),
		cmocka_unit_test(too_many_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
