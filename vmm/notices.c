/* notices.c - from what devices have to tell to events. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/life.h"
#include "devices/virtio/mem.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/notices.h"

struct notices {
	struct virtio_listener listener;
	const struct slots *slots;
	const struct event_sink *sink;
	int signal_fd; /* there is something to ask for */
	int timer_fd;  /* it may be asked for again */
	struct loop_source *signal, *timer;
};

/* Any thread. */
static void on_tell(const struct virtio_listener *l)
{
	fd_event_signal(container_of(l, const struct notices, listener)->signal_fd);
}

static void tell_balloon(const struct event_sink *sink, const struct slot_device *d)
{
	struct virtio_balloon_statistics s;

	/* The two numbers are there whatever it answers. */
	(void)virtio_balloon_statistics(d->dev, &s);
	events_tell(sink, "balloon",
		    json_pack("{s:I, s:I}", "target_mib",
			      (json_int_t)(s.target_pages / VIRTIO_BALLOON_MIB), "actual_mib",
			      (json_int_t)(s.actual_pages / VIRTIO_BALLOON_MIB)));
}

static void tell_memory(const struct event_sink *sink, const struct slot_device *d)
{
	struct virtio_mem_status s;

	virtio_mem_status(d->dev, &s);
	events_tell(sink, "memory",
		    json_pack("{s:I, s:I}", "requested_size_mib", (json_int_t)s.requested_mib,
			      "plugged_size_mib", (json_int_t)s.plugged_mib));
}

static void tell_change(const struct event_sink *sink, const struct slot_device *d)
{
	if (d->kind == SLOT_BALLOON)
		tell_balloon(sink, d);
	else if (d->kind == SLOT_MEMORY)
		tell_memory(sink, d);
	else
		events_tell(sink, "device",
			    json_pack("{s:s, s:s, s:s}", "device", d->collection, "id", d->id,
				      "change", "reconfigured"));
}

static void ask(const struct event_sink *sink, const struct slot_device *d)
{
	struct virtio_notice notice;

	virtio_dev_take_notice(d->dev, &notice);
	if (notice.fault)
		events_tell(sink, "device_fault",
			    json_pack("{s:s, s:s, s:s}", "device", d->collection, "id", d->id,
				      "reason", notice.fault));
	if (notice.changed)
		tell_change(sink, d);
}

/* Asks all, and does not listen for a while. */
static void on_signal(void *arg, uint32_t events)
{
	const struct itimerspec pause = { .it_value = { 0, NOTICES_MS * 1000000L } };
	struct notices *n = arg;
	struct slot_device d;

	(void)events;
	fd_event_drain(n->signal_fd);
	for (unsigned i = 0; slots_running(n->slots, i, &d); i++)
		ask(n->sink, &d);
	if (timerfd_settime(n->timer_fd, 0, &pause, NULL) == 0)
		loop_source_set(n->signal, 0);
}

static void on_timer(void *arg, uint32_t events)
{
	struct notices *n = arg;

	(void)events;
	fd_event_drain(n->timer_fd);
	loop_source_set(n->signal, EPOLLIN);
}

int notices_create(const struct slots *slots, struct loop *loop, const struct event_sink *sink,
		   struct notices **ret)
{
	struct notices *n = malloc(sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	*n = (struct notices){ .listener = { on_tell }, .slots = slots, .sink = sink };
	n->signal_fd = r = fd_event();
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r >= 0 && n->timer_fd < 0)
		r = -errno;
	if (r >= 0)
		r = loop_add(loop, n->signal_fd, EPOLLIN, on_signal, n, &n->signal);
	if (r >= 0)
		r = loop_add(loop, n->timer_fd, EPOLLIN, on_timer, n, &n->timer);
	if (r < 0) {
		notices_destroy(n);
		return r;
	}
	*ret = n;
	return 0;
}

void notices_destroy(struct notices *n)
{
	if (!n)
		return;
	loop_source_remove(n->timer);
	loop_source_remove(n->signal);
	fd_close(n->timer_fd);
	fd_close(n->signal_fd);
	free(n);
}

void notices_watch(struct notices *n, struct virtio_dev *dev)
{
	if (n)
		dev->listener = &n->listener;
}
