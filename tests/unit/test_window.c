/* test_window.c - memory beside RAM: files, blocks that come and go, and their slots. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/fd.h"
#include "vmm/memory/gmem.h"

#define MIB  (1024ull * 1024)
#define BASE (1ull << 32)

enum { FIRST_SLOT = 7, SLOTS = 4, BLOCK = 2 * 1024 * 1024, IN_SLOT = 4, SLOT = IN_SLOT * BLOCK };

/* The machine's side: what the guest's processors see. */
struct slots {
	struct memslot slot[SLOTS];
	unsigned calls;
	unsigned fail_at; /* the call that fails; 0: none */
};

static int on_set(void *ctx, const struct memslot *s)
{
	struct slots *slots = ctx;

	assert_in_range(s->index, FIRST_SLOT, FIRST_SLOT + SLOTS - 1);
	if (++slots->calls == slots->fail_at)
		return -EIO;
	slots->slot[s->index - FIRST_SLOT] = *s;
	return 0;
}

static struct gmem *make_ram(void)
{
	const struct gmem_config c = { .size_bytes = 4 * MIB, .backing = GMEM_ANON };
	struct gmem *m;

	assert_int_equal(gmem_create(&c, &m, NULL), 0);
	return m;
}

static void place(struct gmem *m, struct window *w, struct slots *slots)
{
	const struct memslot_sink sink = { on_set, slots };

	assert_int_equal(window_place(w, gpa(BASE), &sink, FIRST_SLOT), 0);
	assert_int_equal(gmem_attach(m, w), 0);
}

static int make_file(size_t len)
{
	int fd = memfd_create("window", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static void writable_file_is_shared(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	int fd = make_file(3 * MIB);
	char word[5] = "";
	struct window *w;

	(void)state;
	assert_int_equal(window_map_file(fd, 3 * MIB, false, &w), 0);
	assert_int_equal(window_len(w), 4 * MIB);
	assert_int_equal(window_slots(w), 1);
	place(m, w, &slots);
	assert_int_equal(slots.slot[0].base.v, BASE);
	assert_int_equal(slots.slot[0].len, 4 * MIB);
	assert_false(slots.slot[0].read_only);
	assert_int_equal(gmem_write(m, gpa(BASE + 100), "word", 5), 0);
	assert_int_equal(fd_pread_all(fd, word, 5, 100), 0);
	assert_string_equal(word, "word");
	/* What fills the window is memory, and not the file's. */
	assert_int_equal(gmem_write(m, gpa(BASE + 3 * MIB), "word", 5), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3 * MIB);
	assert_ptr_equal(gmem_view(m, gpa(BASE), 4 * MIB), gmem_span(m, gpa(BASE), 4 * MIB));
	gmem_destroy(m);
	fd_close(fd);
}

static void read_only_file_is_not_written(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	int fd = make_file(2 * MIB);
	struct window *w;
	char word[5];

	(void)state;
	assert_int_equal(fd_pwrite_all(fd, "word", 5, 10), 0);
	assert_int_equal(window_map_file(fd, 2 * MIB, true, &w), 0);
	place(m, w, &slots);
	assert_true(slots.slot[0].read_only);
	assert_int_equal(gmem_read(m, word, gpa(BASE + 10), 5), 0);
	assert_string_equal(word, "word");
	assert_int_equal(gmem_write(m, gpa(BASE + 10), "more", 5), -EFAULT);
	assert_int_equal(gmem_zero(m, gpa(BASE), 1), -EFAULT);
	assert_null(gmem_span(m, gpa(BASE), 1));
	assert_non_null(gmem_view(m, gpa(BASE), 2 * MIB));
	assert_int_equal(gmem_discard(m, gpa(BASE), 2 * MIB), -EFAULT);
	gmem_destroy(m);
	fd_close(fd);
}

/* A device's old pointer finds memory, and the file is let go. */
static void withdrawn_file_is_gone(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	int fd = make_file(2 * MIB);
	struct window *w;
	char *late, byte = 1;

	(void)state;
	assert_int_equal(window_map_file(fd, 2 * MIB, false, &w), 0);
	place(m, w, &slots);
	late = gmem_span(m, gpa(BASE), 2 * MIB);
	late[0] = 7;
	window_withdraw(w);
	assert_int_equal(slots.slot[0].len, 0);
	assert_null(gmem_view(m, gpa(BASE), 1));
	assert_null(gmem_span(m, gpa(BASE), 1));
	assert_int_equal(gmem_write(m, gpa(BASE), &byte, 1), -EFAULT);
	assert_int_equal(late[0], 0);
	late[0] = 9;
	assert_int_equal(fd_pread_all(fd, &byte, 1, 0), 0);
	assert_int_equal(byte, 7);
	gmem_destroy(m);
	fd_close(fd);
}

static void bounds(void **state)
{
	static const struct {
		uint64_t at;
		size_t len;
		bool inside;
	} cases[] = {
		{ BASE, 1, true },
		{ BASE, 2 * MIB, true },
		{ BASE + 2 * MIB - 1, 1, true },
		{ BASE, 0, false },
		{ BASE - 1, 1, false },
		{ BASE - 1, 2, false },
		{ BASE, 2 * MIB + 1, false },
		{ BASE + 2 * MIB - 1, 2, false },
		{ BASE + 2 * MIB, 1, false },
		{ BASE + 1, SIZE_MAX, false },
		{ UINT64_MAX, 2, false },
		{ 4 * MIB - 1, 2, false },
	};
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	int fd = make_file(2 * MIB);
	struct window *w;
	gpa_t at;

	(void)state;
	assert_int_equal(window_map_file(fd, 2 * MIB, false, &w), 0);
	place(m, w, &slots);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(gmem_span(m, gpa(cases[i].at), cases[i].len) != NULL,
				 cases[i].inside);
	assert_true(gmem_address(m, (char *)gmem_span(m, gpa(BASE), 1) + 2 * MIB - 1, &at));
	assert_int_equal(at.v, BASE + 2 * MIB - 1);
	assert_false(gmem_address(m, (char *)gmem_span(m, gpa(BASE), 1) + 2 * MIB, &at));
	gmem_destroy(m);
	fd_close(fd);
}

static struct window *make_blocks(struct gmem *m, struct slots *slots)
{
	const struct window_blocks c = {
		.len = (uint64_t)SLOTS * SLOT,
		.block_bytes = BLOCK,
		.slot_bytes = SLOT,
	};
	struct window *w;

	assert_int_equal(window_reserve(&c, &w), 0);
	assert_int_equal(window_slots(w), SLOTS);
	place(m, w, slots);
	assert_int_equal(slots->calls, 0);
	return w;
}

static bool there(const struct gmem *m, uint64_t block, uint64_t count)
{
	return gmem_span(m, gpa(BASE + block * BLOCK), count * BLOCK) != NULL;
}

static void plugged_blocks_are_memory(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	struct window *w = make_blocks(m, &slots);

	(void)state;
	assert_null(gmem_view(m, gpa(BASE), 1));
	assert_int_equal(window_plug(w, 3, 2), 0);
	assert_int_equal(window_plugged(w, 0, (uint64_t)SLOTS * IN_SLOT), 2);
	assert_true(there(m, 3, 2));
	assert_false(there(m, 2, 2));
	assert_false(there(m, 4, 2));
	/* Across the edge of a block by a byte. */
	assert_null(gmem_span(m, gpa(BASE + 5 * BLOCK - 1), 2));
	assert_null(gmem_span(m, gpa(BASE + 3 * BLOCK - 1), 2));
	assert_int_equal(slots.slot[0].len, SLOT);
	assert_int_equal(slots.slot[1].len, SLOT);
	assert_int_equal(slots.slot[1].base.v, BASE + SLOT);
	assert_int_equal(slots.calls, 2);
	/* A slot that is there already needs no second call, nor goes too early. */
	assert_int_equal(window_plug(w, 0, 1), 0);
	window_unplug(w, 3, 1);
	assert_int_equal(slots.calls, 2);
	assert_true(there(m, 0, 1));
	assert_false(there(m, 3, 1));
	window_unplug(w, 0, (uint64_t)SLOTS * IN_SLOT);
	assert_int_equal(slots.calls, 4);
	assert_int_equal(slots.slot[0].len, 0);
	assert_int_equal(slots.slot[1].len, 0);
	assert_int_equal(window_plugged(w, 0, (uint64_t)SLOTS * IN_SLOT), 0);
	gmem_destroy(m);
}

static bool resident(const void *host)
{
	unsigned char page;

	assert_int_equal(mincore((void *)host, 1, &page), 0);
	return page & 1;
}

/* A device that looked the address up before may store there afterwards. */
static void unplugged_memory_goes_back(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	struct window *w = make_blocks(m, &slots);
	char *late;

	(void)state;
	assert_int_equal(window_plug(w, 5, 1), 0);
	late = gmem_span(m, gpa(BASE + 5 * BLOCK), BLOCK);
	memset(late, 1, BLOCK);
	assert_true(resident(late));
	window_unplug(w, 5, 1);
	assert_false(resident(late));
	late[0] = 2;
	assert_null(gmem_span(m, gpa(BASE + 5 * BLOCK), 1));
	assert_int_equal(window_plug(w, 5, 1), 0);
	assert_int_equal(late[1], 0);
	gmem_destroy(m);
}

static void discard(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	struct window *w = make_blocks(m, &slots);
	char *host;

	(void)state;
	assert_int_equal(gmem_discard(m, gpa(BASE), 4096), -EFAULT);
	assert_int_equal(window_plug(w, 0, 2), 0);
	host = gmem_span(m, gpa(BASE + BLOCK), BLOCK);
	host[0] = 1;
	assert_int_equal(gmem_discard(m, gpa(BASE + BLOCK), 4096), 0);
	assert_int_equal(host[0], 0);
	assert_int_equal(gmem_discard(m, gpa(BASE + BLOCK + 1), 4096), -EINVAL);
	assert_int_equal(gmem_discard(m, gpa(BASE + BLOCK), BLOCK + 4096), -EFAULT);
	gmem_destroy(m);
}

static void failed_plug_leaves_nothing(void **state)
{
	struct slots slots = { .fail_at = 3 };
	struct gmem *m = make_ram();
	struct window *w = make_blocks(m, &slots);

	(void)state;
	assert_int_equal(window_plug(w, 2, (uint64_t)3 * IN_SLOT), -EIO);
	assert_int_equal(window_plugged(w, 0, (uint64_t)SLOTS * IN_SLOT), 0);
	assert_int_equal(slots.slot[0].len, 0);
	assert_int_equal(slots.slot[1].len, 0);
	assert_int_equal(window_plug(w, 2, (uint64_t)3 * IN_SLOT), 0);
	assert_true(there(m, 2, (uint64_t)3 * IN_SLOT));
	gmem_destroy(m);
}

static void bad_shapes(void **state)
{
	static const struct window_blocks shapes[] = {
		{ .len = 0, .block_bytes = BLOCK, .slot_bytes = SLOT },
		{ .len = SLOT, .block_bytes = 0, .slot_bytes = SLOT },
		{ .len = SLOT, .block_bytes = BLOCK, .slot_bytes = 0 },
		{ .len = SLOT, .block_bytes = BLOCK / 2, .slot_bytes = SLOT },
		{ .len = SLOT + BLOCK, .block_bytes = BLOCK, .slot_bytes = SLOT },
		{ .len = SLOT, .block_bytes = BLOCK, .slot_bytes = BLOCK + 1 },
		{ .len = 1ull << 63, .block_bytes = 1ull << 62, .slot_bytes = 1ull << 62 },
	};
	struct window *w;

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		assert_int_equal(window_reserve(&shapes[i], &w), -EINVAL);
	assert_int_equal(window_map_file(-1, 0, false, &w), -EINVAL);
	assert_int_equal(window_map_file(-1, 1, false, &w), -EBADF);
}

static void full(void **state)
{
	struct slots slots = { 0 };
	struct gmem *m = make_ram();
	int fd = make_file(1);
	struct window *w;

	(void)state;
	for (unsigned i = 0; i < GMEM_MAX_WINDOWS; i++) {
		assert_int_equal(window_map_file(fd, 1, false, &w), 0);
		place(m, w, &slots);
	}
	assert_int_equal(window_map_file(fd, 1, false, &w), 0);
	assert_int_equal(gmem_attach(m, w), -ENOSPC);
	window_destroy(w);
	gmem_destroy(m);
	fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writable_file_is_shared),
		cmocka_unit_test(read_only_file_is_not_written),
		cmocka_unit_test(withdrawn_file_is_gone),
		cmocka_unit_test(bounds),
		cmocka_unit_test(plugged_blocks_are_memory),
		cmocka_unit_test(unplugged_memory_goes_back),
		cmocka_unit_test(discard),
		cmocka_unit_test(failed_plug_leaves_nothing),
		cmocka_unit_test(bad_shapes),
		cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
