/* rtnetlink.c - by libnl. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "supervisor/network/rtnetlink.h"

int rtnetlink_fail(int code, const char *field, const char *what, const char *name,
		   struct error *err)
{
	int r = code == -NLE_NODEV || code == -NLE_OBJ_NOTFOUND ? -ENODEV
		: code == -NLE_NOMEM				? -ENOMEM
		: code == -NLE_PERM				? -EACCES
		: code == -NLE_OPNOTSUPP			? -ENOTSUP
								: -EIO;

	return error_set(err, r, field, NULL, "Cannot %s %s: %s", what, name, nl_geterror(code));
}

struct nl_sock *rtnetlink_open(const char *field, struct error *err)
{
	struct nl_sock *s = nl_socket_alloc();
	int r = s ? nl_connect(s, NETLINK_ROUTE) : -NLE_NOMEM;

	if (r == 0)
		return s;
	nl_socket_free(s);
	rtnetlink_fail(r, field, "open", "rtnetlink", err);
	return NULL;
}
