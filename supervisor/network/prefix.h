/* prefix.h - addresses and prefixes of IPv4 and IPv6: text, numbers, and how they lie.
 *
 * Bytes are in the network's order; of IPv4 the first four count. Any thread.
 */
#ifndef SUPERVISOR_NETWORK_PREFIX_H
#define SUPERVISOR_NETWORK_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

enum { ADDRESS_BYTES = 16, ADDRESS_TEXT = 46, PREFIX_TEXT = 50 };

struct address {
	int family; /* AF_INET, AF_INET6, or 0: none */
	uint8_t bytes[ADDRESS_BYTES];
};

struct prefix {
	struct address base;
	unsigned bits; /* that are the same in all its addresses */
};

/* Of numbers only, "10.0.0.1" or "fd00::1"; -EINVAL. */
int address_parse(const char *text, struct address *ret);
/* "" for none; returns buf. */
const char *address_print(const struct address *a, char buf[ADDRESS_TEXT]);

/* "10.0.0.0/24"; a text without a slash is one address. -EINVAL: it is none, or it has bits
 * beyond its length. */
int prefix_parse(const char *text, struct prefix *ret);
const char *prefix_print(const struct prefix *p, char buf[PREFIX_TEXT]);

bool prefix_contains(const struct prefix *p, const struct address *a);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* The n-th address; of a prefix of the family 0: none. The caller knows that n is inside. */
struct address prefix_address(const struct prefix *p, uint32_t n);
/* Which one it is; the caller knows that it is inside, and below 2^32. */
uint32_t prefix_index(const struct prefix *p, const struct address *a);
/* How many addresses there are, at most 2^31. */
uint32_t prefix_size(const struct prefix *p);

#endif
