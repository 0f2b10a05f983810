/* test_bad_bodies.c - every field of every request, spoilt in every way that there is.
 *
 * The cases come from the tables that read the requests: a body with what is required and
 * one thing wrong in it, for each field, those of objects inside included, and each kind
 * of mistake. Each has a status, the beginning of a message and the field's name in it,
 * and must leave the machine alone. What the tables themselves say is held against
 * requests written by hand in test_routes.c.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/routes.h"
#include "tests/unit/fake_vm.h"

#define BAD_JSON "An error occurred when deserializing the json body of a request: "

enum { LEAST_CASES = 1000, MESSAGE_BYTES = 4096 };

/* A field, and the object fields that lead to it. */
struct place {
	const struct place *outer; /* NULL: the table is the body's */
	const struct body_table *table;
	const struct body_field *field;
};

static unsigned cases;

static json_t *good_object(const struct body_table *t);

static json_t *good_value(const struct body_field *f)
{
	switch (f->type) {
	case BODY_BOOL:
		return json_true();
	case BODY_U64:
		return json_integer((json_int_t)f->min);
	case BODY_STRING:
	case BODY_ID:
		return json_string("x");
	case BODY_ENUM:
		return json_string(f->names[0]);
	case BODY_MAP:
	case BODY_DOCUMENT:
		return json_object();
	case BODY_OBJECT:
		return good_object(f->table);
	case BODY_STRINGS:
	case BODY_ARRAY:
		return json_array();
	}
	return NULL;
}

static json_t *good_object(const struct body_table *t)
{
	json_t *o = json_object();

	for (size_t i = 0; i < t->nfields; i++) {
		if (t->fields[i].required)
			json_object_set_new(o, t->fields[i].name, good_value(&t->fields[i]));
	}
	return o;
}

/* The body with this value at the place; NULL: without the field. */
static json_t *body_with(const struct place *p, json_t *value)
{
	json_t *o = good_object(p->table);

	if (value)
		json_object_set_new(o, p->field->name, value);
	else
		json_object_del(o, p->field->name);
	if (p->outer && p->outer->field->type == BODY_ARRAY)
		o = json_pack("[o]", o);
	return p->outer ? body_with(p->outer, o) : o;
}

/* --- one request --- */

static enum vm_state a_state(const struct route *r)
{
	return r->states & VM_NOT_STARTED ? VM_NOT_STARTED
	       : r->states & VM_RUNNING	  ? VM_RUNNING
					  : VM_PAUSED;
}

static void get_message(const char *body, char message[MESSAGE_BYTES])
{
	json_t *j = json_loads(body, 0, NULL);
	const char *text = json_string_value(json_object_get(j, "fault_message"));

	snprintf(message, MESSAGE_BYTES, "%s", text ? text : "");
	json_decref(j);
}

/* Sends it; the answer must be 400, with a message that begins so and names that. */
static void refused(const struct route *r, const char *body, const char *begins, const char *names)
{
	struct vm *vm = fake_vm_new();
	char path[128], message[MESSAGE_BYTES] = "";
	struct http_response res = { .status = 204 };
	const struct http_request req = {
		.verb = r->verb,
		.path = path,
		.body = body,
		.body_len = strlen(body),
	};
	const char *id = strstr(r->path, "{id}");

	snprintf(path, sizeof(path), "%.*s%s", id ? (int)(id - r->path) : (int)strlen(r->path),
		 r->path, id ? "x" : "");
	fake_vm_set_state(vm, a_state(r));
	routes_handle(vm, &req, &res);
	if (res.body)
		get_message(res.body, message);
	if (res.status != 400 || strncmp(message, begins, strlen(begins)) != 0 ||
	    !strstr(message, names) || fake_vm_calls(vm)[0])
		fail_msg("%s %s %.300s\n  got  %d %s [%s]\n  want 400 %s, with %s",
			 http_verb_name(r->verb), path, body, res.status, message,
			 fake_vm_calls(vm), begins, names);
	free(res.body);
	vm_destroy(vm);
	cases++;
}

/* Takes over the value. */
static void spoil(const struct route *r, const struct place *p, json_t *value, const char *begins)
{
	json_t *j = body_with(p, value);
	char *body = json_dumps(j, JSON_COMPACT);

	assert_non_null(body);
	refused(r, body, begins, p->field->name);
	free(body);
	json_decref(j);
}

/* --- mistakes --- */

static bool takes(enum body_type type, const json_t *v)
{
	static const json_type accepted[] = {
		[BODY_STRING] = JSON_STRING,   [BODY_ID] = JSON_STRING,
		[BODY_ENUM] = JSON_STRING,     [BODY_MAP] = JSON_OBJECT,
		[BODY_DOCUMENT] = JSON_OBJECT, [BODY_OBJECT] = JSON_OBJECT,
		[BODY_STRINGS] = JSON_ARRAY,   [BODY_ARRAY] = JSON_ARRAY,
		[BODY_U64] = JSON_INTEGER,     [BODY_BOOL] = JSON_TRUE,
	};

	return json_typeof(v) == accepted[type] || (type == BODY_BOOL && json_is_boolean(v));
}

static void wrong_types(const struct route *r, const struct place *p)
{
	json_t *values[] = { json_true(),      json_false(), json_integer(7), json_real(1.5),
			     json_string("x"), json_array(), json_object(),   json_null() };
	bool null_is_absent = p->field->nullable || (!p->outer && r->present);

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (takes(p->field->type, values[i]) || (json_is_null(values[i]) && null_is_absent))
			json_decref(values[i]);
		else
			spoil(r, p, values[i], BAD_JSON "invalid type: ");
	}
}

static const char *out_of_range(const struct body_field *f, char text[MESSAGE_BYTES])
{
	snprintf(text, MESSAGE_BYTES, "The value of %s is out of range.", f->name);
	return f->fault ? f->fault : text;
}

static void wrong_numbers(const struct route *r, const struct place *p)
{
	const struct body_field *f = p->field;
	char text[MESSAGE_BYTES];

	spoil(r, p, json_integer(-1), BAD_JSON "invalid value: integer `-1`, expected u64");
	if (f->min > 0)
		spoil(r, p, json_integer((json_int_t)f->min - 1), out_of_range(f, text));
	if (f->max < INT64_MAX)
		spoil(r, p, json_integer((json_int_t)f->max + 1), out_of_range(f, text));
}

/* The shortest that is too long. */
static json_t *long_string(size_t len)
{
	char *text = malloc(len + 1);
	json_t *s;

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	s = json_string(text);
	free(text);
	return s;
}

static void wrong_strings(const struct route *r, const struct place *p)
{
	char text[MESSAGE_BYTES];

	spoil(r, p, long_string(p->field->size), out_of_range(p->field, text));
	if (p->field->min > 0)
		spoil(r, p, json_string(""), out_of_range(p->field, text));
}

static void wrong_ids(const struct route *r, const struct place *p)
{
	static const char *const ids[] = { "a/b", "../x", "a b", "a-b", "\xc3\xa9" };
	char text[MESSAGE_BYTES];

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		spoil(r, p, json_string(ids[i]),
		      "API Resource IDs can only contain alphanumeric characters");
	spoil(r, p, long_string(p->field->size), out_of_range(p->field, text));
	spoil(r, p, long_string(10240), out_of_range(p->field, text));
}

static void wrong_names(const struct route *r, const struct place *p)
{
	spoil(r, p, json_string("Colour"), BAD_JSON "unknown variant `Colour`, expected ");
	spoil(r, p, json_string(""), BAD_JSON "unknown variant ``, expected ");
}

static void missing(const struct route *r, const struct place *p)
{
	char text[MESSAGE_BYTES];

	snprintf(text, sizeof(text), BAD_JSON "missing field `%s`", p->field->name);
	spoil(r, p, NULL, p->field->absent ? p->field->absent : text);
}

static void spoil_table(const struct route *r, const struct place *outer,
			const struct body_table *t);

static void spoil_field(const struct route *r, const struct place *p)
{
	const struct body_field *f = p->field;

	wrong_types(r, p);
	if (f->required && (p->outer || !r->present))
		missing(r, p);
	if (f->type == BODY_U64)
		wrong_numbers(r, p);
	else if (f->type == BODY_STRING)
		wrong_strings(r, p);
	else if (f->type == BODY_ID)
		wrong_ids(r, p);
	else if (f->type == BODY_ENUM)
		wrong_names(r, p);
	else if (f->type == BODY_MAP)
		spoil(r, p, json_pack("{s:i}", "a", 1), BAD_JSON "invalid type: integer `1`");
	else if (f->type == BODY_STRINGS)
		spoil(r, p, json_pack("[i]", 1), BAD_JSON "invalid type: integer `1`");
	else if (f->type == BODY_OBJECT || f->type == BODY_ARRAY)
		spoil_table(r, p, f->table);
}

static void spoil_table(const struct route *r, const struct place *outer,
			const struct body_table *t)
{
	const struct body_field extra = { .name = "colour" };

	for (size_t i = 0; i < t->nfields; i++)
		spoil_field(r, &(struct place){ outer, t, &t->fields[i] });
	if (!t->open)
		spoil(r, &(struct place){ outer, t, &extra }, json_true(),
		      BAD_JSON "unknown field `colour`, expected ");
}

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < routes_count; i++) {
		if (routes[i].body)
			spoil_table(&routes[i], NULL, routes[i].body);
	}
	print_message("%u bad requests\n", cases);
	assert_true(cases >= LEAST_CASES);
}

/* What is no JSON object at all. */
static void test_documents(void **state)
{
	static const struct {
		const char *body, *begins;
	} rows[] = {
		{ "[]", BAD_JSON "invalid type: sequence" },
		{ "7", BAD_JSON },
		{ "null", BAD_JSON },
		{ "{", BAD_JSON },
		{ "{}{}", BAD_JSON },
		{ "{'a': 1}", BAD_JSON },
		{ "{\"\xff\": 1}", BAD_JSON },
		{ "{\"colour\": \"\xed\xa0\x80\"}", BAD_JSON },
		{ "{\"colour\": \"\\u0000\"}", BAD_JSON },
		{ "{\"colour\": 1, \"colour\": 1}", BAD_JSON "duplicate object key" },
		{ "{\"colour\": 123456789012345678901234567890}", BAD_JSON "invalid type: number" },
		{ "{\"colour\": 1e999}", BAD_JSON },
	};

	(void)state;
	for (size_t i = 0; i < routes_count; i++) {
		for (size_t row = 0; routes[i].body && row < sizeof(rows) / sizeof(rows[0]); row++)
			refused(&routes[i], rows[row].body, rows[row].begins, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
