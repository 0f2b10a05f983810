/* http_reader.c - bytes in, HTTP requests out.
 *
 * http-parser calls back with pieces of the URL, of header names and values, and
 * of the body, cut wherever the client's writes were cut. The callbacks count
 * lines, keep the path, and gather the body in a buffer that grows with what has
 * really arrived, never with what was announced. The parser is paused at the end
 * of each request, so that pipelined ones come out one by one, and at the end of
 * the headers when the client waits for "100 Continue".
 *
 * A callback that refuses writes the reason into r->error and returns -1.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_reader.h"

enum {
	REQUEST_LINE_EXTRA = sizeof("PATCH  HTTP/1.1\r\n") - 1,
	HEADER_LINE_EXTRA = sizeof(": \r\n") - 1,
	BODY_FIRST_BYTES = 1024,
};

static const struct {
	unsigned method; /* http-parser's */
	const char *name;
} verbs[] = {
	[VERB_GET] = { HTTP_GET, "GET" },
	[VERB_PUT] = { HTTP_PUT, "PUT" },
	[VERB_PATCH] = { HTTP_PATCH, "PATCH" },
	[VERB_DELETE] = { HTTP_DELETE, "DELETE" },
};

const char *http_verb_name(enum http_verb verb)
{
	return verbs[verb].name;
}

__attribute__((format(printf, 2, 3))) static int refuse(struct http_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return -1;
}

static int too_large(struct http_reader *r, uint64_t size)
{
	return refuse(r,
		      "Request payload with size %" PRIu64
		      " is larger than the limit of %zu allowed by server.",
		      size, r->max_body_bytes);
}

/* Appends what fits into a buffer of room bytes, NUL included; counts all. */
static void gather(char *dst, size_t room, size_t *total, const char *data, size_t len)
{
	if (*total < room) {
		size_t n = len < room - 1 - *total ? len : room - 1 - *total;

		memcpy(dst + *total, data, n);
		dst[*total + n] = '\0';
	}
	/* A count beyond any limit need not be exact; it must not wrap. */
	*total = *total > SIZE_MAX / 2 ? *total : *total + len;
}

static int on_url(http_parser *p, const char *data, size_t len)
{
	struct http_reader *r = p->data;

	gather(r->path, sizeof(r->path), &r->path_len, data, len);
	if (r->path_len + REQUEST_LINE_EXTRA > HTTP_LINE_BYTES)
		return refuse(r, "Invalid request.");
	return 0;
}

static int header_line_fits(struct http_reader *r)
{
	if (r->name_len + r->value_len + HEADER_LINE_EXTRA > HTTP_LINE_BYTES)
		return refuse(r,
			      "Invalid header. Reason: Invalid content length. Header: a line of "
			      "more than %d bytes",
			      HTTP_LINE_BYTES);
	return 0;
}

/* A header has come in full: keep what matters of it. */
static void header_done(struct http_reader *r)
{
	if (r->name_done && strcasecmp(r->name, "Expect") == 0 &&
	    strcasecmp(r->value, "100-continue") == 0)
		r->expects = true;
	r->name_done = false;
	r->name_len = r->value_len = 0;
	r->name[0] = r->value[0] = '\0';
}

static int on_header_field(http_parser *p, const char *data, size_t len)
{
	struct http_reader *r = p->data;

	if (r->name_done)
		header_done(r);
	gather(r->name, sizeof(r->name), &r->name_len, data, len);
	return header_line_fits(r);
}

static int on_header_value(http_parser *p, const char *data, size_t len)
{
	struct http_reader *r = p->data;

	r->name_done = true;
	gather(r->value, sizeof(r->value), &r->value_len, data, len);
	return header_line_fits(r);
}

/* Of "http://host/path" the "/path"; an origin-form path is left alone. */
static const char *origin_path(const char *url)
{
	const char *host = strstr(url, "://");
	const char *slash;

	if (url[0] == '/' || !host)
		return url;
	slash = strchr(host + 3, '/');
	return slash ? slash : "/";
}

static int find_verb(const http_parser *p, enum http_verb *ret)
{
	for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].method == p->method) {
			*ret = (enum http_verb)i;
			return 0;
		}
	}
	return -1;
}

static int on_headers_complete(http_parser *p)
{
	struct http_reader *r = p->data;

	header_done(r);
	if (find_verb(p, &r->request.verb) < 0)
		return refuse(r, "Invalid HTTP Method: Unsupported HTTP method.");
	if (p->http_major != 1 || p->http_minor > 1)
		return refuse(r, "Invalid HTTP Version: Unsupported HTTP version.");
	if ((p->flags & F_CONTENTLENGTH) && p->content_length > r->max_body_bytes)
		return too_large(r, p->content_length);
	r->wants_continue = r->expects && ((p->flags & F_CHUNKED) ||
					   ((p->flags & F_CONTENTLENGTH) && p->content_length));
	if (r->wants_continue)
		http_parser_pause(p, 1);
	return 0;
}

static int body_reserve(struct http_reader *r, size_t need)
{
	size_t room = r->body_room ? r->body_room : BODY_FIRST_BYTES;

	if (need <= r->body_room)
		return 0;
	while (room < need)
		room *= 2;

	char *bigger = realloc(r->body, room);

	if (!bigger)
		return refuse(r, "No memory for a request body of %zu bytes.", need);
	r->body = bigger;
	r->body_room = room;
	return 0;
}

static int on_body(http_parser *p, const char *data, size_t len)
{
	struct http_reader *r = p->data;

	/* Reached by chunked bodies only: announced lengths were checked before. */
	if (len > r->max_body_bytes - r->body_len)
		return too_large(r, (uint64_t)r->body_len + len);
	if (body_reserve(r, r->body_len + len) < 0)
		return -1;
	memcpy(r->body + r->body_len, data, len);
	r->body_len += len;
	return 0;
}

static int on_message_complete(http_parser *p)
{
	struct http_reader *r = p->data;

	r->complete = true;
	r->keep_alive = http_should_keep_alive(p);
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings callbacks = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* What Firecracker calls the faults that http-parser finds. */
static void parser_refused(struct http_reader *r, enum http_errno why)
{
	static const struct {
		enum http_errno why;
		const char *text;
	} texts[] = {
		{ HPE_INVALID_METHOD, "Invalid HTTP Method: Unsupported HTTP method." },
		{ HPE_INVALID_VERSION, "Invalid HTTP Version: Unsupported HTTP version." },
		{ HPE_INVALID_URL, "Invalid URI: " },
		{ HPE_INVALID_HEADER_TOKEN, "Invalid header. Reason: " },
		{ HPE_HEADER_OVERFLOW, "Invalid header. Reason: " },
		{ HPE_INVALID_CONTENT_LENGTH, "Invalid header. Reason: Invalid value. " },
		{ HPE_UNEXPECTED_CONTENT_LENGTH, "Invalid header. Reason: " },
	};
	const char *text = "Invalid request. ";

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].why == why)
			text = texts[i].text;
	refuse(r, "%s%s", text, text[strlen(text) - 1] == ' ' ? http_errno_description(why) : "");
}

void http_reader_init(struct http_reader *r, size_t max_body_bytes)
{
	*r = (struct http_reader){ .max_body_bytes = max_body_bytes };
}

static void begin_request(struct http_reader *r)
{
	http_parser_init(&r->parser, HTTP_REQUEST);
	r->parser.data = r;
	r->busy = true;
	r->complete = r->wants_continue = r->expects = r->name_done = false;
	r->path_len = r->name_len = r->value_len = r->body_len = 0;
	r->path[0] = r->name[0] = r->value[0] = '\0';
	r->error[0] = '\0';
}

/* A large body's buffer does not outlive its request. */
static void shrink_body(struct http_reader *r)
{
	if (r->body_room <= BODY_FIRST_BYTES)
		return;
	free(r->body);
	r->body = NULL;
	r->body_room = 0;
}

enum http_read http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *used)
{
	*used = 0;
	if (len == 0)
		return READ_MORE;
	if (!r->busy) {
		shrink_body(r);
		begin_request(r);
	}

	*used = http_parser_execute(&r->parser, &callbacks, data, len);

	enum http_errno why = HTTP_PARSER_ERRNO(&r->parser);

	if (why == HPE_PAUSED)
		http_parser_pause(&r->parser, 0);
	else if (why != HPE_OK) {
		if (!r->error[0])
			parser_refused(r, why);
		return READ_BAD;
	}
	if (r->complete) {
		r->busy = false;
		r->request.path = origin_path(r->path);
		r->request.body = r->body_len ? r->body : NULL;
		r->request.body_len = r->body_len;
		return READ_REQUEST;
	}
	if (r->wants_continue) {
		r->wants_continue = false;
		return READ_CONTINUE;
	}
	return READ_MORE;
}

void http_reader_free(struct http_reader *r)
{
	free(r->body);
	r->body = NULL;
	r->body_room = 0;
}
