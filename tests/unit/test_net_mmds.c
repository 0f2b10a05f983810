/* test_net_mmds.c - the metadata service on a network interface: which frames it takes,
 * when its own reach the driver, and that all others are as before.
 *
 * The clock and the timer are linked in here: time passes when a test says so.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "devices/mmds/endpoint.h"
#include "devices/mmds/mmds.h"
#include "devices/virtio/net_tap.h"
#include "tests/unit/net_fixture.h"

enum { RX, TX, HDR = NET_HEADER_BYTES, SIZE = 64, FRAME = HDR + 600, RX_BYTES = 2000 };

#define MERGE	(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF)
#define SERVICE 0xa9fea9feu
#define GUEST	0x0a000002u
#define PORT	40000

static struct {
	uint64_t now_us, at_us; /* at_us 0: the timer is not set */
	int fd;
} fake;

struct served {
	struct net_fixture f;
	struct mmds *mmds;
};

uint64_t __wrap_clock_now_us(void);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

uint64_t __wrap_clock_now_us(void)
{
	return fake.now_us;
}

static void go_off(void)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	struct pollfd p = { .fd = fake.fd, .events = POLLIN };

	fake.at_us = 0;
	assert_int_equal(__real_timerfd_settime(fake.fd, 0, &at_once, NULL), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	assert_int_equal(flags, TFD_TIMER_ABSTIME);
	assert_null(old);
	fake.fd = fd;
	fake.at_us = (uint64_t)t->it_value.tv_sec * 1000000 + (uint64_t)t->it_value.tv_nsec / 1000;
	assert_true(fake.at_us > 0);
	if (fake.at_us <= fake.now_us)
		go_off();
	return 0;
}

/* Until the timer goes off. */
static void pass_time(struct net_fixture *f)
{
	assert_true(fake.at_us > fake.now_us);
	fake.now_us = fake.at_us;
	go_off();
	driver_run(&f->d);
}

static int adopt(const int *fds, unsigned pairs, struct net_backend **ret)
{
	return net_tap_adopt(fds, pairs, 0, ret);
}

static int set_up(void **state)
{
	struct virtio_net_options o = { .id = "eth0" };
	struct served *s = calloc(1, sizeof(*s));
	json_t *document = json_pack("{s:s}", "a", "value");

	assert_non_null(s);
	fake.now_us = 1000;
	fake.at_us = 0;
	memcpy(o.mac, net_mac, sizeof(o.mac));
	assert_int_equal(mmds_create(1000, &s->mmds), 0);
	assert_int_equal(mmds_put(s->mmds, document), 0);
	json_decref(document);
	net_create_served(&s->f, SOCK_SEQPACKET, 1, adopt, &o, s->mmds, htonl(SERVICE));
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct served *s = *state;

	net_destroy(&s->f);
	mmds_destroy(s->mmds);
	free(s);
	return 0;
}

/* --- frames --- */

/* The segment in a frame to this address, from our MAC; the bytes, header included. */
static size_t make_segment(uint8_t *frame, uint32_t to, const struct segment *s)
{
	struct ethhdr h = { .h_dest = { 2 }, .h_proto = htons(ETH_P_IP) };
	const size_t head = HDR + ETH_HLEN + IPV4_HEADER_BYTES;
	struct ipv4_packet p = {
		.source = htonl(GUEST),
		.destination = htonl(to),
		.protocol = IPPROTO_TCP,
	};

	memcpy(h.h_source, net_mac, ETH_ALEN);
	memset(frame, 0, HDR);
	memcpy(frame + HDR, &h, sizeof(h));
	p.len = segment_write(frame + head, s);
	ipv4_write_header(frame + HDR + ETH_HLEN, &p);
	return head + p.len;
}

/* Offers a frame for transmission, cut in two after `cut` bytes, and kicks. */
static void transmit(struct net_fixture *f, const uint8_t *frame, size_t len, size_t cut)
{
	const struct driver_buffer b[] = { { net_buffer(40), (uint32_t)cut, false },
					   { net_buffer(41), (uint32_t)(len - cut), false } };
	struct vring_used_elem e;

	memcpy(driver_at(&f->d, b[0].addr, cut), frame, cut);
	memcpy(driver_at(&f->d, b[1].addr, len - cut), frame + cut, len - cut);
	net_offer(&f->ring[TX], b, 2);
	driver_kick(&f->d, TX);
	driver_run(&f->d);
	assert_true(net_used(&f->ring[TX], &e));
}

static void send_segment(struct net_fixture *f, const struct segment *s)
{
	uint8_t frame[FRAME];
	size_t len = make_segment(frame, SERVICE, s);

	transmit(f, frame, len, HDR + 3);
}

static void send_syn(struct net_fixture *f)
{
	send_segment(f, &(struct segment){ .source = PORT,
					   .destination = ENDPOINT_PORT,
					   .seq = 99,
					   .flags = SEGMENT_SYN,
					   .window = 64000,
					   .mss = 100 });
}

static void offer_rx(struct net_fixture *f, unsigned i, uint32_t len)
{
	const struct driver_buffer b = { net_buffer(i), len, true };

	net_offer(&f->ring[RX], &b, 1);
}

static void start(struct net_fixture *f, unsigned buffers)
{
	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < buffers; i++)
		offer_rx(f, i, RX_BYTES);
	driver_kick(&f->d, RX);
	driver_run(&f->d);
}

/* The segment that came in buffer i, the next of the ring. */
static struct segment received(struct net_fixture *f, unsigned i)
{
	const struct virtio_net_hdr_v1 plain = { .num_buffers = 1 };
	struct vring_used_elem e;
	struct ipv4_packet p;
	struct segment s;
	const uint8_t *frame;

	assert_true(net_used(&f->ring[RX], &e));
	frame = driver_at(&f->d, net_buffer(i), e.len);
	assert_memory_equal(frame, &plain, sizeof(plain));
	assert_memory_equal(frame + HDR, net_mac, ETH_ALEN);
	assert_true(ipv4_parse(frame + HDR + ETH_HLEN, e.len - HDR - ETH_HLEN, &p));
	assert_int_equal(p.source, htonl(SERVICE));
	assert_true(segment_parse(p.payload, p.len, &s));
	return s;
}

static void expect_none(struct net_fixture *f)
{
	struct vring_used_elem e;

	assert_false(net_used(&f->ring[RX], &e));
}

static ssize_t host_takes(struct net_fixture *f)
{
	uint8_t got[FRAME];

	return recv(f->host[0], got, sizeof(got), 0);
}

/* --- */

static void test_request(void **state)
{
	static const char get[] = "GET /a HTTP/1.0\r\n\r\n";
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	struct segment s, next;

	start(f, 8);
	send_syn(f);
	s = received(f, 0);
	assert_int_equal(s.flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_int_equal(s.ack, 100);

	send_segment(f, &(struct segment){ .source = PORT,
					   .destination = ENDPOINT_PORT,
					   .seq = 100,
					   .ack = s.seq + 1,
					   .flags = SEGMENT_ACK,
					   .window = 64000,
					   .payload = get,
					   .len = sizeof(get) - 1 });
	next = received(f, 1);
	assert_int_equal(next.seq, s.seq + 1);
	assert_int_equal(next.len, 100); /* the segments of the driver's choice */
	assert_memory_equal(next.payload, "HTTP/1.0 200 ", 13);
	assert_int_equal(received(f, 2).seq, s.seq + 101);
	assert_int_equal(host_takes(f), -1);
	assert_int_equal(mmds_counters(served->mmds)->rx_count, 2);
	assert_int_equal(f->d.dev->counters.errors, 0);
}

/* However the driver cuts a frame that is the service's, it is seen. */
static void test_cuts(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	const struct segment stray = { .source = PORT, .destination = 81, .flags = SEGMENT_SYN };
	uint8_t frame[FRAME];
	size_t len = make_segment(frame, SERVICE, &stray);

	start(f, 60);
	for (size_t cut = 1, i = 0; cut < len; cut += 3, i++) {
		transmit(f, frame, len, cut);
		assert_true(received(f, (unsigned)i).flags & SEGMENT_RST);
	}
	assert_int_equal(host_takes(f), -1);
}

/* Whatever is not for the service's address, and what is too short to say. */
static void test_other_frames(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	const struct segment syn = { .source = PORT,
				     .destination = ENDPOINT_PORT,
				     .flags = SEGMENT_SYN };
	uint8_t frame[FRAME];
	size_t len = make_segment(frame, SERVICE + 1, &syn);

	start(f, 4);
	transmit(f, frame, len, HDR);
	assert_int_equal(host_takes(f), len);
	make_segment(frame, SERVICE, &syn);
	frame[HDR + 12] = 0x86; /* another protocol */
	transmit(f, frame, len, HDR);
	assert_int_equal(host_takes(f), len);
	make_segment(frame, SERVICE, &syn);
	for (len = HDR + ETH_HLEN; len < HDR + ETH_HLEN + IPV4_HEADER_BYTES; len++) {
		transmit(f, frame, len, HDR);
		assert_int_equal(host_takes(f), len);
	}
	expect_none(f);
	assert_int_equal(mmds_counters(served->mmds)->rx_count, 0);
}

/* What the host sends comes as before, after what the service has to say. */
static void test_both(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	struct vring_used_elem e;
	uint8_t frame[HDR + 100];

	start(f, 0);
	send_syn(f);
	net_frame(frame, 100, 3);
	assert_int_equal(send(f->host[0], frame, sizeof(frame), 0), sizeof(frame));
	for (unsigned i = 0; i < 4; i++)
		offer_rx(f, i, RX_BYTES);
	driver_kick(&f->d, RX);
	driver_run(&f->d);
	assert_int_equal(received(f, 0).flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_true(net_used(&f->ring[RX], &e));
	assert_int_equal(e.len, sizeof(frame));
	assert_memory_equal(driver_at(&f->d, net_buffer(1) + HDR, 100), frame + HDR, 100);
	expect_none(f);
}

/* The driver does not answer: again, when the time has come. */
static void test_retry(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	struct segment first;

	start(f, 8);
	send_syn(f);
	first = received(f, 0);
	expect_none(f);
	assert_int_equal(fake.at_us, fake.now_us + TCP_RETRY_US);
	pass_time(f);
	assert_int_equal(received(f, 1).seq, first.seq);
	assert_int_equal(fake.at_us, fake.now_us + 2 * TCP_RETRY_US);
	pass_time(f);
	assert_int_equal(received(f, 2).seq, first.seq);
	expect_none(f);
}

/* Without buffers nothing turns in circles; the driver's kick brings what waits. */
static void test_no_buffers(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;

	start(f, 0);
	send_syn(f);
	assert_int_equal(fake.at_us, 0);
	offer_rx(f, 0, RX_BYTES);
	driver_kick(&f->d, RX);
	assert_int_equal(received(f, 0).flags, SEGMENT_SYN | SEGMENT_ACK);
}

static void test_small_buffer(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;

	net_start(f, 0, SIZE);
	offer_rx(f, 0, HDR + 20);
	offer_rx(f, 1, RX_BYTES);
	driver_kick(&f->d, RX);
	send_syn(f);
	expect_none(f);
	assert_int_equal(f->d.dev->counters.errors, 1);
	assert_int_equal(mmds_counters(served->mmds)->tx_errors, 1);
	assert_false(net_needs_reset(f));
}

/* Paused, nothing moves; and what the service has waits for the resume. */
static void test_pause(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;

	start(f, 4);
	send_syn(f);
	received(f, 0);
	virtio_transport_pause(f->d.transport);
	pass_time(f);
	expect_none(f);
	virtio_transport_resume(f->d.transport);
	driver_run(&f->d);
	assert_int_equal(received(f, 1).flags, SEGMENT_SYN | SEGMENT_ACK);
}

/* The next driver hears nothing of the last one's connections. */
static void test_reset(void **state)
{
	struct served *served = *state;
	struct net_fixture *f = &served->f;
	struct segment s;

	start(f, 4);
	send_syn(f);
	s = received(f, 0);
	driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
	start(f, 4);
	if (fake.at_us)
		pass_time(f);
	expect_none(f);
	send_segment(f, &(struct segment){ .source = PORT,
					   .destination = ENDPOINT_PORT,
					   .seq = 100,
					   .ack = s.seq + 1,
					   .flags = SEGMENT_ACK });
	assert_int_equal(received(f, 0).flags, SEGMENT_RST);
	assert_int_equal(mmds_counters(served->mmds)->connections_destroyed, 1);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_request), SERVED(test_cuts),	 SERVED(test_other_frames),
		SERVED(test_both),    SERVED(test_retry),	 SERVED(test_no_buffers),
		SERVED(test_pause),   SERVED(test_small_buffer), SERVED(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
