/* ipv4.c - the packets that carry the metadata service's TCP. */
#include <netinet/ip.h>
#include <string.h>

#include "devices/mmds/ipv4.h"

_Static_assert(sizeof(struct iphdr) == IPV4_HEADER_BYTES, "as on the wire");

enum { WORD_BYTES = 4, TIME_TO_LIVE = 64 };

in_addr_t ipv4_destination(const uint8_t *data)
{
	in_addr_t address;

	memcpy(&address, data + offsetof(struct iphdr, daddr), sizeof(address));
	return address;
}

bool ipv4_parse(const uint8_t *data, size_t len, struct ipv4_packet *ret)
{
	struct iphdr h;
	size_t head, total;

	if (len < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	head = (size_t)h.ihl * WORD_BYTES;
	total = ntohs(h.tot_len);
	if (h.version != IPVERSION || head < sizeof(h) || head > len || total < head)
		return false;
	if (h.frag_off & htons(IP_MF | IP_OFFMASK))
		return false;
	*ret = (struct ipv4_packet){
		.source = h.saddr,
		.destination = h.daddr,
		.protocol = h.protocol,
		.payload = data + head,
		.len = (total < len ? total : len) - head,
		.cut = total > len,
	};
	return true;
}

/* One's complement sum of 16-bit words, the last one filled up with zero. */
static uint32_t sum_words(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (len % 2)
		sum += (uint32_t)data[len - 1] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	return htons((uint16_t)~sum);
}

void ipv4_write_header(uint8_t *to, const struct ipv4_packet *p)
{
	struct iphdr h = {
		.version = IPVERSION,
		.ihl = sizeof(h) / WORD_BYTES,
		.tot_len = htons((uint16_t)(sizeof(h) + p->len)),
		.frag_off = htons(IP_DF),
		.ttl = TIME_TO_LIVE,
		.protocol = p->protocol,
		.saddr = p->source,
		.daddr = p->destination,
	};

	memcpy(to, &h, sizeof(h));
	h.check = fold(sum_words(to, sizeof(h), 0));
	memcpy(to, &h, sizeof(h));
}

uint16_t ipv4_payload_checksum(const struct ipv4_packet *p)
{
	uint8_t addresses[2 * sizeof(in_addr_t)];
	uint32_t sum = (uint32_t)p->protocol + (uint32_t)p->len;

	memcpy(addresses, &p->source, sizeof(p->source));
	memcpy(addresses + sizeof(p->source), &p->destination, sizeof(p->destination));
	sum = sum_words(addresses, sizeof(addresses), sum);
	return fold(sum_words(p->payload, p->len, sum));
}
