/* event_sink.h - a web server that is sent events (metering/outbox.h), and may be away.
 *
 * What fails fails the test. Its thread is its own: look at what came by the functions here.
 */
#ifndef TESTS_UNIT_EVENT_SINK_H
#define TESTS_UNIT_EVENT_SINK_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { SINK_URL_BYTES = 64 };

struct event_sink {
	struct MHD_Daemon *http;
	int port_fd;	      /* while it is away: its port, which nobody listens on */
	pthread_mutex_t lock; /* of what follows */
	json_t *ids;	      /* of all events that came, each once: {id: event} */
	json_t *order;	      /* the numbers of all that came, also again, as they came */
	unsigned refuse;      /* so many requests */
};

/* It is there, and refuses so many requests at first. */
void event_sink_start(struct event_sink *s, unsigned refuse, char url[SINK_URL_BYTES]);

/* It is away, and connections are refused, until it returns. */
void event_sink_reserve(struct event_sink *s, char url[SINK_URL_BYTES]);
void event_sink_return(struct event_sink *s);

void event_sink_stop(struct event_sink *s);

/* How many events came; again: also those that came before. */
size_t event_sink_came(struct event_sink *s, bool again);

/* How often an event came that follows none of those that came before, whose numbers go on from
 * first. 0: all came in order. */
size_t event_sink_disorder(struct event_sink *s, json_int_t first);

#endif
