/* body_doc.c - the fields of a body as a table of the reference.
 *
 * What the body reader goes by is what is written, so the reference cannot say anything
 * else. Fields inside of others have a row each, with the path to them.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "api/body_doc.h"

enum { PATH_BYTES = 128 };

static void put_names(FILE *out, const char *const *names)
{
	for (unsigned i = 0; names[i]; i++)
		fprintf(out, "%s`\"%s\"`", i ? ", " : "", names[i]);
}

static void put_type(FILE *out, const struct body_field *f)
{
	switch (f->type) {
	case BODY_BOOL:
		fputs("true or false", out);
		break;
	case BODY_U64:
		fprintf(out, "%" PRIu64 " to %" PRIu64, f->min,
			f->max < INT64_MAX ? f->max : (uint64_t)INT64_MAX);
		break;
	case BODY_STRING:
		fprintf(out, "text of %" PRIu64 " to %zu bytes", f->min, f->size - 1);
		break;
	case BODY_ID:
		fprintf(out, "an id of up to %zu characters", f->size - 1);
		break;
	case BODY_ENUM:
		put_names(out, f->names);
		break;
	case BODY_MAP:
		fprintf(out, "an object of texts, of up to %zu bytes of JSON", f->size - 1);
		break;
	case BODY_DOCUMENT:
		fprintf(out, "any object, of up to %zu bytes of JSON", f->size - 1);
		break;
	case BODY_OBJECT:
		fputs("an object", out);
		break;
	case BODY_STRINGS:
		fprintf(out, "a list of up to %" PRIu64 " texts", f->max);
		break;
	case BODY_ARRAY:
		fprintf(out, "a list of up to %" PRIu64 " objects", f->max);
		break;
	}
}

/* keep: a field that is not given stays as it is. */
static void put_default(FILE *out, const struct body_field *f, json_t *defaults, bool keep)
{
	json_t *value = json_object_get(defaults, f->name);

	if (keep)
		fputs("kept", out);
	else if (f->required)
		fputs("required", out);
	else if (!value || json_is_null(value) || json_is_object(value) || json_is_array(value))
		fputs("none", out);
	else {
		fputc('`', out);
		json_dumpf(value, out, JSON_ENCODE_ANY);
		fputc('`', out);
	}
}

/* The fields of a table as they are when none is given. NULL: memory is short. */
static json_t *defaults_of(const struct body_table *t)
{
	void *zeroes = calloc(1, t->size);
	json_t *j = zeroes ? body_write(t, t->defaults ? t->defaults : zeroes) : NULL;

	free(zeroes);
	return j;
}

static void put_fields(FILE *out, const struct body_table *t, const char *prefix, bool keep)
{
	json_t *defaults = defaults_of(t);
	char path[PATH_BYTES];

	for (size_t i = 0; i < t->nfields; i++) {
		const struct body_field *f = &t->fields[i];

		fprintf(out, "| `%s%s` | ", prefix, f->name);
		put_type(out, f);
		fputs(" | ", out);
		put_default(out, f, defaults, keep);
		fputs(" |\n", out);
		if (!f->table)
			continue;
		snprintf(path, sizeof(path), "%s%s%s.", prefix, f->name,
			 f->type == BODY_ARRAY ? "[]" : "");
		put_fields(out, f->table, path, false);
	}
	json_decref(defaults);
}

void body_doc(FILE *out, const struct body_table *t, bool keep)
{
	fputs("\n\n| field | value | default |\n|---|---|---|\n", out);
	put_fields(out, t, "", keep);
}
