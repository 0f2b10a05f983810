/* test_body.c - the table-driven reader and writer, on a table that has every type. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/body.h"

struct part {
	uint64_t size;
};

struct whole {
	bool flag, has_text, has_part, has_secret;
	uint64_t number;
	char text[8];
	char id[4];
	uint32_t colour, secret;
	struct part part;
	uint32_t nparts;
	struct part parts[2];
};

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

static const char *const colours[] = { "red", "green", "blue", NULL };

static const struct body_field part_fields[] = {
	{ .name = "size",
	  .type = BODY_U64,
	  PLACE(part, size),
	  .required = true,
	  .min = 2,
	  .max = 9 },
};
static const struct part part_default = { .size = 5 };
static const struct body_table part_table = {
	.size = sizeof(struct part),
	.defaults = &part_default,
	.fields = part_fields,
	.nfields = 1,
};

static const struct body_field whole_fields[] = {
	{ .name = "flag", .type = BODY_BOOL, PLACE(whole, flag) },
	{ .name = "number", .type = BODY_U64, PLACE(whole, number), .max = UINT64_MAX },
	{ .name = "text",
	  .type = BODY_STRING,
	  PLACE(whole, text),
	  .mark = offsetof(struct whole, has_text),
	  .nullable = true },
	{ .name = "id", .type = BODY_ID, PLACE(whole, id), .required = true },
	{ .name = "colour", .type = BODY_ENUM, PLACE(whole, colour), .names = colours },
	{ .name = "part",
	  .type = BODY_OBJECT,
	  PLACE(whole, part),
	  .mark = offsetof(struct whole, has_part),
	  .nullable = true,
	  .table = &part_table },
	{ .name = "parts",
	  .type = BODY_ARRAY,
	  PLACE(whole, parts),
	  .mark = offsetof(struct whole, nparts),
	  .max = 2,
	  .table = &part_table },
	{ .name = "secret",
	  .type = BODY_ENUM,
	  PLACE(whole, secret),
	  .mark = offsetof(struct whole, has_secret),
	  .names = colours,
	  .nullable = true,
	  .hidden = true },
};
static const struct body_table whole_table = {
	.size = sizeof(struct whole),
	.fields = whole_fields,
	.nfields = sizeof(whole_fields) / sizeof(whole_fields[0]),
};

static int read_text(const char *text, unsigned flags, struct whole *w, struct error *err)
{
	memset(w, 0, sizeof(*w));
	memset(err, 0, sizeof(*err));
	return body_read_text(&whole_table, text, strlen(text), flags, w, err);
}

struct list {
	bool other; /* a mark at 0 is none */
	uint32_t nwords;
	char words[3][4];
};

struct map {
	bool given;
	char text[18];
};

/* An object of texts is kept as it would be written, up to the room that there is. */
static void maps_are_kept(void **state)
{
	static const struct body_field field = { .name = "map",
						 .type = BODY_MAP,
						 PLACE(map, text) };
	static const struct body_table table = { .size = sizeof(struct map),
						 .fields = &field,
						 .nfields = 1 };
	static const struct {
		const char *body, *kept;
	} rows[] = {
		{ "{\"map\": {}}", "{}" },
		{ "{\"map\": {\"a\" : \"b\", \"c\":\"\"}}", "{\"a\":\"b\",\"c\":\"\"}" },
		{ "{\"map\": {\"a\": \"123456789\"}}", "{\"a\":\"123456789\"}" },
		{ "{\"map\": {\"a\": \"1234567890\"}}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct map map = { 0 };
		struct error err = { 0 };
		int r = body_read_text(&table, rows[i].body, strlen(rows[i].body), 0, &map, &err);

		assert_int_equal(r, rows[i].kept ? 1 : -ERANGE);
		if (rows[i].kept)
			assert_string_equal(map.text, rows[i].kept);
		else
			assert_string_equal(err.hint, "it has 18 bytes of JSON; at most 17");
	}
}

/* The mark is a count, and stays one: of none, one and all. */
static void strings_are_counted(void **state)
{
	static const struct body_field field = { .name = "words",
						 .type = BODY_STRINGS,
						 PLACE(list, words),
						 .mark = offsetof(struct list, nwords),
						 .max = 3 };
	static const struct body_table table = { .size = sizeof(struct list),
						 .fields = &field,
						 .nfields = 1 };
	static const char *const texts[] = { "{\"words\":[]}", "{\"words\":[\"a\"]}",
					     "{\"words\":[\"a\",\"bb\"]}",
					     "{\"words\":[\"a\",\"bb\",\"ccc\"]}" };

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct list list = { 0 };
		json_t *back;
		char *text;

		assert_int_equal(body_read_text(&table, texts[i], strlen(texts[i]), 0, &list, NULL),
				 1);
		assert_int_equal(list.nwords, i);
		back = body_write(&table, &list);
		text = json_dumps(back, JSON_COMPACT);
		assert_string_equal(text, texts[i]);
		free(text);
		json_decref(back);
	}
}

static void every_type_arrives(void **state)
{
	struct whole w;
	struct error err;
	int r = read_text("{\"flag\":true,\"number\":9223372036854775807,\"text\":\"1234567\","
			  "\"id\":\"a_1\",\"colour\":\"blue\",\"part\":{\"size\":2},"
			  "\"parts\":[{\"size\":3},{\"size\":9}],"
			  "\"secret\":\"green\"}",
			  0, &w, &err);

	(void)state;
	assert_int_equal(r, 8);
	assert_true(w.flag);
	assert_int_equal(w.number, INT64_MAX);
	assert_string_equal(w.text, "1234567");
	assert_true(w.has_text);
	assert_string_equal(w.id, "a_1");
	assert_int_equal(w.colour, 2);
	assert_true(w.has_part);
	assert_int_equal(w.part.size, 2);
	assert_int_equal(w.nparts, 2);
	assert_int_equal(w.parts[0].size, 3);
	assert_int_equal(w.parts[1].size, 9);
}

static void absent_and_null_are_not_given(void **state)
{
	struct whole w;
	struct error err;

	(void)state;
	assert_int_equal(read_text("{\"id\":\"x\",\"text\":null,\"part\":null}", 0, &w, &err), 1);
	assert_false(w.has_text);
	assert_false(w.has_part);
	assert_int_equal(read_text("{}", BODY_PARTIAL, &w, &err), 0);
	assert_int_equal(read_text("{\"number\":null,\"flag\":false}", BODY_PARTIAL, &w, &err), 1);
}

static void faults_have_code_field_and_text(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *field, *message;
	} rows[] = {
		{ "{\"id\":\"x\",\"nope\":1}", -EBADMSG, "nope", "unknown field `nope`, expected" },
		{ "{\"id\":\"x\",\"a\\nb\":1}", -EBADMSG, "a?b", "unknown field `a?b`" },
		{ "{}", -ENODATA, "id", "missing field `id` at line 1 column 2" },
		{ "{\n\n } \n", -ENODATA, "id", "missing field `id` at line 3 column 2" },
		{ "{\"id\":\"x\",\"id\":\"x\"}", -EBADMSG, "", "duplicate object key" },
		{ "{\"id\":5}", -EBADMSG, "id", "invalid type: integer `5`, expected a string" },
		{ "{\"id\":\"abcd\"}", -ERANGE, "id", "The value of id is out of range." },
		{ "{\"id\":\"a-b\"}", -EINVAL, "id", "API Resource IDs can only contain" },
		{ "{\"id\":\"x\",\"flag\":0}", -EBADMSG, "flag", "invalid type: integer `0`" },
		{ "{\"id\":\"x\",\"number\":-1}", -EBADMSG, "number",
		  "invalid value: integer `-1`" },
		{ "{\"id\":\"x\",\"number\":1e3}", -EBADMSG, "number", "invalid type: floating" },
		{ "{\"id\":\"x\",\"number\":9223372036854775808}", -EBADMSG, "",
		  "invalid type: number beyond 64 bits" },
		{ "{\"id\":\"x\",\"text\":\"12345678\"}", -ERANGE, "text", "The value of text" },
		{ "{\"id\":\"x\",\"colour\":\"Red\"}", -EBADMSG, "colour",
		  "unknown variant `Red`, expected one of `red`, `green`, `blue`" },
		{ "{\"id\":\"x\",\"part\":[]}", -EBADMSG, "part", "invalid type: sequence" },
		{ "{\"id\":\"x\",\"part\":{}}", -ENODATA, "part.size", "missing field `size`" },
		{ "{\"id\":\"x\",\"part\":{\"size\":1}}", -ERANGE, "part.size",
		  "The value of size" },
		{ "{\"id\":\"x\",\"parts\":{}}", -EBADMSG, "parts", "invalid type: map" },
		{ "{\"id\":\"x\",\"parts\":[{\"size\":2},{\"size\":10}]}", -ERANGE, "parts[1].size",
		  "The value of size" },
		{ "{\"id\":\"x\",\"parts\":[{\"size\":2},3]}", -EBADMSG, "parts[1]",
		  "invalid type: integer `3`, expected an object" },
		{ "{\"id\":\"x\",\"parts\":[1,2,3]}", -ERANGE, "parts", "The value of parts" },
		{ "7", -EBADMSG, "", "'[' or '{' expected" },
		{ "", -EBADMSG, "", "'[' or '{' expected near end of file at line 1 column 0" },
	};
	struct whole w;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = read_text(rows[i].text, 0, &w, &err);

		if (r != rows[i].code || err.code != r || strcmp(err.field, rows[i].field) != 0 ||
		    strncmp(err.text, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("%s\n  got  %d [%s] %s\n  want %d [%s] %s", rows[i].text, r,
				 err.field, err.text, rows[i].code, rows[i].field, rows[i].message);
	}
}

static void long_values_are_cut_in_messages(void **state)
{
	char text[4096];
	struct whole w;
	struct error err;

	(void)state;
	strcpy(text, "{\"id\":\"x\",\"flag\":\"");
	memset(text + strlen(text), 'y', 3000);
	strcpy(text + 3000, "\"}");
	assert_int_equal(read_text(text, 0, &w, &err), -EBADMSG);
	assert_true(strlen(err.text) < 150);
	assert_non_null(strstr(err.text, ", expected a boolean"));
}

static void what_was_read_is_written(void **state)
{
	static const char text[] =
		"{\"flag\":true,\"number\":7,\"text\":\"\",\"id\":\"x\",\"colour\":\"green\","
		"\"part\":{\"size\":2},\"parts\":[{\"size\":3}]}";
	struct whole w;
	struct error err;

	(void)state;
	assert_true(read_text(text, 0, &w, &err) > 0);

	json_t *j = body_write(&whole_table, &w);
	char *written = json_dumps(j, JSON_COMPACT);

	assert_string_equal(written, text);
	free(written);
	json_decref(j);
}

static void unset_parts_are_written_as_null(void **state)
{
	const struct whole w = { .id = "x" };
	json_t *j = body_write(&whole_table, &w);
	char *written = json_dumps(j, JSON_COMPACT);

	(void)state;
	assert_string_equal(written, "{\"flag\":false,\"number\":0,\"text\":null,\"id\":\"x\","
				     "\"colour\":\"red\",\"part\":null,\"parts\":[]}");
	free(written);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_arrives),
		cmocka_unit_test(strings_are_counted),
		cmocka_unit_test(maps_are_kept),
		cmocka_unit_test(absent_and_null_are_not_given),
		cmocka_unit_test(faults_have_code_field_and_text),
		cmocka_unit_test(long_values_are_cut_in_messages),
		cmocka_unit_test(what_was_read_is_written),
		cmocka_unit_test(unset_parts_are_written_as_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
