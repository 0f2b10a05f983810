/* api.c - the dispatcher: who may call what, within one transaction. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/idempotency.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* --- errors --- */

static const struct {
	int error, status;
	const char *code;
} codes[] = {
	{ -ENOENT, 404, "not_found" },
	{ -ENOTDIR, 404, "no_such_route" },
	{ -ENOSYS, 405, "wrong_method" },
	{ -EACCES, 403, "forbidden" },
	{ -EEXIST, 409, "exists" },
	{ -EPERM, 409, "illegal_move" },
	{ -ESTALE, 409, "generation_mismatch" },
	{ -EBUSY, 409, "in_use" },
	{ -EDQUOT, 409, "quota_exceeded" },
	{ -EKEYREJECTED, 409, "key_reused" },
	{ -EBADMSG, 400, "bad_request" },
	{ -ENODATA, 400, "bad_request" },
	{ -ERANGE, 400, "bad_request" },
	{ -EINVAL, 400, "bad_request" },
	{ -E2BIG, 413, "too_large" },
	{ -EFBIG, 413, "too_large" },
	{ -ENOTSUP, 400, "unsupported" },
	{ -ENODEV, 400, "UNSUPPORTED_DEVICE" },
	{ -ENXIO, 409, "device_refused" },
	{ -EUSERS, 503, "no_capacity" },
	{ -EAGAIN, 503, "try_again" },
	{ -ECANCELED, 503, "interrupted" },
	{ -ESHUTDOWN, 503, "cordoned" },
	{ -ENOSPC, 507, "no_space" },
	{ -EUCLEAN, 500, "damaged" },
};

int api_status_of(int error, const char **code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].error != error)
			continue;
		*code = codes[i].code;
		return codes[i].status;
	}
	*code = "internal";
	return 500;
}

/* fault_message first: that is where libwisp looks. */
static void refuse(struct api_answer *answer, const struct error *err)
{
	const char *code;
	json_t *j;

	answer->status = api_status_of(err->code, &code);
	if (answer->status == 500)
		log_error("%s", err->text);
	j = json_pack("{s:s, s:s, s:s, s:s}", "fault_message", err->text, "code", code, "field",
		      err->field, "hint", err->hint);
	answer->text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
}

/* --- finding --- */

/* One "{id}" stands for one part of the path. */
static bool path_matches(const char *pattern, const char *path, char *id, size_t size)
{
	const char *brace = strchr(pattern, '{');
	size_t before = brace ? (size_t)(brace - pattern) : strlen(pattern), len;

	id[0] = '\0';
	if (strncmp(pattern, path, before) != 0)
		return false;
	path += before;
	if (!brace)
		return *path == '\0';
	len = strcspn(path, "/");
	if (len == 0 || len >= size || strcmp(path + len, strchr(brace, '}') + 1) != 0)
		return false;
	snprintf(id, size, "%.*s", (int)len, path);
	return true;
}

static const struct api_route *find_route(struct api_call *call)
{
	const struct api_request *q = call->request;
	bool known = false;

	for (const struct api_area *const *area = api_areas; *area; area++) {
		for (size_t i = 0; i < (*area)->count; i++) {
			const struct api_route *r = &(*area)->routes[i];

			if (!path_matches(r->path, q->path, call->id, sizeof(call->id)))
				continue;
			known = true;
			if (strcmp(r->verb, q->verb) == 0)
				return r;
		}
	}
	error_set(&call->err, known ? -ENOSYS : -ENOTDIR, NULL, "GET /openapi lists what there is",
		  "There is no %.16s %.128s", q->verb, q->path);
	return NULL;
}

/* --- who may --- */

/* An admin says whose things he means by ?tenant=, "default" where something is made. */
static int choose_tenant(struct api_call *call, const struct api_route *route)
{
	const char *asked = call->request->query(call->request->connection, "tenant");

	if (call->caller->role < route->role)
		return error_set(&call->err, -EACCES, NULL,
				 "ask whoever runs this host to list you as a principal of wispd",
				 "%s may not call this", call->caller->actor);
	if (call->caller->tenant[0]) {
		call->tenant = call->caller->tenant;
		if (asked && strcmp(asked, call->tenant) != 0)
			return error_set(&call->err, -EACCES, "tenant", NULL,
					 "%s belongs to another tenant", call->caller->actor);
		return 0;
	}
	call->tenant = asked;
	return 0;
}

/* --- running --- */

static int read_body(struct api_call *call, const struct api_route *route)
{
	const struct api_request *q = call->request;
	static const char nothing[] = "{}";

	if (!route->body) {
		if (q->len == 0)
			return 0;
		return error_set(&call->err, -EBADMSG, NULL, NULL, "No body is allowed here");
	}
	call->config = calloc(1, route->body->size);
	if (!call->config)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	if (route->body->defaults)
		memcpy(call->config, route->body->defaults, route->body->size);
	call->given =
		body_read_text(route->body, q->len ? q->body : nothing,
			       q->len ? q->len : sizeof(nothing) - 1, 0, call->config, &call->err);
	return call->given < 0 ? call->given : 0;
}

static int make_answer(struct api_call *call, const struct api_route *route,
		       struct api_answer *answer)
{
	answer->status = route->status;
	if (route->type) {
		answer->type = route->type;
		answer->text = call->text;
		call->text = NULL;
	} else {
		json_t *j = call->reply ? json_incref(call->reply) : json_object();

		answer->text = json_dumps(j, JSON_COMPACT);
		json_decref(j);
	}
	return answer->text ? 0 : error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
}

static int run_reading(struct api_call *call, const struct api_route *route,
		       struct api_answer *answer)
{
	int r = route->run(call);

	if (r == 0 && call->wait_ms && !call->request->last) {
		answer->wait_ms = call->wait_ms;
		return 0;
	}
	return r < 0 ? r : make_answer(call, route, answer);
}

/* An answer that was given before to this key is given again, and nothing is done. */
static int run_writing(struct api_call *call, const struct api_route *route,
		       struct api_answer *answer)
{
	struct truth *t = &call->d->truth;
	int r = store_begin(t->store, &call->err);

	if (r < 0)
		return r;
	r = idempotency_find(t, call->tenant, call->request, answer, &call->err);
	if (r > 0) {
		store_rollback(t->store);
		return 0;
	}
	if (r == 0)
		r = route->run(call);
	if (r == 0)
		r = make_answer(call, route, answer);
	if (r == 0)
		r = idempotency_keep(t, call->tenant, call->request, answer, &call->err);
	if (r == 0)
		r = wispd_commit(call->d, &call->err);
	if (r < 0) {
		store_rollback(t->store);
		return r;
	}
	if (call->after)
		call->after(call->d, call->after_ctx);
	if (call->kick[0])
		lifecycle_kick(call->d->lifecycle, call->kick);
	answer->stream_fd = call->stream_fd;
	memcpy(answer->tenant, call->stream_tenant, sizeof(answer->tenant));
	call->stream_fd = -1;
	return 0;
}

static int run(struct api_call *call, struct api_answer *answer)
{
	const struct api_route *route = find_route(call);
	int r;

	if (!route)
		return call->err.code;
	r = choose_tenant(call, route);
	if (r == 0 && route->writes && !call->tenant)
		call->tenant = "default";
	if (r == 0)
		r = read_body(call, route);
	if (r < 0)
		return r;
	return route->writes ? run_writing(call, route, answer) : run_reading(call, route, answer);
}

void api_handle(struct wispd *d, const struct caller *caller, const struct api_request *request,
		struct api_answer *ret)
{
	struct api_call call = { .d = d, .caller = caller, .request = request, .stream_fd = -1 };

	*ret = (struct api_answer){ .type = "application/json", .stream_fd = -1 };
	if (run(&call, ret) < 0) {
		free(ret->text);
		*ret = (struct api_answer){ .type = "application/json", .stream_fd = -1 };
		refuse(ret, &call.err);
	}
	fd_close(call.stream_fd);
	json_decref(call.reply);
	free(call.text);
	free(call.config);
	free(call.after_ctx);
}

/* --- for handlers --- */

int api_reply(struct api_call *call, json_t *reply)
{
	call->reply = reply;
	return reply ? 0 : error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
}

int api_follow(struct api_call *call, void (*fn)(struct wispd *d, void *ctx), const char *text)
{
	call->after_ctx = strdup(text);
	if (!call->after_ctx)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	call->after = fn;
	return 0;
}

int api_query_number(struct api_call *call, const char *name, int64_t fallback, int64_t *ret)
{
	const char *text = call->request->query(call->request->connection, name);
	char *end;

	*ret = fallback;
	if (!text)
		return 0;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno || *end || !*text || *ret < 0)
		return error_set(&call->err, -EINVAL, name, NULL, "%s is a number from 0 on", name);
	return 0;
}

int api_check_tenant(struct api_call *call)
{
	int64_t n = 0;
	int r = store_number(call->d->truth.store, &n, &call->err,
			     "SELECT count(*) FROM tenant WHERE name = ?", "s", call->tenant);

	if (r < 0 || n)
		return r;
	return error_set(&call->err, -ENOENT, "tenant", "an admin makes one: PUT /tenants/NAME",
			 "There is no tenant %.64s", call->tenant);
}

static int check_path(void *config, struct error *err)
{
	const struct api_path_body *b = config;

	if (b->path[0] == '/')
		return 0;
	return error_set(err, -EINVAL, "path", "begin it with a slash", "The path is not absolute");
}

static const struct body_field path_fields[] = {
	{ .name = "path",
	  .type = BODY_STRING,
	  .offset = offsetof(struct api_path_body, path),
	  .size = sizeof(((struct api_path_body *)NULL)->path),
	  .min = 1,
	  .required = true },
};

const struct body_table api_path_table = {
	.size = sizeof(struct api_path_body),
	.fields = path_fields,
	.nfields = 1,
	.check = check_path,
};
