/* ipv4.h - the packets that carry the metadata service's TCP (RFC 791).
 *
 * No options are written, no fragments taken. Checksums are written and not read: the
 * wire is the guest's own memory, and its kernel leaves them to the device. Addresses and
 * ports are in network order. Any thread; nothing is kept.
 */
#ifndef DEVICES_MMDS_IPV4_H
#define DEVICES_MMDS_IPV4_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IPV4_HEADER_BYTES = 20, IPV4_HEADER_MAX_BYTES = 60 };

struct ipv4_packet {
	in_addr_t source, destination;
	uint8_t protocol;
	const uint8_t *payload; /* in the bytes that were parsed */
	size_t len;
	bool cut; /* the packet had more of it */
};

/* Where the packet wants to go, of at least IPV4_HEADER_BYTES. */
in_addr_t ipv4_destination(const uint8_t *data);

/* The packet in the first len bytes of a frame's payload, which may be cut short behind
 * its headers. False: it is not one, or a fragment. */
bool ipv4_parse(const uint8_t *data, size_t len, struct ipv4_packet *ret);

/* Writes the header in front of a payload of p->len bytes. */
void ipv4_write_header(uint8_t *to, const struct ipv4_packet *p);

/* The Internet checksum (RFC 1071) of a payload under its pseudo header, as it is stored.
 * The field for it must be zero. */
uint16_t ipv4_payload_checksum(const struct ipv4_packet *p);

#endif
