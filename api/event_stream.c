/* event_stream.c - events as a client of GET /events reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/event_stream.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

static json_int_t utc_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (json_int_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *event_stream_text(const char *name, json_t *data)
{
	char *json, *text = NULL;

	json_object_set_new(data, "timestamp_ms", json_integer(utc_ms()));
	json = json_dumps(data, JSON_COMPACT);
	if (json && asprintf(&text, "event: %s\ndata: %s\n\n", name, json) < 0)
		text = NULL;
	free(json);
	return text;
}

char *event_stream_begin(const struct vm *vm)
{
	json_t *data = json_pack("{s:s}", "state", events_state_name(vm_state(vm)));
	char *text = data ? event_stream_text("state", data) : NULL;

	json_decref(data);
	return text;
}

void event_stream_send(struct http_server *s, const char *name, json_t *data)
{
	char *text = event_stream_text(name, data);

	if (text)
		http_publish(s, text);
	else
		log_warn("no memory to tell of %s", name);
	free(text);
}
