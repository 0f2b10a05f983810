/* address.c - vsock sockets in the guest, Unix sockets on the host. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guest-images/vsock/address.h"

enum { BACKLOG = 128, ATTEMPTS = 10 };

union any_address {
	struct sockaddr any;
	struct sockaddr_vm vm;
	struct sockaddr_un un;
};

bool address_parse(char *text, struct address *ret)
{
	char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text, *end;
	unsigned long port;

	errno = 0;
	port = strtoul(digits, &end, 10);
	if (errno || end == digits || *end || port > UINT32_MAX || colon == text)
		return false;
	if (colon)
		*colon = '\0';
	*ret = (struct address){ colon ? text : NULL, (uint32_t)port };
	return true;
}

/* cid: the peer's, or VMADDR_CID_ANY. suffix: of the path. A socket that is not bound or
 * connected yet, or -1. */
static int open_socket(const struct address *a, unsigned cid, const char *suffix,
		       union any_address *ret, socklen_t *len)
{
	memset(ret, 0, sizeof(*ret));
	if (!a->path) {
		ret->vm.svm_family = AF_VSOCK;
		ret->vm.svm_cid = cid;
		ret->vm.svm_port = a->port;
		*len = sizeof(ret->vm);
		return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	ret->un.sun_family = AF_UNIX;
	*len = sizeof(ret->un);
	if ((size_t)snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "%s%s", a->path, suffix) >=
	    sizeof(ret->un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int give_up(int fd, const char *what)
{
	perror(what);
	if (fd >= 0)
		close(fd);
	return -1;
}

int address_listen(const struct address *a)
{
	union any_address to;
	char suffix[16];
	socklen_t len;
	int fd;

	snprintf(suffix, sizeof(suffix), "_%" PRIu32, a->port);
	fd = open_socket(a, VMADDR_CID_ANY, suffix, &to, &len);
	if (fd < 0 || bind(fd, &to.any, len) < 0 || listen(fd, BACKLOG) < 0)
		return give_up(fd, "listen");
	return fd;
}

/* The line that the host's socket wants, and its answer: read byte by byte, since data
 * may follow at once. */
static bool greet(int fd, uint32_t port)
{
	char c = '\0';

	if (dprintf(fd, "CONNECT %" PRIu32 "\n", port) < 0)
		return false;
	errno = ECONNREFUSED; /* which an end of the stream means here */
	while (c != '\n') {
		if (read(fd, &c, 1) != 1)
			return false;
	}
	return true;
}

static int connect_once(const struct address *a)
{
	union any_address to;
	socklen_t len;
	int fd = open_socket(a, VMADDR_CID_HOST, "", &to, &len), error;

	if (fd < 0 || (connect(fd, &to.any, len) == 0 && (!a->path || greet(fd, a->port))))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* What a guest does not take within two seconds the VMM gives up; one that others keep from
 * its processor takes it the next time, or the one after that. */
int address_connect(const struct address *a)
{
	unsigned left = a->path ? ATTEMPTS : 1;
	int fd;

	do
		fd = connect_once(a);
	while (fd < 0 && errno == ECONNREFUSED && --left > 0);
	return fd < 0 ? give_up(fd, "connect") : fd;
}
