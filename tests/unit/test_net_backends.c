/* test_net_backends.c - passt's stream, cut as streams are; real taps, where the machine
 * has them; MAC addresses.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_mmio.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/net_header.h"
#include "devices/virtio/net_mac.h"
#include "devices/virtio/net_passt.h"
#include "devices/virtio/net_tap.h"
#include "tests/unit/net_fixture.h"
#include "vmm/base/fd.h"

enum { RX, TX, HDR = NET_HEADER_BYTES, SIZE = 256, LEN = 1000, LENGTH = 4 };

#define MERGE (1ull << VIRTIO_NET_F_MRG_RXBUF)

static char passt_path[64];

static int adopt(const int *fds, unsigned pairs, struct net_backend **ret)
{
	assert_int_equal(pairs, 1);
	return net_passt_adopt(fds[0], ret);
}

static void start(struct net_fixture *f, net_adopt_fn by)
{
	struct virtio_net_options o = { .id = "eth0" };

	memcpy(o.mac, net_mac, sizeof(o.mac));
	net_create(f, SOCK_STREAM, 1, by, &o);
	net_start(f, MERGE, SIZE);
	for (unsigned i = 0; i < 16; i++) {
		const struct driver_buffer b = { net_buffer(i), 2000, true };

		net_offer(&f->ring[RX], &b, 1);
	}
	driver_kick(&f->d, RX);
}

static int set_up(void **state)
{
	struct net_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	start(f, adopt);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	net_destroy(*state);
	free(*state);
	return 0;
}

/* A frame as it is on the stream. */
static size_t pack(char *at, uint32_t len, unsigned seed)
{
	char frame[HDR + 2 * LEN];
	uint32_t length = htonl(len);

	net_frame(frame, len, seed);
	memcpy(at, &length, LENGTH);
	memcpy(at + LENGTH, frame + HDR, len);
	return LENGTH + len;
}

static void say(struct net_fixture *f, const void *data, size_t len)
{
	assert_int_equal(send(f->host[0], data, len, MSG_NOSIGNAL), len);
	driver_run(&f->d);
}

static void expect_frame(struct net_fixture *f, unsigned i, size_t len, unsigned seed)
{
	char want[HDR + 2 * LEN];
	struct vring_used_elem e;

	net_frame(want, len, seed);
	want[offsetof(struct virtio_net_hdr_v1, num_buffers)] = 1;
	assert_true(net_used(&f->ring[RX], &e));
	assert_int_equal(e.len, HDR + len);
	assert_memory_equal(driver_at(&f->d, net_buffer(i), e.len), want, e.len);
}

static bool link_is_up(struct net_fixture *f)
{
	struct virtio_net_config c;

	virtio_mmio_bus_ops.read(f->d.transport, VIRTIO_MMIO_CONFIG, &c, 12);
	return c.status & VIRTIO_NET_S_LINK_UP;
}

static void test_features(void **state)
{
	struct net_fixture *f = *state;
	const uint64_t offloads = (1 << VIRTIO_NET_F_CSUM) | (1 << VIRTIO_NET_F_GUEST_CSUM) |
				  (1 << VIRTIO_NET_F_HOST_TSO4) | (1 << VIRTIO_NET_F_GUEST_TSO4);

	assert_int_equal(driver_offered(&f->d) & offloads, 0);
	assert_true(driver_offered(&f->d) & MERGE);
}

/* Several frames at once, and one that comes byte by byte. */
static void test_stream_to_guest(void **state)
{
	struct net_fixture *f = *state;
	char data[8 * LEN];
	size_t n = 0, whole;

	for (unsigned i = 0; i < 3; i++)
		n += pack(data + n, LEN + i, i);
	whole = n;
	n += pack(data + n, 14, 3);
	say(f, data, whole + 2);
	for (unsigned i = 0; i < 3; i++)
		expect_frame(f, i, LEN + i, i);
	for (size_t at = whole + 2; at < n; at++) {
		struct vring_used_elem e;

		assert_false(net_used(&f->ring[RX], &e));
		say(f, data + at, 1);
	}
	expect_frame(f, 3, 14, 3);
	assert_true(link_is_up(f));
}

static void test_stream_from_guest(void **state)
{
	struct net_fixture *f = *state;
	char want[LENGTH + LEN], got[2 * LEN];

	for (unsigned i = 30; i < 33; i++) {
		net_transmit(f, 0, i, LEN);
		pack(want, LEN, i);
		assert_int_equal(recv(f->host[0], got, sizeof(got), 0), LENGTH + LEN);
		assert_memory_equal(got, want, LENGTH + LEN);
	}
}

/* A passt that reads slowly gets every frame whole, however the socket cut it. */
static void test_slow_passt(void **state)
{
	struct net_fixture *f = *state;
	enum { FRAMES = 30, LONG = 60000 };
	static char all[FRAMES * (LENGTH + LONG)], want[HDR + LONG];
	size_t n = 0;

	for (unsigned i = 0; i < FRAMES; i++)
		net_transmit(f, 0, 20 + i, LONG);
	while (n < sizeof(all)) {
		size_t room = sizeof(all) - n;
		ssize_t got = recv(f->host[0], all + n, room < 7001 ? room : 7001, 0);

		if (got > 0)
			n += (size_t)got;
		driver_run(&f->d);
	}
	for (unsigned i = 0; i < FRAMES; i++) {
		const char *at = all + (size_t)i * (LENGTH + LONG);
		uint32_t length;

		memcpy(&length, at, LENGTH);
		assert_int_equal(ntohl(length), LONG);
		net_frame(want, LONG, 20 + i);
		assert_memory_equal(at + LENGTH, want + HDR, LONG);
	}
	assert_int_equal(f->d.dev->counters.errors, 0);
}

/* No frame has such a length: the link goes down, the guest lives. */
static void test_impossible_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 13, 65536, UINT32_MAX };

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct net_fixture *f = *state;
		uint32_t length = htonl(lengths[i]);

		say(f, &length, sizeof(length));
		assert_false(link_is_up(f));
		assert_false(net_needs_reset(f));
		tear_down(state);
		set_up(state);
	}
}

static void test_passt_ends(void **state)
{
	struct net_fixture *f = *state;
	char frame[LENGTH + 200];
	struct vring_used_elem e;

	pack(frame, 200, 1);
	say(f, frame, sizeof(frame) / 2);
	f->host[0] = fd_close(f->host[0]);
	driver_run(&f->d);
	assert_false(link_is_up(f));
	net_transmit(f, 0, 30, LEN);
	assert_true(net_used(&f->ring[TX], &e));
	assert_false(net_used(&f->ring[RX], &e));
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int connect_by_path(const int *fds, unsigned pairs, struct net_backend **ret)
{
	struct error err = { 0 };

	(void)pairs;
	close(fds[0]);
	return net_passt_connect(passt_path, ret, &err);
}

static int accept_at(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* The first frame of each connection: whoever it is learns where the guest is. */
static void expect_greeting(int fd)
{
	static const unsigned char reverse_arp[] = { 0x80, 0x35 };
	unsigned char got[LENGTH + ETH_ZLEN];

	assert_int_equal(recv(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got + LENGTH + ETH_ALEN, net_mac, ETH_ALEN);
	assert_memory_equal(got + LENGTH + 2 * ETH_ALEN, reverse_arp, sizeof(reverse_arp));
}

/* The guest goes on, with frames lost and the cable pulled meanwhile. What the old one
 * had begun to say is not mixed with the new one's words. */
static void test_passt_comes_back(void **state)
{
	char frame[LENGTH + LEN], got[2 * LEN];
	struct vring_used_elem e;
	struct net_fixture f;
	int listener;

	(void)state;
	snprintf(passt_path, sizeof(passt_path), "/tmp/wisp-test-passt-%d", (int)getpid());
	listener = listen_at(passt_path);
	start(&f, connect_by_path);
	fd_close(f.host[0]);
	for (unsigned round = 0; round < 3; round++) {
		while (!link_is_up(&f))
			driver_run(&f.d);
		f.host[0] = accept_at(listener);
		expect_greeting(f.host[0]);
		pack(frame, LEN, round);
		say(&f, frame, sizeof(frame));
		expect_frame(&f, round, LEN, round);
		net_transmit(&f, 0, 30 + round, LEN);
		assert_true(net_used(&f.ring[TX], &e));
		assert_int_equal(recv(f.host[0], got, sizeof(got), 0), sizeof(frame));

		say(&f, frame, sizeof(frame) / 2);
		f.host[0] = fd_close(f.host[0]);
		fd_close(listener);
		unlink(passt_path);
		driver_run(&f.d);
		assert_false(link_is_up(&f));
		net_transmit(&f, 0, 40 + round, LEN);
		assert_true(net_used(&f.ring[TX], &e));
		listener = listen_at(passt_path);
	}
	assert_false(net_needs_reset(&f));
	net_destroy(&f);
	fd_close(listener);
	unlink(passt_path);
}

static void test_nobody_listens(void **state)
{
	struct net_backend *b = NULL;
	struct error err = { 0 };
	char path[200];

	(void)state;
	assert_int_equal(net_passt_connect("/nonexistent/passt", &b, &err), -ENOENT);
	assert_string_equal(err.field, "socket_path");
	assert_non_null(strstr(err.text, "/nonexistent/passt"));
	assert_non_null(strstr(err.hint, "passt --socket"));
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(net_passt_connect(path, &b, &err), -ENAMETOOLONG);
	assert_null(b);
}

/* A connection that was passed has one user. */
static void test_passt_by_descriptor(void **state)
{
	struct net_backend *b;
	struct error err = { 0 };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(dup2(pair[0], 101), 101);
	close(pair[0]);
	assert_int_equal(net_passt_connect("fd:101", &b, &err), 0);
	assert_int_equal(b->fd[0], 101);
	assert_int_equal(net_passt_connect("fd:101", &b, &err), -EBADF);
	assert_string_equal(err.field, "socket_path");
	net_backend_destroy(b);
	close(pair[1]);
}

/* --- taps --- */

/* A network namespace with no more than this user's rights; false where that, or the
 * kernel's tun module, is missing. */
static bool own_network(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	fd_close(fd);
	return fd >= 0;
}

/* Makes a tap that stays, of a kind. */
static void make_tap(const char *name, int kind)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | kind) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

static void bring_up(const char *name)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* Whoever comes second is told, whatever the kind of tap; the first has all queues. */
static void test_tap_kinds(void **state)
{
	static const struct {
		const char *name;
		int kind;
		unsigned pairs;
	} taps[] = { { "wone", 0, 1 }, { "wmany", IFF_MULTI_QUEUE, 3 } };

	(void)state;
	if (!own_network())
		skip();
	for (unsigned i = 0; i < 2; i++) {
		struct net_backend *first, *second;
		struct error err = { 0 };

		make_tap(taps[i].name, taps[i].kind);
		assert_int_equal(net_tap_open(taps[i].name, &first, &err), 0);
		assert_int_equal(net_tap_open(taps[i].name, &second, &err), -EBUSY);
		assert_non_null(strstr(err.text, taps[i].name));
		first->ops->open_pairs(first, 3);
		assert_int_equal(first->pairs, taps[i].pairs);
		assert_int_equal(first->ops->use_pairs(first, first->pairs), 0);
		first->ops->stop(first);
		net_backend_destroy(first);
		assert_int_equal(net_tap_open(taps[i].name, &first, &err), 0);
		net_backend_destroy(first);
	}
}

/* The kernel takes what is offered, and a frame. */
static void test_tap_offloads(void **state)
{
	struct net_backend *b;
	struct error err = { 0 };
	char frame[HDR + LEN];
	struct iovec vec = { frame, sizeof(frame) };
	struct iov iov = { &vec, 1, sizeof(frame) };
	const struct virtio_net_hdr_v1 beyond = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						  .csum_start = 0xfff0 };

	(void)state;
	if (!own_network())
		skip();
	assert_int_equal(net_tap_open("wtap", &b, &err), 0);
	bring_up("wtap");
	assert_int_equal(b->ops->start(b, b->offloads), 0);
	assert_int_equal(b->ops->start(b, 0), 0);
	assert_int_equal(b->ops->start(b, 1u << VIRTIO_NET_F_GUEST_TSO4), -EINVAL);
	net_frame(frame, LEN, 1);
	assert_int_equal(b->ops->send(b, 0, &iov), 0);
	memcpy(frame, &beyond, sizeof(beyond));
	assert_int_equal(b->ops->send(b, 0, &iov), -EINVAL);
	net_backend_destroy(b);
}

/* A tap that somebody else has attached; without the virtio header it is none for us. */
static void test_tap_by_descriptor(void **state)
{
	static const struct {
		short flags;
		int result;
	} rows[] = { { IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0 },
		     { IFF_TAP | IFF_NO_PI, -EBADFD },
		     { IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, -EBADFD } };

	(void)state;
	if (!own_network())
		skip();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ifreq ifr = { .ifr_flags = rows[i].flags };
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		struct net_backend *b = NULL;
		struct error err = { 0 };

		assert_int_equal(dup2(fd, 100), 100);
		close(fd);
		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "wgiven%u", i);
		assert_int_equal(ioctl(100, TUNSETIFF, &ifr), 0);
		assert_int_equal(net_tap_open("fd:100", &b, &err), rows[i].result);
		if (b) {
			assert_int_equal(b->ops->start(b, b->offloads), 0);
			b->ops->open_pairs(b, 3);
			assert_int_equal(b->pairs, 1);
		}
		net_backend_destroy(b);
		close(100);
	}
}

/* Gives the tap's reader n frames of a protocol that nothing else speaks. */
static void send_through(const char *name, unsigned n)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct ethhdr frame[5] = { { .h_proto = htons(ETH_P_802_EX1) } };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	to.sll_ifindex = (int)if_nametoindex(name);
	while (n-- > 0)
		assert_int_equal(
			sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
			sizeof(frame));
	close(fd);
}

/* How many of these frames there are; the kernel may have sent some of its own. */
static unsigned take_frames(struct net_backend *b)
{
	struct net_head head;
	char rest[LEN];
	struct iovec vec[] = { { &head, sizeof(head) }, { rest, sizeof(rest) } };
	const struct iov into = { vec, 2, sizeof(head) + sizeof(rest) };
	unsigned n = 0;

	while (b->ops->receive(b, 0, &into) > 0)
		n += head.ethernet.h_proto == htons(ETH_P_802_EX1);
	return n;
}

/* A driver gets nothing that came before it. */
static void test_tap_start_is_empty(void **state)
{
	struct net_backend *b;
	struct error err = { 0 };

	(void)state;
	if (!own_network())
		skip();
	assert_int_equal(net_tap_open("wold", &b, &err), 0);
	bring_up("wold");
	send_through("wold", 10);
	assert_int_equal(take_frames(b), 10);
	send_through("wold", 10);
	assert_int_equal(b->ops->start(b, 0), 0);
	assert_int_equal(take_frames(b), 0);
	net_backend_destroy(b);
}

static void test_tap_names(void **state)
{
	static const char *const names[] = { "", "a/b", "tap%d", "a b", "0123456789abcdef" };
	struct net_backend *b;
	struct error err = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(net_tap_open(names[i], &b, &err), -EINVAL);
		assert_string_equal(err.field, "host_dev_name");
	}
}

/* --- MAC addresses --- */

static void test_macs(void **state)
{
	static const struct {
		const char *text;
		bool parsed, usable;
	} cases[] = {
		{ "06:00:AC:10:00:02", true, true },   { "06:00:ac:10:00:ff", true, true },
		{ "01:00:5e:00:00:01", true, false },  { "ff:ff:ff:ff:ff:ff", true, false },
		{ "00:00:00:00:00:00", true, false },  { "", false, false },
		{ "06:00:ac:10:00:0", false, false },  { "06:00:ac:10:00:022", false, false },
		{ "06-00-ac-10-00-02", false, false }, { "06:00:ac:10:00:0g", false, false },
		{ "+6:00:ac:10:00:02", false, false },
	};
	uint8_t mac[ETH_ALEN] = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(net_mac_parse(cases[i].text, mac), cases[i].parsed);
		if (cases[i].parsed)
			assert_int_equal(net_mac_is_usable(mac), cases[i].usable);
	}
	assert_true(net_mac_parse("06:00:ac:10:00:fe", mac));
	assert_memory_equal(mac, ((uint8_t[]){ 6, 0, 0xac, 0x10, 0, 0xfe }), sizeof(mac));
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(net_mac_random(mac), 0);
		assert_true(net_mac_is_usable(mac));
	}
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ONE(test_features),
		ONE(test_stream_to_guest),
		ONE(test_stream_from_guest),
		ONE(test_slow_passt),
		ONE(test_impossible_lengths),
		ONE(test_passt_ends),
		cmocka_unit_test(test_passt_comes_back),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_passt_by_descriptor),
		cmocka_unit_test(test_tap_by_descriptor),
		cmocka_unit_test(test_tap_names),
		cmocka_unit_test(test_macs),
		cmocka_unit_test(test_tap_kinds),
		cmocka_unit_test(test_tap_offloads),
		cmocka_unit_test(test_tap_start_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
