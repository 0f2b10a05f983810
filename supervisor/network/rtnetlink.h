/* rtnetlink.h - a way to the kernel's links, and what it means when it fails (rtnetlink(7)).
 *
 * Any thread: each caller has a socket of its own.
 */
#ifndef SUPERVISOR_NETWORK_RTNETLINK_H
#define SUPERVISOR_NETWORK_RTNETLINK_H

#include "vmm/base/error.h"

struct nl_sock;

/* To be freed by nl_socket_free(). NULL and *err, which names the field. */
struct nl_sock *rtnetlink_open(const char *field, struct error *err);

/* *err: "Cannot WHAT NAME", and why, by libnl's code (-NLE_*). Its negative errno. */
int rtnetlink_fail(int code, const char *field, const char *what, const char *name,
		   struct error *err);

#endif
