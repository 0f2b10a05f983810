/* test_plugged_state.c - which blocks were plugged, as a state and a memory file have it: of
 * machines that are saved and loaded, and of sections that were made to hurt.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/fd.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/plugged.h"

#define MIB  (1024ull * 1024)
#define BASE (1ull << 32)

enum {
	BLOCK = 2 * 1024 * 1024,
	BLOCKS = 20,
	SLOT_BLOCKS = 4,
	RAM = 4 * 1024 * 1024,
	PLACE = 3,
	MAP = 3, /* bytes */
	FIELDS = 24 + MAP,
};

static const struct snapshot_id ids[] = { { { 1 } }, { { 2 } }, { { 3 } } };

struct side {
	struct gmem *mem;
	struct window *w;
	unsigned slots; /* that the guest's processors see */
};

static int on_set(void *ctx, const struct memslot *s)
{
	struct side *side = ctx;

	assert_true(s->base.v >= BASE && s->base.v + s->len <= BASE + (uint64_t)BLOCKS * BLOCK);
	side->slots += s->len ? 1 : -1u;
	return 0;
}

static void make(struct side *s)
{
	const struct gmem_config c = { .size_bytes = RAM, .backing = GMEM_ANON };
	const struct window_blocks blocks = {
		.len = (uint64_t)BLOCKS * BLOCK,
		.block_bytes = BLOCK,
		.slot_bytes = (uint64_t)SLOT_BLOCKS * BLOCK,
	};
	const struct memslot_sink sink = { on_set, s };

	s->slots = 0;
	assert_int_equal(gmem_create(&c, &s->mem, NULL), 0);
	assert_int_equal(window_reserve(&blocks, &s->w), 0);
	assert_int_equal(window_place(s->w, gpa(BASE), &sink, 0), 0);
	assert_int_equal(gmem_attach(s->mem, s->w), 0);
}

static gpa_t block(unsigned n)
{
	return gpa(BASE + (uint64_t)n * BLOCK);
}

/* --- the section --- */

/* Of these bytes; the caller destroys it. */
static struct state *state_of(const void *bytes, size_t len)
{
	struct state *s, *loaded;
	const void *sealed;
	size_t n;

	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_PLUGGED, PLACE);
	state_bytes(s, (void *)bytes, len);
	state_end(s);
	sealed = state_seal(s, &n);
	assert_non_null(sealed);
	assert_int_equal(state_parse(sealed, n, &loaded, NULL), 0);
	state_destroy(s);
	return loaded;
}

/* Loads it, wherever it was, and returns what that did; the blocks that are there then must all be inside. */
static int load(const void *bytes, size_t len, uint64_t *ret_plugged)
{
	struct state *s = state_of(bytes, len);
	struct error err = { 0 };
	struct side to;
	gpa_t base;
	int r;

	make(&to);
	if (plugged_base(s, PLACE, &base, NULL) == 0)
		assert_memory_equal(&base, bytes, sizeof(base));
	r = plugged_load(to.w, s, PLACE, &err);
	assert_int_equal(r, err.code);
	*ret_plugged = window_plugged(to.w, 0, BLOCKS);
	assert_true(r == 0 || *ret_plugged == 0);
	if (r == 0)
		assert_int_equal(plugged_room(s), (uint64_t)BLOCKS * BLOCK);
	gmem_destroy(to.mem);
	state_destroy(s);
	return r;
}

struct fields {
	uint64_t base, bytes, block_bytes;
	uint8_t map[MAP + 1];
};

static const struct fields good = {
	BASE,
	(uint64_t)BLOCKS *BLOCK,
	BLOCK,
	{ 0x05, 0x80, 0x08 },
};

static void section_goes_round(void **state)
{
	struct state *s;
	struct side from;
	uint64_t plugged;
	size_t len;
	const char *bytes;

	(void)state;
	make(&from);
	assert_int_equal(window_plug(from.w, 0, 1), 0);
	assert_int_equal(window_plug(from.w, 2, 1), 0);
	assert_int_equal(window_plug(from.w, 15, 1), 0);
	assert_int_equal(window_plug(from.w, 19, 1), 0);
	assert_int_equal(state_create(&s), 0);
	plugged_save(from.w, s, PLACE);
	bytes = state_seal(s, &len);
	assert_non_null(bytes);
	assert_non_null(memmem(bytes, len, &good, FIELDS));
	state_destroy(s);
	gmem_destroy(from.mem);
	assert_int_equal(load(&good, FIELDS, &plugged), 0);
	assert_int_equal(plugged, 4);
}

static void forged_sections(void **state)
{
	static const struct {
		struct fields f;
		size_t len;
	} rows[] = {
		{ { BASE, (uint64_t)BLOCKS * BLOCK * 2, BLOCK * 2, { 1 } }, FIELDS },
		{ { BASE, (uint64_t)BLOCKS * BLOCK * 2, BLOCK, { 1 } }, FIELDS },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, 0, { 1 } }, FIELDS },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, 4096, { 1 } }, FIELDS },
		{ { BASE, 0, BLOCK, { 0 } }, 24 },
		{ { BASE, UINT64_MAX & ~(BLOCK - 1ull), BLOCK, { 1 } }, FIELDS },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, BLOCK, { 0, 0, 0x10 } }, FIELDS },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, BLOCK, { 1 } }, FIELDS - 1 },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, BLOCK, { 1 } }, FIELDS + 1 },
		{ { BASE, (uint64_t)BLOCKS * BLOCK, BLOCK, { 1 } }, 23 },
	};
	uint64_t plugged;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(load(&rows[i].f, rows[i].len, &plugged), -EBADMSG);
}

/* Each bit the other way, under CRCs that hold: of the map, other blocks are there; of what
 * is before it, nothing is. What becomes of another base is test_placement.c's. */
static void changed_bits(void **state)
{
	struct fields f = good;
	uint8_t *bytes = (uint8_t *)&f;
	uint64_t plugged;

	(void)state;
	for (unsigned i = 0; i < FIELDS * 8; i++) {
		bool is_base = i < sizeof(f.base) * 8;
		bool is_block = i >= 24 * 8 && i - 24 * 8 < BLOCKS;

		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(load(&f, FIELDS, &plugged), is_base || is_block ? 0 : -EBADMSG);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		if (is_block)
			assert_true(plugged == 3 || plugged == 5);
	}
}

/* --- the memory file --- */

static int new_file(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void fill(const struct side *s, unsigned n, char value)
{
	memset(gmem_span(s->mem, block(n), BLOCK), value, BLOCK);
}

/* Bytes of the file where block n is. */
static char at_block(int fd, unsigned n)
{
	char c;

	assert_int_equal(pread(fd, &c, 1, (off_t)(RAM + (uint64_t)n * BLOCK + 5)), 1);
	return c;
}

static bool is_hole(int fd, unsigned n)
{
	off_t at = (off_t)(RAM + (uint64_t)n * BLOCK), data = lseek(fd, at, SEEK_DATA);

	return data < 0 || data >= at + BLOCK;
}

/* Blocks 1 and 2, saved whole. */
static int save_whole(struct side *s)
{
	const struct memory_label label = { .id = ids[0] };
	int fd = new_file();

	make(s);
	assert_int_equal(window_plug(s->w, 1, 2), 0);
	fill(s, 1, 'a');
	fill(s, 2, 'b');
	assert_int_equal(memory_file_write(fd, s->mem, &label, NULL), 0);
	gmem_mark_saved(s->mem);
	return fd;
}

static void whole_file_has_plugged_blocks(void **state)
{
	struct memory_label label;
	struct side from, to;
	struct stat st;
	int fd = save_whole(&from);

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, RAM + (off_t)BLOCKS * BLOCK + MEMORY_LABEL_BYTES);
	assert_int_equal(memory_file_label(fd, gmem_saved_bytes(from.mem), &label, NULL), 0);
	assert_true(is_hole(fd, 0) && is_hole(fd, 3) && !is_hole(fd, 1));
	make(&to);
	assert_int_equal(window_plug(to.w, 1, 2), 0);
	assert_int_equal(memory_file_load_blocks(fd, to.mem, NULL), 0);
	for (unsigned n = 1; n <= 2; n++)
		assert_memory_equal(gmem_view(to.mem, block(n), BLOCK),
				    gmem_view(from.mem, block(n), BLOCK), BLOCK);
	/* A copy's own from here on; unplugged, the file's bytes do not come again. */
	fill(&to, 1, 'z');
	assert_int_equal(at_block(fd, 1), 'a');
	window_unplug(to.w, 1, 2);
	assert_int_equal(window_plug(to.w, 1, 2), 0);
	assert_int_equal(*(const char *)gmem_view(to.mem, block(2), 1), 0);
	gmem_destroy(to.mem);
	gmem_destroy(from.mem);
	close(fd);
}

/* Block 1 is gone, 2 was gone and is empty, 3 is new. */
static void change(const struct side *s)
{
	window_unplug(s->w, 1, 2);
	assert_int_equal(window_plug(s->w, 2, 2), 0);
	fill(s, 3, 'c');
}

static void expect_changed(int fd)
{
	assert_int_equal(at_block(fd, 1), 0);
	assert_int_equal(at_block(fd, 2), 0);
	assert_int_equal(at_block(fd, 3), 'c');
}

static void difference_over_the_old_file(void **state)
{
	const struct memory_label label = { .id = ids[1] };
	struct side s;
	int fd = save_whole(&s);
	uint64_t bytes;

	(void)state;
	change(&s);
	assert_int_equal(memory_file_write_changes(fd, s.mem, &label, &bytes, NULL), 0);
	expect_changed(fd);
	assert_true(is_hole(fd, 1) && is_hole(fd, 2));
	gmem_destroy(s.mem);
	close(fd);
}

static void difference_of_its_own(void **state)
{
	const struct memory_label label = { ids[1], .is_difference = true, .base = ids[0] };
	struct side s;
	int base = save_whole(&s), fd = new_file();
	uint64_t bytes;

	(void)state;
	change(&s);
	assert_int_equal(memory_file_write_changes(fd, s.mem, &label, &bytes, NULL), 0);
	assert_int_equal(memory_file_merge(base, fd, gmem_saved_bytes(s.mem), &label, NULL), 0);
	expect_changed(base);
	assert_true(is_hole(base, 1));
	/* With that one kept, there is no more to tell of these blocks. */
	gmem_mark_saved(s.mem);
	assert_int_equal(ftruncate(fd, 0), 0);
	window_unplug(s.w, 3, 1);
	assert_int_equal(memory_file_write_changes(fd, s.mem, &label, &bytes, NULL), 0);
	assert_true(is_hole(fd, 1) && !is_hole(fd, 3));
	gmem_destroy(s.mem);
	close(fd);
	close(base);
}

/* The pieces of a file, wherever one asks. */
static void pieces(void **state)
{
	static const struct {
		uint64_t at, end;
		uint64_t off; /* 0: there is none */
		uint64_t len;
	} rows[] = {
		{ RAM - 4096, UINT64_MAX, RAM - 4096, 4096 },
		{ RAM, RAM + BLOCK, 0, 0 },
		{ RAM, UINT64_MAX, RAM + BLOCK, 2 * BLOCK },
		{ RAM + BLOCK + 4096, UINT64_MAX, RAM + BLOCK + 4096, 2 * BLOCK - 4096 },
		{ RAM, RAM + BLOCK + 4096, RAM + BLOCK, 4096 },
		{ RAM + 3 * BLOCK, UINT64_MAX, 0, 0 },
		{ RAM + BLOCK, RAM + BLOCK, 0, 0 },
		{ UINT64_MAX, UINT64_MAX, 0, 0 },
	};
	struct gmem_region piece;
	struct side s;

	(void)state;
	make(&s);
	assert_int_equal(window_plug(s.w, 1, 2), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool there = memory_file_piece(s.mem, rows[i].at, rows[i].end, &piece);

		assert_int_equal(there, rows[i].off != 0);
		if (!there)
			continue;
		assert_int_equal(piece.fd_offset, rows[i].off);
		assert_int_equal(piece.len, rows[i].len);
		assert_ptr_equal(gmem_view(s.mem, piece.base, piece.len), piece.host);
	}
	gmem_destroy(s.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_goes_round),
		cmocka_unit_test(forged_sections),
		cmocka_unit_test(changed_bits),
		cmocka_unit_test(whole_file_has_plugged_blocks),
		cmocka_unit_test(difference_over_the_old_file),
		cmocka_unit_test(difference_of_its_own),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
