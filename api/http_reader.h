/* http_reader.h - bytes in, HTTP requests out.
 *
 * Wraps http-parser and adds what Firecracker's server promises: four methods,
 * lines of at most HTTP_LINE_BYTES, a limit on the body, its error texts. Owns no
 * descriptor and never blocks, so a fuzzer and a test can drive it directly.
 */
#ifndef API_HTTP_READER_H
#define API_HTTP_READER_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	HTTP_LINE_BYTES = 1024, /* a request line or header line, its CR LF included */
	HTTP_BODY_BYTES = 51200 /* the default limit of a body */
};

enum http_verb { VERB_GET, VERB_PUT, VERB_PATCH, VERB_DELETE };

/* The name as it stands in a request line. */
const char *http_verb_name(enum http_verb verb);

/* Valid until the reader is fed again. */
struct http_request {
	enum http_verb verb;
	const char *path; /* as sent; of an absolute URI, what follows the host */
	const char *body; /* not NUL-terminated; NULL when body_len is 0 */
	size_t body_len;
};

enum http_read {
	READ_MORE,     /* all bytes taken, no request complete yet */
	READ_CONTINUE, /* the client waits for "100 Continue"; feed the rest after it */
	READ_REQUEST,  /* request and keep_alive are set */
	READ_BAD,      /* error is set; where the next request begins is unknown */
};

/* The first four are for the caller to read, the rest is the reader's own. */
struct http_reader {
	struct http_request request;
	bool keep_alive;
	char error[256];
	size_t max_body_bytes;

	http_parser parser;
	bool busy, complete, wants_continue, expects, name_done;
	char path[HTTP_LINE_BYTES];
	char name[24], value[24]; /* of the header at hand, as far as it fits */
	size_t path_len, name_len, value_len;
	char *body;
	size_t body_len, body_room;
};

void http_reader_init(struct http_reader *r, size_t max_body_bytes);

/* Takes bytes up to the end of one request or event; *used is how many. */
enum http_read http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *used);

/* Frees the body. */
void http_reader_free(struct http_reader *r);

#endif
