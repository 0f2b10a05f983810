/* endpoint.c - the metadata service on one network interface: frames in, frames out.
 *
 *   frame -> Ethernet -> ARP: remembers who asked
 *                     -> IPv4 -> TCP (tcp.h) -> a whole request -> mmds.h -> its answer
 *
 * Nothing is sent on the way in. On the way out each call makes one frame of what is
 * due: the answer to ARP, then resets, then the connections in turn. So what a guest
 * makes us send is bounded by the buffers that it offers, and what it makes us keep by
 * the arrays here: one who asks, RESETS, ENDPOINT_CONNECTIONS. When all connections are
 * taken the one that was silent for longest goes: soon when it was answered and asks for nothing
 * more, late when it is in the middle of something, since a guest may be slow. Else the SYN is
 * left out, which the guest repeats, and so is a reset that has no place.
 * Memory beyond that is one answer for each connection.
 *
 * A frame is judged by its address alone, as Firecracker does: the guest may send it to
 * any MAC address, its router's for one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/endpoint.h"
#include "devices/mmds/mmds.h"

/* A locally administered address; Firecracker's service has the same. */
#define ENDPOINT_MAC                               \
	{                                          \
		0x06, 0x01, 0x23, 0x45, 0x67, 0x01 \
	}

enum {
	RESETS = 16,
	SILENCE_IDLE_US = 1000 * 1000,
	SILENCE_BUSY_US = 30 * 1000 * 1000,
	US_PER_SEQ = 4, /* sequence numbers go on with time (RFC 9293, 3.4.1) */
};

/* The guest's side of a conversation. */
struct peer {
	struct arp_host host;
	uint16_t port, our_port;
};

struct connection {
	struct tcp tcp;
	struct peer peer;
	uint64_t heard_us; /* when it last was */
};

struct refusal {
	struct peer peer;
	struct segment segment;
};

struct endpoint {
	struct mmds *mmds;
	struct mmds_counters *counters;
	struct arp_host self;
	uint32_t first_seq;
	bool forget;

	bool asked;
	struct arp_host asker;
	struct refusal refusal[RESETS];
	unsigned refusals;
	struct connection conn[ENDPOINT_CONNECTIONS];
	unsigned turn; /* whose frame is next */
};

int endpoint_create(struct mmds *m, in_addr_t address, uint32_t first_seq, struct endpoint **ret)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->mmds = m;
	e->counters = mmds_counters(m);
	e->self = (struct arp_host){ ENDPOINT_MAC, address };
	e->first_seq = first_seq;
	*ret = e;
	return 0;
}

static void drop(struct endpoint *e, struct connection *c)
{
	if (c->peer.port == 0)
		return;
	tcp_drop(&c->tcp);
	c->peer = (struct peer){ 0 };
	e->counters->connections_destroyed++;
}

/* A connection that has come to its end leaves its place. */
static void settle(struct endpoint *e, struct connection *c)
{
	if (c->tcp.state == TCP_FREE || tcp_is_done(&c->tcp))
		drop(e, c);
}

static void drop_all(struct endpoint *e)
{
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++)
		drop(e, &e->conn[i]);
	e->asked = e->forget = false;
	e->refusals = 0;
}

void endpoint_destroy(struct endpoint *e)
{
	if (!e)
		return;
	drop_all(e);
	free(e);
}

void endpoint_forget(struct endpoint *e)
{
	e->forget = true;
}

static uint16_t ether_type(const uint8_t *frame)
{
	struct ethhdr h;

	memcpy(&h, frame, sizeof(h));
	return ntohs(h.h_proto);
}

bool endpoint_owns(const struct endpoint *e, const uint8_t *frame, size_t len)
{
	if (len < ETH_HLEN)
		return false;
	switch (ether_type(frame)) {
	case ETH_P_ARP:
		return len >= ETH_HLEN + ARP_BYTES && arp_target(frame + ETH_HLEN) == e->self.ip;
	case ETH_P_IP:
		return len >= ETH_HLEN + IPV4_HEADER_BYTES &&
		       ipv4_destination(frame + ETH_HLEN) == e->self.ip;
	default:
		return false;
	}
}

/* --- from the guest --- */

static struct connection *find(struct endpoint *e, const struct peer *peer)
{
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		struct connection *c = &e->conn[i];

		if (c->peer.port == peer->port && c->peer.host.ip == peer->host.ip)
			return c;
	}
	return NULL;
}

/* For how long it was silent beyond what it may be; negative: it may go on. */
static int64_t overdue_us(const struct connection *c, uint64_t now_us)
{
	return (int64_t)(now_us - c->heard_us) -
	       (tcp_is_idle(&c->tcp) ? SILENCE_IDLE_US : SILENCE_BUSY_US);
}

/* A free place, or that of the one that is overdue for longest; NULL: all are in use. */
static struct connection *make_place(struct endpoint *e, uint64_t now_us)
{
	struct connection *last = &e->conn[0];

	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		if (e->conn[i].peer.port == 0)
			return &e->conn[i];
		if (overdue_us(&e->conn[i], now_us) > overdue_us(last, now_us))
			last = &e->conn[i];
	}
	if (overdue_us(last, now_us) < 0)
		return NULL;
	drop(e, last);
	return last;
}

static void open_connection(struct endpoint *e, const struct peer *peer, const struct segment *s,
			    uint64_t now_us)
{
	struct connection *c = make_place(e, now_us);

	if (!c)
		return;
	c->peer = *peer;
	c->heard_us = now_us;
	tcp_open(&c->tcp, s, e->first_seq + (uint32_t)(now_us / US_PER_SEQ), now_us);
	e->counters->connections_created++;
}

/* A reset in answer to what is for no connection (RFC 9293, 3.10.7.1). */
static void refuse(struct endpoint *e, const struct peer *peer, const struct segment *s)
{
	struct refusal *r = &e->refusal[e->refusals];

	e->counters->rx_accepted_err++;
	if ((s->flags & SEGMENT_RST) || e->refusals == RESETS)
		return;
	r->peer = *peer;
	if (s->flags & SEGMENT_ACK) {
		r->segment = (struct segment){ .flags = SEGMENT_RST, .seq = s->ack };
	} else {
		uint32_t len =
			(uint32_t)s->len + !!(s->flags & SEGMENT_SYN) + !!(s->flags & SEGMENT_FIN);

		r->segment =
			(struct segment){ .flags = SEGMENT_RST | SEGMENT_ACK, .ack = s->seq + len };
	}
	e->refusals++;
}

/* Answers a request that is whole, once what came before is answered. */
static void serve(struct endpoint *e, struct tcp *c, uint64_t now_us)
{
	struct mmds_answer answer;
	size_t used = 0;

	if (c->state != TCP_OPEN || c->reply || c->closing)
		return;
	if (c->request_len > 0)
		used = mmds_answer(e->mmds, c->request, c->request_len,
				   c->request_len == sizeof(c->request), now_us, &answer);
	if (used > 0 && !answer.text) {
		tcp_drop(c);
	} else if (used > 0) {
		tcp_consume(c, used);
		tcp_reply(c, answer.text, answer.len, answer.close, now_us);
	} else if (c->peer_finished) {
		tcp_reply(c, NULL, 0, true, now_us);
	}
}

static void take_segment(struct endpoint *e, const struct peer *peer, const struct segment *s,
			 uint64_t now_us)
{
	struct connection *c = find(e, peer);
	bool opens = (s->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) == SEGMENT_SYN;

	if (peer->our_port != ENDPOINT_PORT || (!c && !opens)) {
		refuse(e, peer, s);
		return;
	}
	if (!c) {
		open_connection(e, peer, s, now_us);
		return;
	}
	c->heard_us = now_us;
	tcp_input(&c->tcp, s, now_us);
	serve(e, &c->tcp, now_us);
	settle(e, c);
}

static void take_ipv4(struct endpoint *e, const uint8_t *frame, size_t len, uint64_t now_us)
{
	struct ipv4_packet p;
	struct segment s;
	struct ethhdr h;

	memcpy(&h, frame, sizeof(h));
	if (!ipv4_parse(frame + sizeof(h), len - sizeof(h), &p)) {
		e->counters->rx_accepted_err++;
		return;
	}
	if (p.protocol != IPPROTO_TCP) {
		e->counters->rx_accepted_unusual++;
		return;
	}
	if (!segment_parse(p.payload, p.len, &s) || s.source == 0) {
		e->counters->rx_accepted_err++;
		return;
	}
	s.cut = p.cut;

	struct peer peer = { { .ip = p.source }, s.source, s.destination };

	memcpy(peer.host.mac, h.h_source, sizeof(peer.host.mac));
	take_segment(e, &peer, &s, now_us);
}

void endpoint_input(struct endpoint *e, const uint8_t *frame, size_t len, uint64_t now_us)
{
	if (e->forget)
		drop_all(e);
	e->counters->rx_count++;
	if (len < ETH_HLEN) {
		e->counters->rx_bad_eth++;
		return;
	}
	e->counters->rx_accepted++;
	if (ether_type(frame) == ETH_P_IP)
		take_ipv4(e, frame, len, now_us);
	else if (arp_parse_request(frame + ETH_HLEN, len - ETH_HLEN, &e->asker))
		e->asked = true;
	else
		e->counters->rx_accepted_unusual++;
}

/* --- to the guest --- */

static size_t write_ether(const struct endpoint *e, uint8_t *frame, const struct arp_host *to,
			  uint16_t type)
{
	struct ethhdr h = { .h_proto = htons(type) };

	memcpy(h.h_dest, to->mac, sizeof(h.h_dest));
	memcpy(h.h_source, e->self.mac, sizeof(h.h_source));
	memcpy(frame, &h, sizeof(h));
	return sizeof(h);
}

static size_t write_segment(const struct endpoint *e, uint8_t *frame, const struct peer *to,
			    struct segment *s)
{
	size_t head = write_ether(e, frame, &to->host, ETH_P_IP) + IPV4_HEADER_BYTES;
	struct ipv4_packet p = {
		.source = e->self.ip,
		.destination = to->host.ip,
		.protocol = IPPROTO_TCP,
		.payload = frame + head,
	};

	s->source = to->our_port;
	s->destination = to->port;
	p.len = segment_write(frame + head, s);
	segment_set_checksum(frame + head, ipv4_payload_checksum(&p));
	ipv4_write_header(frame + ETH_HLEN, &p);
	return head + p.len;
}

static size_t write_arp(struct endpoint *e, uint8_t *frame)
{
	size_t head = write_ether(e, frame, &e->asker, ETH_P_ARP);

	arp_write_reply(frame + head, &e->self, &e->asker);
	e->asked = false;
	return head + ARP_BYTES;
}

static size_t write_refusal(struct endpoint *e, uint8_t *frame)
{
	struct refusal *r = &e->refusal[--e->refusals];

	return write_segment(e, frame, &r->peer, &r->segment);
}

static size_t write_connection(struct endpoint *e, uint8_t *frame, uint64_t now_us)
{
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		struct connection *c = &e->conn[e->turn];
		struct segment s;
		size_t len = 0;

		e->turn = (e->turn + 1) % ENDPOINT_CONNECTIONS;
		if (tcp_output(&c->tcp, now_us, &s))
			len = write_segment(e, frame, &c->peer, &s);
		settle(e, c);
		if (len > 0)
			return len;
	}
	return 0;
}

size_t endpoint_output(struct endpoint *e, uint8_t *frame, uint64_t now_us)
{
	size_t len;

	if (e->forget)
		drop_all(e);
	if (e->asked)
		len = write_arp(e, frame);
	else if (e->refusals > 0)
		len = write_refusal(e, frame);
	else
		len = write_connection(e, frame, now_us);
	e->counters->tx_count += len > 0;
	e->counters->tx_frames += len > 0;
	e->counters->tx_bytes += len;
	return len;
}

uint64_t endpoint_due_us(const struct endpoint *e)
{
	uint64_t due_us = UINT64_MAX;

	if (e->forget)
		return due_us;
	if (e->asked || e->refusals > 0)
		return 0;
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		uint64_t one_us = tcp_due_us(&e->conn[i].tcp);

		due_us = one_us < due_us ? one_us : due_us;
	}
	return due_us;
}
