/* watch.c - a device's own descriptors on its lanes' loops, and the locks of these. */
#include <errno.h>
#include <stdlib.h>

#include "devices/virtio/watch.h"

struct virtio_watch {
	struct virtio_events *events;
	unsigned lane;
	struct virtio_watch *next;
	struct loop_source *source;
	virtio_watch_fn fn;
	void *arg;
	uint32_t wanted;
	bool kept; /* became ready, or asked for a turn, while paused */
};

/* Always in this order, so that two who want all of them do not wait for each other. */
void virtio_events_lock(struct virtio_events *e)
{
	for (unsigned i = 0; i < e->lanes; i++)
		pthread_mutex_lock(&e->lane[i].lock);
}

void virtio_events_unlock(struct virtio_events *e)
{
	for (unsigned i = e->lanes; i-- > 0;)
		pthread_mutex_unlock(&e->lane[i].lock);
}

static void on_ready(void *arg, uint32_t events)
{
	struct virtio_watch *w = arg;
	struct virtio_events *e = w->events;
	struct loop_source *source = w->source;
	unsigned lane = w->lane;
	bool more = false;

	pthread_mutex_lock(&e->lane[lane].lock);
	if (e->paused) {
		w->kept = true;
		loop_source_set(source, 0);
	} else {
		more = w->fn(w->arg, events);
	}
	pthread_mutex_unlock(&e->lane[lane].lock);
	/* The callback may have destroyed w; the loop keeps a removed source until
	 * the end of the round, and does not defer it. */
	if (more)
		loop_source_defer(source);
}

int virtio_watch_create_on(struct virtio_events *e, unsigned lane, int fd, uint32_t events,
			   virtio_watch_fn fn, void *arg, struct virtio_watch **ret)
{
	struct virtio_watch *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct virtio_watch){
		.events = e, .lane = lane, .fn = fn, .arg = arg, .wanted = events
	};
	r = loop_add(e->lane[lane].loop, fd, e->paused ? 0 : events, on_ready, w, &w->source);
	if (r < 0) {
		free(w);
		return r;
	}
	w->next = e->watches;
	e->watches = w;
	*ret = w;
	return 0;
}

int virtio_watch_create(struct virtio_events *e, int fd, uint32_t events, virtio_watch_fn fn,
			void *arg, struct virtio_watch **ret)
{
	return virtio_watch_create_on(e, 0, fd, events, fn, arg, ret);
}

void virtio_watch_set(struct virtio_watch *w, uint32_t events)
{
	if (w->wanted == events)
		return;
	w->wanted = events;
	if (!w->events->paused)
		loop_source_set(w->source, events);
}

void virtio_watch_destroy(struct virtio_watch *w)
{
	struct virtio_watch **at;

	if (!w)
		return;
	for (at = &w->events->watches; *at != w; at = &(*at)->next)
		continue;
	*at = w->next;
	loop_source_remove(w->source);
	free(w);
}

void virtio_events_pause(struct virtio_events *e)
{
	e->paused = true;
}

unsigned virtio_events_resume(struct virtio_events *e)
{
	unsigned waiting = 0;

	e->paused = false;
	for (struct virtio_watch *w = e->watches; w; w = w->next) {
		loop_source_set(w->source, w->wanted);
		if (w->kept && w->lane == 0)
			loop_source_defer(w->source);
		else if (w->kept)
			waiting |= 1u << w->lane;
		w->kept = false;
	}
	return waiting;
}
