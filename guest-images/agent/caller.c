/* caller.c - requests that are asked and answered, files, and how a guest is reached. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/caller.h"
#include "guest-images/agent/caller_frames.h"
#include "vmm/base/fd.h"

enum { GREETING_LEN = 32, COPY_LIMIT_MS = 60 * 1000 };

/* --- reaching the guest --- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The answer's line, byte by byte, since what the guest says may follow at once. */
static int greeting_read(int fd, int64_t end_ms, char line[GREETING_LEN])
{
	size_t len = 0;

	while (len == 0 || line[len - 1] != '\n') {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end_ms - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = recv(fd, line + len, 1, 0);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0 || len == GREETING_LEN - 1)
			return n == 0 ? -ECONNRESET : -EPROTO;
		len += n > 0;
	}
	line[len] = '\0';
	return strncmp(line, "OK ", 3) == 0 ? 0 : -EPROTO;
}

static int greet(int fd, const struct sockaddr_un *to, uint32_t port, int limit_ms)
{
	const struct timeval limit = { limit_ms / 1000, limit_ms % 1000 * 1000L };
	char line[GREETING_LEN];
	int n = snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", port);

	/* Of connect(), too: a VMM that accepts nobody would hold us for ever. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return -errno;
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		return -ECONNRESET;
	return greeting_read(fd, now_ms() + limit_ms, line);
}

static const char *reach_hint(int code)
{
	switch (-code) {
	case ENOENT:
	case ECONNREFUSED:
		return "does the VMM run, with a vsock at this path?";
	case EACCES:
		return "the socket's mode and owner decide who may";
	case ETIMEDOUT:
		return "is the guest paused?";
	default:
		return "does an agent run in the guest (kernel parameter wisp.agent)?";
	}
}

int caller_greeting(int fd, int limit_ms, struct error *err)
{
	char line[GREETING_LEN];
	int r = greeting_read(fd, now_ms() + limit_ms, line);

	return r == 0 ? 0
		      : error_set(err, r, NULL, reach_hint(r), "The guest does not answer: %s",
				  strerror(-r));
}

int caller_connect(const char *uds_path, uint32_t port, int limit_ms, struct error *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(uds_path) >= sizeof(to.sun_path))
		return error_set(err, -ENAMETOOLONG, NULL, "at most 107 characters",
				 "%s is too long for a socket's path", uds_path);
	strcpy(to.sun_path, uds_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, NULL, NULL, "cannot make a socket");
	r = greet(fd, &to, port, limit_ms);
	if (r == 0)
		return fd;
	fd_close(fd);
	return error_set(err, r, NULL, reach_hint(r),
			 "cannot reach port %" PRIu32 " of the guest at %s: %s", port, uds_path,
			 strerror(-r));
}

/* --- frames --- */

int caller_fault(const struct frame *f, int *guest_code, struct error *err)
{
	const char *text = NULL;
	uint64_t code = 0;

	if (fields_valid(f->payload, f->len)) {
		text = fields_get(f->payload, f->len, "text");
		fields_number(f->payload, f->len, "code", 1, 4095, &code);
	}
	if (guest_code)
		*guest_code = (int)code;
	return error_set(err, -EREMOTE, NULL, NULL, "%s", text ? text : "the guest refused");
}

int caller_broken(int code, struct error *err)
{
	if (code == -ETIMEDOUT)
		return error_set(err, code, NULL, "is the guest paused?",
				 "The guest does not answer");
	if (code == -EPROTO)
		return error_set(err, code, NULL, "is it an agent that listens there?",
				 "What the guest sends makes no sense");
	return error_set(err, code, NULL, NULL, "The connection to the guest is lost: %s",
			 code == -ENODATA ? "it was closed" : strerror(-code));
}

int caller_request(struct channel *c, const char *verb, const char *const fields[],
		   struct error *err)
{
	char *bytes = malloc(FRAME_MAX);
	struct fields f = { .bytes = bytes, .size = FRAME_MAX };
	int r;

	if (!bytes)
		return error_set(err, -ENOMEM, NULL, NULL, "Out of memory");
	fields_add(&f, "verb", "%s", verb);
	for (size_t i = 0; fields[i]; i++)
		fields_add_text(&f, fields[i]);
	r = f.full ? -EMSGSIZE : channel_send(c, FRAME_REQUEST, f.bytes, f.len);
	free(bytes);
	if (r == -EMSGSIZE)
		return error_set(err, r, NULL, "at most 128 KiB, variables included",
				 "The request is too long");
	return r < 0 ? caller_broken(r, err) : 0;
}

static int answer_receive(struct channel *c, int limit_ms, struct caller_answer *ret,
			  struct error *err)
{
	struct frame f;
	int r = channel_receive_within(c, limit_ms, &f);

	if (r < 0)
		return caller_broken(r, err);
	if (f.type == FRAME_FAULT)
		return caller_fault(&f, NULL, err);
	if (f.type != FRAME_ANSWER || !fields_valid(f.payload, f.len))
		return caller_broken(-EPROTO, err);
	if (ret) {
		memcpy(ret->bytes, f.payload, f.len + 1);
		ret->len = f.len;
	}
	return 0;
}

int caller_channel(int fd, struct channel **ret, struct error *err)
{
	int r = channel_create(fd, ret);

	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot use the connection: %s", strerror(-r))
		     : 0;
}

int caller_ask(int fd, const char *verb, const char *const fields[], int limit_ms,
	       struct caller_answer *ret, struct error *err)
{
	struct channel *c;
	int r = caller_channel(fd, &c, err);

	if (r < 0)
		return r;
	r = caller_request(c, verb, fields, err);
	if (r == 0)
		r = answer_receive(c, limit_ms, ret, err);
	channel_destroy(c);
	return r;
}

/* --- files --- */

static int copy_failed(int r, const struct tree_result *result, struct error *err)
{
	return error_set(err, r, NULL, NULL, "%s", result->fault);
}

/* The last component of a path, as basename(3) finds it, in a buffer of PATH_MAX. */
static const char *last_name(const char *path, char *buffer)
{
	snprintf(buffer, PATH_MAX, "%s", path);
	return basename(buffer);
}

int caller_read(int fd, const char *guest_path, const char *host_path, struct tree_result *ret,
		struct error *err)
{
	char field[PATH_MAX + 8], buffer[PATH_MAX];
	const char *const fields[] = { field, NULL };
	struct channel *c;
	int r = caller_channel(fd, &c, err);

	if (r < 0)
		return r;
	snprintf(field, sizeof(field), "path=%s", guest_path);
	r = caller_request(c, "read", fields, err);
	if (r == 0) {
		r = tree_receive(c, host_path, last_name(guest_path, buffer), false, ret);
		if (r < 0)
			copy_failed(r, ret, err);
		else
			r = answer_receive(c, COPY_LIMIT_MS, NULL, err);
	}
	channel_destroy(c);
	return r;
}

/* The agent refuses in the middle of our sending: what it said explains more than that it
 * closed the connection. */
static int write_outcome(struct channel *c, int sent, const struct tree_result *result,
			 struct error *err)
{
	if (sent < 0 && *result->fault)
		return copy_failed(sent, result, err);
	return answer_receive(c, COPY_LIMIT_MS, NULL, err);
}

int caller_write(int fd, const char *host_path, const char *guest_path, struct tree_result *ret,
		 struct error *err)
{
	char path[PATH_MAX + 8], name[PATH_MAX + 8], buffer[PATH_MAX];
	const char *const fields[] = { path, name, NULL };
	struct channel *c;
	int r = caller_channel(fd, &c, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "path=%s", guest_path);
	snprintf(name, sizeof(name), "name=%s", last_name(host_path, buffer));
	r = caller_request(c, "write", fields, err);
	if (r == 0)
		r = write_outcome(c, tree_send(c, host_path, ret), ret, err);
	channel_destroy(c);
	return r;
}
