/* qmp.c - lines of JSON to QEMU and back.
 *
 * The greeting comes first, then "qmp_capabilities" ends the negotiation. Each command has an
 * id, and what answers has the same; events come at any time, and whoever waits for an answer
 * passes over them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/life/qmp.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { LINE_MAX_BYTES = 64 << 10, TEXT_SHOWN = 300 };

struct qmp {
	int fd;
	uint64_t timeout_us;
	json_int_t id; /* of the last command */
	size_t used;
	char line[LINE_MAX_BYTES];
};

/* --- lines --- */

static int await(struct qmp *q, short events, uint64_t deadline_us, struct error *err)
{
	struct pollfd p = { .fd = q->fd, .events = events };

	for (;;) {
		uint64_t now = clock_now_us();
		int r;

		if (now >= deadline_us)
			return error_set(err, -ETIMEDOUT, NULL, NULL, "QEMU does not answer");
		r = poll(&p, 1, (int)((deadline_us - now) / 1000 + 1));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return error_errno(err, NULL, NULL, "Cannot wait for QEMU");
	}
}

static int send_all(struct qmp *q, const char *text, size_t len, uint64_t deadline_us,
		    struct error *err)
{
	while (len > 0) {
		int r = await(q, POLLOUT, deadline_us, err);
		ssize_t n;

		if (r < 0)
			return r;
		n = send(q->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return error_set(err, -EPIPE, NULL, NULL, "QEMU has gone");
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* What is there, without waiting. */
static int receive_more(struct qmp *q, struct error *err)
{
	ssize_t n;

	if (q->used == sizeof(q->line))
		return error_set(err, -EPROTO, NULL, NULL, "QEMU says too much at once");
	n = recv(q->fd, q->line + q->used, sizeof(q->line) - q->used, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return error_set(err, -EPIPE, NULL, NULL, "QEMU has gone");
	q->used += (size_t)n;
	return 0;
}

int qmp_hear(struct qmp *q, json_t **ret, struct error *err)
{
	json_t *j;
	char *end;
	size_t len;
	int r = 0;

	while (!(end = memchr(q->line, '\n', q->used)) && r == 0)
		r = receive_more(q, err);
	if (!end)
		return r;
	len = (size_t)(end - q->line);
	j = json_loadb(q->line, len, 0, NULL);
	q->used -= len + 1;
	memmove(q->line, end + 1, q->used);
	if (json_is_object(j)) {
		*ret = j;
		return 0;
	}
	json_decref(j);
	return error_set(err, -EPROTO, NULL, NULL, "QEMU says what is not QMP");
}

static int receive(struct qmp *q, uint64_t deadline_us, json_t **ret, struct error *err)
{
	int r;

	while ((r = qmp_hear(q, ret, err)) == -EAGAIN) {
		r = await(q, POLLIN, deadline_us, err);
		if (r < 0)
			break;
	}
	return r;
}

/* --- commands --- */

/* What answers this command: events and late answers to others are left. */
static int await_answer(struct qmp *q, uint64_t deadline_us, json_t **ret, struct error *err)
{
	for (;;) {
		json_t *j = NULL, *id;
		int r = receive(q, deadline_us, &j, err);

		if (r < 0)
			return r;
		id = json_object_get(j, "id");
		if (json_is_integer(id) && json_integer_value(id) == q->id) {
			*ret = j;
			return 0;
		}
		json_decref(j);
	}
}

static int read_answer(json_t *answer, const char *command, json_t **ret, struct error *err)
{
	json_t *value = json_object_get(answer, "return");
	const char *text =
		json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
	int r = 0;

	if (!value && text)
		r = error_set(err, -EREMOTEIO, NULL, NULL, "QEMU refused %s: %.*s", command,
			      TEXT_SHOWN, text);
	else if (!value)
		r = error_set(err, -EPROTO, NULL, NULL, "QEMU answers %s with nothing", command);
	else if (ret)
		*ret = json_incref(value);
	json_decref(answer);
	return r;
}

/* A line, to be freed. */
static char *request_text(struct qmp *q, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:s, s:I, s:o*}", "execute", command, "id", ++q->id,
				    "arguments", arguments);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

int qmp_call(struct qmp *q, const char *command, json_t *arguments, json_t **ret, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + q->timeout_us;
	char *text = request_text(q, command, arguments);
	json_t *answer = NULL;
	int r = text ? send_all(q, text, strlen(text), deadline_us, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	free(text);
	if (r == 0)
		r = await_answer(q, deadline_us, &answer, err);
	return r < 0 ? r : read_answer(answer, command, ret, err);
}

int qmp_say(struct qmp *q, const char *command, struct error *err)
{
	char *text = request_text(q, command, NULL);
	ssize_t len = text ? (ssize_t)strlen(text) : 0, n = -1;

	if (text)
		n = send(q->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	if (!text)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	return n == len ? 0 : error_set(err, -EAGAIN, NULL, NULL, "QEMU does not read");
}

/* --- life --- */

static int shake_hands(struct qmp *q, struct error *err)
{
	json_t *greeting = NULL;
	int r = receive(q, clock_now_us() + q->timeout_us, &greeting, err);

	if (r == 0 && !json_object_get(greeting, "QMP"))
		r = error_set(err, -EPROTO, NULL, NULL, "This is no QEMU");
	json_decref(greeting);
	return r < 0 ? r : qmp_call(q, "qmp_capabilities", NULL, NULL, err);
}

int qmp_attach(int fd, struct qmp **ret, struct error *err)
{
	struct qmp *q = calloc(1, sizeof(*q));

	if (!q) {
		fd_close(fd);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	q->fd = fd;
	*ret = q;
	return 0;
}

int qmp_open(int fd, unsigned timeout_ms, struct qmp **ret, struct error *err)
{
	struct qmp *q = NULL;
	int r = qmp_attach(fd, &q, err);

	if (!q)
		return r;
	q->timeout_us = (uint64_t)timeout_ms * 1000;
	r = shake_hands(q, err);
	if (r < 0)
		qmp_close(q);
	else
		*ret = q;
	return r;
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	fd_close(q->fd);
	free(q);
}
