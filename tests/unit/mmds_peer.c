/* mmds_peer.c - a guest's network stack in host memory. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "tests/unit/mmds_peer.h"

enum { FRAME_BYTES = 4096, CUT_BYTES = 100, FIRST_SEQ = 0xfffffff0u /* soon to wrap */ };

const uint8_t peer_mac[ETH_ALEN] = { 0x06, 0, 0, 0, 0, 0x01 };

void peer_create(struct mmds_peer *p, const char *document)
{
	json_t *j = json_loads(document, 0, NULL);

	*p = (struct mmds_peer){ .now_us = 1000 };
	assert_non_null(j);
	assert_int_equal(mmds_create(1 << 20, &p->mmds), 0);
	assert_int_equal(mmds_put(p->mmds, j), 0);
	json_decref(j);
	assert_int_equal(endpoint_create(p->mmds, htonl(PEER_SERVICE), FIRST_SEQ, &p->endpoint), 0);
}

void peer_destroy(struct mmds_peer *p)
{
	endpoint_destroy(p->endpoint);
	mmds_destroy(p->mmds);
}

void peer_send(struct mmds_peer *p, const struct segment *s)
{
	uint8_t frame[FRAME_BYTES] = { 0 };
	struct ethhdr h = { .h_dest = { 0xff }, .h_proto = htons(ETH_P_IP) };
	struct segment filled = *s;
	struct ipv4_packet packet = {
		.source = htonl(PEER_GUEST),
		.destination = htonl(PEER_SERVICE),
		.protocol = IPPROTO_TCP,
	};

	memcpy(h.h_source, peer_mac, ETH_ALEN);
	memcpy(frame, &h, sizeof(h));
	if (filled.destination == 0)
		filled.destination = ENDPOINT_PORT;
	packet.len = segment_write(frame + ETH_HLEN + IPV4_HEADER_BYTES, &filled);

	size_t len = ETH_HLEN + IPV4_HEADER_BYTES + packet.len;

	packet.len += s->cut ? CUT_BYTES : 0u;
	ipv4_write_header(frame + ETH_HLEN, &packet);

	assert_true(endpoint_owns(p->endpoint, frame, ENDPOINT_HEAD_BYTES));
	endpoint_input(p->endpoint, frame, len < ENDPOINT_IN_BYTES ? len : ENDPOINT_IN_BYTES,
		       p->now_us);
}

/* A right checksum with its field in the sum is zero. */
static void check_sums(const uint8_t *frame, const struct ipv4_packet *packet)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IPV4_HEADER_BYTES; i += 2)
		sum += (uint32_t)frame[ETH_HLEN + i] << 8 | frame[ETH_HLEN + i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	assert_int_equal(ipv4_payload_checksum(packet), 0);
}

bool peer_receive(struct mmds_peer *p, struct segment *ret)
{
	static uint8_t frame[ENDPOINT_OUT_BYTES];
	size_t len = endpoint_output(p->endpoint, frame, p->now_us);
	struct ipv4_packet packet;
	struct ethhdr h;

	assert_true(len <= sizeof(frame));
	if (len == 0)
		return false;
	memcpy(&h, frame, sizeof(h));
	assert_memory_equal(h.h_dest, peer_mac, ETH_ALEN);
	assert_int_equal(h.h_proto, htons(ETH_P_IP));
	assert_true(ipv4_parse(frame + ETH_HLEN, len - ETH_HLEN, &packet));
	assert_int_equal(packet.source, htonl(PEER_SERVICE));
	assert_int_equal(packet.destination, htonl(PEER_GUEST));
	assert_int_equal(packet.protocol, IPPROTO_TCP);
	assert_false(packet.cut);
	check_sums(frame, &packet);
	assert_true(segment_parse(packet.payload, packet.len, ret));
	return true;
}

void peer_connect(struct mmds_peer *p, uint16_t port, struct peer_side *side)
{
	const struct segment syn = {
		.source = port, .seq = 1000, .flags = SEGMENT_SYN, .window = 64000, .mss = TCP_MSS
	};
	struct segment s;

	*side = (struct peer_side){ .port = port, .seq = syn.seq + 1, .window = syn.window };
	peer_send(p, &syn);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_int_equal(s.destination, port);
	assert_int_equal(s.ack, side->seq);
	assert_int_equal(s.mss, TCP_MSS);
	assert_int_equal(s.window, TCP_REQUEST_BYTES);
	side->ack = s.seq + 1;
	peer_say(p, side, SEGMENT_ACK, NULL, 0);
}

void peer_say(struct mmds_peer *p, struct peer_side *side, uint8_t flags, const void *data,
	      size_t len)
{
	const struct segment s = {
		.source = side->port,
		.seq = side->seq,
		.ack = side->ack,
		.flags = flags,
		.window = side->window,
		.payload = data,
		.len = len,
	};

	peer_send(p, &s);
	side->seq += (uint32_t)len + ((flags & SEGMENT_FIN) != 0);
}

size_t peer_read(struct mmds_peer *p, struct peer_side *side, char *text, size_t room)
{
	struct segment s;
	size_t len = 0;

	while (peer_receive(p, &s)) {
		assert_int_equal(s.destination, side->port);
		assert_int_equal(s.seq, side->ack);
		assert_true(s.flags & SEGMENT_ACK);
		assert_true(s.len <= room - len);
		memcpy(text + len, s.payload, s.len);
		len += s.len;
		side->ack += (uint32_t)s.len + ((s.flags & SEGMENT_FIN) != 0);
		if (s.len > 0 || (s.flags & SEGMENT_FIN))
			peer_say(p, side, SEGMENT_ACK, NULL, 0);
	}
	return len;
}
