/* session.c - a table of verbs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-images/agent/session.h"

enum { TEXT_LEN = 512 };

static const struct verb {
	const char *name;
	void (*serve)(struct session *s);
} verbs[] = {
	{ "exec", exec_serve },		{ "read", files_serve_read },
	{ "write", files_serve_write }, { "health", health_serve },
	{ "identity", identity_serve }, { "addresses", addresses_serve },
	{ "shutdown", shutdown_serve }, { "grow", grow_serve },
};

void session_answer(struct session *s, const struct fields *answer)
{
	if (answer->full)
		session_fault(s, EMSGSIZE, "the answer is too long");
	else
		channel_send(s->channel, FRAME_ANSWER, answer->bytes, answer->len);
}

void session_fault(struct session *s, int error, const char *fmt, ...)
{
	char text[TEXT_LEN], bytes[TEXT_LEN + 64];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fields_add(&f, "code", "%d", error);
	fields_add(&f, "text", "%s", text);
	channel_send(s->channel, FRAME_FAULT, f.bytes, f.len);
}

static void request_serve(struct session *s)
{
	const char *name = fields_get(s->bytes, s->len, "verb");

	for (size_t i = 0; name && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) == 0) {
			verbs[i].serve(s);
			return;
		}
	}
	session_fault(s, ENOSYS, "this agent does not know the verb \"%s\"", name ? name : "");
}

/* The request's fields, copied: frames that follow come into the same memory. */
static int request_receive(struct session *s)
{
	struct frame request;
	int r = channel_receive(s->channel, &request);

	if (r < 0)
		return r;
	if (request.type != FRAME_REQUEST || !fields_valid(request.payload, request.len))
		return -EPROTO;
	s->bytes = malloc(request.len + 1);
	if (!s->bytes)
		return -ENOMEM;
	memcpy(s->bytes, request.payload, request.len + 1);
	s->len = request.len;
	return 0;
}

void session_serve(int fd)
{
	struct session s = { 0 };
	int r;

	if (channel_create(fd, &s.channel) < 0)
		return;
	r = request_receive(&s);
	if (r == 0)
		request_serve(&s);
	else if (r != -ENODATA)
		session_fault(&s, -r, "this is no request: %s", strerror(-r));
	free(s.bytes);
	channel_destroy(s.channel);
}
