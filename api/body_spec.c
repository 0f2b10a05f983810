/* body_spec.c - a body as a schema of OpenAPI 3, from the table that checks it. */
#include "api/body_spec.h"

/* --- one field --- */

static json_t *bool_schema(const struct body_field *f)
{
	(void)f;
	return json_pack("{s:s}", "type", "boolean");
}

/* JSON's numbers end, for most readers and for jansson, at 63 bits. */
static json_t *number_schema(const struct body_field *f)
{
	uint64_t max = f->max < INT64_MAX ? f->max : INT64_MAX;

	return json_pack("{s:s, s:s, s:I, s:I}", "type", "integer", "format", "int64", "minimum",
			 (json_int_t)f->min, "maximum", (json_int_t)max);
}

static json_t *string_schema(const struct body_field *f)
{
	return json_pack("{s:s, s:I, s:I}", "type", "string", "minLength", (json_int_t)f->min,
			 "maxLength", (json_int_t)f->size - 1);
}

static json_t *id_schema(const struct body_field *f)
{
	return json_pack("{s:s, s:s, s:I}", "type", "string", "pattern", BODY_ID_PATTERN,
			 "maxLength", (json_int_t)f->size - 1);
}

static json_t *enum_schema(const struct body_field *f)
{
	json_t *names = json_array();

	for (const char *const *name = f->names; *name; name++)
		json_array_append_new(names, json_string(*name));
	return json_pack("{s:s, s:o}", "type", "string", "enum", names);
}

static json_t *map_schema(const struct body_field *f)
{
	(void)f;
	return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type",
			 "string");
}

static json_t *document_schema(const struct body_field *f)
{
	(void)f;
	return json_pack("{s:s}", "type", "object");
}

static json_t *object_schema(const struct body_field *f)
{
	return body_spec(f->table);
}

static json_t *strings_schema(const struct body_field *f)
{
	return json_pack("{s:s, s:I, s:{s:s, s:i, s:I}}", "type", "array", "maxItems",
			 (json_int_t)f->max, "items", "type", "string", "minLength", 1, "maxLength",
			 (json_int_t)(f->size / f->max) - 1);
}

static json_t *array_schema(const struct body_field *f)
{
	return json_pack("{s:s, s:I, s:o}", "type", "array", "maxItems", (json_int_t)f->max,
			 "items", body_spec(f->table));
}

static json_t *field_schema(const struct body_field *f)
{
	static json_t *(*const schemas[])(const struct body_field *f) = {
		[BODY_BOOL] = bool_schema,	   [BODY_U64] = number_schema,
		[BODY_STRING] = string_schema,	   [BODY_ID] = id_schema,
		[BODY_ENUM] = enum_schema,	   [BODY_MAP] = map_schema,
		[BODY_DOCUMENT] = document_schema, [BODY_OBJECT] = object_schema,
		[BODY_STRINGS] = strings_schema,   [BODY_ARRAY] = array_schema,
	};
	json_t *schema = schemas[f->type](f);

	if (f->nullable)
		json_object_set_new(schema, "nullable", json_true());
	return schema;
}

/* --- a body --- */

json_t *body_spec(const struct body_table *t)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
				   "additionalProperties", t->open);

	for (size_t i = 0; i < t->nfields; i++) {
		const struct body_field *f = &t->fields[i];

		json_object_set_new(properties, f->name, field_schema(f));
		if (f->required)
			json_array_append_new(required, json_string(f->name));
	}
	/* An empty list is not allowed. */
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	return schema;
}
