/* tool_sections.c - what differs between the sections of two states.
 *
 * Sections that both have are compared field by field where both describe theirs alike
 * (state_fields.h), and byte by byte otherwise. Every text of a state is printed as if it
 * had been written to harm a terminal.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/snapshot/tool.h"

enum { SHOWN_BYTES = 16 };

struct side {
	struct state *state;
	struct state_fields *fields;
	unsigned at; /* number of the section in hand */
	bool has;
	struct state_section_info section;
};

static void advance(struct side *s)
{
	s->at++;
	s->has = state_section_at(s->state, s->at, &s->section);
}

static void print_hex(const struct state_field *f)
{
	for (size_t i = 0; i < f->len; i++)
		printf("%02x", f->bytes[i]);
}

static void print_text(const struct state_field *f)
{
	putchar('"');
	for (size_t i = 0; i < f->len; i++)
		printf(isprint(f->bytes[i]) && f->bytes[i] != '"' ? "%c" : "\\x%02x", f->bytes[i]);
	putchar('"');
}

static void print_value(const struct state_field *f)
{
	uint64_t number = 0;

	switch (f->kind) {
	case STATE_FIELD_NUMBER:
		memcpy(&number, f->bytes, f->len);
		printf("%#" PRIx64, number);
		return;
	case STATE_FIELD_FLAG:
		printf("%s", f->len > 0 && f->bytes[0] ? "true" : "false");
		return;
	case STATE_FIELD_TEXT:
		print_text(f);
		return;
	case STATE_FIELD_BYTES:
	case STATE_FIELD_BLOB:
		print_hex(f);
	}
}

/* "; 3 of 512 bytes, from 24 on" */
static void print_extent(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t count = 0, first = len;

	for (size_t i = 0; i < len; i++) {
		if (a[i] == b[i])
			continue;
		first = first < i ? first : i;
		count++;
	}
	printf("%zu of %zu bytes, from %zu on", count, len, first);
}

static void print_change(const struct state_field *a, const struct state_field *b)
{
	bool is_bytes = a->kind == STATE_FIELD_BYTES || a->kind == STATE_FIELD_BLOB;

	if (is_bytes && a->len == b->len && a->len > SHOWN_BYTES) {
		print_extent(a->bytes, b->bytes, a->len);
	} else if (is_bytes && (a->len > SHOWN_BYTES || b->len > SHOWN_BYTES)) {
		printf("%zu and %zu bytes", a->len, b->len);
	} else {
		print_value(a);
		printf(" -> ");
		print_value(b);
	}
}

static bool are_alike(const struct state_field *a, const struct state_field *b)
{
	return strcmp(a->name, b->name) == 0 && a->kind == b->kind;
}

/* Whether both sections are described, with the same fields in the same order. */
static bool have_same_fields(const struct side *a, const struct side *b)
{
	struct state_field x, y;
	unsigned i = 0;
	bool more, other;

	do {
		more = state_field_at(a->fields, a->at, i, &x);
		other = state_field_at(b->fields, b->at, i, &y);
		i++;
	} while (more && other && are_alike(&x, &y));
	return i > 1 && !more && !other;
}

/* How often the section had a field of this name before the i-th. */
static unsigned occurrence(const struct side *s, unsigned i, const char *name)
{
	struct state_field f;
	unsigned count = 0;

	for (unsigned k = 0; k < i && state_field_at(s->fields, s->at, k, &f); k++)
		count += f.name == name;
	return count;
}

static void compare_fields(const struct side *a, const struct side *b)
{
	struct state_field x, y;

	for (unsigned i = 0;
	     state_field_at(a->fields, a->at, i, &x) && state_field_at(b->fields, b->at, i, &y);
	     i++) {
		unsigned n;

		if (x.len == y.len && memcmp(x.bytes, y.bytes, x.len) == 0)
			continue;
		n = occurrence(a, i, x.name);
		printf("%s %" PRIu32 ": %s", a->section.kind->name, a->section.instance, x.name);
		if (n > 0)
			printf("[%u]", n);
		printf(": ");
		print_change(&x, &y);
		putchar('\n');
	}
}

static void compare_bytes(const struct side *a, const struct side *b)
{
	printf("%s %" PRIu32 ": ", a->section.kind->name, a->section.instance);
	if (a->section.version != b->section.version)
		printf("version %u -> %u, ", a->section.version, b->section.version);
	if (a->section.len == b->section.len)
		print_extent(a->section.bytes, b->section.bytes, a->section.len);
	else
		printf("%zu -> %zu bytes", a->section.len, b->section.len);
	putchar('\n');
}

/* The manifest has its own way; what the fields are called is no difference. */
static bool is_compared(const struct side *s)
{
	return s->section.kind->type != STATE_MANIFEST && s->section.kind->type != STATE_FIELDS;
}

static bool compare_section(const struct side *a, const struct side *b)
{
	if (!is_compared(a) ||
	    (a->section.len == b->section.len && a->section.version == b->section.version &&
	     memcmp(a->section.bytes, b->section.bytes, a->section.len) == 0))
		return false;
	if (a->section.version == b->section.version && have_same_fields(a, b))
		compare_fields(a, b);
	else
		compare_bytes(a, b);
	return true;
}

/* Below 0: a stands before b in the order of a file. */
static int compare_place(const struct side *a, const struct side *b)
{
	if (!a->has || !b->has)
		return a->has ? -1 : 1;
	if (a->section.kind != b->section.kind)
		return a->section.kind < b->section.kind ? -1 : 1;
	if (a->section.instance == b->section.instance)
		return 0;
	return a->section.instance < b->section.instance ? -1 : 1;
}

static bool print_lonely(const struct side *s, const char *which)
{
	if (!is_compared(s))
		return false;
	printf("%s %" PRIu32 ": only in the %s\n", s->section.kind->name, s->section.instance,
	       which);
	return true;
}

static bool compare_sections(struct side *a, struct side *b)
{
	bool differ = false;

	while (a->has || b->has) {
		int place = compare_place(a, b);

		if (place == 0)
			differ |= compare_section(a, b);
		else
			differ |= place < 0 ? print_lonely(a, "first") : print_lonely(b, "second");
		if (place <= 0)
			advance(a);
		if (place >= 0)
			advance(b);
	}
	return differ;
}

int tool_diff_sections(struct state *a, struct state *b, bool *differ, struct error *err)
{
	struct side first = { .state = a }, second = { .state = b };
	int r = state_fields_read(a, &first.fields, err);

	if (r == 0)
		r = state_fields_read(b, &second.fields, err);
	if (r == 0) {
		first.has = state_section_at(a, 0, &first.section);
		second.has = state_section_at(b, 0, &second.section);
		*differ |= compare_sections(&first, &second);
	}
	state_fields_destroy(second.fields);
	state_fields_destroy(first.fields);
	return r;
}
