/* test_virtio_net.c - frames both ways, buffers of all shapes, pairs, and guests that lie.
 *
 * Sockets that keep the bounds of messages stand for the taps.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/life.h"
#include "devices/virtio/net_rx.h"
#include "devices/virtio/net_tap.h"
#include "tests/unit/net_fixture.h"
#include "vmm/base/fd.h"

#define F(bit) (1ull << (bit))
#define MERGE  F(VIRTIO_NET_F_MRG_RXBUF)
#define CSUM   F(VIRTIO_NET_F_CSUM)
#define TSO    (CSUM | F(VIRTIO_NET_F_HOST_TSO4))
#define JOINED (F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4))
#define MQ     (F(VIRTIO_NET_F_MQ) | F(VIRTIO_NET_F_CTRL_VQ))
#define OFFLOADS                                                                 \
	(CSUM | JOINED | F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_HOST_TSO6) | \
	 F(VIRTIO_NET_F_HOST_ECN) | F(NET_F_HOST_USO))

enum { RX, TX, RX2, TX2, CONTROL, HDR = NET_HEADER_BYTES, SIZE = 256, SHORT = 100 };

static int adopt(const int *fds, unsigned pairs, struct net_backend **ret)
{
	return net_tap_adopt(fds, pairs, OFFLOADS, ret);
}

static int set_up_pairs(void **state, unsigned pairs)
{
	struct virtio_net_options o = { .id = "eth0", .mtu = NET_MTU };
	struct net_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	memcpy(o.mac, net_mac, sizeof(o.mac));
	net_create(f, SOCK_SEQPACKET, pairs, adopt, &o);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_pairs(state, 1);
}

static int set_up_two(void **state)
{
	return set_up_pairs(state, 2);
}

static int tear_down(void **state)
{
	net_destroy(*state);
	free(*state);
	return 0;
}

static uint64_t errors(struct net_fixture *f)
{
	return f->d.dev->counters.errors;
}

/* What the host gets of pair i: its length, or -1. */
static ssize_t host_take(struct net_fixture *f, unsigned i, void *frame, size_t len)
{
	return recv(f->host[i], frame, len, 0);
}

static void host_give(struct net_fixture *f, unsigned i, size_t len, unsigned seed)
{
	char *frame = malloc(HDR + len);

	assert_non_null(frame);
	net_frame(frame, len, seed);
	assert_int_equal(send(f->host[i], frame, HDR + len, MSG_NOSIGNAL), HDR + len);
	free(frame);
}

static void offer_rx(struct net_ring *r, unsigned i, uint32_t len)
{
	const struct driver_buffer b = { net_buffer(i), len, true };

	net_offer(r, &b, 1);
}

/* The next frame of the ring is this one, in one buffer (i). */
static void expect_frame(struct net_fixture *f, struct net_ring *r, unsigned i, size_t len,
			 unsigned seed)
{
	char *want = malloc(HDR + len);
	struct virtio_net_hdr_v1 *h = (void *)want;
	struct vring_used_elem e;

	assert_non_null(want);
	net_frame(want, len, seed);
	h->num_buffers = 1;
	assert_true(net_used(r, &e));
	assert_int_equal(e.len, HDR + len);
	assert_memory_equal(driver_at(&f->d, net_buffer(i), e.len), want, e.len);
	free(want);
}

/* --- what the guest sees --- */

static void test_identity(void **state)
{
	struct net_fixture *f = *state;
	const uint64_t expected = OFFLOADS | MERGE | F(VIRTIO_NET_F_MAC) | F(VIRTIO_NET_F_STATUS) |
				  F(VIRTIO_NET_F_MTU) | F(VIRTIO_F_VERSION_1) |
				  F(VIRTIO_RING_F_INDIRECT_DESC) | F(VIRTIO_RING_F_EVENT_IDX);
	struct virtio_net_config c;

	assert_int_equal(driver_get(&f->d, VIRTIO_MMIO_DEVICE_ID), 1);
	assert_int_equal(driver_offered(&f->d), expected);
	virtio_mmio_bus_ops.read(f->d.transport, VIRTIO_MMIO_CONFIG, &c, 12);
	assert_memory_equal(c.mac, net_mac, 6);
	assert_int_equal(c.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(c.max_virtqueue_pairs, 1);
	assert_int_equal(c.mtu, NET_MTU);
}

/* --- transmission --- */

/* However the driver cuts a frame, it leaves in one piece. */
static void test_transmit_cut(void **state)
{
	struct net_fixture *f = *state;
	char want[HDR + SHORT], got[HDR + SHORT + 1];
	const uint32_t cuts[] = { 1, 10, 12, 13, 25, 26, 27, HDR + SHORT - 1 };
	struct vring_used_elem e;

	net_start(f, 0, SIZE);
	net_frame(want, SHORT, 5);
	for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		uint64_t at = net_buffer(i), second = net_buffer(i + 20);
		uint32_t rest = (uint32_t)sizeof(want) - cuts[i];
		const struct driver_buffer b[] = { { at, cuts[i], false },
						   { second, rest, false } };

		memcpy(driver_at(&f->d, at, cuts[i]), want, cuts[i]);
		memcpy(driver_at(&f->d, second, rest), want + cuts[i], rest);
		net_offer(&f->ring[TX], b, 2);
		driver_kick(&f->d, TX);
		assert_true(net_used(&f->ring[TX], &e));
		assert_int_equal(e.len, 0);
		assert_int_equal(host_take(f, 0, got, sizeof(got)), sizeof(want));
		assert_memory_equal(got, want, sizeof(want));
	}
	assert_int_equal(f->d.dev->counters.write_bytes, SHORT * 8);
	assert_int_equal(errors(f), 0);
}

/* A frame in as many pieces as there can be. */
static void test_transmit_bytes(void **state)
{
	struct net_fixture *f = *state;
	struct driver_buffer b[SIZE];
	char want[SIZE], got[SIZE];

	net_start(f, 0, SIZE);
	net_frame(want, SIZE - HDR, 9);
	for (unsigned i = 0; i < SIZE; i++) {
		b[i] = (struct driver_buffer){ net_buffer(i), 1, false };
		memcpy(driver_at(&f->d, b[i].addr, 1), &want[i], 1);
	}
	net_offer(&f->ring[TX], b, SIZE);
	driver_kick(&f->d, TX);
	assert_int_equal(host_take(f, 0, got, sizeof(got)), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void test_foreign_mac(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer b = { net_buffer(0), HDR + SHORT, false };
	uint8_t *frame = driver_at(&f->d, b.addr, b.len), got[HDR + SHORT];
	struct vring_used_elem e;

	net_start(f, 0, SIZE);
	net_frame(frame, SHORT, 0);
	frame[HDR + ETH_ALEN + 5] ^= 1; /* the source's last byte */
	net_offer(&f->ring[TX], &b, 1);
	driver_kick(&f->d, TX);
	assert_true(net_used(&f->ring[TX], &e));
	assert_int_equal(host_take(f, 0, got, sizeof(got)), -1);
	assert_int_equal(errors(f), 1);
	net_transmit(f, 0, 1, SHORT);
	assert_int_equal(host_take(f, 0, got, sizeof(got)), HDR + SHORT);
	assert_false(net_needs_reset(f));
}

/* Headers, and whether a frame of SHORT bytes behind them is sent. */
static const struct header_case {
	uint64_t features;
	struct virtio_net_hdr_v1 h;
	bool sent;
} headers[] = {
	{ 0, { .flags = 0 }, true },
	{ 0, { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6 }, false },
	{ CSUM,
	  { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6 },
	  true },
	{ CSUM, { .flags = 1, .csum_start = SHORT - 2, .csum_offset = 0 }, true },
	{ CSUM, { .flags = 1, .csum_start = SHORT - 2, .csum_offset = 1 }, false },
	{ CSUM, { .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff }, false },
	{ CSUM, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .flags = 1, .gso_size = 50 }, false },
	{ TSO, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .flags = 1, .gso_size = 50 }, true },
	{ TSO, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .flags = 1, .gso_size = 0 }, false },
	{ TSO, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .flags = 0, .gso_size = 50 }, false },
	{ TSO, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .flags = 1, .gso_size = 50 }, false },
	{ TSO,
	  { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
	    .flags = 1,
	    .gso_size = 50 },
	  false },
	{ TSO | F(VIRTIO_NET_F_HOST_ECN),
	  { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
	    .flags = 1,
	    .gso_size = 50 },
	  true },
	{ TSO, { .gso_type = VIRTIO_NET_HDR_GSO_UDP, .flags = 1, .gso_size = 50 }, false },
	{ TSO, { .gso_type = 0x7f, .flags = 1, .gso_size = 50 }, false },
	{ TSO | F(NET_F_HOST_USO),
	  { .gso_type = NET_HDR_GSO_UDP_L4, .flags = 1, .gso_size = 50 },
	  true },
	{ OFFLOADS,
	  { .gso_type = NET_HDR_GSO_UDP_L4 | VIRTIO_NET_HDR_GSO_ECN, .flags = 1, .gso_size = 50 },
	  false },
};

static void test_headers(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer b = { net_buffer(0), HDR + SHORT, false };

	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const struct header_case *c = &headers[i];
		char got[HDR + SHORT];
		ssize_t n;

		net_start(f, c->features, SIZE);
		net_frame(driver_at(&f->d, b.addr, b.len), SHORT, i);
		memcpy(driver_at(&f->d, b.addr, HDR), &c->h, HDR);
		net_offer(&f->ring[TX], &b, 1);
		driver_kick(&f->d, TX);
		n = host_take(f, 0, got, sizeof(got));
		if (n != (c->sent ? HDR + SHORT : -1))
			fail_msg("header %u: %zd bytes came", i, n);
		if (c->sent)
			assert_memory_equal(got, &c->h, HDR);
	}
	assert_false(net_needs_reset(f));
}

/* What means nothing does not get through. */
static void test_header_is_cleaned(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer b = { net_buffer(0), HDR + SHORT, false };
	struct virtio_net_hdr_v1 h = { .flags = 0xfe,
				       .hdr_len = 7,
				       .gso_size = 8,
				       .csum_start = 9,
				       .csum_offset = 10,
				       .num_buffers = 11 };
	char got[HDR + SHORT], zero[HDR] = { 0 };

	net_start(f, OFFLOADS, SIZE);
	net_frame(driver_at(&f->d, b.addr, b.len), SHORT, 1);
	memcpy(driver_at(&f->d, b.addr, HDR), &h, HDR);
	net_offer(&f->ring[TX], &b, 1);
	driver_kick(&f->d, TX);
	assert_int_equal(host_take(f, 0, got, sizeof(got)), HDR + SHORT);
	assert_memory_equal(got, zero, HDR);
}

/* Shorter than an Ethernet header, or longer than any frame: dropped. */
static void test_frame_lengths(void **state)
{
	const struct {
		size_t len;
		bool sent;
	} cases[] = { { 0, false },
		      { 13, false },
		      { 14, true },
		      { 65536 + 14, true },
		      { 65536 + 15, false } };
	struct net_fixture *f = *state;
	static char got[NET_FRAME_MAX + 1];

	net_start(f, 0, SIZE);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vring_used_elem e;

		net_transmit(f, 0, 2 * i, cases[i].len);
		assert_true(net_used(&f->ring[TX], &e));
		assert_int_equal(host_take(f, 0, got, sizeof(got)),
				 cases[i].sent ? (ssize_t)(HDR + cases[i].len) : -1);
	}
	assert_int_equal(errors(f), 3);
}

/* What the host does not take stays in the queue, in order, until it does. */
static void test_host_is_full(void **state)
{
	struct net_fixture *f = *state;
	enum { FRAMES = 100, LEN = 8000 };
	static char want[HDR + LEN], got[HDR + LEN + 1];
	struct vring_used_elem e;
	unsigned used = 0, taken = 0;

	net_start(f, F(VIRTIO_RING_F_EVENT_IDX), SIZE);
	for (unsigned i = 0; i < FRAMES; i++) {
		const struct driver_buffer b = { net_buffer(i), HDR + LEN, false };

		net_frame(driver_at(&f->d, b.addr, b.len), LEN, i);
		net_offer(&f->ring[TX], &b, 1);
	}
	driver_kick(&f->d, TX);
	while (net_used(&f->ring[TX], &e))
		used++;
	assert_in_range(used, 1, FRAMES - 1);
	for (; taken < FRAMES; taken++) {
		ssize_t n = host_take(f, 0, got, sizeof(got));

		if (n < 0) { /* empty again */
			driver_run(&f->d);
			n = host_take(f, 0, got, sizeof(got));
		}
		assert_int_equal(n, sizeof(want));
		net_frame(want, LEN, taken);
		assert_memory_equal(got, want, sizeof(want));
	}
	while (net_used(&f->ring[TX], &e))
		used++;
	assert_int_equal(used, FRAMES);
	assert_int_equal(f->d.dev->counters.requests, FRAMES);
}

static void test_transmit_misuse(void **state)
{
	struct net_fixture *f = *state;
	const struct {
		struct driver_buffer b[2];
		unsigned n;
	} cases[] = {
		{ { { net_buffer(0), HDR - 1, false } }, 1 },
		{ { { net_buffer(0), HDR + SHORT, true } }, 1 },
		{ { { net_buffer(0), HDR + SHORT, false }, { net_buffer(1), 1, true } }, 2 },
		{ { { DRIVER_HIGH_END - 1, HDR + SHORT, false } }, 1 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_start(f, 0, SIZE);
		net_offer(&f->ring[TX], cases[i].b, cases[i].n);
		driver_kick(&f->d, TX);
		assert_true(net_needs_reset(f));
	}
	net_start(f, 0, SIZE);
	net_transmit(f, 0, 0, SHORT);
	assert_false(net_needs_reset(f));
}

/* A guest that floods gets a turn's budget, then the others have theirs. */
static void test_budget(void **state)
{
	struct net_fixture *f = *state;
	struct driver_buffer b = { net_buffer(0), HDR + SHORT, false };

	net_start(f, 0, SIZE);
	net_frame(driver_at(&f->d, b.addr, b.len), SHORT, 1);
	for (unsigned i = 0; i < SIZE; i++) {
		net_offer(&f->ring[TX], &b, 1);
		b.len = HDR; /* the rest is dropped, which counts, too */
	}
	assert_true(virtio_dev_kick(f->d.dev, TX));
	assert_int_equal(f->d.dev->counters.requests, 64);
	assert_true(virtio_dev_kick(f->d.dev, TX));
	assert_int_equal(f->d.dev->counters.requests, 128);

	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		offer_rx(&f->ring[RX], i, 2000);
	for (unsigned i = 0; i < 65; i++)
		host_give(f, 0, SHORT, i);
	assert_true(virtio_dev_kick(f->d.dev, RX));
	assert_false(virtio_dev_kick(f->d.dev, RX));
}

/* --- reception --- */

static void test_receive(void **state)
{
	struct net_fixture *f = *state;

	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < 8; i++)
		offer_rx(&f->ring[RX], i, 2000);
	driver_kick(&f->d, RX);
	for (unsigned i = 0; i < 8; i++) {
		host_give(f, 0, SHORT + i, i);
		driver_run(&f->d);
		expect_frame(f, &f->ring[RX], i, SHORT + i, i);
	}
	assert_int_equal(f->d.dev->counters.read_bytes, 8 * SHORT + 28);
	assert_false(net_needs_reset(f));
}

/* A frame over buffers of 7 bytes, header included; what it does not need is there for
 * the next. */
static void test_merge(void **state)
{
	struct net_fixture *f = *state;
	enum { PIECE = 7, PIECES = 224 };
	char want[HDR + NET_MTU], got[HDR + NET_MTU];
	struct virtio_net_hdr_v1 *h = (void *)want;

	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < PIECES; i++)
		offer_rx(&f->ring[RX], i, PIECE);
	for (unsigned round = 0, first = 0; round < 2; round++) {
		size_t len = round ? 28 : NET_MTU - 50, at = 0;
		unsigned n = (unsigned)((HDR + len + PIECE - 1) / PIECE);

		host_give(f, 0, len, round);
		driver_kick(&f->d, RX);
		net_frame(want, len, round);
		h->num_buffers = (uint16_t)n;
		for (unsigned i = 0; i < n; i++) {
			struct vring_used_elem e;

			assert_true(net_used(&f->ring[RX], &e));
			assert_int_equal(e.id, first + i);
			memcpy(got + at, driver_at(&f->d, net_buffer(e.id), e.len), e.len);
			at += e.len;
		}
		assert_int_equal(at, HDR + len);
		assert_memory_equal(got, want, at);
		first += n;
		for (unsigned i = 0; i < n && round == 0; i++)
			offer_rx(&f->ring[RX], first + PIECES, PIECE);
	}
}

/* Without merging, a frame has a chain of its own; one that does not fit is dropped and
 * the chain serves the next. */
static void test_one_chain(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer b[] = { { net_buffer(0), 12, true },
					   { net_buffer(1), 50, true },
					   { net_buffer(2), 50, true } };
	struct virtio_net_hdr_v1 h;
	struct vring_used_elem e;

	net_start(f, 0, SIZE);
	net_offer(&f->ring[RX], b, 3);
	driver_kick(&f->d, RX);
	host_give(f, 0, SHORT + 1, 1);
	host_give(f, 0, SHORT, 2);
	driver_run(&f->d);
	assert_true(net_used(&f->ring[RX], &e));
	assert_int_equal(e.len, HDR + SHORT);
	assert_int_equal(errors(f), 1);
	memcpy(&h, driver_at(&f->d, net_buffer(0), HDR), HDR);
	assert_int_equal(h.num_buffers, 1);
	assert_false(net_used(&f->ring[RX], &e));
}

/* As many frames as would use up the array of spans many times over. */
static void test_one_chain_again(void **state)
{
	struct net_fixture *f = *state;

	net_start(f, 0, SIZE);
	for (unsigned i = 0; i < 4 * NET_RX_SPANS; i++) {
		offer_rx(&f->ring[RX], i % 8, 2000);
		driver_kick(&f->d, RX);
		host_give(f, 0, SHORT, i);
		driver_run(&f->d);
		expect_frame(f, &f->ring[RX], i % 8, SHORT, i);
	}
	assert_false(net_needs_reset(f));
}

/* Frames wait for buffers, and nobody turns in circles meanwhile. */
static void test_no_buffers(void **state)
{
	struct net_fixture *f = *state;
	uint64_t kicks;

	net_start(f, MERGE | F(VIRTIO_RING_F_EVENT_IDX), SIZE);
	for (unsigned i = 0; i < 4; i++)
		host_give(f, 0, SHORT, i);
	driver_run(&f->d);
	kicks = f->d.dev->counters.kicks;
	driver_run(&f->d);
	assert_int_equal(f->d.dev->counters.kicks, kicks);
	for (unsigned i = 0; i < 4; i++)
		offer_rx(&f->ring[RX], i, 2000);
	driver_kick(&f->d, RX);
	for (unsigned i = 0; i < 4; i++)
		expect_frame(f, &f->ring[RX], i, SHORT, i);
}

/* A driver that takes joined segments gets nothing until there is room for the longest,
 * unless there never can be. */
static void test_longest(void **state)
{
	struct net_fixture *f = *state;
	enum { PIECE = 4000, NEEDED = (NET_FRAME_MAX + PIECE - 1) / PIECE, LONG = 65000 };
	struct vring_used_elem e;

	net_start(f, MERGE | JOINED, SIZE);
	host_give(f, 0, LONG, 3);
	for (unsigned i = 0; i < NEEDED - 1; i++)
		offer_rx(&f->ring[RX], i, PIECE);
	driver_kick(&f->d, RX);
	assert_false(net_used(&f->ring[RX], &e));
	offer_rx(&f->ring[RX], NEEDED, PIECE);
	driver_kick(&f->d, RX);
	for (unsigned i = 0; i < NEEDED; i++)
		assert_true(net_used(&f->ring[RX], &e));
	assert_int_equal(e.len, HDR + LONG - (NEEDED - 1) * PIECE);

	net_start(f, MERGE | JOINED, 4);
	host_give(f, 0, LONG, 3); /* cannot fit */
	host_give(f, 0, SHORT, 4);
	for (unsigned i = 0; i < 4; i++)
		offer_rx(&f->ring[RX], i, PIECE);
	driver_kick(&f->d, RX);
	expect_frame(f, &f->ring[RX], 0, SHORT, 4);
}

/* Chains as long as can be, of single bytes: the array in hand holds three. */
static void test_many_spans(void **state)
{
	struct net_fixture *f = *state;
	struct driver_buffer b[64];
	struct vring_used_elem e;

	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < 64; i++)
		b[i] = (struct driver_buffer){ net_buffer(i), i < 60 ? 1 : 2000, true };
	for (unsigned i = 0; i < 4; i++)
		net_offer(&f->ring[RX], b, 64);
	driver_kick(&f->d, RX);
	for (unsigned round = 0; round < 20; round++) {
		host_give(f, 0, SHORT, round);
		driver_run(&f->d);
		assert_true(net_used(&f->ring[RX], &e));
		assert_int_equal(e.len, HDR + SHORT);
		net_offer(&f->ring[RX], b, 64);
		driver_kick(&f->d, RX);
	}
}

static void test_receive_misuse(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer readable = { net_buffer(0), 2000, false };

	net_start(f, MERGE, SIZE);
	net_offer(&f->ring[RX], &readable, 1);
	host_give(f, 0, SHORT, 1);
	driver_kick(&f->d, RX);
	assert_true(net_needs_reset(f));
	net_start(f, MERGE, SIZE);
	offer_rx(&f->ring[RX], 0, 2000);
	driver_kick(&f->d, RX);
	host_give(f, 0, SHORT, 2);
	driver_run(&f->d);
	expect_frame(f, &f->ring[RX], 0, SHORT, 2);
}

/* --- life --- */

/* What was in hand is the driver's again, and served after the resume. */
static void test_pause(void **state)
{
	struct net_fixture *f = *state;
	struct vring_used_elem e;

	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < 4; i++)
		offer_rx(&f->ring[RX], i, 2000);
	driver_kick(&f->d, RX);
	assert_int_equal(f->d.dev->counters.requests, 4);
	virtio_transport_pause(f->d.transport);
	assert_int_equal(f->d.dev->counters.requests, 0);
	host_give(f, 0, SHORT, 7);
	driver_run(&f->d);
	assert_false(net_used(&f->ring[RX], &e));
	virtio_transport_resume(f->d.transport);
	driver_run(&f->d);
	expect_frame(f, &f->ring[RX], 0, SHORT, 7);
}

/* A driver gets nothing that was meant for the one before it. */
static void test_reset(void **state)
{
	struct net_fixture *f = *state;

	for (unsigned round = 0; round < 3; round++) {
		net_start(f, round == 1 ? 0 : MERGE, SIZE);
		for (unsigned i = 0; i < 4; i++)
			offer_rx(&f->ring[RX], i, 2000);
		driver_kick(&f->d, RX);
		host_give(f, 0, SHORT, round);
		driver_run(&f->d);
		expect_frame(f, &f->ring[RX], 0, SHORT, round);
		net_transmit(f, 0, 9, SHORT);
		driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
		host_give(f, 0, SHORT, 77);
		driver_run(&f->d);
	}
}

static void test_link_down(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_net_config c;
	struct vring_used_elem e;

	net_start(f, MERGE, SIZE);
	offer_rx(&f->ring[RX], 0, 2000);
	driver_kick(&f->d, RX);
	driver_interrupts(&f->d);
	f->host[0] = fd_close(f->host[0]);
	driver_run(&f->d);
	virtio_mmio_bus_ops.read(f->d.transport, VIRTIO_MMIO_CONFIG, &c, 12);
	assert_int_equal(c.status, 0);
	assert_int_equal(driver_interrupts(&f->d), 1);
	assert_true(driver_get(&f->d, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	net_transmit(f, 0, 1, SHORT);
	assert_true(net_used(&f->ring[TX], &e));
	assert_false(net_needs_reset(f));
}

/* --- pairs --- */

static uint8_t command(struct net_fixture *f, unsigned queue, uint8_t class, uint8_t cmd,
		       uint16_t pairs)
{
	const struct driver_buffer b[] = { { net_buffer(100), 2, false },
					   { net_buffer(101), 2, false },
					   { net_buffer(102), 1, true } };
	struct vring_used_elem e;
	uint8_t *status = driver_at(&f->d, b[2].addr, 1);

	memcpy(driver_at(&f->d, b[0].addr, 2), (uint8_t[]){ class, cmd }, 2);
	memcpy(driver_at(&f->d, b[1].addr, 2), &pairs, 2);
	*status = 0xee;
	net_offer(&f->ring[queue], b, 3);
	driver_kick(&f->d, queue);
	assert_true(net_used(&f->ring[queue], &e));
	assert_int_equal(e.len, 1);
	return *status;
}

static void test_two_pairs(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_net_config c;
	char got[HDR + SHORT];
	struct vring_used_elem e;

	assert_int_equal(f->d.dev->ops->nqueues, 5);
	assert_int_equal(driver_offered(&f->d) & MQ, MQ);
	net_start(f, MERGE | MQ, SIZE);
	virtio_mmio_bus_ops.read(f->d.transport, VIRTIO_MMIO_CONFIG, &c, 12);
	assert_int_equal(c.max_virtqueue_pairs, 2);
	offer_rx(&f->ring[RX2], 0, 2000);
	driver_kick(&f->d, RX2);
	host_give(f, 1, SHORT, 1);
	net_transmit(f, 1, 1, SHORT);
	driver_run(&f->d);
	assert_false(net_used(&f->ring[RX2], &e)); /* not in use yet */
	assert_int_equal(host_take(f, 1, got, sizeof(got)), -1);

	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 0, 2), VIRTIO_NET_OK);
	expect_frame(f, &f->ring[RX2], 0, SHORT, 1);
	assert_int_equal(host_take(f, 1, got, sizeof(got)), sizeof(got));

	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 0, 1), VIRTIO_NET_OK);
	net_transmit(f, 1, 2, SHORT);
	assert_int_equal(host_take(f, 1, got, sizeof(got)), -1);
	net_transmit(f, 0, 3, SHORT);
	assert_int_equal(host_take(f, 0, got, sizeof(got)), sizeof(got));
}

static void test_commands(void **state)
{
	struct net_fixture *f = *state;
	const struct driver_buffer no_status = { net_buffer(0), 4, false };

	net_start(f, MQ, SIZE);
	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 0, 3), VIRTIO_NET_ERR);
	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 0, 0x8000), VIRTIO_NET_ERR);
	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_MQ, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(command(f, CONTROL, VIRTIO_NET_CTRL_RX, 0, 1), VIRTIO_NET_ERR);
	net_offer(&f->ring[CONTROL], &no_status, 1);
	driver_kick(&f->d, CONTROL);
	assert_true(net_needs_reset(f));

	/* 5.1.2: without MQ it is queue 2, and there is nothing to command. */
	net_start(f, F(VIRTIO_NET_F_CTRL_VQ), SIZE);
	assert_int_equal(command(f, RX2, VIRTIO_NET_CTRL_MQ, 0, 1), VIRTIO_NET_ERR);
	driver_kick(&f->d, CONTROL);
	assert_false(net_needs_reset(f));
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ONE(test_identity),
		ONE(test_transmit_cut),
		ONE(test_transmit_bytes),
		ONE(test_foreign_mac),
		ONE(test_headers),
		ONE(test_header_is_cleaned),
		ONE(test_frame_lengths),
		ONE(test_host_is_full),
		ONE(test_transmit_misuse),
		ONE(test_budget),
		ONE(test_receive),
		ONE(test_merge),
		ONE(test_one_chain),
		ONE(test_one_chain_again),
		ONE(test_no_buffers),
		ONE(test_longest),
		ONE(test_many_spans),
		ONE(test_receive_misuse),
		ONE(test_pause),
		ONE(test_reset),
		ONE(test_link_down),
		cmocka_unit_test_setup_teardown(test_two_pairs, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_commands, set_up_two, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
