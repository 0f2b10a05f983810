/* test_gmem.c - guest RAM: bounds, the gap, files mapped over it, pages given back. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/memory/gmem.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

static struct gmem *make(uint64_t size, enum gmem_backing backing)
{
	struct gmem_config config = {
		.size_bytes = size,
		.backing = backing,
		.gap_start = 3 * GIB,
		.gap_end = 4 * GIB,
	};
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

static void test_span_bounds(void **state)
{
	static const struct {
		uint64_t at;
		size_t len;
		bool inside;
	} cases[] = {
		{ 0, 1, true },
		{ 0, 4 * MIB, true },
		{ 4 * MIB - 1, 1, true },
		{ 0, 0, false },
		{ 4 * MIB, 1, false },
		{ 4 * MIB - 1, 2, false },
		{ 0, 4 * MIB + 1, false },
		{ 1, SIZE_MAX, false },
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX, 2, false },
		{ UINT64_MAX - 1, SIZE_MAX, false },
	};
	struct gmem *m = make(4 * MIB, GMEM_ANON);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(gmem_span(m, gpa(cases[i].at), cases[i].len) != NULL,
				 cases[i].inside);
	gmem_destroy(m);
}

/* RAM that would reach into the gap goes on behind it, and nothing spans it. */
static void test_regions_around_gap(void **state)
{
	static const struct {
		uint64_t size;
		unsigned regions;
		uint64_t low, high;
	} cases[] = {
		{ 3 * GIB - MIB, 1, 3 * GIB - MIB, 0 },
		{ 3 * GIB, 1, 3 * GIB, 0 },
		{ 3 * GIB + MIB, 2, 3 * GIB, MIB },
		{ 5 * GIB, 2, 3 * GIB, 2 * GIB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gmem *m = make(cases[i].size, GMEM_ANON);
		unsigned count;
		const struct gmem_region *r = gmem_regions(m, &count);

		assert_int_equal(count, cases[i].regions);
		assert_int_equal(r[0].base.v, 0);
		assert_int_equal(r[0].len, cases[i].low);
		if (count == 2) {
			assert_int_equal(r[1].base.v, 4 * GIB);
			assert_int_equal(r[1].len, cases[i].high);
		}
		assert_int_equal(gmem_size(m), cases[i].size);
		assert_null(gmem_span(m, gpa(3 * GIB), 1));
		assert_null(gmem_span(m, gpa(3 * GIB - 1), 2));
		assert_null(gmem_span(m, gpa(4 * GIB - 1), 2));
		gmem_destroy(m);
	}
}

static void test_bad_sizes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, MIB + 1, UINT64_MAX & ~4095ull };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct gmem_config config = { .size_bytes = sizes[i] };
		struct error err = { 0 };
		struct gmem *m = NULL;

		assert_true(gmem_create(&config, &m, &err) < 0);
		assert_string_equal(err.field, "mem_size_mib");
		assert_null(m);
	}
}

static void test_read_write(void **state)
{
	struct gmem *m = make(MIB, GMEM_MEMFD);
	char text[6] = "";

	(void)state;
	assert_int_equal(gmem_write(m, gpa(100), "hello", 6), 0);
	assert_int_equal(gmem_read(m, text, gpa(100), 6), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(gmem_zero(m, gpa(100), 5), 0);
	assert_int_equal(gmem_read(m, text, gpa(100), 6), 0);
	assert_string_equal(text, "");
	assert_true(gmem_write(m, gpa(MIB - 3), "hello", 6) < 0);
	assert_true(gmem_read(m, text, gpa(MIB), 1) < 0);
	assert_true(gmem_zero(m, gpa(MIB - 1), 2) < 0);
	assert_int_equal(gmem_read(m, text, gpa(MIB), 0), 0);
	gmem_destroy(m);
}

/* What another process maps is what the guest sees. */
static void test_shared(void **state)
{
	static const enum gmem_backing kinds[] = { GMEM_MEMFD, GMEM_MEMFD_TRANSPARENT };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct gmem *m = make(MIB, kinds[i]);
		unsigned count;
		const struct gmem_region *r = gmem_regions(m, &count);
		char text[6] = "";

		assert_int_equal(gmem_write(m, gpa(100), "hello", 6), 0);
		assert_int_equal(pread(r->fd, text, 6, (off_t)r->fd_offset + 100), 6);
		assert_string_equal(text, "hello");
		assert_int_equal(gmem_map_file(m, gpa(0), r->fd, 0, 4096), -EINVAL);
		gmem_destroy(m);
	}
}

static int file_of(const char *text, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
	return fd;
}

/* Mapped pages show the file and keep writes to themselves. */
static void test_map_file(void **state)
{
	struct gmem *m = make(MIB, GMEM_ANON);
	int fd = file_of("from the file", 8192);
	char text[16] = "";

	(void)state;
	assert_int_equal(gmem_map_file(m, gpa(4096), fd, 0, 8192), 0);
	assert_int_equal(gmem_read(m, text, gpa(4096), 14), 0);
	assert_string_equal(text, "from the file");
	assert_int_equal(gmem_write(m, gpa(4096), "changed", 8), 0);
	assert_int_equal(pread(fd, text, 14, 0), 14);
	assert_string_equal(text, "from the file");
	close(fd);
	gmem_destroy(m);
}

static void test_map_file_refusals(void **state)
{
	struct gmem *anon = make(MIB, GMEM_ANON), *shared = make(MIB, GMEM_MEMFD);
	int fd = file_of("x", 8192);

	(void)state;
	assert_int_equal(gmem_map_file(anon, gpa(1), fd, 0, 4096), -EINVAL);
	assert_int_equal(gmem_map_file(anon, gpa(0), fd, 1, 4096), -EINVAL);
	assert_int_equal(gmem_map_file(anon, gpa(0), fd, 0, 4095), -EINVAL);
	assert_int_equal(gmem_map_file(shared, gpa(0), fd, 0, 4096), -EINVAL);
	assert_int_equal(gmem_map_file(anon, gpa(MIB - 4096), fd, 0, 8192), -EFAULT);
	assert_int_equal(gmem_map_file(anon, gpa(0), fd, 0, 0), -EFAULT);
	close(fd);
	gmem_destroy(anon);
	gmem_destroy(shared);
}

static void test_address(void **state)
{
	struct gmem_config config = { .size_bytes = 4 * MIB,
				      .backing = GMEM_ANON,
				      .gap_start = 2 * MIB,
				      .gap_end = 8 * MIB };
	struct gmem *m = NULL;
	gpa_t at;

	(void)state;
	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	assert_true(gmem_address(m, gmem_span(m, gpa(5), 1), &at));
	assert_int_equal(at.v, 5);
	assert_true(gmem_address(m, gmem_span(m, gpa(10 * MIB - 1), 1), &at));
	assert_int_equal(at.v, 10 * MIB - 1);
	assert_false(gmem_address(m, &at, &at));
	assert_false(gmem_address(m, (char *)gmem_span(m, gpa(8 * MIB), 1) - 1, &at));
	gmem_destroy(m);
}

/* How many pages of [at, at + len) are present, from /proc/self/pagemap. */
static size_t present_pages(const struct gmem *m, uint64_t at, size_t len)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uintptr_t page = (uintptr_t)gmem_span(m, gpa(at), len) / 4096;
	size_t present = 0;

	assert_true(fd >= 0);
	for (size_t i = 0; i < len / 4096; i++) {
		uint64_t entry;

		assert_int_equal(pread(fd, &entry, sizeof(entry), (off_t)((page + i) * 8)), 8);
		present += entry >> 63;
	}
	close(fd);
	return present;
}

static void expect_zeros(const struct gmem *m, uint64_t at, size_t len)
{
	const unsigned char *p = gmem_span(m, gpa(at), len);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0);
}

/* The pages named go, their neighbours stay, and zeros take their place. */
static void discard_middle(struct gmem *m, uint64_t middle)
{
	const size_t len = 1 * MIB, side = 4096;
	unsigned char *p = gmem_span(m, gpa(middle - side), len + 2 * side);

	memset(p, 0x5a, len + 2 * side);
	assert_int_equal(present_pages(m, middle, len), len / 4096);
	assert_int_equal(gmem_discard(m, gpa(middle), len), 0);
	assert_int_equal(present_pages(m, middle, len), 0);
	expect_zeros(m, middle, len);
	assert_int_equal(p[side - 1], 0x5a);
	assert_int_equal(p[side + len], 0x5a);
	p[side] = 7;
	assert_int_equal(*(char *)gmem_span(m, gpa(middle), 1), 7);
}

static void test_discard(void **state)
{
	struct gmem *anon = make(4 * MIB, GMEM_ANON);
	struct gmem *transparent = make(8 * MIB, GMEM_TRANSPARENT);

	(void)state;
	discard_middle(anon, 2 * MIB);
	discard_middle(transparent, 3 * MIB);
	gmem_destroy(anon);
	gmem_destroy(transparent);
}

/* The file behind gives its blocks back too, also for the region above the gap. */
static void test_discard_shared(void **state)
{
	struct gmem_config config = { .size_bytes = 8 * MIB,
				      .backing = GMEM_MEMFD,
				      .gap_start = 4 * MIB,
				      .gap_end = 16 * MIB };
	struct gmem *m = NULL;
	struct stat before, after;
	unsigned count;

	(void)state;
	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	memset(gmem_span(m, gpa(0), 4 * MIB), 1, 4 * MIB);
	memset(gmem_span(m, gpa(16 * MIB), 4 * MIB), 2, 4 * MIB);
	assert_int_equal(fstat(gmem_regions(m, &count)->fd, &before), 0);
	assert_int_equal(gmem_discard(m, gpa(18 * MIB), MIB), 0);
	assert_int_equal(fstat(gmem_regions(m, &count)->fd, &after), 0);
	assert_int_equal(after.st_blocks, before.st_blocks - (blkcnt_t)(MIB / 512));
	assert_int_equal(after.st_size, before.st_size);
	discard_middle(m, 18 * MIB);
	discard_middle(m, 1 * MIB);
	assert_int_equal(*(char *)gmem_span(m, gpa(16 * MIB), 1), 2);
	gmem_destroy(m);
}

static void test_discard_refusals(void **state)
{
	static const struct {
		uint64_t at;
		size_t len;
		int r;
	} rows[] = {
		{ 1, 4096, -EINVAL },
		{ 4096, 4095, -EINVAL },
		{ 2048, 2048, -EINVAL },
		{ MIB, 4096, -EFAULT },
		{ MIB - 4096, 8192, -EFAULT },
		{ 0, 0, -EFAULT },
		{ 0, SIZE_MAX & ~4095ull, -EFAULT },
		{ UINT64_MAX & ~4095ull, 4096, -EFAULT },
	};
	struct gmem *m = make(MIB, GMEM_ANON);

	(void)state;
	memset(gmem_span(m, gpa(0), MIB), 9, MIB);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(gmem_discard(m, gpa(rows[i].at), rows[i].len), rows[i].r);
	assert_int_equal(present_pages(m, 0, MIB), MIB / 4096);
	gmem_destroy(m);
}

/* Where a file was mapped its bytes do not come back, and small pieces stay. */
static void test_discard_mapped_file(void **state)
{
	struct gmem *m = make(8 * MIB, GMEM_ANON);
	int fd = file_of("from the file", 4 * MIB);

	(void)state;
	assert_int_equal(gmem_map_file(m, gpa(2 * MIB), fd, 0, 2 * MIB), 0);
	assert_int_equal(gmem_map_file(m, gpa(4 * MIB), fd, 0, 2 * MIB), 0);
	assert_string_equal(gmem_span(m, gpa(4 * MIB), 16), "from the file");
	assert_int_equal(gmem_discard(m, gpa(4 * MIB), 4096), -EBUSY);
	assert_string_equal(gmem_span(m, gpa(4 * MIB), 16), "from the file");
	discard_middle(m, 4 * MIB);
	discard_middle(m, 5 * MIB + MIB / 2);
	discard_middle(m, 1 * MIB + MIB / 2);
	assert_int_equal(gmem_discard(m, gpa(MIB), 4096), 0);
	close(fd);
	gmem_destroy(m);
}

static void test_map_file_ranges(void **state)
{
	struct gmem *m = make(8 * MIB, GMEM_ANON);
	int fd = file_of("x", 4096);

	(void)state;
	for (unsigned i = 0; i < GMEM_MAX_FILES; i++)
		assert_int_equal(gmem_map_file(m, gpa(i * 8192ull), fd, 0, 4096), 0);
	assert_int_equal(gmem_map_file(m, gpa(MIB), fd, 0, 4096), -EINVAL);
	assert_int_equal(gmem_map_file(m, gpa(4096), fd, 0, 4096), 0);
	close(fd);
	gmem_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span_bounds),
		cmocka_unit_test(test_regions_around_gap),
		cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_map_file),
		cmocka_unit_test(test_map_file_refusals),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_discard_shared),
		cmocka_unit_test(test_discard_refusals),
		cmocka_unit_test(test_discard_mapped_file),
		cmocka_unit_test(test_map_file_ranges),
	};

	/* The kernel's collector of huge pages would put pages back that a test has
	 * discarded. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
