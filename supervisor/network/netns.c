/* netns.c - a thread in another's network namespace.
 *
 * The file is opened without following links, and must be what the kernel calls a network
 * namespace: so whatever lies at that path, nothing else than such a one is ever entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "supervisor/network/netns.h"
#include "supervisor/network/rtnetlink.h"
#include "supervisor/network/tc.h"
#include "vmm/base/fd.h"

/* --- which --- */

static bool link_name_ok(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ && !strpbrk(name, "/: \t\n%") &&
	       strcmp(name, "lo") != 0 && name[0] != '.';
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);
	const char *name = path + len + 1;

	return strncmp(path, folder, len) == 0 && path[len] == '/' && name[0] && name[0] != '.' &&
	       !strchr(name, '/');
}

int netns_check(const struct config *c, const char *path, const char *link, struct error *err)
{
	if (!link_name_ok(link))
		return error_set(err, -EINVAL, "netns_link", "eth0, or what it is called there",
				 "The interface cannot be used");
	for (uint32_t i = 0; i < c->nnetns_folders; i++)
		if (is_below(path, c->netns_folders[i]))
			return 0;
	return error_set(err, -EACCES, "netns",
			 "/run/netns/NAME, or another folder of netns_folders in wispd.json",
			 "%.200s is not where network namespaces may be", path);
}

static int refuse(const char *path, int code, const char *why, struct error *err)
{
	return error_set(err, code, "netns", "ip netns list", "%.200s %s", path, why);
}

static bool is_ours(int fd)
{
	struct stat there, here;

	return fstat(fd, &there) < 0 || stat("/proc/self/ns/net", &here) < 0 ||
	       (there.st_ino == here.st_ino && there.st_dev == here.st_dev);
}

/* Something that waits, or does something, when it is opened is not opened for that. */
static int open_namespace(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), r = 0;
	struct statfs fs;

	if (fd < 0 && errno == ENOENT)
		return refuse(path, -ENOENT, "is gone: whoever made it has taken it away", err);
	if (fd < 0)
		return error_errno(err, "netns", "a file that is no link", "Cannot open %.200s",
				   path);
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC ||
	    ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		r = refuse(path, -EINVAL, "is no network namespace", err);
	else if (is_ours(fd))
		r = refuse(path, -EINVAL, "is the host's own network namespace", err);
	if (r == 0)
		return fd;
	fd_close(fd);
	return r;
}

/* --- being there --- */

struct visit {
	const struct netns *n;
	int fd, result;
	int (*run)(struct visit *v);
	struct error *err;
	uid_t owner;
	bool queues;
	struct netns_link *link;
	struct link_counters *counters;
};

static void *visit(void *arg)
{
	struct visit *v = arg;

	if (setns(v->fd, CLONE_NEWNET) < 0)
		v->result = error_errno(v->err, "netns", NULL, "Cannot enter %.200s", v->n->path);
	else
		v->result = v->run(v);
	return NULL;
}

static int go(struct visit *v)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	v->fd = open_namespace(v->n->path, v->err);
	if (v->fd < 0)
		return v->fd;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, visit, v);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_join(thread, NULL);
	else
		v->result = error_set(v->err, -r, NULL, NULL, "Cannot start a thread");
	fd_close(v->fd);
	return v->result;
}

/* --- what is there --- */

static int fail(int code, struct error *err, const char *what, const char *name)
{
	return rtnetlink_fail(code, "netns", what, name, err);
}

static struct address to_address(struct nl_addr *a)
{
	struct address ret = { 0 };
	unsigned len = a ? nl_addr_get_len(a) : 0;

	if (len == 4 || len == ADDRESS_BYTES) {
		ret.family = nl_addr_get_family(a);
		memcpy(ret.bytes, nl_addr_get_binary_addr(a), len);
	}
	return ret;
}

static int read_link(struct nl_sock *s, const struct netns *n, struct netns_link *ret,
		     struct error *err)
{
	struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(s, 0, n->link, &link);

	if (r == -NLE_OBJ_NOTFOUND || r == -NLE_NODEV)
		return error_set(err, -ENODEV, "netns_link", "ip -n NAME link",
				 "%.200s has no interface %s", n->path, n->link);
	if (r < 0)
		return fail(r, err, "read the interface", n->link);
	ret->mtu = rtnl_link_get_mtu(link);
	nl_addr2str(rtnl_link_get_addr(link), ret->mac, sizeof(ret->mac));
	rtnl_link_put(link);
	return 0;
}

/* A link's own address of IPv6 the guest makes for itself. */
static void take_address(struct nl_object *object, void *arg)
{
	struct rtnl_addr *a = (struct rtnl_addr *)object;
	struct netns_link *ret = arg;
	struct address address = to_address(rtnl_addr_get_local(a));

	if (!address.family || ret->naddresses == NETNS_ADDRESSES_MAX ||
	    rtnl_addr_get_scope(a) == RT_SCOPE_LINK)
		return;
	ret->addresses[ret->naddresses].address = address;
	ret->addresses[ret->naddresses++].bits = (unsigned)rtnl_addr_get_prefixlen(a);
}

static int read_addresses(struct nl_sock *s, int index, struct netns_link *ret)
{
	struct rtnl_addr *of = rtnl_addr_alloc();
	struct nl_cache *all = NULL;
	int r = of ? rtnl_addr_alloc_cache(s, &all) : -NLE_NOMEM;

	if (r == 0) {
		rtnl_addr_set_ifindex(of, index);
		nl_cache_foreach_filter(all, OBJ_CAST(of), take_address, ret);
	}
	nl_cache_free(all);
	rtnl_addr_put(of);
	return r;
}

static void take_route(struct nl_object *object, void *arg)
{
	struct rtnl_route *route = (struct rtnl_route *)object;
	struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);
	struct nl_addr *to = rtnl_route_get_dst(route);
	struct netns_link *ret = arg;
	struct address via = to_address(hop ? rtnl_route_nh_get_gateway(hop) : NULL);

	if (!via.family || (to && nl_addr_get_prefixlen(to) > 0))
		return;
	if (via.family == AF_INET)
		ret->gateway4 = via;
	else
		ret->gateway6 = via;
}

static int read_routes(struct nl_sock *s, struct netns_link *ret)
{
	struct nl_cache *all = NULL;
	int r = rtnl_route_alloc_cache(s, AF_UNSPEC, 0, &all);

	if (r == 0)
		nl_cache_foreach(all, take_route, ret);
	nl_cache_free(all);
	return r;
}

static int read_all(struct visit *v)
{
	struct nl_sock *s = rtnetlink_open("netns", v->err);
	int r = s ? 0 : v->err->code;

	*v->link = (struct netns_link){ 0 };
	if (r == 0)
		r = read_link(s, v->n, v->link, v->err);
	if (r == 0) {
		r = read_addresses(s, (int)if_nametoindex(v->n->link), v->link);
		if (r == 0)
			r = read_routes(s, v->link);
		if (r < 0)
			r = fail(r, v->err, "read the addresses of", v->n->link);
	}
	nl_socket_free(s);
	v->link->found = r == 0;
	return r;
}

int netns_read(const struct netns *n, struct netns_link *ret, struct error *err)
{
	struct visit v = { .n = n, .run = read_all, .link = ret, .err = err };

	*ret = (struct netns_link){ 0 };
	return go(&v);
}

/* --- its tap --- */

/* The tap first: where what comes is to go must be there. */
static int attach(struct visit *v)
{
	const struct netns *n = v->n;
	int r = read_all(v);

	if (r == 0)
		r = link_make_tap(n->tap, v->owner, v->queues, v->err);
	if (r == 0)
		r = link_set_mtu(n->tap, v->link->mtu, v->err);
	if (r == 0)
		r = tc_redirect(n->tap, n->link, v->err);
	if (r == 0)
		r = tc_redirect(n->link, n->tap, v->err);
	return r < 0 ? r : link_set_up_silent(n->tap, v->err);
}

int netns_attach(const struct netns *n, uid_t owner, bool queues, struct error *err)
{
	struct netns_link link = { 0 };
	struct visit v = {
		.n = n, .run = attach, .link = &link, .owner = owner, .queues = queues, .err = err
	};

	return go(&v);
}

static int detach(struct visit *v)
{
	int r = tc_restore(v->n->link, v->n->tap, v->err);

	return r < 0 ? r : link_remove(v->n->tap, v->err);
}

int netns_detach(const struct netns *n, struct error *err)
{
	struct visit v = { .n = n, .run = detach, .err = err };
	int r = go(&v);

	/* What is left of a path may be a file, or what somebody put there. */
	return r == -ENOENT || r == -EINVAL || r == -ELOOP ? 0 : r;
}

/* Numbers of links are a namespace's: together with that one's they are the tap's alone. */
static int count(struct visit *v)
{
	struct stat st;
	int r = link_read(v->n->tap, v->counters, v->err);

	if (r == 0 && fstat(v->fd, &st) == 0)
		v->counters->index ^= (int)((st.st_ino & 0x7fffff) << 8);
	return r;
}

int netns_count(const struct netns *n, struct link_counters *ret, struct error *err)
{
	struct visit v = { .n = n, .run = count, .counters = ret, .err = err };

	return go(&v);
}
