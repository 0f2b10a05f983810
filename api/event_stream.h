/* event_stream.h - events as a client of GET /events reads them.
 *
 * Server-sent events (the WHATWG's "text/event-stream"): a name and a line of JSON each,
 * to which the time is added.
 *
 *   event: state
 *   data: {"state":"Running","timestamp_ms":1769860800000}
 *
 * Main thread.
 */
#ifndef API_EVENT_STREAM_H
#define API_EVENT_STREAM_H

#include <jansson.h>

#include "api/http.h"
#include "vmm/vm.h"

#define EVENT_STREAM_TYPE "text/event-stream"

/* One event, to be freed; NULL when memory is short. Adds the time to data. */
char *event_stream_text(const char *name, json_t *data);

/* What a new client is told first: the state, so that it need not ask. To be freed; NULL
 * when memory is short. */
char *event_stream_begin(const struct vm *vm);

/* To all who listen. Adds the time to data. */
void event_stream_send(struct http_server *s, const char *name, json_t *data);

#endif
