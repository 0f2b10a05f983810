/* request.c - a guest's HTTP request to the metadata service.
 *
 * http-parser gets all bytes in one call, so each piece that it reports is whole. A value
 * that goes on in a second line is taken as far as its first. A body is skipped.
 */
#include <http_parser.h>
#include <string.h>
#include <strings.h>

#include "devices/mmds/request.h"

struct parse {
	struct request *request;
	struct request_text url, name;
	bool complete;
};

static int on_url(http_parser *p, const char *at, size_t len)
{
	struct parse *parse = p->data;

	parse->url = (struct request_text){ at, len };
	return 0;
}

static int on_header_field(http_parser *p, const char *at, size_t len)
{
	struct parse *parse = p->data;

	parse->name = (struct request_text){ at, len };
	return 0;
}

static bool is(const struct request_text *text, const char *word)
{
	return text->len == strlen(word) && strncasecmp(text->at, word, text->len) == 0;
}

/* The first header of a name counts. */
static int on_header_value(http_parser *p, const char *at, size_t len)
{
	static const struct {
		const char *name;
		size_t offset;
	} headers[] = {
		{ "Accept", offsetof(struct request, accept) },
		{ "X-Forwarded-For", offsetof(struct request, forwarded_for) },
		{ "X-metadata-token", offsetof(struct request, token) },
		{ "X-aws-ec2-metadata-token", offsetof(struct request, token) },
		{ "X-metadata-token-ttl-seconds", offsetof(struct request, ttl) },
		{ "X-aws-ec2-metadata-token-ttl-seconds", offsetof(struct request, ttl) },
	};
	struct parse *parse = p->data;

	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct request_text *to = (void *)((char *)parse->request + headers[i].offset);

		if (to->at || !is(&parse->name, headers[i].name))
			continue;
		*to = (struct request_text){ at, len };
		if (to == &parse->request->ttl)
			parse->request->ttl_name = parse->name;
	}
	return 0;
}

static int on_message_complete(http_parser *p)
{
	struct parse *parse = p->data;
	struct request *r = parse->request;

	parse->complete = true;
	r->method = p->method == HTTP_GET   ? REQUEST_GET
		    : p->method == HTTP_PUT ? REQUEST_PUT
					    : REQUEST_OTHER;
	r->minor_version = p->http_minor;
	r->keep_alive = http_should_keep_alive(p);
	http_parser_pause(p, 1);
	return p->http_major == 1 && p->http_minor <= 1 ? 0 : -1;
}

/* Of "http://host/path" the "/path"; of "http://host" nothing. */
static struct request_text path_of(struct request_text url)
{
	const char *host = memmem(url.at, url.len, "://", 3);
	const char *slash = url.at;

	if (url.len > 0 && url.at[0] != '/' && host) {
		host += 3;
		slash = memchr(host, '/', (size_t)(url.at + url.len - host));
	}
	if (!slash)
		return (struct request_text){ url.at, 0 };
	return (struct request_text){ slash, (size_t)(url.at + url.len - slash) };
}

enum request_read request_parse(const char *bytes, size_t len, struct request *ret, size_t *used)
{
	static const http_parser_settings callbacks = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_message_complete = on_message_complete,
	};
	struct parse parse = { .request = ret };
	http_parser parser;

	*ret = (struct request){ 0 };
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &parse;
	*used = http_parser_execute(&parser, &callbacks, bytes, len);
	if (HTTP_PARSER_ERRNO(&parser) == HPE_PAUSED && parse.complete) {
		ret->uri = path_of(parse.url);
		return REQUEST_WHOLE;
	}
	return HTTP_PARSER_ERRNO(&parser) == HPE_OK ? REQUEST_MORE : REQUEST_BAD;
}

bool request_text_has(const struct request_text *text, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= text->len; i++)
		if (strncasecmp(text->at + i, word, n) == 0)
			return true;
	return false;
}
