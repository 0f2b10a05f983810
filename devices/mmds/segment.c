/* segment.c - a TCP segment, in and out of its bytes. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "devices/mmds/segment.h"

_Static_assert(sizeof(struct tcphdr) == SEGMENT_HEADER_BYTES, "as on the wire");

enum { WORD_BYTES = 4 };

/* A maximum segment size among the options, or 0. Ends at the first that is broken. */
static uint16_t find_mss(const uint8_t *options, size_t len)
{
	size_t at = 0;

	while (at < len && options[at] != TCPOPT_EOL) {
		size_t n = 1;

		if (options[at] != TCPOPT_NOP)
			n = at + 1 < len ? options[at + 1] : 0;
		if (n == 0 || n > len - at || (options[at] != TCPOPT_NOP && n < 2))
			return 0;
		if (options[at] == TCPOPT_MAXSEG && n == TCPOLEN_MAXSEG)
			return (uint16_t)(options[at + 2] << 8 | options[at + 3]);
		at += n;
	}
	return 0;
}

bool segment_parse(const uint8_t *data, size_t len, struct segment *ret)
{
	struct tcphdr h;
	size_t head;

	if (len < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	head = (size_t)h.th_off * WORD_BYTES;
	if (head < sizeof(h) || head > len)
		return false;
	*ret = (struct segment){
		.source = ntohs(h.th_sport),
		.destination = ntohs(h.th_dport),
		.seq = ntohl(h.th_seq),
		.ack = ntohl(h.th_ack),
		.flags = h.th_flags,
		.window = ntohs(h.th_win),
		.mss = find_mss(data + sizeof(h), head - sizeof(h)),
		.payload = data + head,
		.len = len - head,
	};
	return true;
}

size_t segment_write(uint8_t *to, const struct segment *s)
{
	size_t head = sizeof(struct tcphdr) + (s->mss ? SEGMENT_MSS_BYTES : 0u);
	struct tcphdr h = {
		.th_sport = htons(s->source),
		.th_dport = htons(s->destination),
		.th_seq = htonl(s->seq),
		.th_ack = htonl(s->ack),
		.th_flags = s->flags,
		.th_win = htons(s->window),
	};

	h.th_off = (unsigned)(head / WORD_BYTES) & 0xfu;
	memcpy(to, &h, sizeof(h));
	if (s->mss) {
		uint8_t option[SEGMENT_MSS_BYTES] = { TCPOPT_MAXSEG, TCPOLEN_MAXSEG,
						      (uint8_t)(s->mss >> 8), (uint8_t)s->mss };

		memcpy(to + sizeof(h), option, sizeof(option));
	}
	if (s->len > 0)
		memcpy(to + head, s->payload, s->len);
	return head + s->len;
}

void segment_set_checksum(uint8_t *segment, uint16_t sum)
{
	memcpy(segment + offsetof(struct tcphdr, th_sum), &sum, sizeof(sum));
}
