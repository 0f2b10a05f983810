/* server.c - libmicrohttpd in the loop.
 *
 * The library runs without threads of its own: its epoll descriptor is watched by the loop,
 * and its deadline is asked for before each sleep. A request is collected whole, then handed
 * to the dispatcher. One that has nothing to tell yet is suspended; it is asked again when
 * something was committed, or when its time is up, and then with `last` set.
 *
 * A request that is answered with a stream stops being HTTP: its socket goes to a relay
 * (relay.h), and comes back here only to be closed.
 *
 * What a client can make us hold is limited: connections, bytes of a body, time to send one.
 */
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/http/api.h"
#include "supervisor/http/principals.h"
#include "supervisor/http/server.h"
#include "supervisor/life/relay.h"
#include "supervisor/wispd.h"
#include "vmm/base/activation.h"
#include "vmm/base/fd.h"
#include "vmm/base/listener.h"
#include "vmm/base/log.h"

enum {
	CONNECTIONS_MAX = 512,
	BODY_MAX_BYTES = 1 << 20,
	BODY_CHUNK_BYTES = 4096,
	IDLE_TIMEOUT_S = 60,
	WAIT_MAX_MS = 60000,
	ACCURACY_US = 1000,
	LISTEN_ATTEMPTS = 40,
	LISTEN_RETRY_MS = 50,
};

struct exchange {
	struct server *server;
	struct MHD_Connection *connection;
	struct caller caller;
	char *body;
	size_t len, room;
	bool too_large;
	uint64_t deadline_us; /* CLOCK_MONOTONIC; 0: it has not waited yet */
	bool suspended;
	int stream_fd; /* what it is to be connected with; -1 */
	char stream_tenant[NAME_BYTES];
	struct exchange *next; /* of those that are suspended */
};

struct server {
	struct wispd *d;
	struct MHD_Daemon *http;
	struct listener listener;
	sd_event_source *io, *timer, *waits;
	struct exchange *waiting;
	bool woken;
};

static const struct listener_name socket_name = { "socket", "wispd's socket" };

/* --- answering --- */

static const char *query(void *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result send_answer(struct exchange *x, struct api_answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result r;

	if (!answer->text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(answer->text), answer->text,
						   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(answer->text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	if (answer->replayed)
		MHD_add_response_header(response, "Idempotent-Replay", "true");
	r = MHD_queue_response(x->connection, (unsigned)answer->status, response);
	MHD_destroy_response(response);
	return r;
}

/* --- streams --- */

/* The library's part of a connection that is no longer HTTP. */
static void end_upgraded(void *handle)
{
	MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static void on_upgraded(void *arg, struct MHD_Connection *connection, void *context,
			const char *extra, size_t len, MHD_socket fd,
			struct MHD_UpgradeResponseHandle *handle)
{
	struct exchange *x = context;
	const struct relay_ends ends = {
		.client = fd,
		.guest = x->stream_fd,
		.tenant = x->stream_tenant,
		.early = extra,
		.early_len = len,
		.ended = end_upgraded,
		.ctx = handle,
	};

	(void)arg;
	(void)connection;
	x->stream_fd = -1;
	relays_add(x->server->d->relays, &ends);
}

static enum MHD_Result send_stream(struct exchange *x, struct api_answer *answer)
{
	struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, NULL);
	enum MHD_Result r;

	free(answer->text);
	x->stream_fd = answer->stream_fd;
	memcpy(x->stream_tenant, answer->tenant, sizeof(x->stream_tenant));
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, "wisp-stream");
	r = MHD_queue_response(x->connection, MHD_HTTP_SWITCHING_PROTOCOLS, response);
	MHD_destroy_response(response);
	return r;
}

static uint64_t now_us(const struct server *s)
{
	uint64_t now = 0;

	sd_event_now(s->d->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static void arm_waits(struct server *s)
{
	uint64_t first = UINT64_MAX;

	for (struct exchange *x = s->waiting; x; x = x->next)
		first = x->deadline_us < first ? x->deadline_us : first;
	sd_event_source_set_time(s->waits, first);
	sd_event_source_set_enabled(s->waits, s->waiting ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static enum MHD_Result suspend(struct exchange *x, uint64_t wait_ms)
{
	struct server *s = x->server;

	if (!x->deadline_us)
		x->deadline_us = now_us(s) + 1000 * (wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
	x->next = s->waiting;
	x->suspended = true;
	s->waiting = x;
	MHD_suspend_connection(x->connection);
	arm_waits(s);
	return MHD_YES;
}

static enum MHD_Result answer(struct exchange *x, const char *url, const char *method)
{
	struct api_request request = {
		.verb = method,
		.path = url,
		.body = x->body,
		.len = x->len,
		.key = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND,
						   "Idempotency-Key"),
		.query = query,
		.connection = x->connection,
		.last = x->deadline_us && now_us(x->server) >= x->deadline_us,
	};
	struct api_answer reply;

	api_handle(x->server->d, &x->caller, &request, &reply);
	if (reply.wait_ms)
		return suspend(x, reply.wait_ms);
	if (reply.stream_fd >= 0)
		return send_stream(x, &reply);
	return send_answer(x, &reply);
}

static enum MHD_Result refuse_size(struct exchange *x)
{
	struct api_answer reply = {
		.status = 413,
		.type = "application/json",
		.text = strdup("{\"fault_message\":\"The body is too large\","
			       "\"code\":\"too_large\",\"field\":\"\",\"hint\":\"1 MiB at most\"}"),
	};

	return send_answer(x, &reply);
}

/* --- collecting --- */

static struct exchange *begin(struct server *s, struct MHD_Connection *connection)
{
	struct exchange *x = calloc(1, sizeof(*x));
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (!x || !info) {
		free(x);
		return NULL;
	}
	x->server = s;
	x->connection = connection;
	x->stream_fd = -1;
	principals_of_socket(&s->d->config, info->connect_fd, &x->caller);
	return x;
}

static bool collect(struct exchange *x, const char *data, size_t len)
{
	size_t room = x->room ? x->room : BODY_CHUNK_BYTES;
	char *bigger;

	if (x->too_large || len > BODY_MAX_BYTES - x->len) {
		x->too_large = true;
		return true;
	}
	while (room < x->len + len + 1)
		room *= 2;
	bigger = room == x->room ? x->body : realloc(x->body, room);
	if (!bigger)
		return false;
	x->body = bigger;
	x->room = room;
	memcpy(x->body + x->len, data, len);
	x->len += len;
	x->body[x->len] = '\0';
	return true;
}

/* Called for the headers, then for each part of the body, then once more; and again after
 * a suspended connection was resumed. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **context)
{
	struct exchange *x = *context;

	(void)version;
	if (!x) {
		*context = begin(arg, connection);
		return *context ? MHD_YES : MHD_NO;
	}
	if (*len) {
		bool fits = collect(x, data, *len);

		*len = 0;
		return fits ? MHD_YES : MHD_NO;
	}
	return x->too_large ? refuse_size(x) : answer(x, url, method);
}

static void forget_waiting(struct server *s, struct exchange *x)
{
	for (struct exchange **at = &s->waiting; *at; at = &(*at)->next) {
		if (*at != x)
			continue;
		*at = x->next;
		return;
	}
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;

	(void)connection;
	(void)code;
	if (!x)
		return;
	if (x->suspended)
		forget_waiting(arg, x);
	fd_close(x->stream_fd);
	free(x->body);
	free(x);
	*context = NULL;
}

/* --- waiting --- */

/* Resumes those whose time has come, or all. */
static void resume(struct server *s, bool all)
{
	uint64_t now = now_us(s);
	struct exchange *x = s->waiting, *next;

	s->waiting = NULL;
	for (; x; x = next) {
		next = x->next;
		if (!all && x->deadline_us > now) {
			x->next = s->waiting;
			s->waiting = x;
			continue;
		}
		x->suspended = false;
		MHD_resume_connection(x->connection);
	}
	arm_waits(s);
}

static int on_waits(sd_event_source *source, uint64_t usec, void *arg)
{
	struct server *s = arg;

	(void)source;
	(void)usec;
	resume(s, false);
	MHD_run(s->http);
	return 0;
}

void server_wake(struct server *s)
{
	if (s)
		s->woken = true;
}

/* --- the loop --- */

static int on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct server *s = arg;

	(void)source;
	(void)fd;
	(void)events;
	MHD_run(s->http);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)usec;
	return on_io(source, -1, 0, arg);
}

/* Before the loop sleeps: the news, and what the library wants to do by itself. */
static int before_sleep(sd_event_source *source, void *arg)
{
	struct server *s = arg;
	MHD_UNSIGNED_LONG_LONG ms;

	(void)source;
	while (s->woken) {
		s->woken = false;
		resume(s, true);
		MHD_run(s->http);
	}
	while (MHD_get_timeout(s->http, &ms) == MHD_YES && ms == 0)
		MHD_run(s->http);
	if (MHD_get_timeout(s->http, &ms) != MHD_YES)
		return sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	sd_event_source_set_time_relative(s->timer, ms * 1000);
	return sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* --- life --- */

/* A wispd that was killed leaves its socket's file: one at which nobody listens goes. */
static void remove_left_over(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno == ECONNREFUSED)
		unlink(path);
	fd_close(fd);
}

/* For a moment a child of the one that was killed may hold its socket (process.h). */
static int listen_at(struct server *s, const char *path, struct error *err)
{
	int r = -EADDRINUSE;

	for (unsigned i = 0; i < LISTEN_ATTEMPTS && r == -EADDRINUSE; i++) {
		if (i > 0)
			poll(NULL, 0, LISTEN_RETRY_MS);
		listener_close(&s->listener);
		remove_left_over(path);
		r = listener_open(&s->listener, path, 0, SOMAXCONN, &socket_name, err);
	}
	return r;
}

/* Who may call is decided by who he is, not by who can reach the socket. */
static int open_socket(struct server *s, struct error *err)
{
	int fd = activation_take_socket(s->d->config.socket, err), r;

	if (fd < 0)
		return fd;
	if (fd > 0)
		return listener_adopt(&s->listener, fd, &socket_name, err);
	r = listen_at(s, s->d->config.socket, err);
	if (r == 0 && chmod(s->d->config.socket, 0666) < 0)
		r = error_errno(err, "socket", NULL, "Cannot open %s to others",
				s->d->config.socket);
	return r;
}

static int add_sources(struct server *s, struct error *err)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD);
	sd_event *loop = s->d->loop;
	int r = info ? sd_event_add_io(loop, &s->io, info->epoll_fd, EPOLLIN, on_io, s) : -EIO;

	if (r >= 0)
		r = sd_event_source_set_prepare(s->io, before_sleep);
	if (r >= 0)
		r = sd_event_add_time(loop, &s->timer, CLOCK_MONOTONIC, 0, ACCURACY_US, on_timer,
				      s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(loop, &s->waits, CLOCK_MONOTONIC, 0, ACCURACY_US, on_waits,
				      s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->waits, SD_EVENT_OFF);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot watch the socket: %s", strerror(-r))
		     : 0;
}

int server_create(struct wispd *d, struct server **ret, struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	s->d = d;
	s->listener.fd = -1;
	r = open_socket(s, err);
	if (r == 0) {
		s->http = MHD_start_daemon(
			MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0, NULL, NULL,
			on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listener.fd,
			MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
		r = s->http ? add_sources(s, err)
			    : error_set(err, -EIO, NULL, NULL, "Cannot serve HTTP");
	}
	if (r < 0) {
		server_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void server_destroy(struct server *s)
{
	if (!s)
		return;
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	if (s->http && s->waits)
		resume(s, true);
	sd_event_source_disable_unref(s->waits);
	if (s->http) {
		/* The library closes its listening socket with the rest. */
		int fd = MHD_quiesce_daemon(s->http);

		MHD_stop_daemon(s->http);
		s->listener.fd = fd >= 0 ? fd : s->listener.fd;
	}
	listener_close(&s->listener);
	free(s);
}
