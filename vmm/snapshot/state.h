/* state.h - a machine's state, saved or loaded: sections of plain fields.
 *
 * A part of the machine has one function that names its fields in order, and that serves
 * both ways: while a state is saved each call appends the field, while one is loaded it
 * fills the field in. So what is written and what is read cannot come apart:
 *
 *	state_begin(s, STATE_I8042, 0);
 *	state_u8(s, &k->config);
 *	state_bytes(s, k->queue, sizeof(k->queue));
 *	if (k->count > sizeof(k->queue))
 *		state_fail(s, "more bytes than the queue has");
 *	state_end(s);
 *
 * The first thing that is wrong is kept, everything after it does nothing (a load gives
 * zeros), and state_error() tells at the end. Whoever loads checks every value that
 * something depends on, as if a guest had written it.
 *
 * A loaded state has been checked whole before its first field is given out: see state.c
 * for the format. No lock; one thread.
 */
#ifndef VMM_SNAPSHOT_STATE_H
#define VMM_SNAPSHOT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/snapshot/state_fields.h"
#include "vmm/snapshot/state_sections.h"

enum {
	STATE_MAX_BYTES = 16 * 1024 * 1024,
	STATE_MAX_SECTIONS = 512,
	STATE_MAJOR = 1, /* of the format: another one cannot be read */
	STATE_MINOR = 2, /* a later one cannot be read; 1: fields have names; 2: blocks of memory */
};

struct state;

/* An empty one, to be saved into. 0 and *ret, or -ENOMEM. */
int state_create(struct state **ret);

/* One to be loaded from; checks all of it. The bytes are copied. 0 and *ret, or a
 * negative errno and *err. */
int state_parse(const void *bytes, size_t len, struct state **ret, struct error *err);

/* The version of the format in which it was saved, behind STATE_MAJOR. */
unsigned state_minor(const struct state *s);

void state_destroy(struct state *s); /* accepts NULL */

bool state_loading(const struct state *s);

/* Fields belong to the section that was begun last; sections are saved in the table's
 * order. A section that is to be loaded must be there: state_has() tells. The end of it
 * checks that every byte was asked for. */
void state_begin(struct state *s, enum state_section type, unsigned instance);
void state_end(struct state *s);
bool state_has(const struct state *s, enum state_section type, unsigned instance);

/* A field is called what stands for it in the code, see state_fields.h; the functions
 * themselves take another name, of static storage. */
#define state_bool(s, value)		state_bool_as((s), #value, (value))
#define state_u8(s, value)		state_u8_as((s), #value, (value))
#define state_u16(s, value)		state_u16_as((s), #value, (value))
#define state_u32(s, value)		state_u32_as((s), #value, (value))
#define state_u64(s, value)		state_u64_as((s), #value, (value))
#define state_bytes(s, bytes, len)	state_bytes_as((s), #bytes, (bytes), (len))
#define state_blob(s, bytes, len, room) state_blob_as((s), #bytes, (bytes), (len), (room))
#define state_string(s, text, room)	state_string_as((s), #text, (text), (room))

void state_bool_as(struct state *s, const char *name, bool *value);
void state_u8_as(struct state *s, const char *name, uint8_t *value);
void state_u16_as(struct state *s, const char *name, uint16_t *value);
void state_u32_as(struct state *s, const char *name, uint32_t *value);
void state_u64_as(struct state *s, const char *name, uint64_t *value);
void state_bytes_as(struct state *s, const char *name, void *bytes, size_t len);

/* A number of bytes, and them. Loading: at most `room`. */
void state_blob_as(struct state *s, const char *name, void *bytes, size_t *len, size_t room);

/* The same with a NUL behind it, which has room, too. */
void state_string_as(struct state *s, const char *name, char *text, size_t room);

/* The rest of the section, while loading; the state's own, until state_destroy(). */
const void *state_rest(struct state *s, size_t *len);

/* What was found does not hold up. why: "more bytes than the queue has". */
void state_fail(struct state *s, const char *why);
bool state_failed(const struct state *s);

/* 0, or a negative errno and *err, which names the section. */
int state_error(const struct state *s, struct error *err);

/* What was saved, sealed: no field may follow. NULL when something failed. The state's
 * own, until state_destroy(). */
const void *state_seal(struct state *s, size_t *len);

/* The bytes that were parsed; the state's own. */
const void *state_whole(const struct state *s, size_t *len);

/* A state that was loaded, with another manifest, to be sealed: all else is as it was. 0
 * and *ret, or -ENOMEM or -EFBIG. */
int state_remake(const struct state *s, const void *manifest, size_t len, struct state **ret);

/* The n-th section, for whoever lists them. False past the last one. */
struct state_section_info {
	const struct state_kind *kind;
	uint32_t instance;
	uint16_t version;
	const uint8_t *bytes; /* the state's own */
	size_t len;
};
bool state_section_at(const struct state *s, unsigned n, struct state_section_info *ret);

#endif
