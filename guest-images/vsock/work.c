/* work.c - the guest's part of a benchmark: as little as possible. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-images/vsock/work.h"

static char buffer[WORK_CHUNK];

static size_t chunk(uint64_t left)
{
	return left < sizeof(buffer) ? (size_t)left : sizeof(buffer);
}

static bool send_all(int fd, uint64_t count)
{
	while (count > 0) {
		ssize_t n = send(fd, buffer, chunk(count), MSG_NOSIGNAL);

		if (n < 0)
			return false;
		count -= (uint64_t)n;
	}
	return true;
}

static bool take_all(int fd, uint64_t count)
{
	while (count > 0) {
		ssize_t n = read(fd, buffer, chunk(count));

		if (n <= 0)
			return false;
		count -= (uint64_t)n;
	}
	return true;
}

static bool work_one(int fd, const struct work_request *r)
{
	bool ok = true;

	switch ((enum work_kind)r->kind) {
	case WORK_SEND:
		return send_all(fd, r->count);
	case WORK_TAKE:
		return take_all(fd, r->count) && send_all(fd, 1);
	case WORK_ECHO:
		for (uint64_t i = 0; i < r->count && ok; i++)
			ok = take_all(fd, WORK_MESSAGE_BYTES) && send_all(fd, WORK_MESSAGE_BYTES);
		return ok;
	}
	errno = EPROTO;
	return false;
}

int work_serve(const struct address *a)
{
	int fd = address_connect(a);
	struct work_request r;
	bool ok = fd >= 0;
	ssize_t n = 0;

	while (ok && (n = recv(fd, &r, sizeof(r), MSG_WAITALL)) == sizeof(r))
		ok = work_one(fd, &r);
	if (ok && n == 0)
		return 0;
	perror("work");
	return 1;
}
