/* dispatch.c - from a request to its route, and to the answer.
 *
 * The order of the checks is Firecracker's, and a client can see it: first verb,
 * path and presence of a body, then the ids, then the body itself, then the state
 * of the machine, then what only the machine can say. A body is wrong in every
 * state in the same way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/fault.h"
#include "api/routes.h"
#include "vmm/base/log.h"
#include "vmm/metrics.h"

enum { PATH_SHOWN = 128 };

int api_out_of_memory(struct api_call *call)
{
	return error_set(&call->err, -ENOMEM, NULL, NULL, "The VMM is out of memory.");
}

int api_check_state(struct api_call *call, unsigned allowed)
{
	enum vm_state state = vm_state(call->vm);

	if (allowed & state)
		return 0;
	return error_set(&call->err, -EPERM, NULL, NULL,
			 "The requested operation is not supported %s starting the microVM.",
			 state == VM_NOT_STARTED ? "before" : "after");
}

/* *id: the segment that "{id}" stands for, "" when the path ends before it. */
static bool path_matches(const char *pattern, const char *path, const char **id)
{
	const char *brace = strstr(pattern, "/{id}");
	size_t n = brace ? (size_t)(brace - pattern) : strlen(pattern);

	*id = NULL;
	if (strncmp(pattern, path, n) != 0)
		return false;
	path += n;
	if (!brace)
		return *path == '\0';
	if (*path != '/' && *path != '\0')
		return false;
	*id = *path ? path + 1 : path;
	return strchr(*id, '/') == NULL;
}

static const struct route *find_route(const struct http_request *request, const char **id)
{
	for (size_t i = 0; i < routes_count; i++)
		if (routes[i].verb == request->verb &&
		    path_matches(routes[i].path, request->path, id))
			return &routes[i];
	return NULL;
}

/* Firecracker's rule on bodies depends on the verb alone, known path or not, with few
 * exceptions. */
static int check_body_presence(const struct route *route, const struct http_request *request,
			       struct error *err)
{
	static const struct {
		bool body;
		const char *fault;
	} rules[] = {
		[VERB_GET] = { false, "GET request cannot have a body." },
		[VERB_PUT] = { true, "Empty PUT request." },
		[VERB_PATCH] = { true, "Empty PATCH request." },
		[VERB_DELETE] = { false, "Empty Delete request." },
	};

	if ((route && route->body_optional) || rules[request->verb].body == (request->body_len > 0))
		return 0;
	return error_set(err, -EINVAL, NULL, NULL, "%s", rules[request->verb].fault);
}

static int no_such_route(const struct http_request *request, struct error *err)
{
	return error_set(err, -ENOENT, NULL, NULL, "Invalid request method and/or path: %s %.*s.",
			 http_verb_name(request->verb), PATH_SHOWN,
			 request->path + (request->path[0] == '/'));
}

/* Allocates call->config, from the table's defaults or what the machine has now. */
static int prepare_config(const struct route *route, struct api_call *call)
{
	const void *start = route->present ? route->present(call->vm) : route->body->defaults;

	call->config = calloc(1, route->body->size);
	if (!call->config)
		return api_out_of_memory(call);
	if (start)
		memcpy(call->config, start, route->body->size);
	return 0;
}

static int read_body(const struct route *route, const struct http_request *request,
		     struct api_call *call)
{
	unsigned flags = route->present ? BODY_PARTIAL : 0;
	int r = prepare_config(route, call);

	if (r < 0 || (route->body_optional && request->body_len == 0))
		return r;
	r = body_read_text(route->body, request->body, request->body_len, flags, call->config,
			   &call->err);
	if (r < 0) {
		fault_introduce(&call->err);
		return r;
	}
	call->given = r;
	return 0;
}

static int read_document(const struct http_request *request, struct api_call *call)
{
	call->document = body_parse(request->body, request->body_len, &call->err);
	if (call->document)
		return 0;
	fault_introduce(&call->err);
	return call->err.code;
}

static int dispatch(const struct http_request *request, struct api_call *call,
		    const struct route **ret)
{
	const struct route *route = find_route(request, &call->id);
	int r = check_body_presence(route, request, &call->err);

	if (r < 0)
		return r;
	if (!route)
		return no_such_route(request, &call->err);
	*ret = route;
	if (call->id && (r = body_check_id(call->id, &call->err)) < 0)
		return r;
	if (route->body && (r = read_body(route, request, call)) < 0)
		return r;
	if (route->any_body && (r = read_document(request, call)) < 0)
		return r;
	r = api_check_state(call, route->states);
	return r < 0 ? r : route->run(call);
}

/* Firecracker counts requests that reached a route, whatever came of them. */
static void count(const struct route *route, const struct vm *vm, bool failed)
{
	static const struct {
		enum metrics_verb verb;
		bool counted;
	} verbs[] = {
		[VERB_GET] = { METRICS_GET, true },
		[VERB_PUT] = { METRICS_PUT, true },
		[VERB_PATCH] = { METRICS_PATCH, true },
		[VERB_DELETE] = { .counted = false },
	};

	if (route && route->metric && verbs[route->verb].counted)
		metrics_count_request(vm_metrics(vm), verbs[route->verb].verb, route->metric,
				      failed);
}

/* A second look at a body that was already found good, for one field. */
static bool has_field(const struct http_request *request, const char *name)
{
	json_t *j = body_parse(request->body, request->body_len, NULL);
	const json_t *value = json_object_get(j, name);
	bool has = value && !json_is_null(value);

	json_decref(j);
	return has;
}

void routes_handle(void *vm, const struct http_request *request, struct http_response *response)
{
	struct api_call call = { .vm = vm, .response = response };
	const struct route *route = NULL;
	char line[FAULT_LINE_BYTES];

	if (dispatch(request, &call, &route) < 0 || !route) {
		fault_line(&call.err, line, sizeof(line));
		log_info("api: %s %.*s: %s", http_verb_name(request->verb), PATH_SHOWN,
			 request->path, line);
		response->status = call.refusal ? call.refusal : 400;
		response->body = fault_json(line);
	} else if (!response->is_owed) {
		response->status = call.reply || call.text ? 200 : 204;
		response->body = call.reply ? json_dumps(call.reply, JSON_COMPACT) : call.text;
		response->type = route->type;
		response->stream = route->stream;
		response->deprecated = route->deprecated && has_field(request, route->deprecated);
		if (response->deprecated)
			metrics_count_deprecated(vm_metrics(vm));
	}
	count(route, vm, response->status >= 400);
	json_decref(call.reply);
	json_decref(call.document);
	free(call.config);
}
