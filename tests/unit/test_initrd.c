/* test_initrd.c - where an initrd goes, and when it does not fit. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/memfile.h"
#include "vmm/base/fd.h"
#include "vmm/loader/initrd.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

static struct gmem *new_ram(uint64_t size)
{
	struct gmem_config config = {
		.size_bytes = size,
		.gap_start = 3 * GIB,
		.gap_end = 4 * GIB,
	};
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

static int load(struct gmem *m, const void *data, size_t len, uint64_t kernel_end,
		uint64_t addr_max, enum kernel_load_policy policy, struct initrd_image *ret,
		struct error *err)
{
	int fd = memfile(data, len);
	int r;

	assert_true(fd >= 0);
	r = initrd_load(m, fd, "/boot/initrd", gpa(kernel_end), addr_max, policy, ret, err);
	fd_close(fd);
	return r;
}

static void test_places(void **state)
{
	static const struct {
		uint64_t ram, kernel_end, addr_max;
		size_t len;
		uint64_t start;
	} rows[] = {
		{ 16 * MIB, 2 * MIB, 0, 1, 16 * MIB - 4096 },
		{ 16 * MIB, 2 * MIB, 0, 4096, 16 * MIB - 4096 },
		{ 16 * MIB, 2 * MIB, 0, 4097, 16 * MIB - 8192 },
		/* below the gap, though there is RAM behind it */
		{ 5 * GIB, 2 * MIB, 0, 4097, 3 * GIB - 8192 },
		{ 5 * GIB, 2 * MIB, 0x7fffffff, 4097, 2 * GIB - 8192 },
		{ 16 * MIB, 2 * MIB, 0x7fffffff, 4097, 16 * MIB - 8192 },
		{ 16 * MIB, 2 * MIB, UINT64_MAX, 1, 16 * MIB - 4096 },
		/* the highest address is one that may be used */
		{ 16 * MIB, 2 * MIB, 4 * MIB + 4095, 4096, 4 * MIB },
		{ 16 * MIB, 2 * MIB, 4 * MIB + 4094, 4096, 4 * MIB - 4096 },
		/* right behind the kernel */
		{ 16 * MIB, 16 * MIB - 8192, 0, 8192, 16 * MIB - 8192 },
	};
	static const char data[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gmem *m = new_ram(rows[i].ram);
		struct initrd_image image;

		assert_int_equal(load(m, data, rows[i].len, rows[i].kernel_end, rows[i].addr_max,
				      KERNEL_MAP, &image, NULL),
				 0);
		assert_int_equal(image.start.v, rows[i].start);
		assert_int_equal(image.len, rows[i].len);
		gmem_destroy(m);
	}
}

static void test_content(void **state)
{
	static const enum kernel_load_policy policies[] = { KERNEL_MAP, KERNEL_COPY };
	static const uint64_t mapped[] = { 8192, 0 };
	uint8_t data[8192 + 100], zeros[4096 - 100] = { 0 };

	(void)state;
	memset(data, 0xa5, sizeof(data));
	for (int i = 0; i < 2; i++) {
		struct gmem *m = new_ram(4 * MIB);
		struct initrd_image image;
		uint8_t *at;

		assert_int_equal(load(m, data, sizeof(data), 2 * MIB, 0, policies[i], &image, NULL),
				 0);
		assert_int_equal(image.mapped_bytes, mapped[i]);
		assert_int_equal(image.mapped_bytes + image.copied_bytes, sizeof(data));
		at = gmem_span(m, image.start, 3 * 4096);
		assert_memory_equal(at, data, sizeof(data));
		assert_memory_equal(at + sizeof(data), zeros, sizeof(zeros));
		gmem_destroy(m);
	}
}

static void test_too_large(void **state)
{
	static const struct {
		uint64_t kernel_end, addr_max;
		size_t len;
	} rows[] = {
		{ 4 * MIB - 8191, 0, 8192 },
		{ 4 * MIB, 0, 1 },
		{ 2 * MIB, 2 * MIB, 4096 },
		{ 1 * MIB, 4095, 8192 },
	};
	static const char data[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gmem *m = new_ram(4 * MIB);
		struct initrd_image image = { .len = 77 };
		struct error err = { 0 };

		assert_int_equal(load(m, data, rows[i].len, rows[i].kernel_end, rows[i].addr_max,
				      KERNEL_MAP, &image, &err),
				 -EINVAL);
		assert_string_equal(err.field, "initrd_path");
		assert_memory_equal(err.text, "initrd image is too large", 25);
		assert_non_null(strstr(err.hint, "mem_size_mib"));
		assert_int_equal(image.len, 77);
		gmem_destroy(m);
	}
}

static void test_not_files(void **state)
{
	struct gmem *m = new_ram(4 * MIB);
	struct initrd_image image;
	struct error err = { 0 };
	int dir = open("/", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(load(m, "", 0, 2 * MIB, 0, KERNEL_MAP, &image, &err), -EINVAL);
	assert_string_equal(err.text, "initrd image is empty: /boot/initrd");
	assert_int_equal(initrd_load(m, dir, "/", gpa(2 * MIB), 0, KERNEL_MAP, &image, &err),
			 -EINVAL);
	assert_string_equal(err.text, "initrd image is a directory: /");
	fd_close(dir);
	gmem_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_not_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
