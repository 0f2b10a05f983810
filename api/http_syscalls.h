/* http_syscalls.h - Unix sockets that are served: the API, the console, vsock.
 *
 * connect and socket are for the tests of a stale socket file (vmm/base/listener.c),
 * for back ends and for vsock; no family but AF_UNIX exists for wisp.
 */
#ifndef API_HTTP_SYSCALLS_H
#define API_HTTP_SYSCALLS_H

#include <sys/socket.h>

#include "vmm/seccomp/rule.h"

static const struct syscall_rule http_syscalls[] = {
	ALLOW_IF(socket, IS(0, AF_UNIX)),
	ALLOW_IF(socketpair, IS(0, AF_UNIX)),
	ALLOW(connect),
	ALLOW(bind),
	ALLOW(listen),
	ALLOW(accept4),
	ALLOW(sendto),
	ALLOW(recvfrom),
	ALLOW(sendmsg),
	ALLOW(recvmsg),
	ALLOW(shutdown),
};

#endif
