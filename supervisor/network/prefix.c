/* prefix.c - arithmetic on addresses, byte by byte: the same for both families. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/network/prefix.h"

enum { SIZE_BITS_MAX = 31 };

static unsigned family_bits(int family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

int address_parse(const char *text, struct address *ret)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(a.family, text, a.bytes) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

const char *address_print(const struct address *a, char buf[ADDRESS_TEXT])
{
	if (!a->family || !inet_ntop(a->family, a->bytes, buf, ADDRESS_TEXT))
		buf[0] = '\0';
	return buf;
}

/* The first bits of two addresses are the same. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (uint8_t)(a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool is_aligned(const struct prefix *p)
{
	struct address a = p->base;

	for (unsigned bit = p->bits; bit < family_bits(a.family); bit++)
		if (a.bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char address[ADDRESS_TEXT];
	struct prefix p;
	size_t len = strcspn(text, "/");
	char *end = NULL;
	unsigned long bits;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (address_parse(address, &p.base) < 0)
		return -EINVAL;
	bits = family_bits(p.base.family);
	if (text[len]) {
		const char *digits = text + len + 1;
		unsigned long most = bits;

		bits = strtoul(digits, &end, 10);
		if (strspn(digits, "0123456789") == 0 || *end || bits > most)
			return -EINVAL;
	}
	p.bits = (unsigned)bits;
	if (!is_aligned(&p))
		return -EINVAL;
	*ret = p;
	return 0;
}

const char *prefix_print(const struct prefix *p, char buf[PREFIX_TEXT])
{
	char address[ADDRESS_TEXT];

	buf[0] = '\0';
	if (p->base.family)
		snprintf(buf, PREFIX_TEXT, "%.45s/%u", address_print(&p->base, address),
			 p->bits % 1000);
	return buf;
}

bool prefix_contains(const struct prefix *p, const struct address *a)
{
	return p->base.family && p->base.family == a->family &&
	       same_bits(p->base.bytes, a->bytes, p->bits);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->bits < b->bits ? prefix_contains(a, &b->base) : prefix_contains(b, &a->base);
}

struct address prefix_address(const struct prefix *p, uint32_t n)
{
	struct address a = p->base;

	for (unsigned at = family_bits(a.family) / 8; at-- > 0 && n; n >>= 8)
		a.bytes[at] |= (uint8_t)n;
	return a;
}

uint32_t prefix_index(const struct prefix *p, const struct address *a)
{
	unsigned bytes = family_bits(a->family) / 8;
	uint32_t n = 0;

	for (unsigned at = bytes - 4; at < bytes; at++)
		n = n << 8 | (uint8_t)(a->bytes[at] ^ p->base.bytes[at]);
	return n;
}

uint32_t prefix_size(const struct prefix *p)
{
	unsigned rest = family_bits(p->base.family) - p->bits;

	return 1U << (rest < SIZE_BITS_MAX ? rest : SIZE_BITS_MAX);
}
