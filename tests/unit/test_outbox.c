/* test_outbox.c - events for others: a server that is away, a file with half a line. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/wispd.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

enum { EVENTS = 1200, REFUSED = 2, LIMIT_US = 60000000, STEP_US = 50000 };

/* --- a receiver --- */

struct server {
	struct MHD_Daemon *http;
	pthread_mutex_t lock; /* of what follows */
	json_t *ids;	      /* of all events that came, each once */
	size_t came;	      /* how many came, also again */
	unsigned refuse;      /* so many requests */
};

struct request {
	char *body;
	size_t len;
};

static void take_in(struct server *s, const struct request *q)
{
	json_t *batch = json_loadb(q->body, q->len, 0, NULL), *event;
	size_t i;

	json_array_foreach(batch, i, event)
	{
		s->came++;
		json_object_set(s->ids, json_string_value(json_object_get(event, "id")), event);
	}
	json_decref(batch);
}

static enum MHD_Result answer(struct server *s, struct MHD_Connection *c, const struct request *q)
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

static void start(struct server *s, unsigned refuse, char url[64])
{
	const struct sockaddr_in here = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const union MHD_DaemonInfo *info;

	*s = (struct server){ .lock = PTHREAD_MUTEX_INITIALIZER,
			      .ids = json_object(),
			      .refuse = refuse };
	s->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, s,
				   MHD_OPTION_SOCK_ADDR, &here, MHD_OPTION_NOTIFY_COMPLETED,
				   on_completed, NULL, MHD_OPTION_END);
	assert_non_null(s->http);
	info = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_BIND_PORT);
	snprintf(url, 64, "http://127.0.0.1:%u/", (unsigned)info->port);
}

static void stop(struct server *s)
{
	MHD_stop_daemon(s->http);
	json_decref(s->ids);
}

static size_t came(struct server *s, bool again)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = again ? s->came : json_object_size(s->ids);
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* --- books with events --- */

static void write_events(struct wispd *d, unsigned count)
{
	const struct ledger_event e = { .type = "test.happened",
					.tenant = "t",
					.instance = "vm-1" };
	struct error err;

	assert_int_equal(store_begin(d->truth.store, &err), 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(ledger_append(d->truth.ledger, &e, NULL, &err), 0);
	assert_int_equal(store_commit(d->truth.store, &err), 0);
}

/* The stage's workers do not work. */
static void hire(struct wispd *d)
{
	struct error err;

	workers_destroy(d->workers);
	assert_int_equal(workers_create(d->loop, 1, &d->workers), 0);
	assert_int_equal(outbox_create(d, &d->outbox, &err), 0);
}

static int64_t behind(struct wispd *d, const char *name)
{
	json_t *all = outbox_describe(d->outbox);
	int64_t n;

	assert_non_null(json_object_get(all, name));
	n = json_integer_value(json_object_get(json_object_get(all, name), "behind"));
	json_decref(all);
	return n;
}

static void run_until_sent(struct wispd *d, const char *name)
{
	for (uint64_t waited = 0; behind(d, name) > 0; waited += STEP_US) {
		assert_true(waited < LIMIT_US);
		assert_true(sd_event_run(d->loop, STEP_US) >= 0);
	}
}

static size_t head(struct wispd *d)
{
	char hex[LEDGER_HEX_BYTES];
	struct error err;
	int64_t seq;

	assert_int_equal(ledger_head(d->truth.ledger, &seq, hex, &err), 0);
	return (size_t)seq;
}

static void test_server(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	struct server s;
	struct error err;
	char url[64];

	start(&s, REFUSED, url);
	snprintf(d->config.events_url, sizeof(d->config.events_url), "%s", url);
	write_events(d, EVENTS);
	hire(d);
	/* It refuses at first; then it gets all, once, in batches. */
	run_until_sent(d, "events_url");
	assert_int_equal(came(&s, false), head(d));
	assert_int_equal(came(&s, true), head(d));
	/* A wispd that died before it could note what it had sent: the same ids again. */
	assert_true(store_run(d->truth.store, &err,
			      "UPDATE meta SET value = '7' WHERE key = 'sent_events_url'", "") > 0);
	write_events(d, 1);
	run_until_sent(d, "events_url");
	assert_int_equal(came(&s, false), head(d));
	assert_int_equal(came(&s, true), head(d) - 1 + head(d) - 7);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	stop(&s);
}

/* One event a line, also after half a line. */
static void test_file(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	size_t events = 0, torn = 0, room = 0;
	char *line = NULL;
	FILE *f;

	snprintf(d->config.events_file, sizeof(d->config.events_file), "%s",
		 scratch_path(stage->dir, "events"));
	f = fopen(d->config.events_file, "we");
	fputs("{\"specversion\": \"1.", f);
	fclose(f);
	write_events(d, EVENTS);
	hire(d);
	run_until_sent(d, "events_file");
	f = fopen(d->config.events_file, "re");
	assert_non_null(f);
	while (getline(&line, &room, f) > 0) {
		json_t *j = json_loads(line, 0, NULL);

		torn += j == NULL;
		events += json_integer_value(json_object_get(json_object_get(j, "data"), "seq")) ==
			  (json_int_t)events + 1;
		json_decref(j);
	}
	assert_int_equal(torn, 1);
	assert_int_equal(events, head(d));
	free(line);
	fclose(f);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
}

/* What is under way when wispd ends is left alone, and comes again. */
static void test_end(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	struct server s;
	char url[64];

	start(&s, 0, url);
	snprintf(d->config.events_url, sizeof(d->config.events_url), "%s", url);
	write_events(d, 1);
	hire(d);
	while (came(&s, true) == 0)
		assert_true(sd_event_run(d->loop, STEP_US) >= 0);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	while (sd_event_run(d->loop, 0) > 0)
		continue;
	hire(d);
	run_until_sent(d, "events_url");
	assert_int_equal(came(&s, false), head(d));
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	stop(&s);
}

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_server),
		STAGE_TEST(test_file),
		STAGE_TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
