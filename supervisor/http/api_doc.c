/* api_doc.c - the tables of routes as a reference and as an OpenAPI document. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/body_doc.h"
#include "api/body_spec.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"

const struct api_area *const api_areas[] = {
	&api_instances, &api_guests,	&api_changes,	 &api_engines,	&api_snapshots,
	&api_images,	&api_networks,	&api_volumes,	 &api_pools,	&api_tenants,
	&api_billing,	&api_budgets,	&api_scheduling, &api_activity, &api_ledger,
	&api_devices,	&api_functions, &api_placement,	 &api_host,	NULL,
};

static const char *const role_names[] = {
	[ROLE_NONE] = "nobody",
	[ROLE_VIEWER] = "viewer",
	[ROLE_OPERATOR] = "operator",
	[ROLE_ADMIN] = "admin",
};

static const char introduction[] =
	"# The API of wispd\n\n"
	"Made from the tables that check requests: `build/bin/test_wispd_api docs/wispd-api.md` "
	"writes this page,\nand a test compares. `GET /openapi` gives the same as an OpenAPI "
	"document. [wispd(8)](wispd.8) says who may\ncall what, [supervisor.md](supervisor.md) "
	"how it works inside.\n\n"
	"HTTP/1.1 on a Unix socket, JSON both ways. A request that cannot be served is answered "
	"with\n`{\"fault_message\", \"code\", \"field\", \"hint\"}`, and has changed nothing; the "
	"codes are stable:\n`not_found`, `exists`, `illegal_move`, `generation_mismatch`, `in_use`, "
	"`quota_exceeded`, `no_capacity`, `cordoned`,\n`key_reused`, `bad_request`, `unsupported`, `forbidden`, "
	"`no_space`, `try_again`, `damaged`, `internal`,\n`UNSUPPORTED_DEVICE` (by a microVM), `device_refused` (by the preflight).\n\n"
	"- `Idempotency-Key: TEXT`, a header of any request that changes something: the same "
	"request with the same\n  key is done once, and answered again with the first answer, for "
	"a day.\n"
	"- `?tenant=NAME`: whose things an admin means; `default`, where something is made, and "
	"everybody's, where\n  something is listed. Others have one tenant, and see nothing else.\n"
	"- Long work is answered with 202 and an `operation`; `GET /operations/{id}?wait_ms=N` "
	"waits for its end.\n";

static void put_states(FILE *out)
{
	fputs("\n## The states of an instance\n\n| state | | holds |\n|---|---|---|\n", out);
	json_t *all = states_describe(), *one;
	size_t i;

	json_array_foreach(json_object_get(all, "states"), i, one) fprintf(
		out, "| `%s` | %s | %s |\n", json_string_value(json_object_get(one, "name")),
		json_string_value(json_object_get(one, "meaning")),
		json_string_value(json_object_get(one, "holds")));
	fputs("\nThe moves between them; any other is refused with `illegal_move`.\n\n"
	      "| from | to | by |\n|---|---|---|\n",
	      out);
	json_array_foreach(json_object_get(all, "moves"), i, one) fprintf(
		out, "| `%s` | `%s` | %s%s |\n", json_string_value(json_object_get(one, "from")),
		json_string_value(json_object_get(one, "to")),
		json_is_true(json_object_get(one, "asked")) ? "the verb " : "",
		json_string_value(json_object_get(one, "by")));
	json_decref(all);
}

static void put_route(FILE *out, const struct api_route *r)
{
	fprintf(out, "\n### %s %s\n\n%s For: %s. Success: %d.", r->verb, r->path, r->what,
		role_names[r->role], r->status);
	if (r->query)
		fprintf(out, "\n\nQuery: %s.", r->query);
	if (r->body)
		body_doc(out, r->body, false);
	else
		fputc('\n', out);
}

int api_write_reference(FILE *out)
{
	fputs(introduction, out);
	for (const struct api_area *const *area = api_areas; *area; area++) {
		fprintf(out, "\n## %s\n", (*area)->name);
		for (size_t i = 0; i < (*area)->count; i++)
			put_route(out, &(*area)->routes[i]);
	}
	put_states(out);
	return ferror(out) ? -EIO : 0;
}

/* --- OpenAPI --- */

static json_t *content(json_t *schema)
{
	return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

static json_t *responses(const struct api_route *r)
{
	json_t *fault = json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}", "type", "object",
				  "properties", "fault_message", "type", "string", "code", "type",
				  "string", "field", "type", "string", "hint", "type", "string");
	char status[8];

	snprintf(status, sizeof(status), "%d", r->status);
	return json_pack("{s:{s:s, s:o}, s:{s:s, s:o}}", status, "description", "Done, or begun",
			 "content", content(json_pack("{s:s}", "type", "object")), "default",
			 "description", "Refused, and nothing has changed", "content",
			 content(fault));
}

static json_t *operation(const struct api_route *r)
{
	json_t *o = json_pack("{s:s, s:s, s:o}", "summary", r->what, "x-role", role_names[r->role],
			      "responses", responses(r));

	if (r->body)
		json_object_set_new(o, "requestBody",
				    json_pack("{s:o}", "content", content(body_spec(r->body))));
	if (strchr(r->path, '{'))
		json_object_set_new(o, "parameters",
				    json_pack("[{s:s, s:s, s:b, s:{s:s}}]", "name", "id", "in",
					      "path", "required", true, "schema", "type",
					      "string"));
	return o;
}

static void add_route(json_t *paths, const struct api_route *r)
{
	json_t *path = json_object_get(paths, r->path);
	char verb[8] = "";

	for (size_t i = 0; r->verb[i] && i < sizeof(verb) - 1; i++)
		verb[i] = (char)tolower((unsigned char)r->verb[i]);
	if (!path) {
		path = json_object();
		json_object_set_new(paths, r->path, path);
	}
	json_object_set_new(path, verb, operation(r));
}

json_t *api_openapi(void)
{
	json_t *paths = json_object();

	for (const struct api_area *const *area = api_areas; *area; area++)
		for (size_t i = 0; i < (*area)->count; i++)
			add_route(paths, &(*area)->routes[i]);
	return json_pack("{s:s, s:{s:s, s:s, s:{s:s}}, s:o}", "openapi", "3.0.3", "info", "title",
			 "wispd", "version", WISP_VERSION, "license", "name", "Apache-2.0", "paths",
			 paths);
}
