/* transport.c - what the transports have in common.
 *
 * Two kinds of threads meet here. vCPU threads read and write registers through
 * the bus; the main thread serves kicks, which reach it through one eventfd a
 * queue. One lock a device makes each register access and each turn of a kick
 * one step to the others, so a reset waits for the turn in progress and finds no
 * request half done. A turn has a budget (the device's), which is what bounds the
 * wait of a vCPU.
 *
 * A device whose queues can be served at once is spread over lanes (lanes.h), each with
 * a thread and a mutex. A turn takes the mutex of its lane, everything else those of all:
 * together they are the device's lock. So turns do not wait for each other, and nothing
 * that was right with one lane has to know of more.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <sys/epoll.h>

#include "devices/virtio/registers.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* --- life --- */

static void on_interrupt(const struct virtio_sink *s, enum virtio_cause cause, unsigned queue)
{
	struct virtio_transport *t = container_of(s, struct virtio_transport, sink);

	t->ops->interrupt(t, cause, queue);
}

static int on_kick_fd(const struct virtio_sink *s, unsigned queue)
{
	return container_of(s, struct virtio_transport, sink)->queue[queue].kick_fd;
}

static int on_call_fd(const struct virtio_sink *s, unsigned queue)
{
	struct virtio_transport *t = container_of(s, struct virtio_transport, sink);

	return t->ops->call_fd(t, queue);
}

static int open_kick_fds(struct virtio_transport *t)
{
	for (unsigned i = 0; i < t->nqueues; i++) {
		t->queue[i].kick_fd = fd_event();
		if (t->queue[i].kick_fd < 0)
			return t->queue[i].kick_fd;
	}
	return 0;
}

int virtio_transport_init(struct virtio_transport *t, const struct virtio_transport_ops *ops,
			  struct virtio_dev *dev, const struct gmem *mem)
{
	int r;

	if (dev->ops->nqueues > VIRTIO_MAX_QUEUES)
		return -EINVAL;
	t->ops = ops;
	t->dev = dev;
	t->sink = (struct virtio_sink){ on_interrupt, on_kick_fd, on_call_fd };
	t->nqueues = dev->ops->nqueues;
	for (unsigned i = 0; i < t->nqueues; i++)
		t->queue[i] = (struct virtio_transport_queue){
			.transport = t,
			.index = i,
			.kick_fd = -1,
		};
	t->events.lanes = 1;
	for (unsigned i = 0; i < LANES_MAX; i++)
		pthread_mutex_init(&t->events.lane[i].lock, NULL);
	r = open_kick_fds(t);
	if (r == 0)
		r = virtio_dev_bind(dev, mem, &t->sink);
	if (r < 0)
		virtio_transport_fini(t);
	return r;
}

void virtio_transport_fini(struct virtio_transport *t)
{
	for (unsigned i = 0; i < t->nqueues; i++)
		fd_close(t->queue[i].kick_fd);
	for (unsigned i = 0; i < LANES_MAX; i++)
		pthread_mutex_destroy(&t->events.lane[i].lock);
}

void virtio_transport_destroy(struct virtio_transport *t)
{
	if (!t)
		return;
	virtio_transport_detach(t);
	virtio_dev_destroy(t->dev);
	t->ops->destroy(t);
}

unsigned virtio_transport_nqueues(const struct virtio_transport *t)
{
	return t->nqueues;
}

const char *virtio_transport_name(const struct virtio_transport *t)
{
	return t->dev->ops->name;
}

int virtio_transport_kick_fd(const struct virtio_transport *t, unsigned q)
{
	return t->queue[q].kick_fd;
}

/* --- kicks: the threads of the lanes --- */

/* With the lock that the turn needs. */
static bool turn(struct virtio_transport_queue *q)
{
	if (!q->transport->events.paused)
		return virtio_dev_kick(q->transport->dev, q->index);
	q->kept = true;
	return false;
}

static bool turn_with_lock(struct virtio_transport_queue *q)
{
	struct virtio_events *e = &q->transport->events;
	bool all, more = false;

	pthread_mutex_lock(&e->lane[q->lane].lock);
	all = e->lanes > 1 && virtio_dev_needs_all(q->transport->dev, q->index);
	if (!all)
		more = turn(q);
	pthread_mutex_unlock(&e->lane[q->lane].lock);
	if (!all)
		return more;
	virtio_events_lock(e);
	more = turn(q);
	virtio_events_unlock(e);
	return more;
}

static void on_kick(void *arg, uint32_t events)
{
	struct virtio_transport_queue *q = arg;

	/* A deferred turn (0) leaves the eventfd alone: at worst one empty turn. */
	if (events != 0)
		fd_event_drain(q->kick_fd);
	if (turn_with_lock(q))
		loop_source_defer(q->source);
}

/* --- on and off the loops: main thread, the lanes are held --- */

/* How many groups of queues a device has that can be served at once. */
static unsigned groups(const struct virtio_transport *t)
{
	unsigned each = t->dev->ops->lane_queues;

	return each > 0 ? t->nqueues / each : 0;
}

/* What belongs to no group is the first lane's. */
static unsigned lane_of(const struct virtio_transport *t, unsigned q)
{
	unsigned group = t->events.lanes > 1 ? q / t->dev->ops->lane_queues : 0;

	return group < groups(t) ? group % t->events.lanes : 0;
}

static int spread(struct virtio_transport *t, struct lanes *lanes)
{
	struct virtio_events *e = &t->events;
	unsigned most = lanes_count(lanes);
	int r = 0;

	t->lanes = lanes;
	e->lanes = groups(t) < most ? groups(t) : most;
	e->lanes = e->lanes > 0 ? e->lanes : 1;
	for (unsigned i = 0; i < e->lanes && r == 0; i++)
		r = lanes_loop(lanes, i, &e->lane[i].loop);
	return r;
}

static int attach_queue(struct virtio_transport_queue *q)
{
	struct virtio_transport *t = q->transport;

	q->lane = lane_of(t, q->index);
	virtio_dev_set_lane(t->dev, q->index, q->lane);
	return loop_add(t->events.lane[q->lane].loop, q->kick_fd, EPOLLIN, on_kick, q, &q->source);
}

/* The device's own descriptors: it may have made some even if this fails. */
static int attach_device(struct virtio_transport *t)
{
	struct virtio_dev *d = t->dev;

	d->events = &t->events;
	return d->ops->attach ? d->ops->attach(d) : 0;
}

static int attach(struct virtio_transport *t)
{
	int r = attach_device(t);

	for (unsigned i = 0; i < t->nqueues && r == 0 && !t->dev->ops->direct; i++)
		r = attach_queue(&t->queue[i]);
	if (r < 0)
		virtio_transport_detach(t);
	return r;
}

int virtio_transport_attach(struct virtio_transport *t, struct loop *l)
{
	t->events.lane[0].loop = l;
	return attach(t);
}

int virtio_transport_attach_lanes(struct virtio_transport *t, struct lanes *lanes)
{
	int r;

	lanes_hold(lanes);
	r = spread(t, lanes);
	if (r == 0)
		r = attach(t);
	lanes_release(lanes);
	return r;
}

void virtio_transport_detach(struct virtio_transport *t)
{
	struct virtio_dev *d = t->dev;

	lanes_hold(t->lanes);
	for (unsigned i = 0; i < t->nqueues; i++) {
		loop_source_remove(t->queue[i].source);
		t->queue[i].source = NULL;
	}
	if (d->events && d->ops->detach)
		d->ops->detach(d);
	d->events = NULL;
	lanes_release(t->lanes);
	t->lanes = NULL;
}

void virtio_transport_pause(struct virtio_transport *t)
{
	virtio_events_lock(&t->events);
	if (!t->events.paused)
		virtio_dev_drain(t->dev);
	virtio_events_pause(&t->events);
	virtio_events_unlock(&t->events);
}

void virtio_transport_resume(struct virtio_transport *t)
{
	unsigned waiting;

	virtio_events_lock(&t->events);
	waiting = virtio_events_resume(&t->events);
	for (unsigned i = 0; i < t->nqueues; i++) {
		struct virtio_transport_queue *q = &t->queue[i];

		if (q->kept || (waiting >> q->lane & 1))
			fd_event_signal(q->kick_fd);
		q->kept = false;
	}
	virtio_events_unlock(&t->events);
}

/* --- saved and loaded: main thread --- */

static void queue_layout_state(struct virtq_layout *l, struct state *s)
{
	state_u32(s, &l->size);
	state_u64(s, &l->desc.v);
	state_u64(s, &l->avail.v);
	state_u64(s, &l->used.v);
}

static void queue_state(struct virtio_transport_queue *q, struct state *s)
{
	struct virtio_dev *d = q->transport->dev;
	bool enabled = virtq_enabled(d->vq[q->index]);
	const char *why = NULL;

	queue_layout_state(&q->layout, s);
	state_bool(s, &enabled);
	if (!enabled || state_failed(s))
		return;
	if (state_loading(s))
		why = virtq_enable(d->vq[q->index], &q->layout, d->mem, d->accepted);
	if (why)
		state_fail(s, why);
	else
		virtq_state(d->vq[q->index], s);
}

/* That the device is the one that the driver knew. */
static void check_identity(const struct virtio_transport *t, struct state *s)
{
	uint32_t id = t->dev->ops->id, queues = t->nqueues;

	state_u32(s, &id);
	state_u32(s, &queues);
	if (id != t->dev->ops->id)
		state_fail(s, "another kind of device than the machine's");
	if (queues != t->nqueues)
		state_fail(s, "another number of queues than the device's");
}

static void life_state(struct virtio_dev *d, struct state *s)
{
	uint8_t status = d->status;

	state_u8(s, &status);
	state_u64(s, &d->accepted);
	state_bool(s, &d->accepted_unknown);
	state_u32(s, &d->config_generation);
	if ((status & VIRTIO_CONFIG_S_FEATURES_OK) && (d->accepted & ~virtio_dev_features(d)) != 0)
		state_fail(s, "the driver uses features that the device does not have here");
	if ((status & VIRTIO_CONFIG_S_DRIVER_OK) && !(status & VIRTIO_CONFIG_S_FEATURES_OK))
		state_fail(s, "a driver that is up without features");
	d->status = state_failed(s) ? 0 : status;
}

/* What follows from the fields. */
static void revive(struct virtio_dev *d, struct state *s)
{
	if (!(d->status & VIRTIO_CONFIG_S_DRIVER_OK) || !d->ops->activate)
		return;
	if (d->ops->activate(d) < 0)
		state_fail(s, "the device cannot be started with what its driver accepted");
}

void virtio_transport_state(struct virtio_transport *t, struct state *s)
{
	virtio_events_lock(&t->events);
	check_identity(t, s);
	life_state(t->dev, s);
	state_u32(s, &t->device_features_sel);
	state_u32(s, &t->driver_features_sel);
	state_u32(s, &t->queue_sel);
	for (unsigned i = 0; i < t->nqueues; i++)
		queue_state(&t->queue[i], s);
	t->ops->state(t, s);
	if (state_loading(s) && !state_failed(s))
		revive(t->dev, s);
	virtio_events_unlock(&t->events);
}

bool virtio_transport_device_state(struct virtio_transport *t, struct state *s, unsigned instance)
{
	struct virtio_dev *d = t->dev;

	if (d->ops->section == STATE_NO_SECTION)
		return false;
	virtio_events_lock(&t->events);
	state_begin(s, d->ops->section, instance);
	if (d->ops->state && !state_failed(s))
		d->ops->state(d, s);
	state_end(s);
	virtio_events_unlock(&t->events);
	return true;
}

void virtio_transport_wake(struct virtio_transport *t)
{
	struct virtio_dev *d = t->dev;

	virtio_events_lock(&t->events);
	if (virtio_dev_live(d))
		virtio_dev_config_changed(d);
	for (unsigned i = 0; i < t->nqueues && virtio_dev_live(d); i++) {
		if (!virtq_enabled(d->vq[i]))
			continue;
		fd_event_signal(t->queue[i].kick_fd);
		virtio_dev_interrupt(d, i);
	}
	virtio_events_unlock(&t->events);
}

/* --- registers: vCPU threads, with the lock held --- */

void virtio_transport_reject(struct virtio_transport *t, const char *what, uint64_t off, size_t len)
{
	t->dev->counters.rejected++;
	log_guest("virtio-%s: %s at %#llx, %zu bytes, ignored", t->dev->ops->name, what,
		  (unsigned long long)off, len);
}

uint32_t virtio_transport_offered(const struct virtio_transport *t)
{
	if (t->device_features_sel > 1)
		return 0;
	return (uint32_t)(virtio_dev_features(t->dev) >> (32 * t->device_features_sel));
}

struct virtio_transport_queue *virtio_transport_selected(struct virtio_transport *t)
{
	return t->queue_sel < t->nqueues ? &t->queue[t->queue_sel] : NULL;
}

uint32_t virtio_transport_max_size(struct virtio_transport *t)
{
	const struct virtio_transport_queue *q = virtio_transport_selected(t);

	return q ? virtq_max_size(t->dev->vq[q->index]) : 0;
}

bool virtio_transport_ready(struct virtio_transport *t)
{
	const struct virtio_transport_queue *q = virtio_transport_selected(t);

	return q && virtq_enabled(t->dev->vq[q->index]);
}

struct virtio_transport_queue *virtio_transport_writable(struct virtio_transport *t)
{
	return virtio_transport_ready(t) ? NULL : virtio_transport_selected(t);
}

void virtio_transport_set_half(gpa_t *address, bool high, uint32_t value)
{
	if (high)
		address->v = (address->v & UINT32_MAX) | (uint64_t)value << 32;
	else
		address->v = (address->v & ~(uint64_t)UINT32_MAX) | value;
}

static void reset(struct virtio_transport *t)
{
	virtio_dev_reset(t->dev);
	for (unsigned i = 0; i < t->nqueues; i++)
		t->queue[i].layout = (struct virtq_layout){ 0 };
	t->device_features_sel = 0;
	t->driver_features_sel = 0;
	t->queue_sel = 0;
	t->ops->reset(t);
}

void virtio_transport_set_status(struct virtio_transport *t, uint32_t value)
{
	bool was_live = virtio_dev_live(t->dev);

	if (value == 0) {
		reset(t);
		return;
	}
	virtio_dev_set_status(t->dev, (uint8_t)value);
	if (was_live || !virtio_dev_live(t->dev))
		return;
	/* A notification that came too early found the device asleep. */
	for (unsigned i = 0; i < t->nqueues; i++)
		fd_event_signal(t->queue[i].kick_fd);
}

bool virtio_transport_notify(struct virtio_transport *t, uint32_t queue)
{
	if (queue >= t->nqueues)
		return false;
	fd_event_signal(t->queue[queue].kick_fd);
	return true;
}
