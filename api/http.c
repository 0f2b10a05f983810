/* http.c - an HTTP/1.1 server on a Unix socket, on the event loop.
 *
 * Each connection is served in turns. A turn writes what is left of the last
 * answer, then takes bytes from a small buffer through the reader, and hands a
 * complete request to the handler. While an answer has not left completely nothing
 * more is read, so a connection never holds more than one answer and one request,
 * pipelined requests are answered in order, and a client that does not read only
 * stops itself. A turn ends after TURN_STEPS steps; the rest is deferred, so a
 * busy client cannot keep the loop from the devices.
 *
 *   SERVING --the answer comes later----------------------> WAITING
 *   WAITING --it has come--------------------------------> SERVING or CLOSING
 *   SERVING --the answer is a stream----------------------> STREAMING
 *   STREAMING --end of file, or the client does not read--> closed
 *   SERVING --bad request, or the client asked for close--> CLOSING
 *   CLOSING --answer written, our side shut down----------> LINGERING
 *   LINGERING --end of file, or LINGER_BYTES discarded----> closed
 *
 * Lingering lets a client that is still sending read why it was refused: closing a
 * Unix socket with unread bytes in it would reset the peer. After a bad request
 * where the next one starts is unknown, so the connection cannot go on; the header
 * still says keep-alive, because Firecracker's does and clients compare bytes.
 *
 * An answer may be the beginning of a stream: then there are no more requests, what is
 * published is put behind what has not left yet, and the client only can end it. One
 * that does not read is closed when too much has gathered, so it costs nobody else
 * anything; a stream frees the place that its connection had, for the next client.
 *
 * Connections above HTTP_CONNECTIONS get 503 and are closed. One spare descriptor
 * is kept so that a client can be accepted and closed when the process has no more:
 * otherwise the listening socket would stay readable and the loop would spin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http.h"
#include "vmm/base/fd.h"
#include "vmm/base/listener.h"
#include "vmm/base/log.h"

enum {
	INPUT_BYTES = 2048,
	HEAD_BYTES = 256,
	TURN_STEPS = 16,
	LINGER_BYTES = 1 << 20,
	BACKLOG = 64,
};

static const char too_many[] = "HTTP/1.1 503\r\n"
			       "Server: Firecracker API\r\n"
			       "Connection: close\r\n"
			       "Content-Length: 40\r\n\r\n"
			       "{ \"error\": \"Too many open connections\" }";

enum conn_state { CONN_SERVING, CONN_WAITING, CONN_STREAMING, CONN_CLOSING, CONN_LINGERING };

struct http_later {
	struct http_conn *conn; /* NULL: gone */
};

struct http_conn {
	struct http_server *server;
	struct http_conn *next;
	struct loop_source *source;
	struct http_reader reader;
	int fd;
	enum conn_state state;
	char input[INPUT_BYTES];
	size_t input_at, input_len;
	char *output; /* the answer being written, or NULL */
	size_t output_at, output_len;
	size_t discarded;	  /* while lingering or streaming */
	struct http_later *later; /* while waiting */
};

struct http_server {
	struct http_config config;
	struct loop *loop;
	struct loop_source *source;
	struct http_conn *conns;
	unsigned nconns, nstreams;
	struct listener listener;
	int spare;
};

static void conn_destroy(struct http_conn *c)
{
	struct http_conn **at = &c->server->conns;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		if (c->state == CONN_STREAMING)
			c->server->nstreams--;
		else
			c->server->nconns--;
	}
	if (c->later)
		c->later->conn = NULL;
	loop_source_remove(c->source);
	fd_close(c->fd);
	http_reader_free(&c->reader);
	free(c->output);
	free(c);
}

static int format_head(char *head, size_t len, const struct http_response *res, size_t body_len,
		       bool keep_alive)
{
	int n = snprintf(head, len,
			 "HTTP/1.1 %d \r\nServer: Firecracker API\r\nConnection: %s\r\n%s",
			 res->status, keep_alive ? "keep-alive" : "close",
			 res->deprecated ? "Deprecation: true\r\n" : "");

	if (res->stream)
		n += snprintf(head + n, len - (size_t)n,
			      "Content-Type: %s\r\nCache-Control: no-cache\r\n", res->type);
	else if (res->body)
		n += snprintf(head + n, len - (size_t)n,
			      "Content-Type: %s\r\nContent-Length: %zu\r\n",
			      res->type ? res->type : "application/json", body_len);
	return n + snprintf(head + n, len - (size_t)n, "\r\n");
}

/* Makes *res the connection's answer. 0 or -ENOMEM. */
static int conn_answer(struct http_conn *c, const struct http_response *res, bool keep_alive)
{
	size_t body_len = res->body ? strlen(res->body) : 0;
	char head[HEAD_BYTES];
	size_t head_len = (size_t)format_head(head, sizeof(head), res, body_len, keep_alive);

	c->output = malloc(head_len + body_len);
	if (!c->output)
		return -ENOMEM;
	memcpy(c->output, head, head_len);
	if (body_len)
		memcpy(c->output + head_len, res->body, body_len);
	c->output_at = 0;
	c->output_len = head_len + body_len;
	return 0;
}

/* From here on the connection only tells, unless there are too many that do. */
static void begin_stream(struct http_conn *c, struct http_response *res)
{
	if (c->server->nstreams == HTTP_STREAMS) {
		free(res->body);
		*res = (struct http_response){
			.status = 503,
			.body = strdup("{ \"error\": \"Too many open connections\" }"),
		};
		return;
	}
	c->state = CONN_STREAMING;
	c->server->nconns--;
	c->server->nstreams++;
}

static int conn_handle(struct http_conn *c)
{
	const struct http_config *config = &c->server->config;
	struct http_response res = { .conn = c, .status = 204 };
	bool keep_alive = c->reader.keep_alive;

	config->handler(config->ctx, &c->reader.request, &res);
	if (res.is_owed)
		return 0;
	if (res.stream)
		begin_stream(c, &res);
	keep_alive = keep_alive && !res.stream;

	/* An answer that should have a body but has none would leave the client waiting. */
	int r = res.body || res.status == 204 ? conn_answer(c, &res, keep_alive) : -ENOMEM;

	free(res.body);
	if (!keep_alive && !res.stream)
		c->state = CONN_CLOSING;
	return r;
}

struct http_later *http_defer(struct http_response *response)
{
	struct http_conn *c = response->conn;
	struct http_later *later = malloc(sizeof(*later));

	if (!later)
		return NULL;
	later->conn = c;
	if (c) {
		c->later = later;
		c->state = CONN_WAITING;
	}
	response->is_owed = true;
	return later;
}

void http_undefer(struct http_response *response, struct http_later *later)
{
	if (later->conn) {
		later->conn->later = NULL;
		later->conn->state = CONN_SERVING;
	}
	response->is_owed = false;
	free(later);
}

void http_answer(struct http_later *later, const struct http_response *response)
{
	struct http_conn *c = later->conn;

	free(later);
	if (!c)
		return;
	c->later = NULL;
	c->state = c->reader.keep_alive ? CONN_SERVING : CONN_CLOSING;
	if (conn_answer(c, response, c->reader.keep_alive) < 0)
		conn_destroy(c);
	else
		loop_source_defer(c->source);
}

static int conn_refuse(struct http_conn *c)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "{ \"error\": \"%s\nAll previous unanswered requests will be dropped.\" }",
		 c->reader.error);
	c->state = CONN_CLOSING;
	return conn_answer(c, &(struct http_response){ .status = 400, .body = body }, true);
}

/* Feeds the reader what has arrived and acts on what it says. 0 or -ENOMEM. */
static int conn_parse(struct http_conn *c)
{
	size_t used;
	enum http_read event = http_reader_feed(&c->reader, c->input + c->input_at,
						c->input_len - c->input_at, &used);

	c->input_at += used;
	switch (event) {
	case READ_MORE:
		return 0;
	case READ_CONTINUE:
		return conn_answer(c, &(struct http_response){ .status = 100 }, true);
	case READ_REQUEST:
		return conn_handle(c);
	case READ_BAD:
		return conn_refuse(c);
	}
	return 0;
}

/* Puts text behind what has not left yet. 0, -ENOBUFS for too much, or -ENOMEM. */
static int conn_append(struct http_conn *c, const char *text, size_t len)
{
	size_t left = c->output_len - c->output_at;
	char *output;

	if (left + len > HTTP_STREAM_BYTES)
		return -ENOBUFS;
	output = malloc(left + len);
	if (!output)
		return -ENOMEM;
	if (left)
		memcpy(output, c->output + c->output_at, left);
	memcpy(output + left, text, len);
	free(c->output);
	c->output = output;
	c->output_at = 0;
	c->output_len = left + len;
	return 0;
}

/* 0 when the answer has left, -EAGAIN when the client must read first, or the error. */
static int conn_flush(struct http_conn *c)
{
	while (c->output_at < c->output_len) {
		ssize_t n = send(c->fd, c->output + c->output_at, c->output_len - c->output_at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		c->output_at += (size_t)n;
	}
	free(c->output);
	c->output = NULL;
	c->output_at = c->output_len = 0;
	return 0;
}

/* 0 with new input, -EAGAIN when there is none yet, or the error; -EPIPE: end. */
static int conn_receive(struct http_conn *c)
{
	ssize_t n;

	do
		n = recv(c->fd, c->input, sizeof(c->input), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	c->input_at = 0;
	c->input_len = (size_t)n;
	return 0;
}

static int conn_linger(struct http_conn *c)
{
	c->discarded += c->input_len - c->input_at;
	c->input_at = c->input_len;
	if (c->discarded > LINGER_BYTES)
		return -EPIPE;
	return conn_receive(c);
}

/* One step of a turn: 0 to go on, -EAGAIN to wait for the client, else to close. */
static int conn_step(struct http_conn *c)
{
	if (c->output) {
		int r = conn_flush(c);

		if (r < 0)
			return r;
	}
	switch (c->state) {
	case CONN_SERVING:
		return c->input_at < c->input_len ? conn_parse(c) : conn_receive(c);
	case CONN_CLOSING:
		if (shutdown(c->fd, SHUT_WR) < 0)
			return -errno;
		c->state = CONN_LINGERING;
		return 0;
	case CONN_WAITING:
		return -EAGAIN;
	case CONN_STREAMING: /* what the client still says is nothing to us */
	case CONN_LINGERING:
		return conn_linger(c);
	}
	return 0;
}

static uint32_t awaited(const struct http_conn *c)
{
	if (c->output)
		return EPOLLOUT;
	return c->state == CONN_WAITING ? 0 : EPOLLIN;
}

static void conn_turn(void *arg, uint32_t events)
{
	struct http_conn *c = arg;
	int r = 0;

	if (c->state == CONN_WAITING && (events & (EPOLLHUP | EPOLLERR))) {
		conn_destroy(c);
		return;
	}
	/* Else each step finds out for itself what is possible. */
	for (int i = 0; i < TURN_STEPS && r == 0; i++)
		r = conn_step(c);
	if (r == 0) {
		loop_source_defer(c->source);
		return;
	}
	if (r == -EAGAIN)
		r = loop_source_set(c->source, awaited(c));
	if (r < 0)
		conn_destroy(c);
}

static int conn_create(struct http_server *s, int fd)
{
	struct http_conn *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct http_conn){ .server = s, .fd = fd };
	http_reader_init(&c->reader, s->config.max_body_bytes);

	int r = loop_add(s->loop, fd, EPOLLIN, conn_turn, c, &c->source);

	if (r < 0) {
		free(c);
		return r;
	}
	c->next = s->conns;
	s->conns = c;
	s->nconns++;
	return 0;
}

/* No descriptor is left: turn the client away on the spare one. */
static void refuse_without_descriptors(struct http_server *s)
{
	s->spare = fd_close(s->spare);
	fd_close(accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC));
	s->spare = fcntl(s->listener.fd, F_DUPFD_CLOEXEC, 0);
	log_guest("api: a client was turned away: %s", strerror(EMFILE));
}

static void server_accept(void *arg, uint32_t events)
{
	struct http_server *s = arg;
	int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			refuse_without_descriptors(s);
		return;
	}
	if (s->nconns >= HTTP_CONNECTIONS) {
		/* A new socket's buffer is empty: this neither blocks nor falls short. */
		if (send(fd, too_many, sizeof(too_many) - 1, MSG_NOSIGNAL) < 0)
			log_debug("api: 503 was not sent: %m");
		fd_close(fd);
		return;
	}
	if (conn_create(s, fd) < 0)
		fd_close(fd);
}

static const struct listener_name name = { "api-sock", "API socket" };

int http_listen(const struct http_config *config, struct loop *loop, struct http_server **ret,
		struct error *err)
{
	struct http_server *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "api-sock", NULL, "No memory for the API server");
	*s = (struct http_server){ .config = *config, .loop = loop, .spare = -1 };

	r = config->inherited_fd
		    ? listener_adopt(&s->listener, config->inherited_fd, &name, err)
		    : listener_open(&s->listener, config->socket_path, 0, BACKLOG, &name, err);
	if (r < 0)
		goto fail;
	s->spare = fcntl(s->listener.fd, F_DUPFD_CLOEXEC, 0);
	r = loop_add(loop, s->listener.fd, EPOLLIN, server_accept, s, &s->source);
	if (r < 0) {
		error_set(err, r, "api-sock", NULL, "The API socket cannot be watched: %s",
			  strerror(-r));
		goto fail;
	}
	s->config.socket_path = s->listener.address.sun_path;
	*ret = s;
	return 0;

fail:
	http_destroy(s);
	return r;
}

void http_publish(struct http_server *s, const char *text)
{
	size_t len = strlen(text);

	for (struct http_conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->state != CONN_STREAMING)
			continue;
		if (conn_append(c, text, len) == 0) {
			loop_source_defer(c->source);
		} else {
			log_guest_at(LOG_INFO, "api: a client that does not read was dropped");
			conn_destroy(c);
		}
	}
}

void http_destroy(struct http_server *s)
{
	if (!s)
		return;
	for (struct http_conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->state == CONN_STREAMING && conn_flush(c) < 0)
			log_debug("api: the last events were not sent");
		conn_destroy(c);
	}
	loop_source_remove(s->source);
	listener_close(&s->listener);
	fd_close(s->spare);
	free(s);
}
