/* test_state.c - the format of a saved state: round trips, and everything that can be
 * wrong with the bytes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/state.h"

enum { HEADER = 28, SECTION = 20 };

/* What the sections of these tests hold. */
struct fields {
	bool on;
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	char text[16];
	uint8_t blob[8];
	size_t blob_len;
};

static const struct fields some = {
	.on = true,
	.a = 0x12,
	.b = 0x3456,
	.c = 0x789abcde,
	.d = 0xfedcba9876543210,
	.text = "a text",
	.blob = { 1, 2, 3 },
	.blob_len = 3,
};

static void exchange(struct state *s, struct fields *f)
{
	state_bool(s, &f->on);
	state_u8(s, &f->a);
	state_u16(s, &f->b);
	state_u32(s, &f->c);
	state_u64(s, &f->d);
	state_string(s, f->text, sizeof(f->text));
	state_blob(s, f->blob, &f->blob_len, sizeof(f->blob));
}

/* Two sections and an empty one, copied: free() it. */
static uint8_t *save(size_t *len)
{
	struct fields f = some;
	struct state *s;
	uint8_t *copy;

	assert_int_equal(state_create(&s), 0);
	assert_false(state_loading(s));
	for (unsigned i = 0; i < 2; i++) {
		state_begin(s, STATE_VCPU, i);
		exchange(s, &f);
		state_end(s);
	}
	state_begin(s, STATE_BLK, 3);
	state_end(s);

	const void *bytes = state_seal(s, len);

	assert_non_null(bytes);
	copy = malloc(*len);
	assert_non_null(copy);
	memcpy(copy, bytes, *len);
	state_destroy(s);
	return copy;
}

static struct state *load(void)
{
	size_t len;
	uint8_t *bytes = save(&len);
	struct state *s;

	assert_int_equal(state_parse(bytes, len, &s, NULL), 0);
	free(bytes);
	return s;
}

/* That these bytes are refused, with a text. */
static void refused(const uint8_t *bytes, size_t len)
{
	struct error err = { 0 };
	struct state *s = NULL;

	assert_true(state_parse(bytes, len, &s, &err) < 0);
	assert_null(s);
	assert_true(err.code < 0 && err.text[0]);
}

static void put_crc(uint8_t *section, size_t fields)
{
	uint32_t crc = crc32c(crc32c(0, section, SECTION - 4), section + SECTION, fields);

	memcpy(section + SECTION - 4, &crc, 4);
}

static void put_header_crc(uint8_t *bytes)
{
	uint32_t crc = crc32c(0, bytes, HEADER - 4);

	memcpy(bytes + HEADER - 4, &crc, 4);
}

static void test_crc(void **state)
{
	(void)state;
	/* RFC 3720, B.4 */
	static const uint8_t zeros[32];

	assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void test_round_trip(void **state)
{
	size_t len;
	uint8_t *bytes = save(&len);
	struct state_section_info info;
	struct state *s;

	(void)state;
	assert_int_equal(state_parse(bytes, len, &s, NULL), 0);
	free(bytes);
	assert_true(state_loading(s));
	assert_true(state_has(s, STATE_VCPU, 1));
	assert_false(state_has(s, STATE_VCPU, 2));
	for (unsigned i = 0; i < 2; i++) {
		struct fields f = { 0 };

		state_begin(s, STATE_VCPU, i);
		exchange(s, &f);
		state_end(s);
		assert_memory_equal(&f, &some, sizeof(f));
	}
	assert_int_equal(state_error(s, NULL), 0);
	assert_true(state_section_at(s, 2, &info));
	assert_string_equal(info.kind->name, "blk");
	assert_int_equal(info.instance, 3);
	assert_int_equal(info.len, 0);
	assert_true(state_section_at(s, 3, &info));
	assert_int_equal(info.kind->type, STATE_FIELDS);
	assert_false(state_section_at(s, 4, &info));
	state_destroy(s);
}

/* What the sections hold is told by the names of the code. */
static void test_names(void **state)
{
	static const struct {
		const char *name;
		enum state_field_kind kind;
		size_t len;
	} expected[] = {
		{ "on", STATE_FIELD_FLAG, 1 },	 { "a", STATE_FIELD_NUMBER, 1 },
		{ "b", STATE_FIELD_NUMBER, 2 },	 { "c", STATE_FIELD_NUMBER, 4 },
		{ "d", STATE_FIELD_NUMBER, 8 },	 { "text", STATE_FIELD_TEXT, 6 },
		{ "blob", STATE_FIELD_BLOB, 3 },
	};
	struct state *s = load();
	struct state_fields *fields;
	struct state_field f;

	(void)state;
	assert_int_equal(state_fields_read(s, &fields, NULL), 0);
	for (unsigned n = 0; n < 2; n++) {
		for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
			assert_true(state_field_at(fields, n, i, &f));
			assert_string_equal(f.name, expected[i].name);
			assert_int_equal(f.kind, expected[i].kind);
			assert_int_equal(f.len, expected[i].len);
		}
		assert_false(state_field_at(fields, n, sizeof(expected) / sizeof(expected[0]), &f));
	}
	assert_true(state_field_at(fields, 1, 5, &f));
	assert_memory_equal(f.bytes, some.text, f.len);
	assert_false(state_field_at(fields, 2, 0, &f));
	assert_false(state_field_at(fields, 99, 0, &f));
	state_fields_destroy(fields);
	state_destroy(s);
}

/* Expressions of all shapes, and what remains of them. */
static void test_expressions(void **state)
{
	struct {
		struct {
			uint64_t v;
		} at[2];
		struct {
			uint8_t bytes[4];
		} id;
	} x = { 0 }, *p = &x;
	static const char *const expected[] = { "at", "id", "wide", "given" };
	uint64_t wide[2] = { 0 };
	struct state *s, *l;
	struct state_fields *fields;
	struct state_field f;
	size_t len;

	(void)state;
	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_RNG, 0);
	state_u64(s, &p->at[1].v);
	state_bytes(s, p->id.bytes, sizeof(p->id.bytes));
	state_u64(s, &wide[1]);
	state_u64_as(s, "given", (uint64_t *)&wide[0]);
	state_end(s);

	const void *bytes = state_seal(s, &len);

	assert_int_equal(state_parse(bytes, len, &l, NULL), 0);
	assert_int_equal(state_fields_read(l, &fields, NULL), 0);
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_true(state_field_at(fields, 0, i, &f));
		assert_string_equal(f.name, expected[i]);
	}
	state_fields_destroy(fields);
	state_destroy(l);
	state_destroy(s);
}

/* A description that is not the sections': a byte of it changed, CRCs made to fit. It is
 * refused, or what it says lies inside the state. */
static void test_wrong_names(void **state)
{
	size_t len, at;
	uint8_t *bytes = save(&len);
	struct state_section_info info;
	struct state *s = load();

	(void)state;
	assert_true(state_section_at(s, 3, &info));
	at = len - info.len;
	state_destroy(s);
	for (size_t i = at; i < len; i++) {
		struct state_fields *fields;
		struct state_field f;

		bytes[i] ^= 0x81;
		put_crc(bytes + at - SECTION, len - at);
		assert_int_equal(state_parse(bytes, len, &s, NULL), 0);
		if (state_fields_read(s, &fields, NULL) == 0) {
			for (unsigned k = 0; state_field_at(fields, 0, k, &f); k++)
				assert_true(f.len < len);
			state_fields_destroy(fields);
		}
		state_destroy(s);
		bytes[i] ^= 0x81;
	}
	free(bytes);
}

/* Another manifest, and the rest as it was, its names, too. */
static void test_remake(void **state)
{
	static char manifest[] = "{\"a\": 1}", other[] = "{\"other\": 2}";
	struct state *s, *l, *again;
	struct fields f = some;
	const void *bytes, *rest;
	struct state_fields *fields;
	struct state_field field;
	size_t len;

	(void)state;
	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_MANIFEST, 0);
	state_bytes(s, manifest, strlen(manifest));
	state_end(s);
	state_begin(s, STATE_VCPU, 0);
	exchange(s, &f);
	state_end(s);
	bytes = state_seal(s, &len);
	assert_int_equal(state_parse(bytes, len, &l, NULL), 0);
	assert_int_equal(state_remake(l, other, strlen(other), &again), 0);
	state_destroy(l);
	bytes = state_seal(again, &len);
	assert_int_equal(state_parse(bytes, len, &l, NULL), 0);
	state_begin(l, STATE_MANIFEST, 0);
	rest = state_rest(l, &len);
	state_end(l);
	assert_int_equal(len, strlen(other));
	assert_memory_equal(rest, other, len);
	memset(&f, 0, sizeof(f));
	state_begin(l, STATE_VCPU, 0);
	exchange(l, &f);
	state_end(l);
	assert_memory_equal(&f, &some, sizeof(f));
	assert_int_equal(state_fields_read(l, &fields, NULL), 0);
	assert_true(state_field_at(fields, 1, 1, &field));
	assert_string_equal(field.name, "a");
	state_fields_destroy(fields);
	state_destroy(l);
	state_destroy(again);
	state_destroy(s);
}

static void test_truncated(void **state)
{
	size_t len;
	uint8_t *bytes = save(&len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		/* Behind the end is nothing that may be touched. */
		uint8_t *cut = malloc(n ? n : 1);

		assert_non_null(cut);
		memcpy(cut, bytes, n);
		refused(cut, n);
		free(cut);
	}
	free(bytes);
}

static void test_longer(void **state)
{
	size_t len;
	uint8_t *bytes = save(&len), *longer;

	(void)state;
	longer = calloc(1, len + 1);
	assert_non_null(longer);
	memcpy(longer, bytes, len);
	refused(longer, len + 1);
	free(longer);
	free(bytes);
}

/* Every bit of every byte. */
static void test_flipped(void **state)
{
	size_t len;
	uint8_t *bytes = save(&len);

	(void)state;
	for (size_t i = 0; i < 8 * len; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		refused(bytes, len);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(bytes);
}

/* The two vCPUs have sections of one length: exchanged, or the same one twice. */
static void test_moved(void **state)
{
	size_t len, fields, each;
	uint8_t *bytes = save(&len), *first = bytes + HEADER, *copy;
	uint64_t section_len;

	(void)state;
	memcpy(&section_len, first + 8, sizeof(section_len));
	fields = (size_t)section_len;
	each = SECTION + fields;
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memcpy(copy + HEADER, first + each, each);
	memcpy(copy + HEADER + each, first, each);
	refused(copy, len);
	memcpy(copy, bytes, len);
	memcpy(copy + HEADER + each, first, each);
	refused(copy, len);
	free(copy);
	free(bytes);
}

/* One field of a section header or of the header, with the CRC made to fit. */
static void test_forged(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
		const char *says;
	} cases[] = {
		{ 8, 2, 2, "version 2." },
		{ 10, 2, 99, "version 1.99" },
		{ 12, 4, 2, "should have 2" },
		{ 12, 4, 5, "should have 5" },
		{ 16, 8, 0, "should have 0" },
		{ HEADER, 2, 999, "type 999" },
		{ HEADER + 2, 2, 0, "version" },
		{ HEADER + 2, 2, 99, "version" },
		{ HEADER + 4, 4, 77, "can be" },
		{ HEADER + 4, 4, UINT32_MAX, "can be" },
		{ HEADER + 8, 8, UINT64_MAX, "behind the end" },
		{ HEADER + 8, 8, 1 << 20, "behind the end" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { 0 };
		struct state *s = NULL;
		uint64_t fields;
		size_t len;
		uint8_t *bytes = save(&len);

		memcpy(&fields, bytes + HEADER + 8, sizeof(fields));
		memcpy(bytes + cases[i].at, &cases[i].value, cases[i].len);
		put_header_crc(bytes);
		put_crc(bytes + HEADER, (size_t)fields);
		assert_true(state_parse(bytes, len, &s, &err) < 0);
		if (!strstr(err.text, cases[i].says))
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text,
				 cases[i].says);
		free(bytes);
	}
}

/* What is asked for and is not there reads as zeros; the first fault is told. */
static void test_missing(void **state)
{
	struct state *s = load();
	struct error err = { 0 };
	uint32_t value = 5;

	(void)state;
	state_begin(s, STATE_IOAPIC, 0);
	state_u32(s, &value);
	state_end(s);
	assert_int_equal(value, 0);
	state_fail(s, "something else");
	assert_int_equal(state_error(s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "ioapic 0"));
	state_destroy(s);

	s = load();
	value = 5;
	state_begin(s, STATE_BLK, 3);
	state_u32(s, &value);
	assert_int_equal(value, 0);
	assert_int_equal(state_error(s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "too early"));
	state_destroy(s);
}

static void test_left_over(void **state)
{
	struct state *s = load();
	struct error err = { 0 };
	bool on;

	(void)state;
	state_begin(s, STATE_VCPU, 0);
	state_bool(s, &on);
	state_end(s);
	assert_int_equal(state_error(s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "nobody asks"));
	state_destroy(s);
}

/* A file of an earlier minor version, which says so. */
static void test_older(void **state)
{
	size_t len;
	uint8_t *bytes = save(&len);
	const uint16_t minor = 0;
	struct fields f = { 0 };
	struct state *s;

	(void)state;
	memcpy(bytes + 10, &minor, sizeof(minor));
	put_header_crc(bytes);
	assert_int_equal(state_parse(bytes, len, &s, NULL), 0);
	free(bytes);
	assert_int_equal(state_minor(s), 0);
	state_begin(s, STATE_VCPU, 1);
	exchange(s, &f);
	state_end(s);
	assert_memory_equal(&f, &some, sizeof(f));
	state_destroy(s);
}

/* A blob with more than its reader has room for, a flag of 2, a NUL in a text. */
static void test_bad_fields(void **state)
{
	char text[8] = "abc", with_nul[4] = { 'a', 0, 'b', 'c' };
	uint8_t small[2];
	size_t n, len;
	struct state *s, *l;

	(void)state;
	for (unsigned which = 0; which < 3; which++) {
		uint8_t two = 2;
		uint32_t four = 4;
		bool on;

		assert_int_equal(state_create(&s), 0);
		state_begin(s, STATE_RNG, 0);
		if (which == 0)
			state_u8(s, &two);
		if (which > 0)
			state_u32(s, &four);
		if (which > 0)
			state_bytes(s, with_nul, sizeof(with_nul));
		state_end(s);

		const void *bytes = state_seal(s, &len);

		assert_int_equal(state_parse(bytes, len, &l, NULL), 0);
		state_begin(l, STATE_RNG, 0);
		if (which == 0)
			state_bool(l, &on);
		if (which == 1)
			state_blob(l, small, &n, sizeof(small));
		if (which == 2)
			state_string(l, text, sizeof(text));
		assert_int_equal(state_error(l, NULL), -EBADMSG);
		state_destroy(l);
		state_destroy(s);
	}
}

/* Whoever saves out of order, or too much, is told so. */
static void test_bad_saves(void **state)
{
	static uint8_t much[2048];
	struct state *s;
	size_t len;

	(void)state;
	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_BLK, 1);
	state_end(s);
	state_begin(s, STATE_BLK, 0);
	state_end(s);
	assert_true(state_failed(s));
	assert_null(state_seal(s, &len));
	state_destroy(s);

	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_BLK, 1);
	state_bytes(s, much, sizeof(much));
	state_end(s);
	assert_true(state_failed(s));
	state_destroy(s);
}

/* The table itself: no type or name twice. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < state_kinds_count; i++) {
		assert_ptr_equal(state_kind(state_kinds[i].type), &state_kinds[i]);
		assert_true(state_kinds[i].version > 0 && state_kinds[i].instances > 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(state_kinds[i].name, state_kinds[k].name);
	}
	assert_null(state_kind(STATE_NO_SECTION));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),	    cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated),   cmocka_unit_test(test_longer),
		cmocka_unit_test(test_flipped),	    cmocka_unit_test(test_moved),
		cmocka_unit_test(test_forged),	    cmocka_unit_test(test_missing),
		cmocka_unit_test(test_left_over),   cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_bad_saves),   cmocka_unit_test(test_table),
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_wrong_names), cmocka_unit_test(test_remake),
		cmocka_unit_test(test_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
