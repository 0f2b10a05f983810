/* request.h - a guest's HTTP request to the metadata service.
 *
 * Parsed from the start of what has come so far, anew each time: it is short, and no
 * state of a parser has to live between two segments. Any thread; nothing is kept.
 */
#ifndef DEVICES_MMDS_REQUEST_H
#define DEVICES_MMDS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum request_method { REQUEST_GET, REQUEST_PUT, REQUEST_OTHER };

/* Bytes of the request itself; at NULL: not given. */
struct request_text {
	const char *at;
	size_t len;
};

/* Headers that two families of clients name differently have their name beside them. */
struct request {
	enum request_method method;
	int minor_version; /* of HTTP/1 */
	bool keep_alive;
	struct request_text uri; /* the path, of an absolute URI what follows the host */
	struct request_text accept, forwarded_for;
	struct request_text token;
	struct request_text ttl, ttl_name;
};

enum request_read {
	REQUEST_MORE,  /* more bytes are needed */
	REQUEST_WHOLE, /* *ret is set; *used bytes are this request's */
	REQUEST_BAD,   /* where the next one begins is unknown */
};

enum request_read request_parse(const char *bytes, size_t len, struct request *ret, size_t *used);

/* Whether a text contains a word, whatever its case. */
bool request_text_has(const struct request_text *text, const char *word);

#endif
