/* link.c - rtnetlink by libnl, and the one ioctl that makes a tap. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/sriov.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "supervisor/network/link.h"
#include "supervisor/network/rtnetlink.h"
#include "vmm/base/fd.h"

enum { FAMILY_BITS_4 = 32, FAMILY_BITS_6 = 128, OPTION_PATH_BYTES = 128 };

/* What libnl says instead of an errno. */
static int fail(int code, struct error *err, const char *what, const char *name)
{
	return rtnetlink_fail(code, "network", what, name, err);
}

/* --- links --- */

static int add_bridge(struct nl_sock *s, const char *name, const char *mac)
{
	struct rtnl_link *link = rtnl_link_bridge_alloc();
	struct nl_addr *address = NULL;
	int r = link ? nl_addr_parse(mac, AF_LLC, &address) : -NLE_NOMEM;

	if (r == 0) {
		rtnl_link_set_name(link, name);
		rtnl_link_set_addr(link, address);
		rtnl_link_set_flags(link, IFF_UP);
		r = rtnl_link_add(s, link, NLM_F_CREATE | NLM_F_EXCL);
	}
	nl_addr_put(address);
	rtnl_link_put(link);
	return r == -NLE_EXIST ? 0 : r;
}

int link_make_bridge(const char *name, const char *mac, struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	int r;

	if (!s)
		return err->code;
	r = add_bridge(s, name, mac);
	nl_socket_free(s);
	return r < 0 ? fail(r, err, "make bridge", name) : 0;
}

static int make_tap(int fd, const char *name, uid_t owner, bool queues)
{
	struct ifreq request = { 0 };

	request.ifr_flags =
		(short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues ? IFF_MULTI_QUEUE : 0));
	memcpy(request.ifr_name, name, strnlen(name, sizeof(request.ifr_name) - 1));
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOWNER, (long)owner) < 0 ||
	    ioctl(fd, TUNSETGROUP, (long)owner) < 0 || ioctl(fd, TUNSETPERSIST, 1L) < 0)
		return -errno;
	return 0;
}

int link_make_tap(const char *name, uid_t owner, bool queues, struct error *err)
{
	int fd, r = link_remove(name, err);

	if (r < 0)
		return r;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "network", "modprobe tun", "Cannot open /dev/net/tun");
	r = make_tap(fd, name, owner, queues);
	fd_close(fd);
	if (r < 0)
		return error_set(err, r, "network", NULL, "Cannot make tap %s: %s", name,
				 strerror(-r));
	return 0;
}

/* What is 0 stays as it is. */
struct link_change {
	unsigned flags, master, mtu;
};

static int change(const char *name, const struct link_change *c, struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	struct rtnl_link *link = rtnl_link_alloc(), *changes = rtnl_link_alloc();
	int r = link && changes ? 0 : -NLE_NOMEM;

	if (s && r == 0) {
		rtnl_link_set_ifindex(link, (int)if_nametoindex(name));
		rtnl_link_set_flags(changes, c->flags);
		if (c->master)
			rtnl_link_set_master(changes, (int)c->master);
		if (c->mtu)
			rtnl_link_set_mtu(changes, c->mtu);
		r = rtnl_link_change(s, link, changes, 0);
	}
	rtnl_link_put(changes);
	rtnl_link_put(link);
	nl_socket_free(s);
	if (!s)
		return err->code;
	return r < 0 ? fail(r, err, "change", name) : 0;
}

int link_join(const char *name, const char *bridge, struct error *err)
{
	unsigned master = if_nametoindex(bridge);

	return master ? change(name, &(struct link_change){ .master = master }, err)
		      : fail(-NLE_NODEV, err, "find", bridge);
}

int link_set_up(const char *name, struct error *err)
{
	return change(name, &(struct link_change){ .flags = IFF_UP }, err);
}

int link_set_up_silent(const char *name, struct error *err)
{
	return change(name, &(struct link_change){ .flags = IFF_UP | IFF_NOARP }, err);
}

int link_set_mtu(const char *name, unsigned mtu, struct error *err)
{
	return change(name, &(struct link_change){ .mtu = mtu }, err);
}

/* --- virtual functions --- */

static int fill_vlan(struct rtnl_link_vf *vf, uint64_t vlan)
{
	nl_vf_vlans_t *vlans = NULL;
	int r = rtnl_link_vf_vlan_alloc(&vlans, 1);

	if (r < 0)
		return r;
	/* Number 0 takes away what was there. */
	vlans->vlans[0].vf_vlan = (uint32_t)vlan;
	vlans->vlans[0].vf_vlan_qos = 0;
	vlans->vlans[0].vf_vlan_proto = ETH_P_8021Q;
	rtnl_link_vf_set_vlans(vf, vlans);
	rtnl_link_vf_vlan_put(vlans);
	return 0;
}

static int fill_function(struct rtnl_link_vf *vf, unsigned number, const struct link_function *f)
{
	struct nl_addr *mac = NULL;
	int r = f->mac[0] ? nl_addr_parse(f->mac, AF_LLC, &mac) : 0;

	if (r < 0)
		return r;
	rtnl_link_vf_set_index(vf, number);
	if (mac)
		rtnl_link_vf_set_addr(vf, mac);
	nl_addr_put(mac);
	rtnl_link_vf_set_spoofchk(vf, !f->trusted);
	rtnl_link_vf_set_trust(vf, f->trusted);
	return fill_vlan(vf, f->vlan);
}

int link_set_function(const char *name, unsigned number, const struct link_function *f,
		      struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	struct rtnl_link *link = rtnl_link_alloc(), *changes = rtnl_link_alloc();
	struct rtnl_link_vf *vf = rtnl_link_vf_alloc();
	int r = link && changes && vf ? fill_function(vf, number, f) : -NLE_NOMEM;

	if (s && r == 0) {
		rtnl_link_set_ifindex(link, (int)if_nametoindex(name));
		r = rtnl_link_vf_add(changes, vf);
	}
	if (s && r == 0)
		r = rtnl_link_change(s, link, changes, 0);
	rtnl_link_vf_put(vf);
	rtnl_link_put(changes);
	rtnl_link_put(link);
	nl_socket_free(s);
	if (!s)
		return err->code;
	return r < 0 ? fail(r, err, "set a virtual function of", name) : 0;
}

int link_remove(const char *name, struct error *err)
{
	struct rtnl_link *link;
	struct nl_sock *s;
	int r = -NLE_NOMEM;

	if (!if_nametoindex(name))
		return 0;
	s = rtnetlink_open("network", err);
	if (!s)
		return err->code;
	link = rtnl_link_alloc();
	if (link) {
		rtnl_link_set_name(link, name);
		r = rtnl_link_delete(s, link);
	}
	rtnl_link_put(link);
	nl_socket_free(s);
	if (r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND)
		r = 0;
	return r < 0 ? fail(r, err, "remove", name) : 0;
}

int link_read(const char *name, struct link_counters *ret, struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	struct rtnl_link *link = NULL;
	int r;

	if (!s)
		return err->code;
	r = rtnl_link_get_kernel(s, 0, name, &link);
	nl_socket_free(s);
	if (r < 0)
		return fail(r, err, "read", name);
	*ret = (struct link_counters){
		.index = rtnl_link_get_ifindex(link),
		.rx_bytes = (int64_t)rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES),
		.tx_bytes = (int64_t)rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES),
		.tx_dropped = (int64_t)rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED),
	};
	rtnl_link_put(link);
	return 0;
}

int link_each(const char *begin, int (*fn)(void *ctx, const char *name), void *ctx,
	      struct error *err)
{
	struct if_nameindex *all = if_nameindex();
	int r = 0;

	if (!all)
		return error_errno(err, "network", NULL, "Cannot list the links of the host");
	for (struct if_nameindex *i = all; i->if_index && r >= 0; i++)
		if (strncmp(i->if_name, begin, strlen(begin)) == 0)
			r = fn(ctx, i->if_name);
	if_freenameindex(all);
	return r < 0 ? r : 0;
}

/* --- addresses --- */

static struct nl_addr *make_address(const struct address *a, unsigned bits)
{
	struct nl_addr *address =
		nl_addr_build(a->family, a->bytes, a->family == AF_INET ? 4 : ADDRESS_BYTES);

	if (address)
		nl_addr_set_prefixlen(address, (int)bits);
	return address;
}

int link_add_address(const char *name, const struct address *a, unsigned bits, struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	struct nl_addr *local = make_address(a, bits);
	struct rtnl_addr *address = rtnl_addr_alloc();
	int r = local && address ? 0 : -NLE_NOMEM;

	if (s && r == 0) {
		rtnl_addr_set_ifindex(address, (int)if_nametoindex(name));
		r = rtnl_addr_set_local(address, local);
		/* It is nobody else's, and must not wait for an answer that never comes. */
		if (a->family == AF_INET6)
			rtnl_addr_set_flags(address, IFA_F_NODAD);
		if (r == 0)
			r = rtnl_addr_add(s, address, NLM_F_REPLACE);
	}
	rtnl_addr_put(address);
	nl_addr_put(local);
	nl_socket_free(s);
	if (!s)
		return err->code;
	return r < 0 && r != -NLE_EXIST ? fail(r, err, "give an address to", name) : 0;
}

static int fill_route(struct rtnl_route *route, const char *name, struct nl_addr *to)
{
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();

	if (!hop)
		return -NLE_NOMEM;
	rtnl_route_nh_set_ifindex(hop, (int)if_nametoindex(name));
	rtnl_route_add_nexthop(route, hop);
	rtnl_route_set_scope(route, RT_SCOPE_LINK);
	return rtnl_route_set_dst(route, to);
}

int link_add_route(const char *name, const struct address *to, struct error *err)
{
	struct nl_sock *s = rtnetlink_open("network", err);
	struct nl_addr *address =
		make_address(to, to->family == AF_INET ? FAMILY_BITS_4 : FAMILY_BITS_6);
	struct rtnl_route *route = rtnl_route_alloc();
	int r = address && route ? fill_route(route, name, address) : -NLE_NOMEM;

	if (s && r == 0)
		r = rtnl_route_add(s, route, NLM_F_REPLACE);
	rtnl_route_put(route);
	nl_addr_put(address);
	nl_socket_free(s);
	if (!s)
		return err->code;
	return r < 0 ? fail(r, err, "make a route to", name) : 0;
}

/* --- options --- */

int link_set_option(const char *file, const char *value, struct error *err)
{
	char path[OPTION_PATH_BYTES], now[8] = "";
	ssize_t n, len = (ssize_t)strlen(value);
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, now, sizeof(now));
	if (n >= len && strncmp(now, value, (size_t)len) == 0)
		n = len;
	else
		n = fd < 0 ? -1 : pwrite(fd, value, (size_t)len, 0);
	fd_close(fd);
	if (n != len)
		return error_errno(err, "network", NULL, "Cannot write %s to %s", value, path);
	return 0;
}
