/* state.c - a machine's state as bytes, little-endian:
 *
 *   a header    8 bytes "WISPSTAT", u16 major, u16 minor, u32 number of sections,
 *               u64 length of all, u32 CRC-32C of these 24 bytes
 *   sections    u16 type, u16 version, u32 instance, u64 length of the fields,
 *               u32 CRC-32C of these 16 bytes and of the fields; the fields
 *
 * Sections stand in the order of the table (state_sections.c), instances in ascending
 * order, without gaps between them. So a section that was moved, repeated or put in from
 * elsewhere is seen as well as a bit that changed. A section that is missing is the
 * business of whoever looks for it.
 *
 * What is read is trusted in nothing. Lengths are checked against what is there before
 * they are used, and the only allocations are one copy of the bytes, which are bounded,
 * and a list of as many sections as fit into them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/state.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are copied in host order");

static const char magic[8] = "WISPSTAT";

struct header {
	char magic[8];
	uint16_t major, minor;
	uint32_t sections;
	uint64_t len;
	uint32_t crc;
} __attribute__((packed));

struct section_header {
	uint16_t type, version;
	uint32_t instance;
	uint64_t len;
	uint32_t crc;
} __attribute__((packed));

_Static_assert(sizeof(struct header) == 28 && sizeof(struct section_header) == 20,
	       "as the format has them");

struct section {
	const struct state_kind *kind;
	uint32_t instance;
	uint16_t version;
	size_t at, len; /* of the fields */
};

struct state {
	bool loading;
	uint16_t minor;
	uint8_t *bytes;
	size_t len, room;
	unsigned count;
	struct section section[STATE_MAX_SECTIONS];

	/* The open section, NULL between them; where the next field of it is. */
	const struct section *open;
	size_t at;

	struct state_notes *notes; /* of the fields that were saved; NULL: none are taken */
	struct error error;
};

/* --- life --- */

int state_create(struct state **ret)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->room = 65536;
	s->bytes = malloc(s->room);
	if (!s->bytes || state_notes_create(&s->notes) < 0) {
		state_destroy(s);
		return -ENOMEM;
	}
	memset(s->bytes, 0, sizeof(struct header));
	s->len = sizeof(struct header);
	*ret = s;
	return 0;
}

void state_destroy(struct state *s)
{
	if (!s)
		return;
	state_notes_destroy(s->notes);
	free(s->bytes);
	free(s);
}

bool state_loading(const struct state *s)
{
	return s->loading;
}

unsigned state_minor(const struct state *s)
{
	return s->loading ? s->minor : STATE_MINOR;
}

/* --- errors --- */

static void fail(struct state *s, int code, const char *why)
{
	const char *name = s->open ? s->open->kind->name : "file";

	if (s->error.code == 0)
		error_set(&s->error, code, NULL, NULL, "The state's section %s %u: %s", name,
			  s->open ? (unsigned)s->open->instance : 0, why);
}

void state_fail(struct state *s, const char *why)
{
	fail(s, -EBADMSG, why);
}

bool state_failed(const struct state *s)
{
	return s->error.code != 0;
}

int state_error(const struct state *s, struct error *err)
{
	if (s->error.code && err)
		*err = s->error;
	return s->error.code;
}

/* --- reading the whole --- */

static int check_header(const struct header *h, size_t len, struct error *err)
{
	static const char hint[] = "is it the state file of a wisp snapshot?";

	if (len < sizeof(*h) || memcmp(h->magic, magic, sizeof(magic)) != 0)
		return error_set(err, -EBADMSG, NULL, hint, "This is no saved state of wisp's");
	if (h->crc != crc32c(0, h, offsetof(struct header, crc)))
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The state's header is damaged");
	if (h->major != STATE_MAJOR || h->minor > STATE_MINOR)
		return error_set(err, -ENOTSUP, NULL, "use the wisp that made it, or a later one",
				 "The state has version %u.%u; this wisp reads %d.0 to %d.%d",
				 h->major, h->minor, STATE_MAJOR, STATE_MAJOR, STATE_MINOR);
	if (h->len != len)
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The state has %zu bytes and should have %llu", len,
				 (unsigned long long)h->len);
	return 0;
}

/* Its place in the table, for the order. */
static bool comes_after(const struct section *a, const struct section *before)
{
	return a->kind > before->kind ||
	       (a->kind == before->kind && a->instance > before->instance);
}

static const char *check_section(const struct state *s, const struct section_header *h,
				 const struct section *n)
{
	const struct state_kind *kind = n->kind;

	if (h->len > s->len - n->at)
		return "goes on behind the end of the file";
	if (h->crc !=
	    crc32c(crc32c(0, h, offsetof(struct section_header, crc)), s->bytes + n->at, n->len))
		return "is damaged";
	if (h->version == 0 || h->version > kind->version)
		return "has a version that this wisp does not know";
	if (h->instance >= kind->instances || h->len > kind->max_bytes)
		return "is larger than it can be";
	if (s->count > 0 && !comes_after(n, &s->section[s->count - 1]))
		return "is repeated or out of order";
	return NULL;
}

static int read_section(struct state *s, size_t *at, struct error *err)
{
	struct section *n = &s->section[s->count];
	struct section_header h;
	const char *why;

	if (s->count == STATE_MAX_SECTIONS || s->len - *at < sizeof(h))
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The state ends in the middle of a section, or has too many");
	memcpy(&h, s->bytes + *at, sizeof(h));
	*n = (struct section){
		.kind = state_kind(h.type),
		.instance = h.instance,
		.version = h.version,
		.at = *at + sizeof(h),
		.len = (size_t)h.len,
	};
	if (!n->kind)
		return error_set(
			err, -ENOTSUP, NULL, "use the wisp that made it",
			"The state has a section of type %u, which this wisp does not know",
			h.type);
	why = check_section(s, &h, n);
	if (why)
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The state's section %s %u %s", n->kind->name, h.instance, why);
	s->count++;
	*at = n->at + n->len;
	return 0;
}

static int read_sections(struct state *s, struct error *err)
{
	struct header h;
	size_t at = sizeof(h);
	int r = 0;

	memcpy(&h, s->bytes, sizeof(h));
	s->minor = h.minor;
	while (at < s->len && r == 0)
		r = read_section(s, &at, err);
	if (r == 0 && s->count != h.sections)
		r = error_set(err, -EBADMSG, NULL, "copy the file again",
			      "The state has %u sections and should have %u", s->count, h.sections);
	return r;
}

int state_parse(const void *bytes, size_t len, struct state **ret, struct error *err)
{
	struct state *s;
	int r;

	if (len > STATE_MAX_BYTES)
		return error_set(err, -EFBIG, NULL, NULL, "The state has more than %d bytes",
				 STATE_MAX_BYTES);
	r = check_header(bytes, len, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (s)
		s->bytes = malloc(len);
	if (!s || !s->bytes) {
		state_destroy(s);
		return error_set(err, -ENOMEM, NULL, NULL, "No memory for a state of %zu bytes",
				 len);
	}
	memcpy(s->bytes, bytes, len);
	s->len = len;
	s->loading = true;
	r = read_sections(s, err);
	if (r < 0) {
		state_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* --- sections --- */

static const struct section *find(const struct state *s, enum state_section type, unsigned instance)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct section *n = &s->section[i];

		if (n->kind->type == type && n->instance == instance)
			return n;
	}
	return NULL;
}

bool state_has(const struct state *s, enum state_section type, unsigned instance)
{
	return find(s, type, instance) != NULL;
}

bool state_section_at(const struct state *s, unsigned n, struct state_section_info *ret)
{
	if (n >= s->count)
		return false;
	*ret = (struct state_section_info){
		.kind = s->section[n].kind,
		.instance = s->section[n].instance,
		.version = s->section[n].version,
		.bytes = s->bytes + s->section[n].at,
		.len = s->section[n].len,
	};
	return true;
}

/* Room for n more bytes; what grows beyond the limit fails. */
static bool make_room(struct state *s, size_t n)
{
	size_t room = s->room;
	uint8_t *bytes;

	if (n > STATE_MAX_BYTES - s->len) {
		fail(s, -EFBIG, "the state grows too large");
		return false;
	}
	while (room - s->len < n)
		room *= 2;
	if (room == s->room)
		return true;
	bytes = realloc(s->bytes, room);
	if (!bytes) {
		fail(s, -ENOMEM, "out of memory");
		return false;
	}
	s->bytes = bytes;
	s->room = room;
	return true;
}

static void begin_saving(struct state *s, enum state_section type, unsigned instance)
{
	struct section *n = &s->section[s->count];

	if (s->count == STATE_MAX_SECTIONS || !state_kind(type)) {
		state_fail(s, "one section too many");
		return;
	}
	if (!make_room(s, sizeof(struct section_header)))
		return;
	s->len += sizeof(struct section_header);
	*n = (struct section){ .kind = state_kind(type), .instance = instance, .at = s->len };
	n->version = n->kind->version;
	s->open = n;
	if (s->count > 0 && !comes_after(n, n - 1))
		state_fail(s, "out of the table's order");
	s->count++;
}

void state_begin(struct state *s, enum state_section type, unsigned instance)
{
	s->open = NULL;
	if (state_failed(s))
		return;
	if (!s->loading) {
		begin_saving(s, type, instance);
		return;
	}
	s->open = find(s, type, instance);
	if (s->open)
		s->at = s->open->at;
	else
		error_set(&s->error, -ENOENT, NULL, "was it made by the same machine?",
			  "The state has no section %s %u", state_kind(type)->name, instance);
}

static void end_saving(struct state *s)
{
	struct section *n = &s->section[s->count - 1];
	struct section_header h = {
		.type = n->kind->type,
		.version = n->version,
		.instance = n->instance,
	};

	n->len = s->len - n->at;
	if (n->len > n->kind->max_bytes || n->instance >= n->kind->instances) {
		state_fail(s, "larger than the table allows");
		return;
	}
	h.len = n->len;
	h.crc = crc32c(crc32c(0, &h, offsetof(struct section_header, crc)), s->bytes + n->at,
		       n->len);
	memcpy(s->bytes + n->at - sizeof(h), &h, sizeof(h));
}

void state_end(struct state *s)
{
	if (s->open && !state_failed(s)) {
		if (!s->loading)
			end_saving(s);
		else if (s->at != s->open->at + s->open->len)
			state_fail(s, "has bytes that nobody asks for");
	}
	s->open = NULL;
}

/* The last section is about all others, and not about itself. */
static void end_notes(struct state *s)
{
	struct state_notes *notes = s->notes;

	s->notes = NULL;
	if (notes)
		state_notes_save(notes, s);
	state_notes_destroy(notes);
}

const void *state_seal(struct state *s, size_t *len)
{
	struct header h = { .major = STATE_MAJOR, .minor = STATE_MINOR };

	end_notes(s);
	if (state_failed(s))
		return NULL;
	h.sections = s->count;
	h.len = s->len;
	memcpy(h.magic, magic, sizeof(magic));
	h.crc = crc32c(0, &h, offsetof(struct header, crc));
	memcpy(s->bytes, &h, sizeof(h));
	*len = s->len;
	return s->bytes;
}

const void *state_whole(const struct state *s, size_t *len)
{
	*len = s->len;
	return s->bytes;
}

static void copy_section(struct state *to, const struct state_section_info *n, const void *bytes,
			 size_t len)
{
	state_begin(to, (enum state_section)n->kind->type, n->instance);
	if (to->open)
		to->section[to->count - 1].version = n->version;
	state_bytes(to, (void *)bytes, len);
	state_end(to);
}

int state_remake(const struct state *s, const void *manifest, size_t len, struct state **ret)
{
	struct state_section_info n;
	struct state *to;
	int r = state_create(&to);

	if (r < 0)
		return r;
	/* They are copied like the rest. */
	state_notes_destroy(to->notes);
	to->notes = NULL;
	for (unsigned i = 0; state_section_at(s, i, &n); i++) {
		bool replaced = n.kind->type == STATE_MANIFEST;

		copy_section(to, &n, replaced ? manifest : n.bytes, replaced ? len : n.len);
	}
	r = state_error(to, NULL);
	if (r < 0)
		state_destroy(to);
	else
		*ret = to;
	return r;
}

/* --- fields --- */

static size_t left(const struct state *s)
{
	return s->open->at + s->open->len - s->at;
}

/* Not of the manifest, which is readable as it is, and can be replaced. */
static void note(struct state *s, const char *name, enum state_field_kind kind, size_t len)
{
	if (s->notes && s->open && s->open->kind->type != STATE_MANIFEST && !state_failed(s) &&
	    !state_notes_add(s->notes, s->count - 1, name, kind, len))
		fail(s, -ENOMEM, "out of memory");
}

static void transfer(struct state *s, void *bytes, size_t len)
{
	if (s->loading && (state_failed(s) || !s->open || left(s) < len)) {
		memset(bytes, 0, len);
		state_fail(s, "ends too early");
		return;
	}
	if (s->loading) {
		memcpy(bytes, s->bytes + s->at, len);
		s->at += len;
	} else if (!state_failed(s) && s->open && make_room(s, len)) {
		memcpy(s->bytes + s->len, bytes, len);
		s->len += len;
	}
}

static void number(struct state *s, const char *name, void *value, size_t len)
{
	note(s, name, STATE_FIELD_NUMBER, len);
	transfer(s, value, len);
}

void state_bytes_as(struct state *s, const char *name, void *bytes, size_t len)
{
	note(s, name, STATE_FIELD_BYTES, len);
	transfer(s, bytes, len);
}

void state_u8_as(struct state *s, const char *name, uint8_t *value)
{
	number(s, name, value, sizeof(*value));
}

void state_u16_as(struct state *s, const char *name, uint16_t *value)
{
	number(s, name, value, sizeof(*value));
}

void state_u32_as(struct state *s, const char *name, uint32_t *value)
{
	number(s, name, value, sizeof(*value));
}

void state_u64_as(struct state *s, const char *name, uint64_t *value)
{
	number(s, name, value, sizeof(*value));
}

void state_bool_as(struct state *s, const char *name, bool *value)
{
	uint8_t byte = s->loading ? 0 : *value;

	note(s, name, STATE_FIELD_FLAG, sizeof(byte));
	transfer(s, &byte, sizeof(byte));
	if (byte > 1)
		state_fail(s, "a flag that is neither on nor off");
	*value = byte == 1;
}

static void counted(struct state *s, void *bytes, size_t *len, size_t room)
{
	uint32_t n = s->loading ? 0 : (uint32_t)*len;

	transfer(s, &n, sizeof(n));
	if (n > room) {
		state_fail(s, "a field is larger than it can be");
		n = 0;
	}
	transfer(s, bytes, n);
	*len = n;
}

void state_blob_as(struct state *s, const char *name, void *bytes, size_t *len, size_t room)
{
	note(s, name, STATE_FIELD_BLOB, sizeof(uint32_t) + (s->loading ? 0 : *len));
	counted(s, bytes, len, room);
}

void state_string_as(struct state *s, const char *name, char *text, size_t room)
{
	size_t len = s->loading ? 0 : strnlen(text, room - 1);

	note(s, name, STATE_FIELD_TEXT, sizeof(uint32_t) + len);
	counted(s, text, &len, room - 1);
	text[len] = '\0';
	if (strlen(text) != len)
		state_fail(s, "a text with a NUL in it");
}

const void *state_rest(struct state *s, size_t *len)
{
	const void *rest;

	*len = 0;
	if (!s->loading || state_failed(s) || !s->open)
		return NULL;
	*len = left(s);
	rest = s->bytes + s->at;
	s->at += *len;
	return rest;
}
