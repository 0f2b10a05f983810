/* test_working_set.c - lists of pages: recorded, written, read back from files of any
 * origin, and brought in. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/memfile.h"
#include "tests/unit/scratch.h"
#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/page_map.h"
#include "vmm/snapshot/prefetch.h"
#include "vmm/snapshot/working_set.h"

enum {
	PAGE = WORKING_SET_PAGE,
	PAGES = 256,
	BELOW_GAP = 128, /* pages of RAM in its first region */
	RAM = PAGES * PAGE,
	GAP_END = 2 * RAM,
	HEAD = 48,
	CRC_AT = 44,
	FIRST_RUN = HEAD,
	RUN = 16,
	BYTES = 4096, /* more than any list here has */
};

static const struct snapshot_id id = { { 1, 2, 3 } };

/* RAM in two pieces, over a file in which each page has its number. */
static struct gmem *make_ram(void)
{
	const struct gmem_config config = {
		.size_bytes = RAM,
		.backing = GMEM_ANON,
		.gap_start = BELOW_GAP * PAGE,
		.gap_end = GAP_END,
	};
	uint8_t *bytes = calloc(PAGES, PAGE);
	struct gmem *mem;
	int fd;

	assert_non_null(bytes);
	for (unsigned i = 0; i < PAGES; i++)
		memset(bytes + (size_t)i * PAGE, (int)(i + 1), PAGE);
	fd = memfile(bytes, RAM);
	assert_true(fd >= 0);
	free(bytes);
	assert_int_equal(gmem_create(&config, &mem, NULL), 0);
	assert_int_equal(memory_file_load(fd, mem, NULL), 0);
	close(fd);
	return mem;
}

static gpa_t place_of(unsigned page)
{
	return gpa(page < BELOW_GAP ? page * PAGE : GAP_END + (page - BELOW_GAP) * PAGE);
}

static uint8_t first_byte(const struct gmem *mem, unsigned page)
{
	uint8_t byte = 0;

	assert_int_equal(gmem_read(mem, &byte, place_of(page), 1), 0);
	return byte;
}

/* --- recording --- */

static bool covers(const struct working_set *w, unsigned page, uint32_t kind)
{
	for (uint32_t i = 0; i < w->count; i++) {
		const struct working_set_run *r = &w->run[i];

		if (r->kind == kind && page >= r->first && page - r->first < r->pages)
			return true;
	}
	return false;
}

static void test_record(void **state)
{
	struct gmem *mem = make_ram();
	const uint8_t stored = 77;
	struct working_set *w;

	(void)state;
	assert_int_equal(first_byte(mem, 20), 21);
	assert_int_equal(gmem_write(mem, place_of(200), &stored, 1), 0);
	assert_int_equal(gmem_write(mem, place_of(201), &stored, 1), 0);
	assert_int_equal(working_set_record(mem, &id, &w, NULL), 0);
	assert_true(covers(w, 20, WORKING_SET_READ));
	assert_false(covers(w, 20, WORKING_SET_WRITTEN));
	/* Beyond what the kernel maps around a page that is read. */
	assert_false(covers(w, 100, WORKING_SET_READ));
	assert_true(covers(w, 200, WORKING_SET_WRITTEN));
	assert_true(covers(w, 201, WORKING_SET_WRITTEN));
	assert_false(covers(w, 202, WORKING_SET_WRITTEN));
	assert_int_equal(w->memory_bytes, RAM);
	assert_memory_equal(&w->id, &id, sizeof(id));
	working_set_destroy(w);
	gmem_destroy(mem);
}

/* --- the file --- */

static struct working_set_run runs[] = {
	{ 3, 4, WORKING_SET_READ },
	{ 7, 1, WORKING_SET_WRITTEN },
	{ 120, 16, WORKING_SET_READ }, /* over the gap */
	{ 255, 1, WORKING_SET_WRITTEN },
};
static struct working_set_run stored_runs[] = {
	{ 3, 5, WORKING_SET_STORED },
	{ 120, 16, WORKING_SET_STORED },
};

static struct working_set sample(uint32_t stored)
{
	return (struct working_set){
		.id = id,
		.memory_bytes = RAM,
		.count = sizeof(runs) / sizeof(runs[0]),
		.stored = stored,
		.run = runs,
		.stored_run = stored_runs,
	};
}

static int write_sample(uint32_t stored)
{
	const struct working_set w = sample(stored);
	int fd = memfile("", 0);

	assert_true(fd >= 0);
	assert_int_equal(working_set_write(fd, &w), 0);
	return fd;
}

static size_t read_bytes(int fd, uint8_t bytes[BYTES])
{
	ssize_t n = pread(fd, bytes, BYTES, 0);

	assert_true(n > 0 && n < BYTES);
	return (size_t)n;
}

static void expect_refused(const uint8_t *bytes, size_t len, const char *text)
{
	struct working_set *w = NULL;
	struct error err = { 0 };
	int fd = memfile(bytes, len);

	assert_int_equal(working_set_read(fd, "w", &w, &err), -EBADMSG);
	assert_null(w);
	assert_string_equal(err.field, "w");
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	close(fd);
}

static void test_round_trip(void **state)
{
	int fd = write_sample(0);
	struct working_set *w;
	const struct snapshot_id other = { { 9 } };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(working_set_read(fd, "w", &w, NULL), 0);
	assert_int_equal(w->count, sizeof(runs) / sizeof(runs[0]));
	assert_memory_equal(w->run, runs, sizeof(runs));
	assert_int_equal(w->stored, 0);
	assert_int_equal(working_set_check(w, &id, RAM, "w", NULL), 0);
	assert_int_equal(working_set_check(w, &id, RAM * 2, "w", &err), -EBADMSG);
	assert_int_equal(working_set_check(w, &other, RAM, "w", &err), -EBADMSG);
	assert_non_null(strstr(err.text, "another snapshot"));
	working_set_destroy(w);
	close(fd);
}

/* Cut anywhere, longer, any bit another one. */
static void test_damaged(void **state)
{
	uint8_t bytes[BYTES];
	int fd = write_sample(0);
	size_t len = read_bytes(fd, bytes);

	(void)state;
	close(fd);
	for (size_t n = 0; n < len; n++)
		expect_refused(bytes, n, "The working set cannot be used");
	for (size_t i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		expect_refused(bytes, len, "The working set cannot be used");
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	bytes[len] = 0;
	expect_refused(bytes, len + 1, "longer or shorter");
}

/* What somebody wrote on purpose, with a checksum that fits. */
static void expect_forgery_refused(size_t at, uint64_t value, size_t width, const char *text)
{
	uint8_t bytes[BYTES];
	int fd = write_sample(0);
	size_t len = read_bytes(fd, bytes);
	uint32_t crc;

	close(fd);
	memcpy(bytes + at, &value, width);
	crc = crc32c(crc32c(0, bytes, CRC_AT), bytes + HEAD, len - HEAD);
	memcpy(bytes + CRC_AT, &crc, sizeof(crc));
	expect_refused(bytes, len, text);
}

static void test_forged(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		size_t width;
		const char *text;
	} rows[] = {
		{ 0, 0, 1, "it is none" },
		{ 8, WORKING_SET_MAJOR + 1, 2, "another version" },
		{ 10, WORKING_SET_MINOR + 1, 2, "another version" },
		{ 12, WORKING_SET_MAX_RUNS + 1, 4, "more runs" },
		{ 12, 0xffffffff, 4, "more runs" },
		{ 12, 3, 4, "changed or cut" },
		{ 12, 5, 4, "changed or cut" },
		{ 16, WORKING_SET_MAX_STORED + 1, 4, "more runs" },
		{ 36, RAM - 1, 8, "no number of pages" },
		{ 36, RAM - PAGE, 8, "not in memory" },
		{ FIRST_RUN, 255, 8, "out of order" },
		{ FIRST_RUN, UINT64_MAX, 8, "not in memory" },
		{ FIRST_RUN, UINT64_MAX / PAGE, 8, "not in memory" },
		{ FIRST_RUN + 8, 0, 4, "not in memory" },
		{ FIRST_RUN + 8, 5, 4, "out of order" },
		{ FIRST_RUN + 8, 0xffffffff, 4, "not in memory" },
		{ FIRST_RUN + 12, 0, 4, "out of order" },
		{ FIRST_RUN + 12, WORKING_SET_STORED, 4, "out of order" },
		{ FIRST_RUN + 3 * RUN, 256, 8, "not in memory" },
		{ FIRST_RUN + 3 * RUN + 8, 2, 4, "not in memory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_forgery_refused(rows[i].at, rows[i].value, rows[i].width, rows[i].text);
}

/* No regular file, and one whose bytes are missing. */
static void test_other_files(void **state)
{
	const char *path = scratch_path(*state, "fifo");
	struct working_set *w = NULL;
	struct error err = { 0 };
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(working_set_read(fd, "w", &w, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "no regular file"));
	close(fd);
	fd = write_sample(2);
	assert_int_equal(working_set_read(fd, "w", &w, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "longer or shorter"));
	close(fd);
}

/* --- bringing it --- */

static const char *sample_path(struct scratch *s, uint32_t stored)
{
	const struct working_set w = sample(stored);
	const char *path = scratch_path(s, "set");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t at = working_set_data(&w);

	assert_int_equal(working_set_write(fd, &w), 0);
	for (uint32_t i = 0; i < stored; i++) {
		for (uint32_t k = 0; k < stored_runs[i].pages; k++, at += PAGE) {
			uint8_t page[PAGE];

			memset(page, (int)(stored_runs[i].first + k + 1), PAGE);
			assert_int_equal(fd_pwrite_all(fd, page, PAGE, (off_t)at), 0);
		}
	}
	close(fd);
	return path;
}

static uint64_t entry_of(const struct gmem *mem, unsigned page)
{
	int fd = page_map_open(mem);
	uint64_t entry;

	assert_true(fd >= 0);
	assert_int_equal(page_map_read(fd, gmem_view(mem, place_of(page), 1), 1, &entry), 0);
	close(fd);
	return entry;
}

/* Ends when the thread is through: it is not told to stop before that. */
static void await(const struct gmem *mem)
{
	while (!(entry_of(mem, 255) & PAGE_MAP_PRESENT))
		usleep(1000);
}

static void expect_brought(struct scratch *s, uint32_t stored)
{
	struct gmem *mem = make_ram();
	const uint8_t own = 99;
	struct prefetch *p;

	assert_int_equal(prefetch_start(sample_path(s, stored), &id, mem, NULL, &p, NULL), 0);
	/* Whoever is first, what the guest stores stays. */
	assert_int_equal(gmem_write(mem, place_of(7), &own, 1), 0);
	await(mem);
	prefetch_destroy(p);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		for (uint32_t k = 0; k < runs[i].pages; k++) {
			uint64_t entry = entry_of(mem, (unsigned)runs[i].first + k);

			assert_true(entry & PAGE_MAP_PRESENT);
			assert_int_equal(!(entry & PAGE_MAP_IS_FILE),
					 runs[i].kind == WORKING_SET_WRITTEN);
		}
	}
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(first_byte(mem, i), i == 7 ? own : (uint8_t)(i + 1));
	gmem_destroy(mem);
}

static void test_prefetch(void **state)
{
	expect_brought(*state, 0);
}

static void test_prefetch_stored(void **state)
{
	expect_brought(*state, 2);
}

static void test_prefetch_refused(void **state)
{
	const struct snapshot_id other = { { 9 } };
	struct gmem *mem = make_ram();
	struct prefetch *p = NULL;
	struct error err = { 0 };

	assert_int_equal(prefetch_start("/nonexistent/set", &id, mem, NULL, &p, &err), -ENOENT);
	assert_string_equal(err.field, "working_set_path");
	assert_int_equal(prefetch_start(sample_path(*state, 2), &other, mem, NULL, &p, &err),
			 -EBADMSG);
	assert_null(p);
	gmem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_forged),
		cmocka_unit_test_setup_teardown(test_other_files, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_prefetch, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_prefetch_stored, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_prefetch_refused, scratch_make,
						scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
