/* test_spec.c - the OpenAPI document, the routes and the manual page agree. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/doc.h"
#include "api/routes.h"
#include "api/schema.h"
#include "api/spec.h"

static json_t *at(json_t *o, const char *key)
{
	json_t *value = json_object_get(o, key);

	if (!value)
		fail_msg("there is no \"%s\"", key);
	return value;
}

static json_t *body_of(json_t *spec, const char *path, const char *verb)
{
	json_t *operation = at(at(at(spec, "paths"), path), verb);

	return at(at(at(at(operation, "requestBody"), "content"), "application/json"), "schema");
}

/* In a definition's names: of the route's verb. */
static void lower(const char *from, char *to, size_t size)
{
	size_t i = 0;

	for (; i < size - 1 && from[i]; i++)
		to[i] = (char)(from[i] | 0x20);
	to[i] = '\0';
}

static void test_every_route(void **state)
{
	json_t *spec = spec_openapi(), *path;
	const char *name;
	size_t operations = 0;

	(void)state;
	assert_non_null(spec);
	for (size_t i = 0; i < routes_count; i++) {
		char verb[16];
		json_t *operation;

		lower(http_verb_name(routes[i].verb), verb, sizeof(verb));
		operation = at(at(at(spec, "paths"), routes[i].path), verb);
		at(operation, "responses");
		assert_int_equal(json_object_get(operation, "requestBody") != NULL,
				 routes[i].body != NULL || routes[i].any_body);
		assert_int_equal(json_object_get(at(operation, "responses"), "413") != NULL,
				 routes[i].any_body);
		assert_int_equal(json_object_get(operation, "parameters") != NULL,
				 strstr(routes[i].path, "{id}") != NULL);
	}
	json_object_foreach(at(spec, "paths"), name, path) operations += json_object_size(path);
	assert_int_equal(operations, routes_count);
	json_decref(spec);
}

static void test_bodies(void **state)
{
	json_t *spec = spec_openapi();
	json_t *drive = body_of(spec, "/drives/{id}", "put");
	json_t *machine = body_of(spec, "/machine-config", "patch");
	json_t *limiter = at(at(drive, "properties"), "rate_limiter");
	json_t *bucket = at(at(limiter, "properties"), "bandwidth");

	(void)state;
	assert_false(json_boolean_value(at(drive, "additionalProperties")));
	assert_true(
		json_boolean_value(at(body_of(spec, "/metrics", "put"), "additionalProperties")));
	assert_string_equal(json_string_value(json_array_get(at(drive, "required"), 0)),
			    "drive_id");
	assert_null(json_object_get(machine, "required"));
	assert_int_equal(
		json_integer_value(at(at(at(machine, "properties"), "vcpu_count"), "maximum")), 32);
	assert_int_equal(json_array_size(at(at(at(machine, "properties"), "huge_pages"), "enum")),
			 3);
	assert_true(json_boolean_value(at(limiter, "nullable")));
	assert_int_equal(json_array_size(at(bucket, "required")), 2);
	json_decref(spec);
}

/* "PUT /drives/{id}" as the manual page writes it. */
static void man_row(const struct route *r, char *row, size_t size)
{
	size_t n = (size_t)snprintf(row, size, "\n%s ", http_verb_name(r->verb));

	for (const char *c = r->path; *c && n < size - 8; c++) {
		if (strncmp(c, "{id}", 4) == 0) {
			n += (size_t)snprintf(row + n, size - n, "\\fIid\\fR");
			c += 3;
		} else {
			n += (size_t)snprintf(row + n, size - n, *c == '-' ? "\\-" : "%c", *c);
		}
	}
}

/* What may stand behind a route there: when, or an example of a body. */
static bool manual_has(const char *manual, const struct route *r)
{
	char row[160];
	const char *found = manual;

	man_row(r, row, sizeof(row));
	while ((found = strstr(found, row)) != NULL) {
		found += strlen(row);
		if (*found == '|' || *found == ' ')
			return true;
	}
	return false;
}

static void test_manual_page(void **state)
{
	static char manual[65536];
	FILE *f = fopen(WISP_MAN_PAGE, "re");

	(void)state;
	assert_non_null(f);
	manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
	fclose(f);
	for (size_t i = 0; i < routes_count; i++) {
		if (!manual_has(manual, &routes[i]))
			fail_msg("the manual page does not have %s %s",
				 http_verb_name(routes[i].verb), routes[i].path);
	}
}

/* docs/api.md is what the tables say. */
static void test_reference(void **state)
{
	char *text = NULL, *kept;
	size_t len = 0, n;
	FILE *out = open_memstream(&text, &len), *f = fopen(WISP_REFERENCE, "re");

	(void)state;
	assert_non_null(out);
	assert_non_null(f);
	assert_int_equal(doc_write(out), 0);
	assert_int_equal(fclose(out), 0);
	kept = calloc(1, len + 2);
	assert_non_null(kept);
	n = fread(kept, 1, len + 1, f);
	fclose(f);
	if (n != len || memcmp(kept, text, len) != 0)
		fail_msg("docs/api.md is not up to date: build/bin/test_spec docs/api.md");
	free(kept);
	free(text);
}

/* Writes the reference anew, for who has changed a table. */
static int write_reference(const char *path)
{
	FILE *out = fopen(path, "we");

	return !out || doc_write(out) < 0 || fclose(out) != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_route),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_manual_page),
		cmocka_unit_test(test_reference),
	};

	if (argc == 2)
		return write_reference(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
