/* body.h - JSON objects in and out of plain structs, driven by const tables.
 *
 * A table lists the members of one JSON object: type, range, and where the value
 * lands in a config struct. The same table reads a request, reads a section of
 * the configuration file, and writes the answer to a GET, so the three cannot
 * disagree. Wording follows Firecracker's deserialiser, because clients match on
 * "unknown field", "missing field", "invalid type" and "unknown variant".
 *
 * Any thread; nothing is kept between calls.
 */
#ifndef API_BODY_H
#define API_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

enum body_type {
	BODY_BOOL,     /* bool */
	BODY_U64,      /* uint64_t, from min to max */
	BODY_STRING,   /* char[size]: min to size - 1 bytes */
	BODY_ID,       /* as BODY_STRING, of letters, digits and "_" */
	BODY_ENUM,     /* uint32_t: the index in names */
	BODY_MAP,      /* an object of strings with any names: char[size], as compact JSON */
	BODY_DOCUMENT, /* an object with anything in it: char[size], as compact JSON */
	BODY_OBJECT,   /* the struct of another table, in place */
	BODY_STRINGS,  /* up to max strings of 1 to len - 1 bytes, char[max][len], size in all;
			 mark is their count */
	BODY_ARRAY,    /* up to max structs of another table; mark is their count */
};

struct body_table;

struct body_field {
	const char *name;
	enum body_type type;
	size_t offset, size; /* of the value in the config struct */
	size_t mark;	     /* offset of a bool set when the field is given (lists:
				of a uint32_t count); 0: none */
	uint64_t min, max;
	bool required;
	bool nullable;		  /* null is the same as absent, and what an empty string writes */
	bool hidden;		  /* written only when its mark says that it was given */
	const char *const *names; /* BODY_ENUM: accepted, NULL-ended */
	const struct body_table *table;
	const char *fault;  /* Firecracker's text for an impossible value, or NULL */
	const char *absent; /* its text for a missing one; NULL: "missing field" */
};

struct body_table {
	size_t size;	      /* of the config struct */
	const void *defaults; /* what absent fields are; NULL: zeroes */
	const struct body_field *fields;
	size_t nfields;
	bool open; /* unknown fields are ignored, not refused */
	/* What no field by itself can say, once all are read; it may fill in what
	 * follows from them. 0 or an error. Not with BODY_PARTIAL. NULL: nothing. */
	int (*check)(void *config, struct error *err);
};

enum { BODY_PARTIAL = 1 }; /* no field is required, null leaves a field alone */

/* Fills config, which the caller has set to the defaults or the present value.
 * Returns how many fields were given (null ones not counted), or with *err set:
 * -EBADMSG unknown field, wrong type, unknown variant; -ENODATA a missing field;
 * -ERANGE a value out of range; -EINVAL a malformed id, or the missing of a field
 * that has its own text. config is undefined after an error.
 * err->field is the path of the field, as "drives[1].path_on_host". */
int body_read(const struct body_table *t, const json_t *object, unsigned flags, void *config,
	      struct error *err);

/* The document in text, duplicate keys refused; NULL with err->code -EBADMSG and
 * the line and column of the fault. The caller owns the reference. */
json_t *body_parse(const char *text, size_t len, struct error *err);

/* body_parse() and body_read() in one step; a missing field gets a position too. */
int body_read_text(const struct body_table *t, const char *text, size_t len, unsigned flags,
		   void *config, struct error *err);

/* The JSON object of a config struct, NULL when memory is short. */
json_t *body_write(const struct body_table *t, const void *config);

/* 0, or -EINVAL with Firecracker's text when id is not a name of a resource. */
int body_check_id(const char *id, struct error *err);

/* Puts an outer name before err->field: "drive_id" becomes "drives[1].drive_id"; an
 * index below 0 is none. Does nothing without err. */
void body_prefix_field(struct error *err, const char *name, int index);

#endif
