/* test_mptable.c - the MP table, found and walked as a guest does it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/mptable.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

#define BASE_MEMORY_END (640 * KIB)

enum { PROCESSOR, BUS, IOAPIC, IO_INTERRUPT, LOCAL_INTERRUPT, TYPES };

static struct gmem *new_ram(uint64_t size)
{
	struct gmem_config config = { .size_bytes = size };
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

static uint64_t read_le(struct gmem *m, uint64_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(gmem_read(m, &v, gpa(at), len), 0);
	return v;
}

static void assert_sum_zero(struct gmem *m, uint64_t at, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + read_le(m, at + i, 1));
	assert_int_equal(sum, 0);
}

/* The last KiB of base memory is one of the places where a guest looks. */
static uint64_t find_pointer(struct gmem *m)
{
	for (uint64_t at = BASE_MEMORY_END - KIB; at < BASE_MEMORY_END; at += 16) {
		if (read_le(m, at, 4) == 0x5f504d5f)
			return at;
	}
	fail_msg("no floating pointer");
	return 0;
}

static uint64_t find_table(struct gmem *m)
{
	uint64_t pointer = find_pointer(m), table = read_le(m, pointer + 4, 4);

	assert_int_equal(read_le(m, pointer + 8, 1), 1);
	assert_int_equal(read_le(m, pointer + 9, 1), 4);
	assert_int_equal(read_le(m, pointer + 11, 5), 0);
	assert_sum_zero(m, pointer, 16);
	assert_int_equal(read_le(m, table, 4), 0x504d4350); /* "PCMP" */
	assert_int_equal(read_le(m, table + 6, 1), 4);
	assert_int_equal(read_le(m, table + 36, 4), LAYOUT_LAPIC);
	assert_true(table + read_le(m, table + 4, 2) <= BASE_MEMORY_END);
	assert_sum_zero(m, table, read_le(m, table + 4, 2));
	return table;
}

/* The first entry of each type, and how many there are. Entries are sorted by
 * type, and one of each type has the length of all. */
struct walk {
	uint64_t first[TYPES];
	unsigned count[TYPES];
};

static struct walk walk_table(struct gmem *m, uint64_t table)
{
	uint64_t at = table + 44, end = table + read_le(m, table + 4, 2);
	struct walk w = { 0 };
	unsigned entries = 0;
	uint64_t last = 0;

	while (at < end) {
		uint64_t type = read_le(m, at, 1);

		assert_true(type >= last && type < TYPES);
		if (w.count[type]++ == 0)
			w.first[type] = at;
		last = type;
		entries++;
		at += type == PROCESSOR ? 20 : 8;
	}
	assert_int_equal(at, end);
	assert_int_equal(entries, read_le(m, table + 34, 2));
	return w;
}

static struct walk write_table(struct gmem *m, unsigned vcpus, unsigned nvirtio)
{
	struct virtio_window w[LAYOUT_MAX_VIRTIO];
	struct machine_tables t = { .vcpus = vcpus, .virtio = w, .nvirtio = nvirtio };

	for (unsigned i = 0; i < nvirtio; i++)
		w[i] = (struct virtio_window){ .gsi = LAYOUT_GSI_VIRTIO + i };
	assert_int_equal(mptable_write(m, &t, NULL), 0);
	return walk_table(m, find_table(m));
}

static void test_counts(void **state)
{
	static const struct {
		unsigned vcpus, nvirtio, pins;
	} cases[] = { { 1, 0, 6 }, { 2, 1, 7 }, { 2, 11, 17 }, { 32, LAYOUT_MAX_VIRTIO, 24 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gmem *m = new_ram(MIB);
		struct walk w = write_table(m, cases[i].vcpus, cases[i].nvirtio);

		assert_int_equal(w.count[PROCESSOR], cases[i].vcpus);
		assert_int_equal(w.count[BUS], 1);
		assert_int_equal(w.count[IOAPIC], 1);
		assert_int_equal(w.count[IO_INTERRUPT], cases[i].pins);
		assert_int_equal(w.count[LOCAL_INTERRUPT], 2);
		gmem_destroy(m);
	}
}

static void test_processors(void **state)
{
	struct gmem *m = new_ram(MIB);
	struct walk w = write_table(m, 32, 0);

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = w.first[PROCESSOR] + i * 20;

		assert_int_equal(read_le(m, at + 1, 1), i);
		assert_int_equal(read_le(m, at + 3, 1), i == 0 ? 3 : 1);
	}
	gmem_destroy(m);
}

/* Every line keeps its number; those of virtio devices say edge, active high. */
static void test_interrupts(void **state)
{
	struct gmem *m = new_ram(MIB);
	struct walk w = write_table(m, 1, LAYOUT_MAX_VIRTIO);

	(void)state;
	assert_int_equal(read_le(m, w.first[BUS] + 1, 7), 0x20202041534900); /* 0, "ISA   " */
	assert_int_equal(read_le(m, w.first[IOAPIC], 8), 0xfec0000001200002);
	for (unsigned i = 0; i < 24; i++) {
		uint64_t at = w.first[IO_INTERRUPT] + i * 8;

		assert_int_equal(read_le(m, at + 1, 1), 0);
		assert_int_equal(read_le(m, at + 2, 2), i < LAYOUT_GSI_VIRTIO ? 0 : 5);
		assert_int_equal(read_le(m, at + 4, 4), (uint64_t)i << 24 | i << 8);
	}
	assert_int_equal(read_le(m, w.first[LOCAL_INTERRUPT], 8), 0x304);
	assert_int_equal(read_le(m, w.first[LOCAL_INTERRUPT] + 8, 8), 0x01ff000000000104);
	gmem_destroy(m);
}

static void test_refusals(void **state)
{
	const struct virtio_window off_chip = { .gsi = LAYOUT_MAX_PINS };
	struct machine_tables stray = { .vcpus = 1, .virtio = &off_chip, .nvirtio = 1 };
	struct machine_tables one = { .vcpus = 1 }, crowd = { .vcpus = 64 };
	struct gmem *m = new_ram(MIB), *small = new_ram(636 * KIB);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(mptable_write(m, &stray, &err), -EINVAL);
	assert_int_equal(mptable_write(m, &crowd, &err), -ENOSPC);
	assert_string_equal(err.field, "vcpu_count");
	assert_int_equal(read_le(m, BASE_MEMORY_END, 8), 0);
	assert_int_equal(mptable_write(small, &one, &err), -EFAULT);
	assert_string_equal(err.field, "mem_size_mib");
	gmem_destroy(small);
	gmem_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_processors),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
