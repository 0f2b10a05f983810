/* segment.h - a TCP segment, in and out of its bytes (RFC 9293, 3.1).
 *
 * Numbers are in host order here. Of the options only the maximum segment size is read
 * and written. Any thread; nothing is kept.
 */
#ifndef DEVICES_MMDS_SEGMENT_H
#define DEVICES_MMDS_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEGMENT_HEADER_BYTES = 20,
	SEGMENT_HEADER_MAX_BYTES = 60,
	SEGMENT_MSS_BYTES = 4, /* behind the header when it says one */
};

enum {
	SEGMENT_FIN = 1,
	SEGMENT_SYN = 2,
	SEGMENT_RST = 4,
	SEGMENT_PSH = 8,
	SEGMENT_ACK = 16,
};

struct segment {
	uint16_t source, destination; /* ports */
	uint32_t seq, ack;
	uint8_t flags; /* SEGMENT_* */
	uint16_t window;
	uint16_t mss;	     /* 0: not given */
	const void *payload; /* borrowed */
	size_t len;
	bool cut; /* the payload had more bytes than are here */
};

/* False when the bytes are not a segment. */
bool segment_parse(const uint8_t *data, size_t len, struct segment *ret);

/* Writes header and payload, the checksum zero; the bytes. */
size_t segment_write(uint8_t *to, const struct segment *s);

/* Puts in a checksum, as it is stored. */
void segment_set_checksum(uint8_t *segment, uint16_t sum);

#endif
