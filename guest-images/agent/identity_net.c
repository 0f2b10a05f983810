/* identity_net.c - the addresses of a guest's interfaces.
 *
 * By netdevice(7), which does for one address of IPv4 and needs no library in a static
 * program; identity_net6.c has those of IPv6.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-images/agent/identity.h"
#include "guest-images/agent/identity_net6.h"

enum { VALUE_LEN = 64 };

/* "eth0 VALUE", cut at its only blank. */
static int split(const char *text, struct ifreq *request, char value[VALUE_LEN])
{
	const char *blank = strchr(text, ' ');
	size_t len = blank ? (size_t)(blank - text) : 0;

	if (len == 0 || len >= sizeof(request->ifr_name) || strlen(blank + 1) >= VALUE_LEN)
		return -EINVAL;
	*request = (struct ifreq){ 0 };
	memcpy(request->ifr_name, text, len);
	strcpy(value, blank + 1);
	return 0;
}

static int control(unsigned long what, void *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	r = ioctl(fd, what, request) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int set_up(struct ifreq *request)
{
	int r = control(SIOCGIFFLAGS, request);

	if (r < 0 || (request->ifr_flags & IFF_UP))
		return r;
	request->ifr_flags |= IFF_UP;
	return control(SIOCSIFFLAGS, request);
}

int identity_mac(const char *text)
{
	const struct ether_addr *mac;
	struct ifreq request;
	char value[VALUE_LEN];
	int r = split(text, &request, value);

	if (r < 0)
		return r;
	mac = strlen(value) == strlen("06:00:0a:00:00:02") ? ether_aton(value) : NULL;
	if (!mac)
		return -EINVAL;
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, mac, sizeof(*mac));
	return control(SIOCSIFHWADDR, &request);
}

static struct sockaddr to_sockaddr(struct in_addr address)
{
	const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = address };
	struct sockaddr any;

	memcpy(&any, &in, sizeof(any));
	return any;
}

/* "10.0.0.2/24" */
static int parse_prefix(char *value, struct in_addr *address, struct in_addr *mask)
{
	char *slash = strchr(value, '/'), *end;
	unsigned long bits;

	if (!slash || slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	bits = strtoul(slash + 1, &end, 10);
	if (*end || bits < 1 || bits > 32)
		return -EINVAL;
	*slash = '\0';
	mask->s_addr = htonl(~0U << (32 - bits));
	return inet_pton(AF_INET, value, address) == 1 ? 0 : -EINVAL;
}

int identity_address(const char *text)
{
	struct in_addr address = { 0 }, mask = { 0 };
	struct ifreq request;
	char value[VALUE_LEN];
	int r = split(text, &request, value);

	if (r == 0 && strchr(value, ':')) {
		r = identity_address6(request.ifr_name, value);
		return r < 0 ? r : set_up(&request);
	}
	if (r == 0)
		r = parse_prefix(value, &address, &mask);
	if (r < 0)
		return r;
	request.ifr_addr = to_sockaddr(address);
	r = control(SIOCSIFADDR, &request);
	request.ifr_netmask = to_sockaddr(mask);
	if (r == 0)
		r = control(SIOCSIFNETMASK, &request);
	return r < 0 ? r : set_up(&request);
}

int identity_gateway(const char *text)
{
	struct rtentry route = { .rt_flags = RTF_UP };
	struct in_addr gateway, any = { INADDR_ANY };
	int r;

	if (strchr(text, ':'))
		return identity_gateway6(text);
	if (inet_pton(AF_INET, text, &gateway) != 1)
		return -EINVAL;
	route.rt_dst = route.rt_genmask = to_sockaddr(any);
	do
		r = control(SIOCDELRT, &route);
	while (r == 0);
	if (r != -ESRCH)
		return r;
	route.rt_gateway = to_sockaddr(gateway);
	route.rt_flags |= RTF_GATEWAY;
	return control(SIOCADDRT, &route);
}
