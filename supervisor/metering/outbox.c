/* outbox.c - a batch at a time: read on the loop, sent by a worker, then noted. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	RECEIVERS = 2,
	BATCH_MAX = 500,
	LOOK_US = 1000000, /* how soon what is new is sent */
	RETRY_LAST_US = 300000000,
	ACCURACY_US = 100000,
	SEND_TIMEOUT_S = 30,
	CONNECT_TIMEOUT_S = 10,
	STATUS_OK = 200,
	STATUS_OK_END = 300,
};

static const int64_t NS_PER_S = 1000000000, NS_PER_US = 1000;

/* Sends a list of events; where: the file or the URL. Any thread. */
typedef int (*send_fn)(const char *where, json_t *events, struct error *err);

struct receiver {
	struct outbox *o;
	const char *name;  /* in the database */
	const char *where; /* "": none */
	send_fn send;
	bool busy;	   /* a batch is under way */
	uint64_t retry_us; /* 0: the last batch arrived */
	uint64_t next_us;  /* not before this moment of CLOCK_MONOTONIC */
};

struct outbox {
	struct wispd *d;
	sd_event_source *timer;
	struct receiver receivers[RECEIVERS];
	struct batch *batches[RECEIVERS]; /* under way */
};

struct batch {
	struct work work;
	struct receiver *r; /* NULL: the outbox has gone */
	char *where;
	send_fn send;
	json_t *events;
	int64_t last_seq;
	int result;
	struct error err;
};

/* --- receivers --- */

static char *lines_of(json_t *events, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	json_t *event;
	size_t i;

	if (!out)
		return NULL;
	json_array_foreach(events, i, event)
	{
		json_dumpf(event, out, JSON_COMPACT);
		fputc('\n', out);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* A line that was cut off is ended before the next. */
static int end_line(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -EIO;
	return last == '\n' || write(fd, "\n", 1) == 1 ? 0 : -EIO;
}

static int append_to_file(const char *path, json_t *events, struct error *err)
{
	size_t len = 0;
	char *text = lines_of(events, &len);
	int fd = -1, r = 0;

	if (!text)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || end_line(fd) < 0 || write(fd, text, len) != (ssize_t)len || fdatasync(fd) < 0)
		r = error_errno(err, "events_file", NULL, "Cannot write %s", path);
	fd_close(fd);
	free(text);
	return r;
}

/* What a receiver says beside his status is not wanted. */
static size_t ignore(char *data, size_t size, size_t count, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * count;
}

static long post(CURL *curl, const char *url, const char *text, struct curl_slist *headers)
{
	long status = 0;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SEND_TIMEOUT_S);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static int post_to_url(const char *url, json_t *events, struct error *err)
{
	struct curl_slist *headers =
		curl_slist_append(NULL, "Content-Type: application/cloudevents-batch+json");
	char *text = json_dumps(events, JSON_COMPACT);
	CURL *curl = curl_easy_init();
	long status = headers && text && curl ? post(curl, url, text, headers) : 0;

	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	free(text);
	if (status >= STATUS_OK && status < STATUS_OK_END)
		return 0;
	return error_set(err, -EIO, "events_url", NULL,
			 status ? "It answers with status %ld" : "It does not answer (%ld)",
			 status);
}

/* --- a batch --- */

static void time_text(int64_t wall_ns, char *buf, size_t size)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	char day[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%06" PRId64 "Z", day, wall_ns % NS_PER_S / NS_PER_US);
}

static json_t *cloud_event(const struct rows *rows, const char *host)
{
	json_t *body = json_loads(rows_string(rows, 10), 0, NULL);
	char id[LEDGER_HEX_BYTES] = "", source[96], type[96], when[48];
	size_t len = 0;
	const void *bytes = rows_blob(rows, 1, &len);

	if (len == LEDGER_HASH_BYTES)
		hex_encode(bytes, len, id);
	snprintf(source, sizeof(source), "/wisp/hosts/%s", host);
	snprintf(type, sizeof(type), "wisp.%s", rows_string(rows, 5));
	time_text(rows_int(rows, 4), when, sizeof(when));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s,"
			 " s:{s:I, s:s, s:I, s:I, s:I, s:s, s:o}}",
			 "specversion", "1.0", "id", id, "source", source, "type", type, "subject",
			 rows_string(rows, 7), "time", when, "datacontenttype", "application/json",
			 "wisptenant", rows_string(rows, 6), "data", "seq",
			 (json_int_t)rows_int(rows, 0), "boot_id", rows_string(rows, 2), "boot_ns",
			 (json_int_t)rows_int(rows, 3), "wall_ns", (json_int_t)rows_int(rows, 4),
			 "incarnation", (json_int_t)rows_int(rows, 8), "actor",
			 rows_string(rows, 9), "body", body ? body : json_object());
}

static int sent_seq(struct outbox *o, const char *name, int64_t *ret, struct error *err)
{
	return store_number(o->d->truth.store, ret, err,
			    "SELECT ifnull((SELECT value FROM meta WHERE key = 'sent_' || ?), 0)",
			    "s", name);
}

/* The events that follow those that are sent. */
static int read_batch(struct outbox *o, const char *name, struct batch *b, struct error *err)
{
	struct rows rows;
	int64_t after = 0;
	int r = sent_seq(o, name, &after, err);

	if (r == 0)
		r = store_select(o->d->truth.store, &rows, err,
				 "SELECT seq, event_id, boot_id, boot_ns, wall_ns, type, tenant,"
				 " instance, incarnation, actor, body FROM event WHERE seq > ?"
				 " ORDER BY seq LIMIT ?",
				 "ii", after, (int64_t)BATCH_MAX);
	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		b->last_seq = rows_int(&rows, 0);
		if (json_array_append_new(
			    b->events, cloud_event(&rows, ledger_host_id(o->d->truth.ledger))) < 0)
			break;
	}
	rows_end(&rows);
	return r > 0 ? -ENOMEM : r;
}

static void free_batch(struct batch *b)
{
	if (!b)
		return;
	json_decref(b->events);
	free(b->where);
	free(b);
}

static void run(struct work *work)
{
	struct batch *b = (struct batch *)work;

	b->result = b->send(b->where, b->events, &b->err);
}

/* Not an event: that would be one more to send. */
static int note_sent(struct receiver *r, int64_t seq, struct error *err)
{
	char text[32];
	int e;

	snprintf(text, sizeof(text), "%" PRId64, seq);
	e = store_run(r->o->d->truth.store, err,
		      "INSERT INTO meta VALUES ('sent_' || ?, ?)"
		      " ON CONFLICT DO UPDATE SET value = excluded.value",
		      "ss", r->name, text);
	return e < 0 ? e : 0;
}

static uint64_t now_us(const struct outbox *o)
{
	uint64_t now = 0;

	sd_event_now(o->d->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static void begin(struct receiver *r);

static void done(struct work *work)
{
	struct batch *b = (struct batch *)work;
	struct receiver *r = b->r;

	if (!r) {
		free_batch(b);
		return;
	}
	r->busy = false;
	r->o->batches[r - r->o->receivers] = NULL;
	if (b->result == 0)
		b->result = note_sent(r, b->last_seq, &b->err);
	if (b->result == 0) {
		if (r->retry_us)
			log_info("%s is there again", r->name);
		r->retry_us = 0;
		begin(r);
	} else {
		if (!r->retry_us)
			log_warn("events cannot be sent to %s: %s; trying again", r->name,
				 b->err.text);
		r->retry_us = r->retry_us ? 2 * r->retry_us : LOOK_US;
		r->retry_us = r->retry_us < RETRY_LAST_US ? r->retry_us : RETRY_LAST_US;
		r->next_us = now_us(r->o) + r->retry_us;
	}
	free_batch(b);
}

/* Sends what there is, if it is time and the last batch has arrived. */
static void begin(struct receiver *r)
{
	struct batch *b;
	struct error err = { .text = "out of memory" };

	if (!r->where[0] || r->busy || now_us(r->o) < r->next_us)
		return;
	b = calloc(1, sizeof(*b));
	if (b) {
		b->work = (struct work){ .run = run, .done = done };
		b->where = strdup(r->where);
		b->events = json_array();
		b->send = r->send;
		b->result = -ECANCELED;
	}
	if (!b || !b->where || !b->events || read_batch(r->o, r->name, b, &err) < 0) {
		log_warn("events for %s cannot be read: %s", r->name, err.text);
		free_batch(b);
		return;
	}
	if (json_array_size(b->events) == 0) {
		free_batch(b);
		return;
	}
	b->r = r;
	r->busy = true;
	r->o->batches[r - r->o->receivers] = b;
	workers_add(r->o->d->workers, &b->work);
}

/* --- life --- */

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct outbox *o = arg;

	(void)usec;
	for (unsigned i = 0; i < RECEIVERS; i++)
		begin(&o->receivers[i]);
	sd_event_source_set_time_relative(source, LOOK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int outbox_create(struct wispd *d, struct outbox **ret, struct error *err)
{
	struct outbox *o = calloc(1, sizeof(*o));
	int r = -ENOMEM;

	if (o) {
		o->d = d;
		o->receivers[0] = (struct receiver){ .o = o,
						     .name = "events_file",
						     .where = d->config.events_file,
						     .send = append_to_file };
		o->receivers[1] = (struct receiver){ .o = o,
						     .name = "events_url",
						     .where = d->config.events_url,
						     .send = post_to_url };
		r = sd_event_add_time_relative(d->loop, &o->timer, CLOCK_MONOTONIC, LOOK_US,
					       ACCURACY_US, on_timer, o);
	}
	if (r < 0) {
		free(o);
		return error_set(err, r, NULL, NULL, "Cannot make a timer: %s", strerror(-r));
	}
	*ret = o;
	return 0;
}

void outbox_destroy(struct outbox *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < RECEIVERS; i++)
		if (o->batches[i])
			o->batches[i]->r = NULL;
	sd_event_source_disable_unref(o->timer);
	free(o);
}

int outbox_everybody_has(struct outbox *o, int64_t *ret, struct error *err)
{
	int64_t sent = 0;
	int r = 0;

	*ret = INT64_MAX;
	for (unsigned i = 0; o && i < RECEIVERS && r == 0; i++) {
		if (!o->receivers[i].where[0])
			continue;
		r = sent_seq(o, o->receivers[i].name, &sent, err);
		*ret = sent < *ret ? sent : *ret;
	}
	return r;
}

json_t *outbox_describe(struct outbox *o)
{
	char hex[LEDGER_HEX_BYTES];
	json_t *all = NULL;
	int64_t head = 0;
	struct error err;

	if (!o || ledger_head(o->d->truth.ledger, &head, hex, &err) < 0)
		return NULL;
	for (unsigned i = 0; i < RECEIVERS; i++) {
		const struct receiver *r = &o->receivers[i];
		int64_t sent = 0;

		if (!r->where[0] || sent_seq(o, r->name, &sent, &err) < 0)
			continue;
		all = all ? all : json_object();
		json_object_set_new(all, r->name,
				    json_pack("{s:I, s:I, s:b}", "sent_seq", (json_int_t)sent,
					      "behind", (json_int_t)(head - sent), "failing",
					      r->retry_us != 0));
	}
	return all;
}
