/* fields.h - payloads made of "name=value" texts; see protocol.h.
 *
 * Pure functions on the caller's memory; any thread.
 */
#ifndef GUEST_IMAGES_AGENT_FIELDS_H
#define GUEST_IMAGES_AGENT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fields {
	char *bytes; /* the caller's, of size bytes */
	size_t size, len;
	bool full; /* something did not fit: the payload must not be sent */
};

void fields_add(struct fields *f, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with a whole "name=value". */
void fields_add_text(struct fields *f, const char *text);

/* Whether a payload that was received is fields: whole texts, each with a '='. What the
 * functions below read has to be. */
bool fields_valid(const char *bytes, size_t len);

/* The first value with this name, or NULL. */
const char *fields_get(const char *bytes, size_t len, const char *name);

/* The next value with this name behind *place, which starts at 0; NULL: no more. */
const char *fields_next(const char *bytes, size_t len, const char *name, size_t *place);

/* The value as a number, in *ret. False, *ret untouched: there is none, or it is not a
 * number from least to most. */
bool fields_number(const char *bytes, size_t len, const char *name, uint64_t least, uint64_t most,
		   uint64_t *ret);

#endif
