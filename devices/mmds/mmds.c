/* mmds.c - the metadata service: from a guest's request to its answer.
 *
 * What a guest can do: read the document, and with version 2 make tokens, of which there
 * is a fixed number. It changes nothing else. An answer is as long as the document at most,
 * whose limit the machine's user sets.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/data.h"
#include "devices/mmds/mmds.h"
#include "devices/mmds/request.h"
#include "devices/mmds/tokens.h"

#define TOKEN_PATH "/latest/api/token"

enum { STATUS_BYTES = 256, TTL_CHARS = 10, NAME_CHARS = 64 };

struct mmds {
	struct data data;
	enum mmds_version version;
	bool imds_compat;
	struct mmds_counters counters;
	struct tokens tokens;
};

/* An answer under way. */
struct reply {
	int status;
	bool json;
	const char *allow; /* NULL: says nothing of methods */
	char *body;	   /* owned; NULL when memory is short */
	size_t len;
	char ttl[NAME_CHARS + TTL_CHARS]; /* a header line's text, or "" */
};

int mmds_create(size_t limit_bytes, struct mmds **ret)
{
	struct mmds *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->data.limit_bytes = limit_bytes;
	*ret = m;
	return 0;
}

void mmds_destroy(struct mmds *m)
{
	if (!m)
		return;
	data_clear(&m->data);
	free(m);
}

void mmds_configure(struct mmds *m, enum mmds_version version, bool imds_compat)
{
	m->version = version;
	m->imds_compat = imds_compat;
}

int mmds_put(struct mmds *m, json_t *data)
{
	return data_put(&m->data, data);
}

int mmds_patch(struct mmds *m, const json_t *patch)
{
	return data_patch(&m->data, patch);
}

void mmds_reset(struct mmds *m, json_t *data)
{
	json_incref(data);
	data_clear(&m->data);
	m->data.root = data;
}

const json_t *mmds_data(const struct mmds *m)
{
	return m->data.root;
}

struct mmds_counters *mmds_counters(struct mmds *m)
{
	return &m->counters;
}

__attribute__((format(printf, 3, 4))) static void say(struct reply *reply, int status,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&reply->body, fmt, ap);
	va_end(ap);
	if (n < 0)
		reply->body = NULL;
	reply->len = n < 0 ? 0 : (size_t)n;
	reply->status = status;
}

static void say_not_found(struct reply *reply, const struct request *r)
{
	say(reply, 404, "Resource not found: %.*s.", (int)r->uri.len, r->uri.at);
}

/* False when the answer is given already: only version 2 insists. */
static bool token_allows(struct mmds *m, const struct request *r, uint64_t now_us,
			 struct reply *reply)
{
	bool given = r->token.at != NULL;

	if (given && tokens_valid(&m->tokens, r->token.at, r->token.len, now_us))
		return true;
	m->counters.rx_no_token += !given;
	m->counters.rx_invalid_token += given;
	if (m->version == MMDS_V1)
		return true;
	if (given)
		say(reply, 401, "MMDS token not valid.");
	else
		say(reply, 401,
		    "No MMDS token provided. Use `X-metadata-token` or "
		    "`X-aws-ec2-metadata-token` header to specify the session token.");
	return false;
}

static void get(struct mmds *m, const struct request *r, struct reply *reply)
{
	bool json = !m->imds_compat && request_text_has(&r->accept, "application/json");
	char *path = strndup(r->uri.at, r->uri.len);
	const json_t *value = path ? data_find(&m->data, path) : NULL;
	ssize_t len = 0;

	free(path);
	if (!value) {
		say_not_found(reply, r);
		return;
	}
	len = data_render(value, json ? DATA_JSON : DATA_IMDS, &reply->body);
	if (len == -ENOTSUP) {
		say(reply, 501, "Cannot retrieve value. The value has an unsupported type.");
		return;
	}
	reply->status = 200;
	reply->json = json;
	reply->len = len < 0 ? 0 : (size_t)len;
}

/* Any number of slashes for one, as everywhere. */
static bool is_token_path(const struct request_text *uri)
{
	const char *want = TOKEN_PATH;

	for (size_t i = 0; i < uri->len; i++) {
		if (i > 0 && uri->at[i] == '/' && uri->at[i - 1] == '/')
			continue;
		if (!*want || *want++ != uri->at[i])
			return false;
	}
	return !*want;
}

/* Decimal digits only, of 32 bits. */
static bool parse_ttl(const struct request_text *text, uint32_t *ret)
{
	uint64_t n = 0;

	if (text->len == 0 || text->len > TTL_CHARS)
		return false;
	for (size_t i = 0; i < text->len; i++) {
		if (text->at[i] < '0' || text->at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text->at[i] - '0');
	}
	*ret = (uint32_t)n;
	return n <= UINT32_MAX;
}

static void issue_token(struct mmds *m, const struct request *r, uint64_t now_us,
			struct reply *reply)
{
	char token[TOKEN_CHARS + 1];
	uint32_t ttl_s;

	if (!parse_ttl(&r->ttl, &ttl_s)) {
		say(reply, 400, "Invalid header. Reason: Invalid value. Key:%.*s; Value:%.*s",
		    (int)r->ttl_name.len, r->ttl_name.at, (int)r->ttl.len, r->ttl.at);
	} else if (ttl_s < TOKENS_MIN_TTL_S || ttl_s > TOKENS_MAX_TTL_S) {
		say(reply, 400,
		    "Invalid time to live value provided for token: %" PRIu32
		    ". Please provide a value between %d and %d.",
		    ttl_s, TOKENS_MIN_TTL_S, TOKENS_MAX_TTL_S);
	} else if (tokens_issue(&m->tokens, ttl_s, now_us, token) < 0) {
		say(reply, 400, "Failed to generate a token.");
	} else {
		say(reply, 200, "%s", token);
		snprintf(reply->ttl, sizeof(reply->ttl), "%.*s: %" PRIu32, (int)r->ttl_name.len,
			 r->ttl_name.at, ttl_s);
	}
}

static void put(struct mmds *m, const struct request *r, uint64_t now_us, struct reply *reply)
{
	if (r->forwarded_for.at)
		say(reply, 400,
		    "Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For");
	else if (!is_token_path(&r->uri))
		say_not_found(reply, r);
	else if (!r->ttl.at)
		say(reply, 400,
		    "Token time to live value not found. Use `X-metadata-token-ttl-seconds` or "
		    "`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's "
		    "lifetime.");
	else
		issue_token(m, r, now_us, reply);
}

static void serve(struct mmds *m, const struct request *r, uint64_t now_us, struct reply *reply)
{
	if (r->uri.len == 0) {
		say(reply, 400, "Invalid URI.");
	} else if (r->method == REQUEST_GET) {
		if (token_allows(m, r, now_us, reply))
			get(m, r, reply);
	} else if (r->method == REQUEST_PUT) {
		put(m, r, now_us, reply);
	} else {
		say(reply, 405, "Not allowed HTTP method.");
		reply->allow = "GET, PUT";
	}
}

/* Head and body in one text; frees the body. */
static void finish(struct reply *reply, int minor_version, struct mmds_answer *ret)
{
	const size_t room = STATUS_BYTES + reply->len;

	ret->text = reply->body ? malloc(room) : NULL;
	if (ret->text) {
		ret->len = (size_t)snprintf(
			ret->text, room,
			"HTTP/1.%d %d \r\nServer: Firecracker API\r\nConnection: %s\r\n%s%s%s%s%s"
			"Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
			minor_version, reply->status, ret->close ? "close" : "keep-alive",
			reply->allow ? "Allow: " : "", reply->allow ? reply->allow : "",
			reply->allow ? "\r\n" : "", reply->ttl, reply->ttl[0] ? "\r\n" : "",
			reply->json ? "application/json" : "text/plain", reply->len);
		memcpy(ret->text + ret->len, reply->body, reply->len);
		ret->len += reply->len;
	}
	free(reply->body);
}

size_t mmds_answer(struct mmds *m, const char *bytes, size_t len, bool full, uint64_t now_us,
		   struct mmds_answer *ret)
{
	struct reply reply = { 0 };
	struct request request;
	size_t used;
	enum request_read read = request_parse(bytes, len, &request, &used);

	if (read == REQUEST_MORE && !full)
		return 0;
	*ret = (struct mmds_answer){ .close = true };
	if (read == REQUEST_WHOLE) {
		ret->close = !request.keep_alive;
		serve(m, &request, now_us, &reply);
	} else {
		say(&reply, 400,
		    read == REQUEST_BAD ? "Invalid request." : "The request is too long.");
		request.minor_version = 1;
		used = len;
	}
	finish(&reply, request.minor_version, ret);
	return used;
}
