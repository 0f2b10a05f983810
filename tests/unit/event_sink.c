/* event_sink.c - libmicrohttpd on a port of the loopback's. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/event_sink.h"

enum { BACKLOG = 16 };

struct request {
	char *body;
	size_t len;
};

static void take_in(struct event_sink *s, const struct request *q)
{
	json_t *batch = json_loadb(q->body, q->len, 0, NULL), *event;
	size_t i;

	json_array_foreach(batch, i, event)
	{
		json_array_append(s->order, json_object_get(json_object_get(event, "data"), "seq"));
		json_object_set(s->ids, json_string_value(json_object_get(event, "id")), event);
	}
	json_decref(batch);
}

static enum MHD_Result answer(struct event_sink *s, struct MHD_Connection *c,
			      const struct request *q)
{
	struct MHD_Response *none =
		MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	unsigned status = MHD_HTTP_NO_CONTENT;
	enum MHD_Result r;

	pthread_mutex_lock(&s->lock);
	if (s->refuse > 0) {
		s->refuse--;
		status = MHD_HTTP_SERVICE_UNAVAILABLE;
	} else {
		take_in(s, q);
	}
	pthread_mutex_unlock(&s->lock);
	r = MHD_queue_response(c, status, none);
	MHD_destroy_response(none);
	return r;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **kept)
{
	struct request *q = *kept;

	(void)url;
	(void)method;
	(void)version;
	if (!q) {
		*kept = calloc(1, sizeof(struct request));
		return *kept ? MHD_YES : MHD_NO;
	}
	if (*len == 0)
		return answer(ctx, c, q);
	q->body = realloc(q->body, q->len + *len);
	memcpy(q->body + q->len, data, *len);
	q->len += *len;
	*len = 0;
	return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **kept,
			 enum MHD_RequestTerminationCode code)
{
	struct request *q = *kept;

	(void)ctx;
	(void)c;
	(void)code;
	if (q)
		free(q->body);
	free(q);
}

void event_sink_reserve(struct event_sink *s, char url[SINK_URL_BYTES])
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(here);

	*s = (struct event_sink){ .lock = PTHREAD_MUTEX_INITIALIZER,
				  .ids = json_object(),
				  .order = json_array() };
	s->port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->port_fd >= 0);
	assert_int_equal(bind(s->port_fd, (struct sockaddr *)&here, len), 0);
	assert_int_equal(getsockname(s->port_fd, (struct sockaddr *)&here, &len), 0);
	snprintf(url, SINK_URL_BYTES, "http://127.0.0.1:%u/", (unsigned)ntohs(here.sin_port));
}

void event_sink_return(struct event_sink *s)
{
	assert_int_equal(listen(s->port_fd, BACKLOG), 0);
	s->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, s,
				   MHD_OPTION_LISTEN_SOCKET, s->port_fd,
				   MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	assert_non_null(s->http);
}

void event_sink_start(struct event_sink *s, unsigned refuse, char url[SINK_URL_BYTES])
{
	event_sink_reserve(s, url);
	s->refuse = refuse;
	event_sink_return(s);
}

/* The daemon closes the port. */
void event_sink_stop(struct event_sink *s)
{
	MHD_stop_daemon(s->http);
	json_decref(s->order);
	json_decref(s->ids);
}

size_t event_sink_came(struct event_sink *s, bool again)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = again ? json_array_size(s->order) : json_object_size(s->ids);
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t event_sink_disorder(struct event_sink *s, json_int_t first)
{
	json_int_t next = first;
	size_t i, faults = 0;
	json_t *seq;

	pthread_mutex_lock(&s->lock);
	json_array_foreach(s->order, i, seq)
	{
		faults += json_integer_value(seq) > next;
		next += json_integer_value(seq) == next;
	}
	pthread_mutex_unlock(&s->lock);
	return faults;
}
