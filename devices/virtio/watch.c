/* watch.c - a device's own descriptors on the main loop. */
#include <errno.h>
#include <stdlib.h>

#include "devices/virtio/watch.h"

struct virtio_watch {
	struct virtio_events *events;
	struct virtio_watch *next;
	struct loop_source *source;
	virtio_watch_fn fn;
	void *arg;
	uint32_t wanted;
	bool kept; /* became ready, or asked for a turn, while paused */
};

static void on_ready(void *arg, uint32_t events)
{
	struct virtio_watch *w = arg;
	struct virtio_events *e = w->events;
	struct loop_source *source = w->source;
	bool more = false;

	pthread_mutex_lock(e->lock);
	if (e->paused) {
		w->kept = true;
		loop_source_set(source, 0);
	} else {
		more = w->fn(w->arg, events);
	}
	pthread_mutex_unlock(e->lock);
	/* The callback may have destroyed w; the loop keeps a removed source until
	 * the end of the round, and does not defer it. */
	if (more)
		loop_source_defer(source);
}

int virtio_watch_create(struct virtio_events *e, int fd, uint32_t events, virtio_watch_fn fn,
			void *arg, struct virtio_watch **ret)
{
	struct virtio_watch *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct virtio_watch){ .events = e, .fn = fn, .arg = arg, .wanted = events };
	r = loop_add(e->loop, fd, e->paused ? 0 : events, on_ready, w, &w->source);
	if (r < 0) {
		free(w);
		return r;
	}
	w->next = e->watches;
	e->watches = w;
	*ret = w;
	return 0;
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

void virtio_events_resume(struct virtio_events *e)
{
	e->paused = false;
	for (struct virtio_watch *w = e->watches; w; w = w->next) {
		loop_source_set(w->source, w->wanted);
		if (w->kept)
			loop_source_defer(w->source);
		w->kept = false;
	}
}
