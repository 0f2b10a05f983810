/* test_classes.c - traffic by class, as this kernel's nftables count it: frames are written to a tap
 * and sent to it, in a network namespace of the test's own.
 *
 * The host has 10.1.0.1 and fd00:1::1 there, which are within, and 192.0.2.1 on another link.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/network/classes.h"
#include "supervisor/network/link.h"

#define TAG "abc123"

enum {
	SKIPPED = 77,
	ETHERNET_BYTES = 14,
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	UDP_BYTES = 8,
	FRAME_BYTES = 512,
	LENGTH_AT_4 = 2,
	LENGTH_AT_6 = 4,
	SUM_AT = 10,
	SOURCE_AT_4 = 12,
	TARGET_AT_4 = 16,
	SOURCE_AT_6 = 8,
	TARGET_AT_6 = 24,
	VNET_BYTES = 10,
};

static struct lease a_lease(void)
{
	struct lease l = { .n = 7, .link = "wt" TAG "7", .network = { .mode = NETWORK_BRIDGE } };

	assert_int_equal(prefix_parse("10.1.0.0/24", &l.network.prefix4), 0);
	assert_int_equal(prefix_parse("fd00:1::/64", &l.network.prefix6), 0);
	return l;
}

/* --- nft --- */

static FILE *begin(char **text, size_t *len)
{
	FILE *f = open_memstream(text, len);

	assert_non_null(f);
	classes_print_base(TAG, f);
	return f;
}

/* 0, or that nft or its kernel has refused. */
static int apply(FILE *f, char **text, const size_t *len)
{
	FILE *nft;
	int status;

	fclose(f);
	nft = popen("nft -f -", "we");
	assert_non_null(nft);
	fwrite(*text, 1, *len, nft);
	status = pclose(nft);
	free(*text);
	return status;
}

static int count(const struct lease *l)
{
	size_t len;
	char *text;
	FILE *f = begin(&text, &len);

	classes_print_network(TAG, &l->network, f);
	classes_print_lease(TAG, l, f);
	return apply(f, &text, &len);
}

static int stop(const struct lease *l)
{
	size_t len;
	char *text;
	FILE *f = begin(&text, &len);

	classes_remove_lease(TAG, l, f);
	classes_remove_network(TAG, &l->network, f);
	return apply(f, &text, &len);
}

/* --- frames --- */

static void put16(uint8_t *at, size_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static void sum_header(uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IPV4_BYTES; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(header + SUM_AT, ~sum & 0xffff);
}

/* A datagram of payload bytes from one address to another; its length. */
static size_t make_frame(uint8_t *frame, const char *from, const char *to, size_t payload)
{
	static const uint8_t macs[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 6, 0, 10, 1, 0, 2 };
	const bool ipv6 = strchr(from, ':') != NULL;
	uint8_t *ip = frame + ETHERNET_BYTES;
	const size_t udp = UDP_BYTES + payload;

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, macs, sizeof(macs));
	put16(frame + sizeof(macs), ipv6 ? 0x86dd : 0x0800);
	if (ipv6) {
		ip[0] = 0x60;
		put16(ip + LENGTH_AT_6, udp);
		ip[6] = IPPROTO_UDP;
		ip[7] = 64;
		inet_pton(AF_INET6, from, ip + SOURCE_AT_6);
		inet_pton(AF_INET6, to, ip + TARGET_AT_6);
		put16(ip + IPV6_BYTES + 4, udp);
		return ETHERNET_BYTES + IPV6_BYTES + udp;
	}
	ip[0] = 0x45;
	put16(ip + LENGTH_AT_4, IPV4_BYTES + udp);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	inet_pton(AF_INET, from, ip + SOURCE_AT_4);
	inet_pton(AF_INET, to, ip + TARGET_AT_4);
	sum_header(ip);
	put16(ip + IPV4_BYTES + 4, udp);
	return ETHERNET_BYTES + IPV4_BYTES + udp;
}

static int open_tap(const char *name)
{
	struct ifreq request = { 0 };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	memcpy(request.ifr_name, name, strnlen(name, sizeof(request.ifr_name) - 1));
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void write_frame(int tap, const char *from, const char *to, size_t payload, size_t *len)
{
	uint8_t frame[VNET_BYTES + FRAME_BYTES] = { 0 };

	*len = make_frame(frame + VNET_BYTES, from, to, payload);
	assert_int_equal(write(tap, frame, VNET_BYTES + *len), VNET_BYTES + *len);
}

static struct class_reader reader;

static struct class_counters counters(const struct lease *l)
{
	struct class_counters ret;
	struct error err;

	if (classes_read(&reader, TAG, l, &ret, &err) < 0)
		fail_msg("%s", err.text);
	return ret;
}

static void command(const char *line)
{
	assert_int_equal(system(line), 0);
}

/* --- the tests --- */

struct setting {
	struct lease lease;
	int tap;
};

static int set_up(void **state)
{
	static struct setting s;
	struct error err;

	s.lease = a_lease();
	class_reader_init(&reader);
	if (link_make_tap(s.lease.link, 0, false, &err) < 0 || count(&s.lease) != 0)
		return -1;
	s.tap = open_tap(s.lease.link);
	command("ip link set wt" TAG "7 up && ip addr add 10.1.0.1/24 dev wt" TAG "7 &&"
		" ip addr add fd00:1::1/64 dev wt" TAG "7 nodad &&"
		" ip neigh add 10.1.0.2 lladdr 06:00:0a:01:00:02 dev wt" TAG "7");
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct setting *s = *state;
	struct class_counters now;
	struct error err;

	close(s->tap);
	if (link_remove(s->lease.link, &err) < 0 || stop(&s->lease) != 0)
		return -1;
	if (classes_read(&reader, TAG, &s->lease, &now, &err) != -ENOENT)
		return -1;
	class_reader_clear(&reader);
	return 0;
}

/* What a guest sends, each a little longer than the one before. */
static void test_sent(void **state)
{
	static const struct {
		const char *from, *to;
		bool world;
	} cases[] = {
		{ "10.1.0.2", "198.51.100.1", true },	  { "10.1.0.2", "192.0.2.2", true },
		{ "10.1.0.2", "192.0.2.1", false },	  { "10.1.0.2", "10.1.0.1", false },
		{ "10.1.0.2", "10.1.0.77", false },	  { "10.1.0.2", "224.0.0.1", false },
		{ "10.1.0.2", "255.255.255.255", false }, { "10.1.0.2", "169.254.169.254", false },
		{ "10.9.9.9", "198.51.100.1", true },	  { "fd00:1::2", "2001:db8::1", true },
		{ "fd00:1::2", "fd00:1::1", false },	  { "fd00:1::2", "fd00:1::77", false },
		{ "fe80::2", "fe80::1", false },	  { "fe80::2", "ff02::1", false },
	};
	const struct setting *s = *state;

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		const struct class_counters before = counters(&s->lease);
		struct class_counters after;
		size_t len;

		write_frame(s->tap, cases[n].from, cases[n].to, n, &len);
		after = counters(&s->lease);
		if (after.out_world - before.out_world != (cases[n].world ? (int64_t)len : 0) ||
		    after.out_internal - before.out_internal != (cases[n].world ? 0 : (int64_t)len))
			fail_msg("%s to %s: %lld and %lld of %zu bytes", cases[n].from, cases[n].to,
				 (long long)(after.out_world - before.out_world),
				 (long long)(after.out_internal - before.out_internal), len);
	}
}

/* What comes to it, from its gateway and through the host; with what the tap itself says. */
static void test_received(void **state)
{
	struct setting *s = *state;
	const struct class_counters before = counters(&s->lease);
	const size_t headers = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;
	struct class_counters after;
	struct link_counters link;
	uint8_t packet[FRAME_BYTES], taken[FRAME_BYTES * 4];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct error err;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	size_t len = make_frame(packet, "198.51.100.1", "10.1.0.2", 200) - ETHERNET_BYTES;

	assert_true(udp >= 0 && raw >= 0);
	inet_pton(AF_INET, "10.1.0.2", &to.sin_addr);
	assert_int_equal(sendto(udp, packet, 100, 0, (struct sockaddr *)&to, sizeof(to)), 100);
	assert_int_equal(
		sendto(raw, packet + ETHERNET_BYTES, len, 0, (struct sockaddr *)&to, sizeof(to)),
		len);
	after = counters(&s->lease);
	assert_int_equal(after.in_world - before.in_world, 200 + headers);
	/* The host may have asked for its neighbours, too. */
	assert_true(after.in_internal - before.in_internal >= (int64_t)(100 + headers));
	fcntl(s->tap, F_SETFL, O_NONBLOCK);
	while (read(s->tap, taken, sizeof(taken)) > 0)
		continue;
	after = counters(&s->lease);
	assert_int_equal(link_read(s->lease.link, &link, &err), 0);
	assert_int_equal(link.tx_bytes, after.in_world + after.in_internal);
	assert_int_equal(link.rx_bytes, after.out_world + after.out_internal);
	close(udp);
	close(raw);
}

/* The same again keeps what was counted; without it nothing is read. */
static void test_again(void **state)
{
	struct setting *s = *state;
	struct class_counters before, after;
	size_t len;

	write_frame(s->tap, "10.1.0.2", "198.51.100.1", 1, &len);
	before = counters(&s->lease);
	assert_int_equal(before.out_world, len);
	assert_int_equal(count(&s->lease), 0);
	write_frame(s->tap, "10.1.0.2", "198.51.100.1", 1, &len);
	after = counters(&s->lease);
	assert_int_equal(after.out_world, 2 * len);
}

static bool is_possible(void)
{
	struct error err;
	struct lease l = a_lease();
	bool can = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
		   system("nft --version >/dev/null 2>&1") == 0 &&
		   system("ip link set lo up && ip tuntap add dev up0 mode tap &&"
			  " ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up") == 0 &&
		   link_make_tap(l.link, 0, false, &err) == 0;

	can = can && count(&l) == 0;
	return can && link_remove(l.link, &err) == 0 && stop(&l) == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_received, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
	};

	if (!is_possible()) {
		fprintf(stderr, "needs root, taps, nft, and a kernel with chains for egress\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
