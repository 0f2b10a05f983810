/* test_smaps.c - guest RAM told apart from the memory of its VMM. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "benches/smaps.h"

#define MIB (UINT64_C(1) << 20)

struct map {
	uint64_t start_mib, len_mib;
	int rss, clean, dirty; /* KiB */
};

/* Writes mappings as the kernel does, with lines that are not read among them. */
static void write_smaps(char *text, size_t room, const struct map *maps, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned long long start = maps[i].start_mib * MIB;

		used += (size_t)snprintf(
			text + used, room - used,
			"%llx-%llx rw-p 00000000 00:00 0   [name]\n"
			"Size:    4 kB\nRss:   %d kB\nPss:  1 kB\nShared_Clean: 77 kB\n"
			"Private_Clean:   %d kB\nPrivate_Dirty:  %d kB\nSwap: 0 kB\n"
			"VmFlags: rd wr mr mw me ac\n",
			start, start + maps[i].len_mib * MIB, maps[i].rss, maps[i].clean,
			maps[i].dirty);
	}
}

static int parse(const struct map *maps, size_t n, uint64_t guest_mib, struct smaps *ret)
{
	char text[8192] = "";
	struct error err;

	write_smaps(text, sizeof(text), maps, n);
	return smaps_parse(text, guest_mib * MIB, ret, &err);
}

static void test_one_mapping(void **state)
{
	static const struct map maps[] = {
		{ 1, 1, 100, 60, 40 },
		{ 16, 128, 5000, 0, 5000 },
		{ 200, 4, 30, 0, 10 },
	};
	struct smaps s;

	(void)state;
	assert_int_equal(parse(maps, 3, 128, &s), 0);
	assert_int_equal(s.rss_kib, 5130);
	assert_int_equal(s.guest_kib, 5000);
	assert_int_equal(s.private_kib, 110);
	assert_int_equal(s.dirty_kib, 50);
}

/* A kernel mapped from its file cuts RAM into neighbours, and a stranger may be the
 * neighbour of those. */
static void test_split_mapping(void **state)
{
	static const struct map maps[] = {
		{ 15, 1, 7, 0, 7 },	  { 16, 16, 100, 0, 100 }, { 32, 10, 200, 200, 0 },
		{ 42, 102, 300, 0, 300 }, { 144, 2, 9, 0, 9 },
	};
	struct smaps s;

	(void)state;
	assert_int_equal(parse(maps, 5, 128, &s), 0);
	assert_int_equal(s.guest_kib, 600);
	assert_int_equal(s.private_kib, 16);
}

/* 4 GiB: 3 GiB below the gap, in two pieces, and 1 GiB above it. */
static void test_two_regions(void **state)
{
	static const struct map maps[] = {
		{ 16, 16, 1, 0, 1 },
		{ 32, 3056, 2, 0, 2 },
		{ 8192, 1024, 4, 0, 4 },
		{ 16384, 512, 100, 0, 100 },
	};
	struct smaps s;

	(void)state;
	assert_int_equal(parse(maps, 4, 4096, &s), 0);
	assert_int_equal(s.guest_kib, 7);
	assert_int_equal(s.private_kib, 100);
}

/* Of two mappings of the size, the one that is used. */
static void test_ambiguous(void **state)
{
	static const struct map maps[] = {
		{ 16, 64, 0, 0, 0 },
		{ 256, 64, 900, 0, 900 },
		{ 512, 64, 3, 0, 3 },
	};
	struct smaps s;

	(void)state;
	assert_int_equal(parse(maps, 3, 64, &s), 0);
	assert_int_equal(s.guest_kib, 900);
	assert_int_equal(s.private_kib, 3);
}

/* Nothing of that size: no figure, rather than a wrong one. */
static void test_not_found(void **state)
{
	static const struct map maps[] = {
		{ 16, 129, 5, 0, 5 },
		{ 256, 64, 5, 0, 5 },
	};
	struct smaps s = { .rss_kib = 4711 };

	(void)state;
	assert_int_equal(parse(maps, 2, 128, &s), -ENOENT);
	assert_int_equal(parse(maps, 0, 128, &s), -ENOENT);
	assert_int_equal(s.rss_kib, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_mapping), cmocka_unit_test(test_split_mapping),
		cmocka_unit_test(test_two_regions), cmocka_unit_test(test_ambiguous),
		cmocka_unit_test(test_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
