/* spec.c - the API as an OpenAPI 3 document, made from the table of routes. */
#include <stdio.h>
#include <string.h>

#include "api/body_spec.h"
#include "api/routes.h"
#include "api/spec.h"

/* A PATCH of what is there requires no field. */
static json_t *body_schema(const struct route *r)
{
	json_t *schema = r->body ? body_spec(r->body) : json_pack("{s:s}", "type", "object");

	if (r->present)
		json_object_del(schema, "required");
	return schema;
}

/* --- a route --- */

static json_t *content(const char *type, json_t *schema)
{
	return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *json_content(json_t *schema)
{
	return content("application/json", schema);
}

static json_t *fault_schema(void)
{
	return json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties",
			 "fault_message", "type", "string", "required", "fault_message");
}

static void add_refusal(json_t *responses, const char *status, const char *description)
{
	json_object_set_new(responses, status,
			    json_pack("{s:s, s:o}", "description", description, "content",
				      json_content(fault_schema())));
}

static json_t *responses(const struct route *r)
{
	json_t *all = json_object();

	if (r->verb == VERB_GET)
		json_object_set_new(
			all, "200",
			json_pack("{s:s, s:o}", "description", "What was asked for", "content",
				  r->type ? content(r->type, json_pack("{s:s}", "type", "string"))
					  : json_content(json_pack("{s:s}", "type", "object"))));
	else
		json_object_set_new(all, "204", json_pack("{s:s}", "description", "Done"));
	add_refusal(all, "400", "Refused, and nothing has changed");
	if (r->any_body)
		add_refusal(all, "413", "Too large, and nothing has changed");
	return all;
}

static const char *when(unsigned states)
{
	if (!(states & VM_NOT_STARTED))
		return "After the start.";
	return states & VM_RUNNING ? "Always." : "Before the start.";
}

static json_t *operation(const struct route *r)
{
	json_t *o =
		json_pack("{s:s, s:o}", "description", when(r->states), "responses", responses(r));

	if (r->body || r->any_body)
		json_object_set_new(o, "requestBody",
				    json_pack("{s:b, s:o}", "required", !r->body_optional,
					      "content", json_content(body_schema(r))));
	if (strstr(r->path, "{id}"))
		json_object_set_new(o, "parameters",
				    json_pack("[{s:s, s:s, s:b, s:{s:s, s:s}}]", "name", "id", "in",
					      "path", "required", true, "schema", "type", "string",
					      "pattern", BODY_ID_PATTERN));
	return o;
}

static const char *verb_key(enum http_verb verb)
{
	static const char *const keys[] = {
		[VERB_GET] = "get",
		[VERB_PUT] = "put",
		[VERB_PATCH] = "patch",
		[VERB_DELETE] = "delete",
	};

	return keys[verb];
}

json_t *spec_openapi(void)
{
	json_t *paths = json_object();

	for (size_t i = 0; i < routes_count; i++) {
		json_t *path = json_object_get(paths, routes[i].path);

		if (!path) {
			path = json_object();
			json_object_set_new(paths, routes[i].path, path);
		}
		json_object_set_new(path, verb_key(routes[i].verb), operation(&routes[i]));
	}
	return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:o}", "openapi", "3.0.3", "info",
			 "title", "wisp", "version", ROUTES_FIRECRACKER_VERSION, "description",
			 "The API of one microVM, on a Unix socket; compatible with the version "
			 "of Firecracker's API that is given here.",
			 "license", "name", "Apache-2.0", "paths", paths);
}
