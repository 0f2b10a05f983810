/* test_mmds_endpoint.c - a guest's TCP against the metadata service's: conversations as
 * they should be, with segments lost, repeated and out of order, and against the rules.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/mmds_peer.h"

enum { PORT = 40000, LARGE = 50000, ANSWER = LARGE + 512 };

#define GET_A	  "GET /a HTTP/1.1\r\n\r\n"
#define GET_LARGE "GET /large HTTP/1.1\r\n\r\n"
#define LAST_A	  "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"

static int set_up(void **state)
{
	struct mmds_peer *p = malloc(sizeof(*p));
	static char document[LARGE + 64], large[LARGE + 1];

	assert_non_null(p);
	for (unsigned i = 0; i < LARGE; i++)
		large[i] = (char)('a' + i % 23);
	snprintf(document, sizeof(document), "{\"a\":\"value\",\"large\":\"%s\"}", large);
	peer_create(p, document);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	peer_destroy(*state);
	free(*state);
	return 0;
}

static void say(struct mmds_peer *p, struct peer_side *side, const char *text)
{
	peer_say(p, side, SEGMENT_ACK | SEGMENT_PSH, text, strlen(text));
}

static void expect_none(struct mmds_peer *p)
{
	struct segment s;

	assert_false(peer_receive(p, &s));
}

/* The next segment has these flags, no bytes, and stands here. */
static void expect_bare(struct mmds_peer *p, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct segment s;

	assert_true(peer_receive(p, &s));
	assert_int_equal(s.flags, flags);
	assert_int_equal(s.len, 0);
	assert_int_equal(s.seq, seq);
	assert_int_equal(s.ack, ack);
}

static void check_answer(const char *text, size_t len, const char *body, size_t body_len)
{
	assert_true(len > body_len);
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	assert_memory_equal(text + len - body_len, body, body_len);
}

/* Reads one answer, which is all that comes. */
static void expect_answer(struct mmds_peer *p, struct peer_side *side)
{
	char text[512];
	size_t len = peer_read(p, side, text, sizeof(text));

	check_answer(text, len, "value", 5);
}

static void check_large(const char *text, size_t len)
{
	const char *body = text + len - LARGE;

	check_answer(text, len, body, LARGE);
	for (unsigned i = 0; i < LARGE; i++)
		assert_int_equal(body[i], 'a' + i % 23);
}

static const struct mmds_counters *counters(struct mmds_peer *p)
{
	return mmds_counters(p->mmds);
}

/* Lets the time pass in which something is sent again. */
static void wait_for_retry(struct mmds_peer *p)
{
	uint64_t due_us = endpoint_due_us(p->endpoint);

	assert_true(due_us > p->now_us && due_us != UINT64_MAX);
	p->now_us = due_us;
}

/* --- as it should be --- */

static void test_requests(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	char text[ANSWER];

	peer_connect(p, PORT, &side);
	expect_none(p);
	assert_int_equal(endpoint_due_us(p->endpoint), UINT64_MAX);
	say(p, &side, GET_A);
	expect_answer(p, &side);
	say(p, &side, GET_LARGE);
	check_large(text, peer_read(p, &side, text, sizeof(text)));
	assert_int_equal(endpoint_due_us(p->endpoint), UINT64_MAX);

	/* The guest ends it. */
	peer_say(p, &side, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
	expect_bare(p, SEGMENT_ACK | SEGMENT_FIN, side.ack, side.seq);
	side.ack++;
	peer_say(p, &side, SEGMENT_ACK, NULL, 0);
	expect_none(p);
	assert_int_equal(counters(p)->connections_created, 1);
	assert_int_equal(counters(p)->connections_destroyed, 1);
	assert_int_equal(counters(p)->tx_frames, counters(p)->tx_count);
}

/* We end it, as the request asks. */
static void test_close(void **state)
{
	struct mmds_peer *p = *state;
	static const char junk[TCP_REQUEST_BYTES - 1];
	struct peer_side side;
	uint32_t before;

	peer_connect(p, PORT, &side);
	say(p, &side, LAST_A);
	before = side.ack;
	expect_answer(p, &side);
	assert_true(side.ack - before > 100); /* and the FIN was acknowledged */

	/* What comes still goes nowhere, however much it is. */
	for (unsigned i = 0; i < 3; i++) {
		peer_say(p, &side, SEGMENT_ACK, junk, sizeof(junk));
		expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	}
	peer_say(p, &side, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	assert_int_equal(counters(p)->connections_destroyed, 1);
}

/* Both sides at the same time, a FIN with the request in it. */
static void test_close_together(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;

	peer_connect(p, PORT, &side);
	peer_say(p, &side, SEGMENT_ACK | SEGMENT_FIN, LAST_A, strlen(LAST_A));
	expect_answer(p, &side);
	assert_int_equal(counters(p)->connections_destroyed, 1);
}

/* Byte by byte; and two requests in one segment, answered one after the other. */
static void test_cut(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	char text[1024];
	size_t len;

	peer_connect(p, PORT, &side);
	for (size_t i = 0; i < strlen(GET_A); i++) {
		peer_say(p, &side, SEGMENT_ACK, &GET_A[i], 1);
		if (i + 1 < strlen(GET_A))
			expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	}
	expect_answer(p, &side);
	say(p, &side, GET_A GET_A);
	len = peer_read(p, &side, text, sizeof(text));
	assert_int_equal(len % 2, 0);
	check_answer(text, len / 2, "value", 5);
	check_answer(text + len / 2, len / 2, "value", 5);
}

static void test_windows(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	struct segment s;

	peer_connect(p, PORT, &side);
	side.window = 2000;
	say(p, &side, GET_LARGE);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.len, TCP_MSS);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.len, 2000 - TCP_MSS);
	expect_none(p);

	/* The window closes, opens by what is not worth a segment, and closes. */
	side.ack += 2000;
	side.window = 0;
	peer_say(p, &side, SEGMENT_ACK, NULL, 0);
	expect_none(p);
	wait_for_retry(p);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.len, 1);
	assert_int_equal(s.seq, side.ack);
	expect_none(p);
	side.window = 10;
	peer_say(p, &side, SEGMENT_ACK, NULL, 0);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.seq, side.ack + 1);
	assert_int_equal(s.len, 9);
}

/* What we may be sent is what there is room for; a request that fills it all is refused. */
static void test_full(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	char junk[TCP_REQUEST_BYTES + 100], text[512];
	struct segment s;
	size_t len;

	peer_connect(p, PORT, &side);
	memset(junk, 'x', sizeof(junk));
	memcpy(junk, "GET /", 5);
	peer_say(p, &side, SEGMENT_ACK, junk, 1000);
	assert_true(peer_receive(p, &s));
	assert_int_equal(s.window, TCP_REQUEST_BYTES - 1000);
	peer_say(p, &side, SEGMENT_ACK, junk + 1000, sizeof(junk) - 1000);
	side.seq -= 100; /* as far as it was taken */
	len = peer_read(p, &side, text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 400 ", 13);
	assert_memory_equal(text + len - strlen("too long."), "too long.", strlen("too long."));
}

static void test_mss(void **state)
{
	static const struct {
		uint16_t given, used;
	} rows[] = { { 0, TCP_DEFAULT_MSS }, { 1, TCP_MIN_MSS }, { 100, 100 }, { 9000, TCP_MSS } };
	struct mmds_peer *p = *state;
	struct segment s;

	for (uint16_t i = 0; i < 4; i++) {
		struct peer_side side = { .port = (uint16_t)(PORT + i), .seq = 5, .window = 64000 };
		struct segment syn = { .source = side.port,
				       .seq = 4,
				       .flags = SEGMENT_SYN,
				       .window = 0,
				       .mss = rows[i].given };

		peer_send(p, &syn);
		assert_true(peer_receive(p, &s));
		side.ack = s.seq + 1;
		peer_say(p, &side, SEGMENT_ACK, GET_LARGE, strlen(GET_LARGE));
		assert_true(peer_receive(p, &s));
		assert_int_equal(s.len, rows[i].used);
		peer_say(p, &side, SEGMENT_RST, NULL, 0);
	}
	assert_int_equal(counters(p)->connections_destroyed, 4);
}

/* --- lost, repeated, out of order --- */

static void test_syn_lost(void **state)
{
	struct mmds_peer *p = *state;
	const struct segment syn = { .source = PORT, .seq = 7, .flags = SEGMENT_SYN };
	struct segment s, again;

	peer_send(p, &syn);
	assert_true(peer_receive(p, &s));
	wait_for_retry(p); /* ours was lost */
	assert_true(peer_receive(p, &again));
	assert_int_equal(again.flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_int_equal(again.seq, s.seq);
	peer_send(p, &syn); /* or theirs comes again */
	assert_true(peer_receive(p, &again));
	assert_int_equal(again.seq, s.seq);
	assert_int_equal(again.ack, 8);
	assert_int_equal(counters(p)->connections_created, 1);
}

/* Every n-th segment of a long answer is lost, in both directions. */
static void test_answer_lost(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	static char text[ANSWER];
	struct segment s;
	size_t len = 0, want = 0;
	unsigned n = 0;

	peer_connect(p, PORT, &side);
	say(p, &side, GET_LARGE);
	while (want == 0 || len < want) {
		if (!peer_receive(p, &s)) {
			wait_for_retry(p);
			continue;
		}
		if (++n % 5 == 0)
			continue;
		if (s.seq == side.ack) {
			memcpy(text + len, s.payload, s.len);
			len += s.len;
			side.ack += (uint32_t)s.len;
		}
		if (n % 3 != 0)
			peer_say(p, &side, SEGMENT_ACK, NULL, 0);
		if (strstr(text, "\r\n\r\n"))
			want = (size_t)(strstr(text, "\r\n\r\n") + 4 - text) + LARGE;
	}
	check_large(text, len);
}

static void test_request_repeated(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side, before;

	peer_connect(p, PORT, &side);
	before = side;
	peer_say(p, &side, SEGMENT_ACK, GET_A, 10);
	side = before;
	side.seq += 10 + 3; /* what comes too early is not taken */
	peer_say(p, &side, SEGMENT_ACK, &GET_A[13], strlen(GET_A) - 13);
	expect_bare(p, SEGMENT_ACK, side.ack, before.seq + 10);
	side = before; /* from the start again, and further */
	say(p, &side, GET_A);
	expect_answer(p, &side);
	before.ack = side.ack;
	say(p, &before, GET_A); /* all of it is old */
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	expect_none(p);
}

/* Old acknowledgements take nothing back. */
static void test_old_ack(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side, before;
	char text[512];

	peer_connect(p, PORT, &side);
	before = side;
	say(p, &side, GET_A);
	peer_read(p, &side, text, sizeof(text));
	before.seq = side.seq;
	before.window = 0;
	peer_say(p, &before, SEGMENT_ACK, NULL, 0);
	expect_none(p);
	assert_int_equal(endpoint_due_us(p->endpoint), UINT64_MAX);
	say(p, &side, GET_A);
	expect_answer(p, &side);
}

/* A guest that says nothing more: again and again, each time later, and then no more. */
static void test_give_up(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	struct segment s;
	uint64_t last_us = 0;
	unsigned tries = 0;

	peer_connect(p, PORT, &side);
	say(p, &side, GET_A);
	while (counters(p)->connections_destroyed == 0) {
		uint64_t start_us = p->now_us;

		while (peer_receive(p, &s))
			assert_int_equal(s.seq, side.ack);
		if (endpoint_due_us(p->endpoint) == UINT64_MAX)
			break;
		wait_for_retry(p);
		assert_true(p->now_us - start_us >= last_us);
		last_us = p->now_us - start_us;
		tries++;
	}
	assert_int_equal(tries, TCP_MAX_RETRIES + 1);
	assert_int_equal(counters(p)->connections_destroyed, 1);
}

/* --- against the rules --- */

static void test_resets(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side, wrong;
	const struct segment ack = { .source = 9, .seq = 1, .ack = 77, .flags = SEGMENT_ACK };
	const struct segment fin = {
		.source = 9, .seq = 5, .flags = SEGMENT_FIN, .payload = "abc", .len = 3
	};
	const struct segment rst = { .source = 9, .seq = 5, .flags = SEGMENT_RST };
	const struct segment elsewhere = {
		.source = 9, .destination = 81, .seq = 5, .flags = SEGMENT_SYN
	};

	/* To nobody. */
	peer_send(p, &ack);
	expect_bare(p, SEGMENT_RST, 77, 0);
	peer_send(p, &fin);
	expect_bare(p, SEGMENT_RST | SEGMENT_ACK, 0, 9);
	peer_send(p, &elsewhere);
	expect_bare(p, SEGMENT_RST | SEGMENT_ACK, 0, 6);
	peer_send(p, &rst);
	expect_none(p);

	/* From a stranger: only the very next number ends a connection. */
	peer_connect(p, PORT, &side);
	wrong = side;
	wrong.seq += 10;
	peer_say(p, &wrong, SEGMENT_RST, NULL, 0);
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	wrong.seq -= 100;
	peer_say(p, &wrong, SEGMENT_RST, NULL, 0);
	expect_none(p);
	peer_say(p, &side, SEGMENT_SYN, NULL, 0);
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	peer_say(p, &side, SEGMENT_RST, NULL, 0);
	expect_none(p);
	assert_int_equal(counters(p)->connections_destroyed, 1);
}

/* Acknowledged before it was sent. */
static void test_wrong_acks(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side, wrong;

	peer_connect(p, PORT, &side);
	wrong = side;
	wrong.ack += 1000;
	say(p, &wrong, GET_A);
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	peer_say(p, &side, 0, GET_A, strlen(GET_A)); /* nor without an ACK */
	expect_none(p);
	side.seq -= (uint32_t)strlen(GET_A);
	say(p, &side, GET_A);
	expect_answer(p, &side);
}

/* A segment longer than what was copied of it, with a FIN that is not to be seen yet. */
static void test_oversize(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;
	static char text[3500];

	peer_connect(p, PORT, &side);
	memset(text, 'x', sizeof(text));
	memcpy(text, GET_A, strlen(GET_A));
	peer_say(p, &side, SEGMENT_ACK | SEGMENT_FIN, text, sizeof(text));
	side.seq = 1001 + TCP_REQUEST_BYTES;
	assert_true(peer_read(p, &side, text, sizeof(text)) > 0);
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
}

/* A packet that is shorter than it says: its FIN is behind what is missing. */
static void test_cut_short(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;

	peer_connect(p, PORT, &side);
	peer_send(p, &(struct segment){ .source = PORT,
					.seq = side.seq,
					.ack = side.ack,
					.flags = SEGMENT_ACK | SEGMENT_FIN,
					.window = side.window,
					.payload = GET_A,
					.len = 10,
					.cut = true });
	side.seq += 10;
	expect_bare(p, SEGMENT_ACK, side.ack, side.seq);
	say(p, &side, &GET_A[10]);
	expect_answer(p, &side);
}

static const struct segment one_more = { .source = PORT + ENDPOINT_CONNECTIONS,
					 .flags = SEGMENT_SYN };

static void connect_all(struct mmds_peer *p, struct peer_side side[ENDPOINT_CONNECTIONS])
{
	for (uint16_t i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		p->now_us++;
		peer_connect(p, (uint16_t)(PORT + i), &side[i]);
	}
}

/* One more than there is room for waits, until the one that was silent for longest was so
 * for a second. */
static void test_connections(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side[ENDPOINT_CONNECTIONS + 1];

	connect_all(p, side);
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		say(p, &side[i], GET_A);
		expect_answer(p, &side[i]);
		p->now_us++;
	}
	p->now_us += 999900;
	say(p, &side[0], GET_A);
	expect_answer(p, &side[0]);
	peer_send(p, &one_more);
	expect_none(p);
	assert_int_equal(counters(p)->connections_destroyed, 0);
	p->now_us += 100;
	peer_connect(p, PORT + ENDPOINT_CONNECTIONS, &side[ENDPOINT_CONNECTIONS]);
	assert_int_equal(counters(p)->connections_destroyed, 1);
	say(p, &side[1], GET_A);
	expect_bare(p, SEGMENT_RST, side[1].ack, 0);
	say(p, &side[0], GET_A);
	expect_answer(p, &side[0]);
	say(p, &side[ENDPOINT_CONNECTIONS], GET_A);
	expect_answer(p, &side[ENDPOINT_CONNECTIONS]);
}

/* Those that were not answered yet may be slow, for half a minute. */
static void test_slow_connections(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side[ENDPOINT_CONNECTIONS + 1];

	connect_all(p, side);
	p->now_us += 29999 * 1000;
	peer_send(p, &one_more);
	expect_none(p);
	assert_int_equal(counters(p)->connections_destroyed, 0);
	p->now_us += 1000;
	peer_connect(p, PORT + ENDPOINT_CONNECTIONS, &side[ENDPOINT_CONNECTIONS]);
	assert_int_equal(counters(p)->connections_destroyed, 1);
	say(p, &side[0], GET_A);
	expect_bare(p, SEGMENT_RST, side[0].ack, 0);
	say(p, &side[1], GET_A);
	expect_answer(p, &side[1]);
}

/* A flood of what is refused makes us keep no more than a few refusals. */
static void test_flood(void **state)
{
	struct mmds_peer *p = *state;
	struct segment s, ack = { .flags = SEGMENT_ACK };
	unsigned n = 0;

	for (uint16_t port = 1; port < 1000; port++) {
		ack.source = port;
		peer_send(p, &ack);
	}
	while (peer_receive(p, &s))
		n++;
	assert_int_equal(n, 16);
	assert_int_equal(counters(p)->rx_accepted_err, 999);
}

/* The driver went away under an answer. */
static void test_forget(void **state)
{
	struct mmds_peer *p = *state;
	struct peer_side side;

	peer_connect(p, PORT, &side);
	say(p, &side, GET_LARGE);
	endpoint_forget(p->endpoint);
	assert_int_equal(endpoint_due_us(p->endpoint), UINT64_MAX);
	expect_none(p);
	say(p, &side, GET_A);
	expect_bare(p, SEGMENT_RST, side.ack, 0);
	assert_int_equal(counters(p)->connections_destroyed, 1);
}

/* --- below TCP --- */

static void make_arp(uint8_t frame[ENDPOINT_HEAD_BYTES], uint32_t target, uint16_t op)
{
	struct ethhdr h = { .h_proto = htons(ETH_P_ARP) };
	struct ether_arp m = {
		.arp_hrd = htons(ARPHRD_ETHER),
		.arp_pro = htons(ETH_P_IP),
		.arp_hln = ETH_ALEN,
		.arp_pln = 4,
		.arp_op = htons(op),
	};
	const uint32_t guest = htonl(PEER_GUEST);

	target = htonl(target);
	memcpy(m.arp_sha, peer_mac, ETH_ALEN);
	memcpy(m.arp_spa, &guest, 4);
	memcpy(m.arp_tpa, &target, 4);
	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), &m, sizeof(m));
}

static void test_arp(void **state)
{
	static const uint8_t service_mac[] = { 0x06, 0x01, 0x23, 0x45, 0x67, 0x01 };
	const uint32_t ips[] = { htonl(PEER_SERVICE), htonl(PEER_GUEST) };
	struct mmds_peer *p = *state;
	uint8_t frame[ENDPOINT_HEAD_BYTES], reply[ENDPOINT_OUT_BYTES];
	struct ether_arp m;

	make_arp(frame, PEER_GUEST, ARPOP_REQUEST);
	assert_false(endpoint_owns(p->endpoint, frame, sizeof(frame)));
	make_arp(frame, PEER_SERVICE, ARPOP_REQUEST);
	assert_false(endpoint_owns(p->endpoint, frame, sizeof(frame) - 1));
	assert_true(endpoint_owns(p->endpoint, frame, sizeof(frame)));
	endpoint_input(p->endpoint, frame, sizeof(frame), p->now_us);
	assert_int_equal(endpoint_due_us(p->endpoint), 0);
	assert_int_equal(endpoint_output(p->endpoint, reply, p->now_us), sizeof(frame));
	assert_memory_equal(reply, peer_mac, ETH_ALEN);
	memcpy(&m, reply + ETH_HLEN, sizeof(m));
	assert_int_equal(ntohs(m.arp_op), ARPOP_REPLY);
	assert_memory_equal(m.arp_sha, service_mac, ETH_ALEN);
	assert_memory_equal(m.arp_spa, &ips[0], 4);
	assert_memory_equal(m.arp_tha, peer_mac, ETH_ALEN);
	assert_memory_equal(m.arp_tpa, &ips[1], 4);
	assert_int_equal(endpoint_output(p->endpoint, reply, p->now_us), 0);

	make_arp(frame, PEER_SERVICE, ARPOP_REPLY);
	endpoint_input(p->endpoint, frame, sizeof(frame), p->now_us);
	assert_int_equal(endpoint_output(p->endpoint, reply, p->now_us), 0);
	assert_int_equal(counters(p)->rx_accepted_unusual, 1);
}

/* An IPv4 frame to the service with this header, and twenty bytes of 0xff behind it. */
static void send_ipv4(struct mmds_peer *p, const struct iphdr *ip, size_t len)
{
	struct ethhdr h = { .h_proto = htons(ETH_P_IP) };
	uint8_t frame[ETH_HLEN + sizeof(*ip) + 20];
	struct segment s;

	memset(frame, 0xff, sizeof(frame));
	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), ip, sizeof(*ip));
	endpoint_input(p->endpoint, frame, len, p->now_us);
	assert_false(peer_receive(p, &s));
}

static void test_bad_packets(void **state)
{
	struct mmds_peer *p = *state;
	const struct iphdr good = { .version = 4,
				    .ihl = 5,
				    .tot_len = htons(40),
				    .protocol = IPPROTO_UDP,
				    .daddr = htonl(PEER_SERVICE) };
	const size_t len = ETH_HLEN + 40;
	struct iphdr bad;

	send_ipv4(p, &good, len);
	assert_int_equal(counters(p)->rx_accepted_unusual, 1);
	bad = good, bad.version = 6, send_ipv4(p, &bad, len);
	bad = good, bad.ihl = 4, send_ipv4(p, &bad, len);
	bad = good, bad.ihl = 15, send_ipv4(p, &bad, len);
	bad = good, bad.tot_len = htons(19), send_ipv4(p, &bad, len);
	bad = good, bad.frag_off = htons(IP_MF), send_ipv4(p, &bad, len);
	bad = good, bad.frag_off = htons(1), send_ipv4(p, &bad, len);
	send_ipv4(p, &good, ETH_HLEN + 19);
	bad = good, bad.protocol = IPPROTO_TCP; /* the header of 60 bytes is not there */
	send_ipv4(p, &bad, len);
	bad.tot_len = htons(39), send_ipv4(p, &bad, len);
	assert_int_equal(counters(p)->rx_accepted_err, 9);
	assert_int_equal(counters(p)->rx_count, 10);
	send_ipv4(p, &good, ETH_HLEN - 1);
	assert_int_equal(counters(p)->rx_bad_eth, 1);
}

/* Options of all kinds in front of, or instead of, a segment size. */
static void test_options(void **state)
{
	static const struct {
		uint8_t bytes[8];
		uint16_t mss;
	} rows[] = {
		{ { 1, 1, 2, 4, 5, 0xb4, 0, 0 }, 1460 }, { { 3, 3, 7, 2, 4, 2, 0, 0 }, 512 },
		{ { 0, 2, 4, 5, 0xb4, 0, 0, 0 }, 0 },	 { { 9, 0, 2, 4, 5, 0xb4, 0, 0 }, 0 },
		{ { 9, 1, 2, 4, 5, 0xb4, 0, 0 }, 0 },	 { { 9, 9, 2, 4, 5, 0xb4, 0, 0 }, 0 },
		{ { 2, 3, 9, 2, 4, 5, 0xb4, 0 }, 1460 }, { { 1, 1, 1, 1, 1, 1, 2, 4 }, 0 },
		{ { 1, 1, 1, 1, 1, 1, 1, 2 }, 0 },
	};
	uint8_t bytes[SEGMENT_HEADER_BYTES + 8] = { [12] = 7 << 4 };
	struct segment s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bytes + SEGMENT_HEADER_BYTES, rows[i].bytes, 8);
		assert_true(segment_parse(bytes, sizeof(bytes), &s));
		assert_int_equal(s.mss, rows[i].mss);
		assert_int_equal(s.len, 0);
	}
	assert_false(segment_parse(bytes, sizeof(bytes) - 1, &s));
	bytes[12] = 4 << 4;
	assert_false(segment_parse(bytes, sizeof(bytes), &s));
	assert_false(segment_parse(bytes, SEGMENT_HEADER_BYTES - 1, &s));
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_requests),
		SERVED(test_close),
		SERVED(test_close_together),
		SERVED(test_cut),
		SERVED(test_windows),
		SERVED(test_full),
		SERVED(test_mss),
		SERVED(test_syn_lost),
		SERVED(test_answer_lost),
		SERVED(test_old_ack),
		SERVED(test_request_repeated),
		SERVED(test_give_up),
		SERVED(test_resets),
		SERVED(test_wrong_acks),
		SERVED(test_cut_short),
		SERVED(test_oversize),
		SERVED(test_connections),
		SERVED(test_slow_connections),
		SERVED(test_flood),
		SERVED(test_forget),
		SERVED(test_arp),
		SERVED(test_bad_packets),
		SERVED(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
