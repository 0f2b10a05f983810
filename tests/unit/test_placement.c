/* test_placement.c - where memory beside RAM goes: of a machine that starts, and of one that
 * is loaded, whose state may say anything.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/placement.h"

#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define ROOM (UINT64_C(4) * GIB) /* where it starts, with little RAM */

enum { SLOTS = 12, PLACE = 7 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct side {
	struct gmem *mem;
	struct placement p;
	unsigned next_slot; /* that KVM is told of */
};

static int on_set(void *ctx, const struct memslot *slot)
{
	struct side *s = ctx;

	assert_int_equal(slot->index, s->next_slot);
	s->next_slot++;
	return 0;
}

static void make(struct side *s, uint64_t ram_bytes)
{
	const struct gmem_config c = {
		.size_bytes = ram_bytes,
		.backing = GMEM_ANON,
		.gap_start = 3 * GIB,
		.gap_end = ROOM,
	};
	const struct memslot_sink sink = { on_set, s };

	assert_int_equal(gmem_create(&c, &s->mem, NULL), 0);
	s->next_slot = GMEM_MAX_REGIONS;
	placement_init(&s->p, &sink, SLOTS, s->mem);
}

static struct window *window(uint64_t mib)
{
	int fd = memfd_create("window", MFD_CLOEXEC);
	struct window *w;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(mib * MIB)), 0);
	assert_int_equal(window_map_file(fd, mib * MIB, false, &w), 0);
	close(fd);
	return w;
}

/* Where it went. */
static uint64_t add(struct side *s, uint64_t mib)
{
	struct window *w = window(mib);

	assert_int_equal(placement_add(&s->p, w, NULL), 0);
	return window_base(w).v;
}

static int restore(struct side *s, uint64_t mib, uint64_t base, struct error *err)
{
	const struct placement_saved saved = { "pmem", PLACE, gpa(base) };

	return placement_restore(&s->p, window(mib), &saved, err);
}

struct row {
	uint64_t mib, base;
};

/* One behind the other, each at a multiple of its length; in KVM's slots as long as it has
 * some. */
static void one_behind_the_other(void **state)
{
	static const struct row rows[] = {
		{ 2, ROOM },
		{ 6, ROOM + 8 * MIB },
		{ 2, ROOM + 14 * MIB },
		{ 64, ROOM + 64 * MIB },
	};
	struct error err = { 0 };
	struct side s = { 0 };

	(void)state;
	make(&s, 64 * MIB);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(add(&s, rows[i].mib), rows[i].base);
	while (s.next_slot < SLOTS)
		add(&s, 2);
	assert_int_equal(placement_add(&s.p, window(2), &err), -ENOSPC);
	assert_string_equal(err.field, "slot_size_mib");
	gmem_destroy(s.mem);
}

/* In any order, with gaps between. What comes later comes behind all of it. */
static void where_they_were(void **state)
{
	static const struct row rows[] = {
		{ 64, ROOM + 512 * MIB },
		{ 6, ROOM + 8 * MIB },
		{ 2, ROOM + 14 * MIB },
		{ 2, ROOM },
	};
	struct side s = { 0 };

	(void)state;
	make(&s, 64 * MIB);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(restore(&s, rows[i].mib, rows[i].base, NULL), 0);
		assert_non_null(gmem_view(s.mem, gpa(rows[i].base), rows[i].mib * MIB));
	}
	assert_null(gmem_view(s.mem, gpa(ROOM + 2 * MIB), 1));
	assert_int_equal(add(&s, 2), ROOM + 576 * MIB);
	gmem_destroy(s.mem);
}

/* Beside a window of 4 MiB at ROOM + 16 MiB. Nothing is left of one that is refused. */
static void forged_bases(void **state)
{
	static const struct {
		uint64_t ram_mib;
		struct row window;
		const char *why;
	} rows[] = {
		{ 64, { 2, ROOM + 1 }, "not aligned" },
		{ 64, { 2, ROOM + 4096 }, "not aligned" },
		{ 64, { 6, ROOM + 4 * MIB }, "not aligned" },
		{ 64, { 2, UINT64_MAX }, "not aligned" },
		{ 64, { 2, 0 }, "not among the addresses" },
		{ 64, { 2, 64 * MIB }, "not among the addresses" },
		{ 64, { 2, 3 * GIB }, "not among the addresses" },
		{ 64, { 2, ROOM - 2 * MIB }, "not among the addresses" },
		{ 64, { 4, ROOM - 4 * MIB }, "not among the addresses" },
		{ 64, { 2, UINT64_C(1) << 52 }, "not among the addresses" },
		{ 64, { 2, UINT64_C(1) << 63 }, "not among the addresses" },
		{ 64, { 2, -(2 * MIB) }, "not among the addresses" },
		{ 3 * 1024 + 64, { 2, ROOM }, "not among the addresses" },
		{ 3 * 1024 + 64, { 2, ROOM + 62 * MIB }, "not among the addresses" },
		{ 64, { 4, ROOM + 16 * MIB }, "where other memory is" },
		{ 64, { 2, ROOM + 16 * MIB }, "where other memory is" },
		{ 64, { 2, ROOM + 18 * MIB }, "where other memory is" },
		{ 64, { 32, ROOM }, "where other memory is" },
	};
	struct error err = { 0 };
	struct side s = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		make(&s, rows[i].ram_mib * MIB);
		assert_int_equal(
			restore(&s, 4, ROOM + (rows[i].ram_mib == 64 ? 16 : 80) * MIB, NULL), 0);
		assert_int_equal(restore(&s, rows[i].window.mib, rows[i].window.base, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.text, "section pmem 7: base 0x"));
		assert_non_null(strstr(err.text, rows[i].why));
		assert_non_null(strstr(err.hint, "a multiple of 0x"));
		assert_int_equal(s.next_slot, GMEM_MAX_REGIONS + 1);
		gmem_destroy(s.mem);
	}
}

/* The last addresses there are can be had, and then there is nothing behind them. */
static void at_the_end(void **state)
{
	struct side s = { 0 };

	(void)state;
	make(&s, 64 * MIB);
	assert_int_equal(restore(&s, 2, s.p.end, NULL), -EBADMSG);
	assert_int_equal(restore(&s, 2, s.p.end - 2 * MIB, NULL), 0);
	assert_int_equal(placement_add(&s.p, window(2), NULL), -ENOSPC);
	gmem_destroy(s.mem);
}

static void what_is_free(void **state)
{
	struct side s = { 0 };

	(void)state;
	make(&s, 3 * GIB + 64 * MIB);
	assert_false(gmem_is_free(s.mem, gpa(0), 1));
	assert_false(gmem_is_free(s.mem, gpa(3 * GIB - 1), 2));
	assert_true(gmem_is_free(s.mem, gpa(3 * GIB), GIB));
	assert_false(gmem_is_free(s.mem, gpa(3 * GIB), GIB + 1));
	assert_true(gmem_is_free(s.mem, gpa(ROOM + 64 * MIB), MIB));
	assert_int_equal(add(&s, 2), ROOM + 64 * MIB);
	assert_false(gmem_is_free(s.mem, gpa(ROOM + 66 * MIB - 1), 2));
	assert_true(gmem_is_free(s.mem, gpa(ROOM + 66 * MIB), 2));
	gmem_destroy(s.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_behind_the_other), cmocka_unit_test(where_they_were),
		cmocka_unit_test(forged_bases),		cmocka_unit_test(at_the_end),
		cmocka_unit_test(what_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
