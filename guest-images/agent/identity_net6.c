/* identity_net6.c - an interface's address of IPv6, and the way out, by ioctl.
 *
 * As in identity_net.c: what a static program can do without a library. A kernel without
 * IPv6 has no use for either; then everything is so that can be. Nobody else has an address
 * that the host gives, so nothing waits for it to be found out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the C library's own, which it then leaves alone. */
#include <linux/ipv6.h>

#include "guest-images/agent/identity_net6.h"

enum { ADDRESS_DIGITS = 32, SCOPE_GLOBAL = 0, ROUTES_MAX = 64, BITS_MAX = 128 };

static int control(unsigned long what, void *request)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	r = ioctl(fd, what, request) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* Duplicates are looked for unless both of these say no. */
static void trust_addresses(const char *interface)
{
	const char *const whose[] = { "all", interface };
	char path[64];

	for (unsigned i = 0; i < 2; i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.16s/accept_dad", whose[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			(void)!write(fd, "0", 1);
		if (fd >= 0)
			close(fd);
	}
}

/* "fd00...02 02 40 00 80 eth0": the address's digits, index, bits, scope, flags, name. */
static bool parse_line(const char *line, int index, struct in6_ifreq *ret)
{
	unsigned long numbers[3];
	char *end = NULL;

	if (strspn(line, "0123456789abcdef") != ADDRESS_DIGITS)
		return false;
	line += ADDRESS_DIGITS;
	for (unsigned i = 0; i < 3; i++, line = end)
		numbers[i] = strtoul(line, &end, 16);
	*ret = (struct in6_ifreq){ .ifr6_prefixlen = (uint32_t)numbers[1], .ifr6_ifindex = index };
	return numbers[0] == (unsigned long)index && numbers[2] == SCOPE_GLOBAL;
}

static void parse_address(const char *line, struct in6_addr *ret)
{
	for (size_t i = 0; i < sizeof(*ret); i++) {
		const char byte[3] = { line[2 * i], line[2 * i + 1] };

		ret->s6_addr[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
}

/* What it was before: another's. */
static int remove_others(const struct in6_ifreq *now)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	struct in6_ifreq old;
	char line[128];
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		if (!parse_line(line, now->ifr6_ifindex, &old))
			continue;
		parse_address(line, &old.ifr6_addr);
		if (memcmp(&old.ifr6_addr, &now->ifr6_addr, sizeof(old.ifr6_addr)) != 0 ||
		    old.ifr6_prefixlen != now->ifr6_prefixlen)
			r = control(SIOCDIFADDR, &old);
	}
	if (f)
		fclose(f);
	return r;
}

int identity_address6(const char *interface, const char *value)
{
	struct in6_ifreq request = { .ifr6_ifindex = (int)if_nametoindex(interface) };
	char address[INET6_ADDRSTRLEN], *end;
	const char *slash = strchr(value, '/');
	unsigned long bits;
	int r;

	if (!slash || slash[1] < '0' || slash[1] > '9' || slash - value >= INET6_ADDRSTRLEN)
		return -EINVAL;
	bits = strtoul(slash + 1, &end, 10);
	snprintf(address, sizeof(address), "%.*s", (int)(slash - value), value);
	if (*end || bits < 1 || bits > BITS_MAX ||
	    inet_pton(AF_INET6, address, &request.ifr6_addr) != 1)
		return -EINVAL;
	if (!request.ifr6_ifindex)
		return -ENODEV;
	request.ifr6_prefixlen = (uint32_t)bits;
	trust_addresses(interface);
	r = remove_others(&request);
	if (r == 0)
		r = control(SIOCSIFADDR, &request);
	return r == -EEXIST ? 0 : r;
}

/* "eth0 fd00::1": an address that is reached by this interface, whatever its own is. */
static int make_neighbour(const char *text, struct in6_addr *ret)
{
	struct in6_rtmsg route = { .rtmsg_flags = RTF_UP | RTF_HOST,
				   .rtmsg_metric = 1,
				   .rtmsg_dst_len = BITS_MAX };
	const char *blank = strchr(text, ' ');
	char interface[IF_NAMESIZE];
	int r;

	if (blank == text || blank - text >= IF_NAMESIZE ||
	    inet_pton(AF_INET6, blank + 1, ret) != 1)
		return -EINVAL;
	snprintf(interface, sizeof(interface), "%.*s", (int)(blank - text), text);
	route.rtmsg_ifindex = (int)if_nametoindex(interface);
	if (!route.rtmsg_ifindex)
		return -ENODEV;
	route.rtmsg_dst = *ret;
	r = control(SIOCADDRT, &route);
	return r == -EEXIST ? 0 : r;
}

static int remove_gateways(void)
{
	struct in6_rtmsg old = { .rtmsg_flags = RTF_UP };
	int r = 0;

	/* Without IPv6 nothing fails, so it is not asked for ever. */
	for (unsigned i = 0; i < ROUTES_MAX && r == 0; i++)
		r = control(SIOCDELRT, &old);
	return r == -ESRCH || r == -ENOENT ? 0 : r;
}

int identity_gateway6(const char *text)
{
	struct in6_rtmsg route = { .rtmsg_flags = RTF_UP | RTF_GATEWAY, .rtmsg_metric = 1 };
	int r = 0;

	if (strchr(text, ' '))
		r = make_neighbour(text, &route.rtmsg_gateway);
	else if (inet_pton(AF_INET6, text, &route.rtmsg_gateway) != 1)
		r = -EINVAL;
	if (r == 0)
		r = remove_gateways();
	return r < 0 ? r : control(SIOCADDRT, &route);
}
