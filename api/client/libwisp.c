/* libwisp.c - a client of one microVM's API.
 *
 * One libcurl handle a client, which keeps its connection between calls. Whatever comes
 * goes through receive(): into a buffer with a limit for a call, and for events line by
 * line to the caller, so that a stream that never ends needs no memory.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/libwisp.h"

enum {
	REPLY_MAX_BYTES = 16 << 20,
	EVENT_MAX_BYTES = 64 << 10, /* a line */
	EVENT_NAME_BYTES = 64,
	ERROR_BYTES = 1024,
};

struct wisp {
	CURL *curl;
	struct curl_slist *headers;
	char *socket_path;
	unsigned timeout_ms;
	char error[ERROR_BYTES];
	char curl_error[CURL_ERROR_SIZE];

	/* Of the call at hand. */
	char *data;
	size_t len, room;
	wisp_event_fn fn; /* NULL: no events */
	void *ctx;
	char name[EVENT_NAME_BYTES];
	int fault; /* a negative errno that receive() met */
	bool enough;
};

int wisp_open(const char *socket_path, struct wisp **ret)
{
	struct wisp *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->curl = curl_easy_init();
	w->socket_path = strdup(socket_path);
	w->timeout_ms = WISP_TIMEOUT_MS;
	if (!w->curl || !w->socket_path || wisp_set_header(w, NULL) < 0) {
		wisp_close(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

void wisp_close(struct wisp *w)
{
	if (!w)
		return;
	curl_easy_cleanup(w->curl);
	curl_slist_free_all(w->headers);
	free(w->socket_path);
	free(w->data);
	free(w);
}

void wisp_set_timeout(struct wisp *w, unsigned ms)
{
	w->timeout_ms = ms;
}

int wisp_set_header(struct wisp *w, const char *header)
{
	/* No "Expect: 100-continue", which costs a turn. */
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	struct curl_slist *both = headers && header ? curl_slist_append(headers, header) : headers;

	if (!both) {
		curl_slist_free_all(headers);
		return -ENOMEM;
	}
	curl_slist_free_all(w->headers);
	w->headers = both;
	return 0;
}

const char *wisp_error(const struct wisp *w)
{
	return w->error;
}

void wisp_reply_clear(struct wisp_reply *reply)
{
	free(reply->body);
	*reply = (struct wisp_reply){ 0 };
}

static int reserve(struct wisp *w, size_t need)
{
	size_t room = w->room ? w->room : 4096;
	char *bigger;

	if (need <= w->room)
		return 0;
	while (room < need)
		room *= 2;
	bigger = realloc(w->data, room);
	if (!bigger)
		return -ENOMEM;
	w->data = bigger;
	w->room = room;
	return 0;
}

/* A whole line of an event stream, NUL-terminated. */
static void hear_line(struct wisp *w, const char *line)
{
	if (strncmp(line, "event: ", 7) == 0)
		snprintf(w->name, sizeof(w->name), "%s", line + 7);
	else if (strncmp(line, "data: ", 6) == 0)
		w->enough = w->fn(w->ctx, w->name, line + 6) != 0;
}

/* The lines that have come in full; the rest stays in the buffer. */
static void hear_lines(struct wisp *w)
{
	size_t at = 0;
	char *end;

	while (!w->enough && (end = memchr(w->data + at, '\n', w->len - at)) != NULL) {
		*end = '\0';
		hear_line(w, w->data + at);
		at = (size_t)(end - w->data) + 1;
	}
	w->len -= at;
	memmove(w->data, w->data + at, w->len);
}

static bool is_stream(const struct wisp *w)
{
	long status = 0;

	curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
	return w->fn && status == 200;
}

/* libcurl's write function: anything but the whole length ends the transfer. */
static size_t receive(char *data, size_t size, size_t count, void *arg)
{
	struct wisp *w = arg;
	size_t len = size * count, most = w->fn ? EVENT_MAX_BYTES : REPLY_MAX_BYTES;

	if (len > most - w->len)
		w->fault = -EMSGSIZE;
	else
		w->fault = reserve(w, w->len + len + 1);
	if (w->fault < 0)
		return 0;
	memcpy(w->data + w->len, data, len);
	w->len += len;
	if (is_stream(w))
		hear_lines(w);
	return w->enough ? 0 : len;
}

/* Nobody there: which socket, and what to do. */
static int unreachable(struct wisp *w, int os_error)
{
	static const struct {
		int os_error;
		const char *what, *hint;
	} rows[] = {
		{ ENOENT, "there is no such socket",
		  "start wisp or wispd, whose it is, or wait until it has begun" },
		{ ECONNREFUSED, "nobody listens on this socket",
		  "whoever made it has ended: start it again" },
		{ EACCES, "this socket is closed to you",
		  "be the user who runs what listens there, or change the file's permissions" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].os_error != os_error)
			continue;
		snprintf(w->error, sizeof(w->error), "%s: %s (%s)", w->socket_path, rows[i].what,
			 rows[i].hint);
		return -os_error;
	}
	snprintf(w->error, sizeof(w->error), "%s: cannot connect: %s", w->socket_path,
		 os_error ? strerror(os_error) : "no socket can have this path");
	return os_error ? -os_error : -EINVAL;
}

static int transport_error(struct wisp *w, CURLcode code)
{
	long os_error = 0;

	curl_easy_getinfo(w->curl, CURLINFO_OS_ERRNO, &os_error);
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		return unreachable(w, (int)os_error);
	snprintf(w->error, sizeof(w->error), "%s: %s%s%s", w->socket_path,
		 w->curl_error[0] ? w->curl_error : curl_easy_strerror(code), os_error ? ": " : "",
		 os_error ? strerror((int)os_error) : "");
	if (w->fault < 0)
		return w->fault;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return -ETIMEDOUT;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

/* The reason in {"fault_message": "..."} or { "error": "..." }: a string that JSON ends
 * with its first quote, but for those behind a backslash. Anything else is the reason as
 * it is. */
static void read_refusal(struct wisp *w, const char *body)
{
	const char *from = strchr(body, ':');
	size_t len = 0;

	from = from ? strchr(from, '"') : NULL;
	for (from = from ? from + 1 : body; *from && *from != '"'; from++) {
		from += from[0] == '\\' && from[1];
		if (len < sizeof(w->error) - 1)
			w->error[len++] = *from;
	}
	w->error[len] = '\0';
}

static int perform(struct wisp *w, const char *verb, const char *path, const char *body,
		   unsigned timeout_ms)
{
	char url[1024];
	CURLcode code;

	w->len = 0;
	w->fault = 0;
	w->enough = false;
	w->error[0] = w->curl_error[0] = w->name[0] = '\0';
	if (snprintf(url, sizeof(url), "http://localhost%s", path) >= (int)sizeof(url)) {
		snprintf(w->error, sizeof(w->error), "a path of the API is never that long");
		return -ENAMETOOLONG;
	}
	/* Forgets the options of the call before, not the connection. */
	curl_easy_reset(w->curl);
	curl_easy_setopt(w->curl, CURLOPT_UNIX_SOCKET_PATH, w->socket_path);
	curl_easy_setopt(w->curl, CURLOPT_URL, url);
	curl_easy_setopt(w->curl, CURLOPT_CUSTOMREQUEST, verb);
	curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, w->headers);
	curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(w->curl, CURLOPT_ERRORBUFFER, w->curl_error);
	curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, w);
	if (body)
		curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body);
	code = curl_easy_perform(w->curl);
	return code == CURLE_OK || w->enough ? 0 : transport_error(w, code);
}

/* After perform(): what the machine said. 0 or -EPROTO, or -ENOMEM. */
static int judge(struct wisp *w, struct wisp_reply *ret)
{
	struct wisp_reply reply = { .len = w->len };
	long status = 0;

	curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	reply.body = calloc(1, w->len + 1);
	if (!reply.body)
		return -ENOMEM;
	if (w->len)
		memcpy(reply.body, w->data, w->len);
	if (reply.status >= 300)
		read_refusal(w, reply.body);
	if (ret)
		*ret = reply;
	else
		free(reply.body);
	return status >= 300 ? -EPROTO : 0;
}

int wisp_call(struct wisp *w, const char *verb, const char *path, const char *body,
	      struct wisp_reply *ret)
{
	int r;

	if (ret)
		*ret = (struct wisp_reply){ 0 };
	w->fn = NULL;
	r = perform(w, verb, path, body, w->timeout_ms);
	return r < 0 ? r : judge(w, ret);
}

int wisp_events(struct wisp *w, wisp_event_fn fn, void *ctx)
{
	int r;

	w->fn = fn;
	w->ctx = ctx;
	r = perform(w, "GET", "/events", NULL, 0);
	return r < 0 ? r : judge(w, NULL);
}

int wisp_start(struct wisp *w)
{
	return wisp_call(w, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", NULL);
}

int wisp_pause(struct wisp *w)
{
	return wisp_call(w, "PATCH", "/vm", "{\"state\": \"Paused\"}", NULL);
}

int wisp_resume(struct wisp *w)
{
	return wisp_call(w, "PATCH", "/vm", "{\"state\": \"Resumed\"}", NULL);
}
