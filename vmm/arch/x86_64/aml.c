/* aml.c - an encoder for the part of AML that the DSDT needs.
 *
 * Whatever has a body carries the body's length in front of it, in a code of one
 * to four bytes that counts itself. The length is known when the body ends, so it
 * is inserted then.
 */
#include <string.h>

#include "vmm/arch/x86_64/aml.h"

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXTENDED = 0x5b, /* one of the next three follows */
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
	OP_LOCAL0 = 0x60,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
	NULL_NAME = 0x00, /* no target: the result is only used */
};

/* Resource descriptors: small ones have their length in the low three bits. */
enum {
	RES_IRQ = 0x22,
	RES_IO = 0x47,
	RES_IO_DECODE16 = 0x01,
	RES_END = 0x79, /* and a checksum, where 0 means none */
	RES_MEMORY32_FIXED = 0x86,
	RES_MEMORY32_LEN = 9,
	RES_MEMORY_READ_WRITE = 0x01,
	RES_INTERRUPT = 0x89,
	RES_INTERRUPT_LEN = 6,
	RES_INTERRUPT_CONSUMER = 0x01,
	RES_INTERRUPT_EDGE = 0x02, /* active high and exclusive are 0 */
	RES_WORD_SPACE = 0x88,
	RES_WORD_SPACE_LEN = 13,
	RES_DWORD_SPACE = 0x87,
	RES_DWORD_SPACE_LEN = 23,
	RES_SPACE_MEMORY = 0,
	RES_SPACE_BUS = 2,
	RES_SPACE_FIXED = 0x0c, /* both ends; a producer */
};

enum { NAME_SEGMENT = 4, REGION_SYSTEM_IO = 1, METHOD_SERIALIZED = 8 };
enum { FIELD_BYTE_ACCESS = 1, FIELD_DWORD_ACCESS = 3 };

static void put_name(struct aml *a, const char *name)
{
	char segment[NAME_SEGMENT] = { '_', '_', '_', '_' };

	if (*name == '\\') {
		tablebuf_put8(a->out, '\\');
		name++;
	}
	memcpy(segment, name, strnlen(name, NAME_SEGMENT));
	tablebuf_put(a->out, segment, NAME_SEGMENT);
}

/* --- what has a body --- */

static void open_body(struct aml *a, bool is_buffer)
{
	if (a->depth == AML_MAX_DEPTH) {
		a->out->full = true;
		return;
	}
	a->open[a->depth].at = a->out->len;
	a->open[a->depth].is_buffer = is_buffer;
	a->depth++;
}

/* PkgLength (20.2.4) of a body of len bytes; returns how many bytes it takes. The
 * longer forms keep the low 4 bits of the length in their first byte. */
static size_t encode_length(uint8_t code[4], size_t len)
{
	size_t extra = 0;

	if (len + 1 < 1 << 6) {
		code[0] = (uint8_t)(len + 1);
		return 1;
	}
	do
		extra++;
	while (extra < 3 && len + 1 + extra >= (size_t)1 << (4 + 8 * extra));
	len += 1 + extra;
	code[0] = (uint8_t)(extra << 6 | (len & 0xf));
	for (size_t i = 1; i <= extra; i++)
		code[i] = (uint8_t)(len >> (8 * i - 4));
	return 1 + extra;
}

static void insert_length(struct aml *a, size_t at)
{
	uint8_t code[4];
	size_t n = encode_length(code, a->out->len - at);

	tablebuf_insert(a->out, at, code, n);
}

/* The tag that ends a resource template, then in front of the template its size. */
static void end_resources(struct aml *a, size_t at)
{
	uint8_t size[3] = { OP_WORD };

	tablebuf_put_le(a->out, RES_END, 2);
	size[1] = (uint8_t)(a->out->len - at);
	size[2] = (uint8_t)((a->out->len - at) >> 8);
	tablebuf_insert(a->out, at, size, sizeof(size));
}

void aml_end(struct aml *a)
{
	size_t at;

	if (a->depth == 0 || a->out->full)
		return;
	a->depth--;
	at = a->open[a->depth].at;
	if (a->open[a->depth].is_buffer)
		end_resources(a, at);
	insert_length(a, at);
}

void aml_scope(struct aml *a, const char *name)
{
	tablebuf_put8(a->out, OP_SCOPE);
	open_body(a, false);
	put_name(a, name);
}

void aml_device(struct aml *a, const char *name)
{
	tablebuf_put8(a->out, OP_EXTENDED);
	tablebuf_put8(a->out, EXT_DEVICE);
	open_body(a, false);
	put_name(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned arguments)
{
	tablebuf_put8(a->out, OP_METHOD);
	open_body(a, false);
	put_name(a, name);
	tablebuf_put8(a->out, (uint8_t)(arguments | METHOD_SERIALIZED));
}

void aml_package(struct aml *a, uint8_t elements)
{
	tablebuf_put8(a->out, OP_PACKAGE);
	open_body(a, false);
	tablebuf_put8(a->out, elements);
}

void aml_if_local0(struct aml *a, uint64_t mask)
{
	tablebuf_put8(a->out, OP_IF);
	open_body(a, false);
	tablebuf_put8(a->out, OP_AND);
	tablebuf_put8(a->out, OP_LOCAL0);
	aml_integer(a, mask);
	tablebuf_put8(a->out, NULL_NAME);
}

static void open_field(struct aml *a, const char *region, uint8_t access)
{
	tablebuf_put8(a->out, OP_EXTENDED);
	tablebuf_put8(a->out, EXT_FIELD);
	open_body(a, false);
	put_name(a, region);
	tablebuf_put8(a->out, access);
}

/* The width in bits is coded as a length of one byte. */
static void put_field(struct aml *a, const char *name, uint8_t bits)
{
	put_name(a, name);
	tablebuf_put8(a->out, bits);
}

void aml_byte_field(struct aml *a, const char *region, const char *name)
{
	open_field(a, region, FIELD_BYTE_ACCESS);
	put_field(a, name, 8);
	aml_end(a);
}

void aml_dword_fields(struct aml *a, const char *region, const char *const *names, unsigned count)
{
	open_field(a, region, FIELD_DWORD_ACCESS);
	for (unsigned i = 0; i < count; i++)
		put_field(a, names[i], 32);
	aml_end(a);
}

/* --- objects and statements --- */

void aml_name(struct aml *a, const char *name)
{
	tablebuf_put8(a->out, OP_NAME);
	put_name(a, name);
}

void aml_integer(struct aml *a, uint64_t value)
{
	if (value <= 1) {
		tablebuf_put8(a->out, (uint8_t)value); /* ZeroOp and OneOp */
	} else if (value <= UINT8_MAX) {
		tablebuf_put8(a->out, OP_BYTE);
		tablebuf_put_le(a->out, value, 1);
	} else if (value <= UINT16_MAX) {
		tablebuf_put8(a->out, OP_WORD);
		tablebuf_put_le(a->out, value, 2);
	} else if (value <= UINT32_MAX) {
		tablebuf_put8(a->out, OP_DWORD);
		tablebuf_put_le(a->out, value, 4);
	} else {
		tablebuf_put8(a->out, OP_QWORD);
		tablebuf_put_le(a->out, value, 8);
	}
}

void aml_string(struct aml *a, const char *text)
{
	tablebuf_put8(a->out, OP_STRING);
	tablebuf_put(a->out, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four digits of four bits, as one big-endian
 * number of 32 bits (6.1.5). */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	tablebuf_put8(a->out, OP_DWORD);
	tablebuf_put_le(a->out, __builtin_bswap32(v), 4);
}

void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len)
{
	tablebuf_put8(a->out, OP_EXTENDED);
	tablebuf_put8(a->out, EXT_REGION);
	put_name(a, name);
	tablebuf_put8(a->out, REGION_SYSTEM_IO);
	aml_integer(a, port);
	aml_integer(a, len);
}

void aml_set_local0(struct aml *a, const char *name)
{
	tablebuf_put8(a->out, OP_STORE);
	put_name(a, name);
	tablebuf_put8(a->out, OP_LOCAL0);
}

void aml_store(struct aml *a, uint64_t value, const char *name)
{
	tablebuf_put8(a->out, OP_STORE);
	aml_integer(a, value);
	put_name(a, name);
}

void aml_notify(struct aml *a, const char *device, uint8_t value)
{
	tablebuf_put8(a->out, OP_NOTIFY);
	put_name(a, device);
	aml_integer(a, value);
}

/* --- resources --- */

void aml_resources(struct aml *a)
{
	tablebuf_put8(a->out, OP_BUFFER);
	open_body(a, true);
}

void aml_io(struct aml *a, uint16_t port, uint8_t len)
{
	tablebuf_put8(a->out, RES_IO);
	tablebuf_put8(a->out, RES_IO_DECODE16);
	tablebuf_put_le(a->out, port, 2); /* lowest and highest base: the same */
	tablebuf_put_le(a->out, port, 2);
	tablebuf_put8(a->out, 1); /* alignment */
	tablebuf_put8(a->out, len);
}

void aml_irq(struct aml *a, unsigned irq)
{
	tablebuf_put8(a->out, RES_IRQ);
	tablebuf_put_le(a->out, 1ull << irq, 2);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	tablebuf_put8(a->out, RES_MEMORY32_FIXED);
	tablebuf_put_le(a->out, RES_MEMORY32_LEN, 2);
	tablebuf_put8(a->out, RES_MEMORY_READ_WRITE);
	tablebuf_put_le(a->out, base, 4);
	tablebuf_put_le(a->out, len, 4);
}

void aml_interrupt(struct aml *a, uint32_t gsi)
{
	tablebuf_put8(a->out, RES_INTERRUPT);
	tablebuf_put_le(a->out, RES_INTERRUPT_LEN, 2);
	tablebuf_put8(a->out, RES_INTERRUPT_CONSUMER | RES_INTERRUPT_EDGE);
	tablebuf_put8(a->out, 1); /* interrupts in the list */
	tablebuf_put_le(a->out, gsi, 4);
}

/* Granularity, lowest and highest address, translation, length: each `width` bytes. */
static void put_space(struct aml *a, uint8_t type, uint8_t flags, uint32_t first, uint32_t len,
		      size_t width)
{
	tablebuf_put8(a->out, type);
	tablebuf_put8(a->out, RES_SPACE_FIXED);
	tablebuf_put8(a->out, flags);
	tablebuf_put_le(a->out, 0, width);
	tablebuf_put_le(a->out, first, width);
	tablebuf_put_le(a->out, first + (len - 1), width);
	tablebuf_put_le(a->out, 0, width);
	tablebuf_put_le(a->out, len, width);
}

void aml_bus_numbers(struct aml *a, uint8_t first, uint8_t count)
{
	tablebuf_put8(a->out, RES_WORD_SPACE);
	tablebuf_put_le(a->out, RES_WORD_SPACE_LEN, 2);
	put_space(a, RES_SPACE_BUS, 0, first, count, 2);
}

void aml_memory_window(struct aml *a, uint32_t base, uint32_t len)
{
	tablebuf_put8(a->out, RES_DWORD_SPACE);
	tablebuf_put_le(a->out, RES_DWORD_SPACE_LEN, 2);
	put_space(a, RES_SPACE_MEMORY, RES_MEMORY_READ_WRITE, base, len, 4);
}
