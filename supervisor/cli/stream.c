/* stream.c - a request whose connection becomes a stream (HTTP upgrade). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"
#include "vmm/base/fd.h"

enum { HEAD_BYTES = 4096, BODY_BYTES = 65536, ANSWER_LIMIT_S = 30 };

static int connect_to(const char *socket_path)
{
	const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = -1;

	if (strlen(socket_path) < sizeof(to.sun_path)) {
		strcpy(to.sun_path, socket_path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? fd : fd_close(fd);
}

static bool send_request(const struct cli *cli, int fd, const char *path)
{
	char text[2 * CLI_PATH_BYTES + 256];
	int n = snprintf(text, sizeof(text),
			 "POST %s%s%s HTTP/1.1\r\nHost: wispd\r\nConnection: Upgrade\r\n"
			 "Upgrade: wisp-stream\r\nContent-Length: 0\r\n\r\n",
			 path,
			 !cli->tenant	     ? ""
			 : strchr(path, '?') ? "&tenant="
					     : "?tenant=",
			 cli->tenant ? cli->tenant : "");

	return n > 0 && (size_t)n < sizeof(text) && send(fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

/* The answer's head, byte by byte: what is behind it is the stream's. */
static bool read_head(int fd, char head[HEAD_BYTES])
{
	for (size_t n = 0; n < HEAD_BYTES - 1; n++) {
		if (recv(fd, head + n, 1, 0) != 1)
			return false;
		head[n + 1] = '\0';
		if (n >= 3 && strcmp(head + n - 3, "\r\n\r\n") == 0)
			return true;
	}
	return false;
}

static json_t *read_body(int fd, const char *head)
{
	const char *length = strcasestr(head, "\r\nContent-Length:");
	size_t left = length ? strtoul(strchr(length, ':') + 1, NULL, 10) : 0, n = 0;
	char *text = left && left < BODY_BYTES ? calloc(1, left + 1) : NULL;
	json_t *body;

	while (text && n < left) {
		ssize_t got = recv(fd, text + n, left - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	body = text ? json_loads(text, 0, NULL) : NULL;
	free(text);
	return body;
}

static int refuse(int fd, const char *head)
{
	json_t *body = read_body(fd, head);
	const char *text = json_string_value(json_object_get(body, "fault_message"));
	const char *hint = json_string_value(json_object_get(body, "hint"));

	fprintf(stderr, "wispctl: %s%s%s%s\n", text ? text : "wispd refused",
		hint && *hint ? " (" : "", hint ? hint : "", hint && *hint ? ")" : "");
	json_decref(body);
	return EXIT_REFUSED;
}

int cli_stream(struct cli *cli, const char *path, int *ret)
{
	static const struct timeval no_limit = { 0 };
	char head[HEAD_BYTES] = "";
	int fd = cli_await_wispd(cli) ? connect_to(cli->socket) : -1, status = 0;

	if (fd < 0 || !send_request(cli, fd, path) || !read_head(fd, head)) {
		fprintf(stderr, "wispctl: cannot reach wispd at %s: %s\n", cli->socket,
			strerror(errno));
		status = EXIT_UNREACHABLE;
	} else if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) {
		status = refuse(fd, head);
	}
	if (status) {
		fd_close(fd);
		return status;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof(no_limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &no_limit, sizeof(no_limit));
	*ret = fd;
	return 0;
}
