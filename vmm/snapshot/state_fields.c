/* state_fields.c - the section that describes the others:
 *
 *   names       u32 how many; each a u32 length and as many characters
 *   sections    u32 how many; for each, in the order of the file, u32 number of its
 *               fields, and for each of these u16 number of its name, u8 kind, u32 bytes;
 *               no fields: the section is not described, or empty
 *
 * A name stands there once, however many fields have it: hundreds of MSRs are called
 * alike. While it is read, a description is believed only where it adds up.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/state.h"
#include "vmm/snapshot/state_fields.h"

enum { MAX_NAMES = 512 };

struct name {
	char text[STATE_FIELD_NAME + 1];
};

struct field {
	uint16_t name;
	uint8_t kind;
	uint32_t len; /* in the file: of a blob and a text, with their length's four bytes */
	uint32_t at;  /* in the section; not saved */
};

/* --- saving --- */

struct note {
	struct field field;
	uint16_t section;
};

struct state_notes {
	uint32_t names;
	struct name name[MAX_NAMES];
	const char *expression[MAX_NAMES]; /* that the name was made from first */
	uint16_t last;			   /* name that was asked for */

	size_t count, room;
	struct note *note;
};

int state_notes_create(struct state_notes **ret)
{
	struct state_notes *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	*ret = n;
	return 0;
}

void state_notes_destroy(struct state_notes *n)
{
	if (!n)
		return;
	free(n->note);
	free(n);
}

static bool make_room(struct state_notes *n)
{
	size_t room = n->room ? 2 * n->room : 256;
	struct note *note;

	if (n->count < n->room)
		return true;
	if (n->count == STATE_MAX_FIELDS)
		return false;
	note = realloc(n->note, room * sizeof(*note));
	if (!note)
		return false;
	n->note = note;
	n->room = room;
	return true;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && memcmp(text + len - n, end, n) == 0;
}

/* Without members that only wrap a value, and without an index. */
static size_t without_tail(const char *e, size_t len)
{
	if (ends_with(e, len, ".v"))
		len -= strlen(".v");
	if (ends_with(e, len, ".bytes"))
		len -= strlen(".bytes");
	if (len > 0 && e[len - 1] == ']') {
		while (len > 0 && e[len - 1] != '[')
			len--;
		len -= len > 0;
	}
	return len;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* "&q->ring[i].last" is called last. */
static struct name name_of(const char *expression)
{
	size_t end = without_tail(expression, strlen(expression)), start = end;
	struct name name = { "" };

	while (start > 0 && is_word(expression[start - 1]))
		start--;
	if (end - start > STATE_FIELD_NAME)
		end = start + STATE_FIELD_NAME;
	memcpy(name.text, expression + start, end - start);
	return name;
}

static uint16_t add_name(struct state_notes *n, const char *expression)
{
	struct name name = name_of(expression);

	for (uint32_t i = 0; i < n->names; i++) {
		if (strcmp(n->name[i].text, name.text) == 0)
			return (uint16_t)i;
	}
	if (n->names == MAX_NAMES)
		return 0;
	n->name[n->names] = name;
	n->expression[n->names] = expression;
	return (uint16_t)n->names++;
}

/* Fields come in one order again and again: begins behind the last one. */
static uint16_t find_name(struct state_notes *n, const char *expression)
{
	for (uint32_t i = 1; i <= n->names; i++) {
		uint16_t k = (uint16_t)((n->last + i) % n->names);

		if (n->expression[k] == expression)
			return k;
	}
	return add_name(n, expression);
}

bool state_notes_add(struct state_notes *n, unsigned section, const char *expression,
		     enum state_field_kind kind, size_t len)
{
	if (!make_room(n))
		return false;
	n->last = find_name(n, expression);
	n->note[n->count++] = (struct note){
		.field = { .name = n->last, .kind = (uint8_t)kind, .len = (uint32_t)len },
		.section = (uint16_t)section,
	};
	return true;
}

/* Saved and loaded alike. */
static void field_state(struct field *f, struct state *s)
{
	state_u16(s, &f->name);
	state_u8(s, &f->kind);
	state_u32(s, &f->len);
}

static void save_sections(struct state_notes *n, struct state *s)
{
	uint32_t sections = n->count ? n->note[n->count - 1].section + 1U : 0;
	size_t at = 0;

	state_u32(s, &sections);
	for (uint32_t i = 0; i < sections; i++) {
		uint32_t fields = 0;

		while (at + fields < n->count && n->note[at + fields].section == i)
			fields++;
		state_u32(s, &fields);
		for (; fields > 0; fields--, at++)
			field_state(&n->note[at].field, s);
	}
}

void state_notes_save(struct state_notes *n, struct state *s)
{
	state_begin(s, STATE_FIELDS, 0);
	state_u32(s, &n->names);
	for (uint32_t i = 0; i < n->names; i++)
		state_string(s, n->name[i].text, sizeof(n->name[i].text));
	save_sections(n, s);
	state_end(s);
}

/* --- reading --- */

struct described {
	struct state_section_info info;
	uint32_t first, count; /* of the fields */
};

struct state_fields {
	uint32_t names, sections, fields;
	struct name name[MAX_NAMES];
	struct described section[STATE_MAX_SECTIONS];
	struct field field[STATE_MAX_FIELDS];
};

static void read_names(struct state_fields *f, struct state *s)
{
	state_u32(s, &f->names);
	if (f->names > MAX_NAMES) {
		state_fail(s, "more names than fields can have");
		f->names = 0;
	}
	for (uint32_t i = 0; i < f->names; i++)
		state_string(s, f->name[i].text, sizeof(f->name[i].text));
}

/* What stands in front of a field's contents. */
static uint32_t head_bytes(const struct field *f)
{
	return f->kind == STATE_FIELD_BLOB || f->kind == STATE_FIELD_TEXT ? sizeof(uint32_t) : 0;
}

static const char *check_field(const struct state_fields *f, const struct field *field,
			       uint64_t left)
{
	if (field->name >= f->names)
		return "a field without a name";
	if (field->kind < STATE_FIELD_NUMBER || field->kind > STATE_FIELD_TEXT)
		return "a field of no kind";
	if (field->len > left || field->len < head_bytes(field))
		return "a field that does not fit its section";
	if (field->kind == STATE_FIELD_NUMBER && field->len > sizeof(uint64_t))
		return "a number that is too long";
	return NULL;
}

static void read_section(struct state_fields *f, struct described *d, struct state *s)
{
	uint64_t left = d->info.len;

	state_u32(s, &d->count);
	d->first = f->fields;
	if (d->count > STATE_MAX_FIELDS - f->fields) {
		state_fail(s, "too many fields");
		d->count = 0;
	}
	for (uint32_t i = 0; i < d->count && !state_failed(s); i++) {
		struct field *field = &f->field[f->fields++];
		const char *why;

		field_state(field, s);
		field->at = (uint32_t)(d->info.len - left);
		why = check_field(f, field, left);
		if (why)
			state_fail(s, why);
		left -= field->len;
	}
	if (!state_failed(s) && left > 0 && d->count > 0)
		state_fail(s, "bytes that no field has");
}

static void read_fields(struct state_fields *f, struct state *s)
{
	state_begin(s, STATE_FIELDS, 0);
	read_names(f, s);
	state_u32(s, &f->sections);
	for (uint32_t i = 0; i < f->sections && !state_failed(s); i++) {
		if (i == STATE_MAX_SECTIONS || !state_section_at(s, i, &f->section[i].info))
			state_fail(s, "more sections than there are");
		else
			read_section(f, &f->section[i], s);
	}
	state_end(s);
}

int state_fields_read(struct state *s, struct state_fields **ret, struct error *err)
{
	struct state_fields *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (state_has(s, STATE_FIELDS, 0))
		read_fields(f, s);
	r = state_error(s, err);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void state_fields_destroy(struct state_fields *f)
{
	free(f);
}

bool state_field_at(const struct state_fields *f, unsigned n, unsigned i, struct state_field *ret)
{
	const struct described *d = n < f->sections ? &f->section[n] : NULL;
	const struct field *field;

	if (!d || i >= d->count)
		return false;
	field = &f->field[d->first + i];
	*ret = (struct state_field){
		.name = f->name[field->name].text,
		.kind = (enum state_field_kind)field->kind,
		.bytes = d->info.bytes + field->at + head_bytes(field),
		.len = field->len - head_bytes(field),
	};
	return true;
}
