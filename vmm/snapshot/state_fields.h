/* state_fields.h - what the fields of a saved state are called.
 *
 * The last section of a state describes the others: for each field, in order, its name,
 * its kind and its length. A load has no use for it. It is there for whoever looks at a
 * state without having the machine's code: an inspector, somebody who compares two.
 *
 * The names are those of the code: state.h turns the expression that stands for a field
 * into its name, so that nobody has to write, or keep, a second list.
 */
#ifndef VMM_SNAPSHOT_STATE_FIELDS_H
#define VMM_SNAPSHOT_STATE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct state;

enum state_field_kind {
	STATE_FIELD_NUMBER = 1, /* 1, 2, 4 or 8 bytes, little-endian */
	STATE_FIELD_FLAG,	/* a byte, 0 or 1 */
	STATE_FIELD_BYTES,
	STATE_FIELD_BLOB, /* u32 length, and as many bytes */
	STATE_FIELD_TEXT, /* the same, and text */
};

enum { STATE_FIELD_NAME = 32 /* characters */, STATE_MAX_FIELDS = 65536 };

/* --- while a state is saved: the state's own --- */

struct state_notes;

int state_notes_create(struct state_notes **ret); /* 0 or -ENOMEM */
void state_notes_destroy(struct state_notes *n);  /* accepts NULL */

/* A field of the section that was begun as the n-th; expression: of the code, static
 * storage. False: out of memory, or there are too many. */
bool state_notes_add(struct state_notes *n, unsigned section, const char *expression,
		     enum state_field_kind kind, size_t len);

/* Appends the section of them. */
void state_notes_save(struct state_notes *n, struct state *s);

/* --- of a state that was read --- */

struct state_fields;

/* Checks that a section that is described is so from its first byte to its last. 0 and *ret, with no fields at all when the state is older than they are;
 * or a negative errno and *err. The state must outlive it. */
int state_fields_read(struct state *s, struct state_fields **ret, struct error *err);
void state_fields_destroy(struct state_fields *f); /* accepts NULL */

struct state_field {
	const char *name; /* the list's own */
	enum state_field_kind kind;
	const uint8_t *bytes; /* the state's own; of a blob or a text, its contents */
	size_t len;
};

/* The i-th field of the n-th section. False: it has no more, or is not described. */
bool state_field_at(const struct state_fields *f, unsigned n, unsigned i, struct state_field *ret);

#endif
