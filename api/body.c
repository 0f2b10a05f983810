/* body.c - reading and writing JSON objects by table.
 *
 * Reading walks the members that came, finds each in the table (unknown: refused)
 * and stores it by type; then every required field that did not come is an error.
 * One store function and one write function a type, in type_ops[], so a new type
 * is one row. Nested objects call back into the same two walks; how deep that can
 * go is decided by the tables, never by the input (jansson bounds its own depth).
 *
 * What the input says ends up in messages: values are cut to VALUE_SHOWN bytes and
 * written as ASCII JSON, so a message is always printable.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/body.h"

enum {
	VALUE_SHOWN = 64,
	NAMES_SHOWN = 400,
};

static void *at(void *config, size_t offset)
{
	return (char *)config + offset;
}

static const void *at_const(const void *config, size_t offset)
{
	return (const char *)config + offset;
}

/* A value as a deserialiser names it: `integer 5`, `string "x"`, `map`. */
static const char *show_value(const json_t *v, char *buf, size_t len)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "map",		 [JSON_ARRAY] = "sequence",
		[JSON_STRING] = "string ",	 [JSON_INTEGER] = "integer ",
		[JSON_REAL] = "floating point ", [JSON_TRUE] = "boolean ",
		[JSON_FALSE] = "boolean ",	 [JSON_NULL] = "null",
	};
	const char *quote = json_is_string(v) ? "" : "`";
	char text[VALUE_SHOWN + 1];

	if (json_is_object(v) || json_is_array(v) || json_is_null(v)) {
		snprintf(buf, len, "%s", kinds[json_typeof(v)]);
		return buf;
	}

	size_t n = json_dumpb(v, text, VALUE_SHOWN,
			      JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);

	text[n < VALUE_SHOWN ? n : VALUE_SHOWN] = '\0';
	snprintf(buf, len, "%s%s%s%s", kinds[json_typeof(v)], quote, text, quote);
	return buf;
}

/* A name that came from outside, cut and printable. */
static const char *show_name(const char *name, char buf[VALUE_SHOWN + 1])
{
	size_t n = 0;

	for (; n < VALUE_SHOWN && name[n]; n++)
		buf[n] = (char)(isascii(name[n]) && isprint(name[n]) ? name[n] : '?');
	buf[n] = '\0';
	return buf;
}

static int wrong_type(const struct body_field *f, const json_t *v, const char *expected,
		      struct error *err)
{
	char shown[VALUE_SHOWN + 32];

	return error_set(err, -EBADMSG, f->name, NULL, "invalid type: %s, expected %s",
			 show_value(v, shown, sizeof(shown)), expected);
}

/* A value of the right type that cannot be; detail says what it is and may be. */
static int out_of_range(const struct body_field *f, const char *detail, struct error *err)
{
	if (f->fault)
		return error_set(err, -ERANGE, f->name, detail, "%s", f->fault);
	return error_set(err, -ERANGE, f->name, detail, "The value of %s is out of range.",
			 f->name);
}

static int store_bool(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	if (!json_is_boolean(v))
		return wrong_type(f, v, "a boolean", err);
	*(bool *)at(config, f->offset) = json_is_true(v);
	return 0;
}

static int store_u64(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	char detail[128];

	if (!json_is_integer(v))
		return wrong_type(f, v, "u64", err);

	json_int_t n = json_integer_value(v);

	if (n < 0)
		return error_set(err, -EBADMSG, f->name, NULL,
				 "invalid value: integer `%" JSON_INTEGER_FORMAT "`, expected u64",
				 n);
	if ((uint64_t)n < f->min || (uint64_t)n > f->max) {
		snprintf(detail, sizeof(detail),
			 "it is %" JSON_INTEGER_FORMAT "; %" PRIu64 " to %" PRIu64 " is possible",
			 n, f->min, f->max);
		return out_of_range(f, detail, err);
	}
	*(uint64_t *)at(config, f->offset) = (uint64_t)n;
	return 0;
}

static int store_string(const struct body_field *f, const json_t *v, void *config,
			struct error *err)
{
	char detail[128];

	if (!json_is_string(v))
		return wrong_type(f, v, "a string", err);

	size_t len = json_string_length(v);

	if (len < f->min || len >= f->size) {
		snprintf(detail, sizeof(detail), "it has %zu bytes; %" PRIu64 " to %zu is possible",
			 len, f->min, f->size - 1);
		return out_of_range(f, detail, err);
	}
	memcpy(at(config, f->offset), json_string_value(v), len + 1);
	return 0;
}

int body_check_id(const char *id, struct error *err)
{
	if (!id[0])
		return error_set(err, -EINVAL, NULL, NULL, "The ID cannot be empty.");
	for (const char *c = id; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_')
			return error_set(err, -EINVAL, NULL, NULL,
					 "API Resource IDs can only contain alphanumeric "
					 "characters and underscores.");
	return 0;
}

static int store_id(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	int r = store_string(f, v, config, err);

	if (r == 0)
		r = body_check_id(at(config, f->offset), err);
	if (r == -EINVAL && err)
		snprintf(err->field, sizeof(err->field), "%s", f->name);
	return r;
}

static int name_index(const char *const *names, const char *name)
{
	for (int i = 0; names && names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* "expected `a`", "expected `a` or `b`", "expected one of `a`, `b`, `c`". */
static void expected_names(char *buf, size_t len, const char *(*name)(const void *, size_t),
			   const void *of, size_t count)
{
	size_t used = (size_t)snprintf(buf, len, "expected %s", count > 2 ? "one of " : "");

	for (size_t i = 0; i < count && used < len; i++) {
		const char *between = i == 0 ? "" : count == 2 ? " or " : ", ";

		used += (size_t)snprintf(buf + used, len - used, "%s`%s`", between, name(of, i));
	}
}

static const char *variant_name(const void *of, size_t i)
{
	return ((const char *const *)of)[i];
}

static int store_enum(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	char expected[NAMES_SHOWN], shown[VALUE_SHOWN + 1];
	size_t count = 0;

	if (!json_is_string(v))
		return wrong_type(f, v, "a string", err);

	const char *name = json_string_value(v);
	int index = name_index(f->names, name);

	if (index >= 0) {
		*(uint32_t *)at(config, f->offset) = (uint32_t)index;
		return 0;
	}
	while (f->names[count])
		count++;
	expected_names(expected, sizeof(expected), variant_name, f->names, count);
	return error_set(err, -EBADMSG, f->name, NULL, "unknown variant `%s`, %s",
			 show_name(name, shown), expected);
}

static void set_defaults(const struct body_table *t, void *config)
{
	if (t->defaults)
		memcpy(config, t->defaults, t->size);
	else
		memset(config, 0, t->size);
}

void body_prefix_field(struct error *err, const char *name, int index)
{
	char inner[sizeof(err->field)], place[14] = "";

	if (!err)
		return;
	memcpy(inner, err->field, sizeof(inner));
	if (index >= 0)
		snprintf(place, sizeof(place), "[%d]", index);
	snprintf(err->field, sizeof(err->field), "%.20s%s%s%.28s", name, place, inner[0] ? "." : "",
		 inner);
}

static int store_document(const struct body_field *f, const json_t *v, void *config,
			  struct error *err)
{
	char detail[128], *text = at(config, f->offset);
	size_t len;

	if (!json_is_object(v))
		return wrong_type(f, v, "a map", err);
	len = json_dumpb(v, text, f->size, JSON_COMPACT);
	if (len < f->size) {
		text[len] = '\0';
		return 0;
	}
	snprintf(detail, sizeof(detail), "it has %zu bytes of JSON; at most %zu", len, f->size - 1);
	return out_of_range(f, detail, err);
}

static int store_map(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)v, name, value)
	{
		if (!json_is_string(value))
			return wrong_type(f, value, "a string", err);
	}
	return store_document(f, v, config, err);
}

static int store_object(const struct body_field *f, const json_t *v, void *config,
			struct error *err)
{
	void *inner = at(config, f->offset);

	set_defaults(f->table, inner);

	int r = body_read(f->table, v, 0, inner, err);

	if (r < 0)
		body_prefix_field(err, f->name, -1);
	return r < 0 ? r : 0;
}

static int check_array(const struct body_field *f, const json_t *v, struct error *err)
{
	size_t count = json_array_size(v);
	char detail[128];

	if (!json_is_array(v))
		return wrong_type(f, v, "a sequence", err);
	if (count <= f->max)
		return 0;
	snprintf(detail, sizeof(detail), "it has %zu elements; at most %" PRIu64, count, f->max);
	return out_of_range(f, detail, err);
}

static int store_array(const struct body_field *f, const json_t *v, void *config, struct error *err)
{
	size_t count = json_array_size(v);
	int bad = check_array(f, v, err);

	if (bad < 0)
		return bad;
	for (size_t i = 0; i < count; i++) {
		void *element = at(config, f->offset + i * f->table->size);

		set_defaults(f->table, element);

		int r = body_read(f->table, json_array_get(v, i), 0, element, err);

		if (r < 0) {
			body_prefix_field(err, f->name, (int)i);
			return r;
		}
	}
	*(uint32_t *)at(config, f->mark) = (uint32_t)count;
	return 0;
}

static int store_strings(const struct body_field *f, const json_t *v, void *config,
			 struct error *err)
{
	size_t count = json_array_size(v), len = f->size / f->max;
	int bad = check_array(f, v, err);

	if (bad < 0)
		return bad;
	for (size_t i = 0; i < count; i++) {
		const struct body_field one = {
			.name = f->name, .offset = f->offset + i * len, .size = len, .min = 1
		};
		int r = store_string(&one, json_array_get(v, i), config, err);

		if (r < 0)
			return r;
	}
	*(uint32_t *)at(config, f->mark) = (uint32_t)count;
	return 0;
}

static json_t *write_bool(const struct body_field *f, const void *config)
{
	return json_boolean(*(const bool *)at_const(config, f->offset));
}

static json_t *write_u64(const struct body_field *f, const void *config)
{
	return json_integer((json_int_t) * (const uint64_t *)at_const(config, f->offset));
}

static json_t *write_string(const struct body_field *f, const void *config)
{
	const char *s = at_const(config, f->offset);

	if (f->nullable && !f->mark && !s[0])
		return json_null();
	return json_string(s);
}

static json_t *write_document(const struct body_field *f, const void *config)
{
	return json_loads(at_const(config, f->offset), 0, NULL);
}

static json_t *write_enum(const struct body_field *f, const void *config)
{
	return json_string(f->names[*(const uint32_t *)at_const(config, f->offset)]);
}

static json_t *write_object(const struct body_field *f, const void *config)
{
	return body_write(f->table, at_const(config, f->offset));
}

static json_t *write_array(const struct body_field *f, const void *config)
{
	uint32_t count = *(const uint32_t *)at_const(config, f->mark);
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < count; i++) {
		const void *element = at_const(config, f->offset + i * f->table->size);

		if (json_array_append_new(array, body_write(f->table, element)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *write_strings(const struct body_field *f, const void *config)
{
	uint32_t count = *(const uint32_t *)at_const(config, f->mark);
	const char *strings = at_const(config, f->offset);
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < count; i++)
		json_array_append_new(array, json_string(strings + i * (f->size / f->max)));
	return array;
}

static const struct type_ops {
	int (*store)(const struct body_field *f, const json_t *v, void *config, struct error *err);
	json_t *(*write)(const struct body_field *f, const void *config);
} type_ops[] = {
	[BODY_BOOL] = { store_bool, write_bool },
	[BODY_U64] = { store_u64, write_u64 },
	[BODY_STRING] = { store_string, write_string },
	[BODY_ID] = { store_id, write_string },
	[BODY_ENUM] = { store_enum, write_enum },
	[BODY_MAP] = { store_map, write_document },
	[BODY_DOCUMENT] = { store_document, write_document },
	[BODY_OBJECT] = { store_object, write_object },
	[BODY_STRINGS] = { store_strings, write_strings },
	[BODY_ARRAY] = { store_array, write_array },
};

/* The mark of a list is its count. */
static bool has_flag(const struct body_field *f)
{
	return f->mark && f->type != BODY_ARRAY && f->type != BODY_STRINGS;
}

static const struct body_field *find_field(const struct body_table *t, const char *name)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (strcmp(t->fields[i].name, name) == 0)
			return &t->fields[i];
	return NULL;
}

static const char *field_name(const void *of, size_t i)
{
	return ((const struct body_table *)of)->fields[i].name;
}

static int unknown_field(const struct body_table *t, const char *name, struct error *err)
{
	char expected[NAMES_SHOWN], shown[VALUE_SHOWN + 1];

	show_name(name, shown);
	expected_names(expected, sizeof(expected), field_name, t, t->nfields);
	return error_set(err, -EBADMSG, shown, NULL, "unknown field `%s`, %s", shown, expected);
}

static int missing_field(const struct body_field *f, struct error *err)
{
	if (f->absent)
		return error_set(err, -EINVAL, f->name, "it is missing", "%s", f->absent);
	return error_set(err, -ENODATA, f->name, NULL, "missing field `%s`", f->name);
}

/* 1 stored, 0 null and so left alone, or the error. */
static int read_field(const struct body_field *f, const json_t *v, unsigned flags, void *config,
		      struct error *err)
{
	if (json_is_null(v) && (f->nullable || (flags & BODY_PARTIAL)))
		return 0;

	int r = type_ops[f->type].store(f, v, config, err);

	if (r < 0)
		return r;
	if (has_flag(f))
		*(bool *)at(config, f->mark) = true;
	return 1;
}

int body_read(const struct body_table *t, const json_t *object, unsigned flags, void *config,
	      struct error *err)
{
	static const struct body_field whole = { .name = "" };
	const char *name;
	json_t *value;
	int given = 0;

	if (!json_is_object(object))
		return wrong_type(&whole, object, "an object", err);

	/* jansson's iteration takes a mutable object, but changes nothing. */
	json_object_foreach((json_t *)object, name, value)
	{
		const struct body_field *f = find_field(t, name);

		if (!f && t->open)
			continue;
		if (!f)
			return unknown_field(t, name, err);

		int r = read_field(f, value, flags, config, err);

		if (r < 0)
			return r;
		given += r;
	}
	for (size_t i = 0; i < t->nfields && !(flags & BODY_PARTIAL); i++) {
		const struct body_field *f = &t->fields[i];

		if (f->required && !json_object_get(object, f->name))
			return missing_field(f, err);
	}
	if (t->check && !(flags & BODY_PARTIAL)) {
		int r = t->check(config, err);

		if (r < 0)
			return r;
	}
	return given;
}

json_t *body_parse(const char *text, size_t len, struct error *err)
{
	json_error_t fault;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);

	if (j)
		return j;

	/* A number beyond 64 bits is, to Firecracker's parser, one of another type. */
	const char *kind = json_error_code(&fault) == json_error_numeric_overflow
				   ? "invalid type: number beyond 64 bits, "
				   : "";

	error_set(err, -EBADMSG, NULL, NULL, "%s%s at line %d column %d", kind, fault.text,
		  fault.line < 0 ? 0 : fault.line, fault.column < 0 ? 0 : fault.column);
	return NULL;
}

/* Firecracker reports a missing field where its object ends. */
static void add_end_position(const char *text, size_t len, struct error *err)
{
	unsigned line = 1, column = 0;

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++) {
		column++;
		if (text[i] == '\n') {
			line++;
			column = 0;
		}
	}

	size_t used = strlen(err->text);

	snprintf(err->text + used, sizeof(err->text) - used, " at line %u column %u", line, column);
}

int body_read_text(const struct body_table *t, const char *text, size_t len, unsigned flags,
		   void *config, struct error *err)
{
	json_t *j = body_parse(text, len, err);

	if (!j)
		return -EBADMSG;

	int r = body_read(t, j, flags, config, err);

	json_decref(j);
	if (r == -ENODATA && err)
		add_end_position(text, len, err);
	return r;
}

/* A field without a mark is always there, unless it is hidden. */
static bool is_given(const struct body_field *f, const void *config)
{
	return has_flag(f) && *(const bool *)at_const(config, f->mark);
}

/* What a field writes: null when its mark says that it was never given. */
static json_t *write_field(const struct body_field *f, const void *config)
{
	if (has_flag(f) && !is_given(f, config))
		return json_null();
	return type_ops[f->type].write(f, config);
}

json_t *body_write(const struct body_table *t, const void *config)
{
	json_t *object = json_object();

	for (size_t i = 0; object && i < t->nfields; i++) {
		const struct body_field *f = &t->fields[i];

		if (f->hidden && !is_given(f, config))
			continue;
		if (json_object_set_new(object, f->name, write_field(f, config)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}
