/* fuzz_mmds.c - a hostile guest against the metadata service's network stack.
 *
 * The input is a list of steps, each an opcode and what it takes: any frame, a segment
 * whose numbers are relative to what the service said last (so that connections get
 * somewhere), frames fetched, time passed, the driver gone, another document. Whatever
 * comes, our frames are whole, from the service, with right checksums; there are no
 * more connections than there is room for; and what is said to be due comes.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/endpoint.h"
#include "devices/mmds/mmds.h"

enum { PORTS = 64, FIRST_PORT = 40000, LIMIT = 8192, GUEST = 0x0a000002, SERVICE = 0xa9fea9fe };
enum op { OP_FRAME, OP_SEGMENT, OP_FETCH, OP_TIME, OP_FORGET, OP_DOCUMENT, OPS };

struct input {
	const uint8_t *at;
	size_t left;
};

struct guest {
	struct mmds *mmds;
	struct endpoint *endpoint;
	uint64_t now_us;
	uint32_t sent[PORTS], heard[PORTS]; /* the next numbers of both sides */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t value = 0;

	for (; bytes > 0 && in->left > 0; bytes--, in->at++, in->left--)
		value = value << 8 | *in->at;
	return value;
}

static const uint8_t *take_bytes(struct input *in, size_t *len)
{
	const uint8_t *at = in->at;

	if (*len > in->left)
		*len = in->left;
	in->at += *len;
	in->left -= *len;
	return at;
}

static void input(struct guest *g, const uint8_t *frame, size_t len)
{
	if (endpoint_owns(g->endpoint, frame,
			  len < ENDPOINT_HEAD_BYTES ? len : ENDPOINT_HEAD_BYTES))
		endpoint_input(g->endpoint, frame,
			       len < ENDPOINT_IN_BYTES ? len : ENDPOINT_IN_BYTES, g->now_us);
}

/* Any bytes; those that make it the service's are put in. */
static void any_frame(struct guest *g, struct input *in)
{
	const uint32_t address = htonl(SERVICE);
	uint8_t frame[256] = { 0 };
	bool arp = take(in, 1) & 1;
	size_t len = take(in, 1);
	const uint8_t *bytes = take_bytes(in, &len);

	memcpy(frame, bytes, len);
	frame[12] = 8;
	frame[13] = arp ? 6 : 0;
	memcpy(frame + ETH_HLEN + (arp ? 24 : 16), &address, sizeof(address));
	input(g, frame, len);
}

static void send_segment(struct guest *g, struct input *in)
{
	unsigned i = take(in, 1) % PORTS;
	uint8_t frame[ENDPOINT_IN_BYTES + 1024] = { 0 };
	const size_t head = ETH_HLEN + IPV4_HEADER_BYTES;
	struct segment s = {
		.source = (uint16_t)(FIRST_PORT + i),
		.destination = ENDPOINT_PORT,
		.flags = (uint8_t)take(in, 1),
	};
	struct ipv4_packet p = {
		.source = htonl(GUEST),
		.destination = htonl(SERVICE),
		.protocol = IPPROTO_TCP,
	};

	s.seq = g->sent[i] + (uint32_t)(int8_t)take(in, 1) * 7;
	s.ack = g->heard[i] + (uint32_t)(int8_t)take(in, 1) * 7;
	s.window = (uint16_t)take(in, 2);
	s.mss = (uint16_t)take(in, 2);
	s.len = take(in, 2) % 3000;
	s.payload = take_bytes(in, &s.len);
	frame[12] = 8;
	p.len = segment_write(frame + head, &s);
	ipv4_write_header(frame + ETH_HLEN, &p);
	input(g, frame, head + p.len);
	g->sent[i] =
		s.seq + (uint32_t)s.len + !!(s.flags & SEGMENT_SYN) + !!(s.flags & SEGMENT_FIN);
}

static void check_segment(struct guest *g, const uint8_t *frame, size_t len)
{
	struct ipv4_packet p;
	struct segment s;

	if (!ipv4_parse(frame + ETH_HLEN, len - ETH_HLEN, &p) || p.cut ||
	    p.source != htonl(SERVICE) || ipv4_payload_checksum(&p) != 0 ||
	    !segment_parse(p.payload, p.len, &s))
		abort();
	if (s.destination >= FIRST_PORT && s.destination < FIRST_PORT + PORTS)
		g->heard[s.destination - FIRST_PORT] = s.seq + (uint32_t)s.len +
						       !!(s.flags & SEGMENT_SYN) +
						       !!(s.flags & SEGMENT_FIN);
}

/* Up to n frames. */
static void fetch(struct guest *g, unsigned n)
{
	uint8_t frame[ENDPOINT_OUT_BYTES];
	size_t len = 1;

	while (n-- > 0 && len > 0) {
		len = endpoint_output(g->endpoint, frame, g->now_us);
		if (len > sizeof(frame) || (len > 0 && len < ETH_HLEN + ARP_BYTES))
			abort();
		if (len > 0 && frame[13] == 0)
			check_segment(g, frame, len);
		if (len == 0 && endpoint_due_us(g->endpoint) == 0)
			abort();
	}
}

static void put_document(struct mmds *m, size_t len)
{
	static char text[LIMIT];
	json_t *document;

	memset(text, 'x', sizeof(text));
	document = json_pack("{s:s#, s:{s:i}}", "a", text, (int)(len % LIMIT), "b", "c", 1);
	if (!document)
		abort();
	mmds_put(m, document);
	json_decref(document);
}

static void step(struct guest *g, struct input *in)
{
	switch ((enum op)(take(in, 1) % OPS)) {
	case OP_FRAME:
		any_frame(g, in);
		break;
	case OP_SEGMENT:
		send_segment(g, in);
		break;
	case OP_FETCH:
		fetch(g, take(in, 1));
		break;
	case OP_TIME:
		g->now_us += (uint64_t)take(in, 1) * 10000;
		break;
	case OP_FORGET:
		endpoint_forget(g->endpoint);
		break;
	case OP_DOCUMENT:
		put_document(g->mmds, take(in, 2));
		mmds_configure(g->mmds, take(in, 1) & 1 ? MMDS_V2 : MMDS_V1, false);
		break;
	case OPS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct guest g = { .now_us = 1 };
	const struct mmds_counters *c;

	if (mmds_create(LIMIT, &g.mmds) < 0 ||
	    endpoint_create(g.mmds, htonl(SERVICE), UINT32_MAX - 100, &g.endpoint) < 0)
		abort();
	c = mmds_counters(g.mmds);
	put_document(g.mmds, 4000);
	while (in.left > 0) {
		step(&g, &in);
		if (c->connections_created - c->connections_destroyed > ENDPOINT_CONNECTIONS)
			abort();
	}
	endpoint_destroy(g.endpoint);
	if (c->connections_created != c->connections_destroyed)
		abort();
	mmds_destroy(g.mmds);
	return 0;
}
