/* doc.c - the reference of the API, made from the table of routes.
 *
 * What the dispatcher and the body reader go by is what is written, so the reference
 * cannot say anything else. Fields inside of others have a row each, with the path to them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "api/doc.h"
#include "api/routes.h"

enum { PATH_BYTES = 128 };

static const char introduction[] =
	"# The API\n\n"
	"Made from the tables that check requests: `build/bin/test_spec docs/api.md` writes this "
	"page, and\na test compares. `wisp --api-spec` prints the same as an OpenAPI document. "
	"[firecracker.md](firecracker.md)\nsays what differs from Firecracker.\n\n"
	"HTTP/1.1 on a Unix socket. A request that succeeds is answered with 200 and a body, or "
	"with 204; any\nother with 400 and `{\"fault_message\": \"...\"}`, and has changed nothing. "
	"Fields that are not listed are\nrefused. `{id}`: letters, digits and underscores. A path or "
	"tap may be `fd:N`, an open descriptor (wisp(1),\nDescriptors instead of paths).\n";

static const char *when(unsigned states)
{
	if (states & VM_NOT_STARTED)
		return states & VM_RUNNING ? "Always." : "Before the start.";
	return states == VM_PAUSED ? "While the machine is paused." : "After the start.";
}

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

static void put_body(FILE *out, const struct route *r)
{
	if (r->any_body)
		fputs(" The body is any JSON object or list.", out);
	if (!r->body)
		return;
	if (r->body->open)
		fputs(" Fields that are not listed are ignored.", out);
	if (r->body_optional)
		fputs(" The body may be left out.", out);
	fputs("\n\n| field | value | default |\n|---|---|---|\n", out);
	put_fields(out, r->body, "", r->present != NULL);
}

int doc_write(FILE *out)
{
	fputs(introduction, out);
	for (size_t i = 0; i < routes_count; i++) {
		const struct route *r = &routes[i];

		fprintf(out, "\n## %s %s\n\n%s", http_verb_name(r->verb), r->path, when(r->states));
		if (r->type)
			fprintf(out, " Answered with `%s`.", r->type);
		if (r->deprecated)
			fprintf(out, " `%s` is deprecated.", r->deprecated);
		put_body(out, r);
		if (!r->body)
			fputc('\n', out);
	}
	return ferror(out) ? -EIO : 0;
}
