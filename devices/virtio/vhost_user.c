/* vhost_user.c - the life of a device whose queues another process serves.
 *
 * The back end maps the guest's memory; no data passes here. If it keeps notes about
 * the requests that it has, or finishes them in order, then the driver's rings are its
 * own: notifications are eventfds that KVM signals and the back end reads, interrupts
 * are eventfds that the back end signals and KVM reads. Otherwise heads of requests are
 * relayed (vhost_relay.c). What is left is to tell the back end (vhost_steps.c) at the
 * right moments:
 *
 *   created       connect, agree on features: waits, since the user who configures the
 *                 device is to hear what is wrong
 *   driver up     hand the queues over: on the main loop, as answers come in
 *   reset, pause  take the queues back: waits, since the guest's memory must be left
 *                 alone from then on
 *   resume        hand them over from where the back end stopped
 *
 * Everything that waits has a time limit, after which the connection is cut.
 *
 * A back end that dies, falls silent or talks nonsense is the same event: the
 * connection is closed, and opened again after 10 ms, then twice as long each time up
 * to a second until it holds for longer. What the driver was offered must be there again.
 * Requests that were in flight are done again: the new back end finds them in the notes of
 * the old one, in the ring behind the used index, or is given them by the relay. Meanwhile
 * the driver waits. It never loses the device.
 *
 * Threads. The connection belongs to the lock. Watches and descriptors are made and
 * closed on the main thread only: a vCPU thread that finds the connection bad shuts it
 * down, and the main thread hears of that as of any other end. In the other direction a
 * vCPU thread that wants something done on the main thread sets the timer to now. The
 * timer is also the reconnect delay and the limit of a talk; only one of these is ever
 * meant, and the state says which. While the machine is paused watches keep still
 * (watch.h), so the same timer brings the queues back after a resume.
 *
 * System calls once the machine runs: socket, connect, socketpair, sendmsg, recvmsg,
 * shutdown, poll, timerfd_settime, nanosleep, close.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vhost_state.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { BACKOFF_FIRST_MS = 10, BACKOFF_MOST_MS = 1000 };

static struct vhost_user *to_vhost(const struct virtio_dev *d)
{
	return container_of(d, struct vhost_user, dev);
}

/* The timer's next call, 0: at once. Nothing to do about a failure: it has none with a
 * valid time. */
static void set_timer(struct vhost_user *v, uint64_t us)
{
	struct itimerspec t = {
		.it_value = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 },
	};

	if (us == 0)
		t.it_value.tv_nsec = 1;
	timerfd_settime(v->timer, 0, &t, NULL);
}

/* Asks for a look at what there is to do, unless one will be taken anyway. */
static void poke(struct vhost_user *v)
{
	if (!v->talk && v->phase != VHOST_DOWN)
		set_timer(v, 0);
}

static const char *reason(const struct vhost_user *v, int r)
{
	if (v->fault)
		return v->fault;
	if (r == -EPIPE || r == -ECONNRESET)
		return "it closed the connection";
	if (r == -EPROTO)
		return "it does not keep to the protocol";
	if (r == -ETIMEDOUT)
		return "it does not answer";
	return strerror(-r);
}

/* --- the end of a connection --- */

/* What was handed over, or may have been, is in an unknown state. */
static void forget_queues(struct vhost_user *v)
{
	if (v->phase != VHOST_STARTING && v->phase != VHOST_RUNNING)
		return;
	for (unsigned q = 0; q < v->ops.nqueues; q++) {
		v->queue[q].stopped = false;
		/* What it has finished counts; if it lies, it is given up anyway. */
		if (virtq_enabled(v->dev.vq[q]))
			vhost_queue_collect(v, q);
	}
}

/* Any thread: no more is said or heard, the main thread does the rest. */
static void cut(struct vhost_user *v, int r)
{
	log_guest("virtio-%s: the back end at %s is given up: %s", v->ops.name, v->socket,
		  reason(v, r));
	virtio_dev_note_fault(&v->dev, "the back end is given up, and will be connected to again");
	forget_queues(v);
	v->phase = VHOST_CUT;
	v->talk = NULL;
	shutdown(v->link.fd, SHUT_RDWR);
}

static void close_back_channel(struct vhost_user *v)
{
	virtio_watch_destroy(v->back_watch);
	v->back_watch = NULL;
	vhost_inbox_clear(&v->back_inbox);
	v->back_fd = fd_close(v->back_fd);
}

static void close_link(struct vhost_user *v)
{
	close_back_channel(v);
	virtio_watch_destroy(v->link_watch);
	v->link_watch = NULL;
	vhost_link_close(&v->link);
	v->talk = NULL;
	v->phase = VHOST_DOWN;
}

/* Main thread: closes, and tries again later. */
static void drop(struct vhost_user *v, int r)
{
	if (v->phase != VHOST_CUT && v->phase != VHOST_DOWN)
		cut(v, r);
	close_link(v);
	if (v->started_us != 0 && clock_now_us() - v->started_us > BACKOFF_MOST_MS * UINT64_C(1000))
		v->backoff_ms = BACKOFF_FIRST_MS;
	v->started_us = 0;
	set_timer(v, v->backoff_ms * UINT64_C(1000));
	v->backoff_ms *= 2;
	if (v->backoff_ms > BACKOFF_MOST_MS)
		v->backoff_ms = BACKOFF_MOST_MS;
}

/* --- going on: main thread --- */

static bool on_link(void *arg, uint32_t events);
static bool on_back(void *arg, uint32_t events);

/* What the driver reads from now on. */
static void show_config(struct vhost_user *v)
{
	uint8_t config[VHOST_USER_MAX_CONFIG];

	if (!v->has_config)
		return;
	memcpy(config, v->told_config, sizeof(config));
	if (v->kind->fit_config)
		v->kind->fit_config(config, v->ops.nqueues);
	if (memcmp(config, v->config, v->kind->config_len) == 0)
		return;
	memcpy(v->config, config, sizeof(config));
	if (v->dev.events)
		virtio_dev_config_changed(&v->dev);
}

/* The queues were handed over: what happened while nobody had them must not be lost. */
static void announce_queues(struct vhost_user *v)
{
	v->started_us = clock_now_us();
	for (unsigned q = 0; q < v->ops.nqueues; q++) {
		if (!virtq_enabled(v->dev.vq[q]))
			continue;
		if (v->relay)
			vhost_relay_kick(v->relay, q);
		fd_event_signal(v->dev.sink->kick_fd(v->dev.sink, q));
		virtio_dev_interrupt(&v->dev, q);
	}
}

static int watch_back_channel(struct vhost_user *v)
{
	if (v->back_fd < 0 || v->back_watch)
		return 0;
	return virtio_watch_create(v->dev.events, v->back_fd, EPOLLIN, on_back, v, &v->back_watch);
}

/* What is to be said next: NULL for nothing. */
static const struct vhost_talk *next_talk(const struct vhost_user *v)
{
	if (v->phase == VHOST_READY && virtio_dev_live(&v->dev))
		return &vhost_start;
	if (v->config_stale && (v->phase == VHOST_READY || v->phase == VHOST_RUNNING))
		return &vhost_reread;
	return NULL;
}

static void begin(struct vhost_user *v, const struct vhost_talk *talk)
{
	vhost_talk_begin(v, talk);
	set_timer(v, v->deadline_us - clock_now_us());
}

static int talk_over(struct vhost_user *v, const struct vhost_talk *talk)
{
	show_config(v);
	if (talk == &vhost_start)
		announce_queues(v);
	if (talk != &vhost_greet)
		return 0;
	log_guest_at(LOG_INFO, "virtio-%s: the back end at %s is there again", v->ops.name,
		     v->socket);
	return watch_back_channel(v);
}

/* Goes on as far as that is possible without waiting. */
static void go_on(struct vhost_user *v)
{
	const struct vhost_talk *talk = v->talk;
	int r = 1;

	while (r > 0) {
		if (!talk) {
			talk = next_talk(v);
			if (!talk)
				return;
			begin(v, talk);
		}
		r = vhost_talk_advance(v);
		if (r > 0 && talk_over(v, talk) < 0)
			r = -ENOMEM;
		talk = NULL;
	}
	if (r < 0)
		drop(v, r);
}

static void reconnect(struct vhost_user *v)
{
	int r = vhost_link_open(&v->link, v->socket);

	if (r == 0)
		r = virtio_watch_create(v->dev.events, v->link.fd, EPOLLIN, on_link, v,
					&v->link_watch);
	if (r < 0) {
		drop(v, r);
		return;
	}
	begin(v, &vhost_greet);
	go_on(v);
}

static bool on_link(void *arg, uint32_t events)
{
	struct vhost_user *v = arg;
	int r;

	(void)events;
	if (v->phase == VHOST_CUT) {
		drop(v, 0);
		return false;
	}
	if (v->talk) {
		go_on(v);
		return false;
	}
	r = vhost_link_receive(&v->link);
	if (r < 0)
		drop(v, r);
	return false;
}

static bool on_back(void *arg, uint32_t events)
{
	struct vhost_user *v = arg;
	int r = vhost_back_serve(v);

	(void)events;
	if (r < 0)
		close_back_channel(v);
	if (!v->talk)
		go_on(v);
	return r > 0;
}

/* A talk that is not over: there is time left, or there is not. */
static void watch_deadline(struct vhost_user *v)
{
	uint64_t now_us = clock_now_us();

	if (now_us >= v->deadline_us)
		drop(v, -ETIMEDOUT);
	else
		set_timer(v, v->deadline_us - now_us);
}

static bool on_timer(void *arg, uint32_t events)
{
	struct vhost_user *v = arg;

	(void)events;
	fd_event_drain(v->timer);
	if (v->phase == VHOST_DOWN)
		reconnect(v);
	else if (v->phase == VHOST_CUT)
		drop(v, 0);
	else
		go_on(v);
	if (v->talk)
		watch_deadline(v);
	return false;
}

/* --- relayed queues --- */

static bool on_call(void *arg, uint32_t events)
{
	struct vhost_queue *q = arg;
	struct vhost_user *v = q->device;
	int r;

	(void)events;
	fd_event_drain(vhost_relay_call_fd(v->relay, q->index));
	if (v->phase != VHOST_RUNNING || !virtq_enabled(v->dev.vq[q->index]))
		return false;
	v->fault = NULL;
	r = vhost_queue_collect(v, q->index);
	if (r < 0)
		drop(v, r);
	return false;
}

static bool vhost_kick(struct virtio_dev *d, unsigned q)
{
	vhost_queue_offer(to_vhost(d), q);
	return false;
}

/* --- ops --- */

static uint64_t vhost_features(const struct virtio_dev *d)
{
	return to_vhost(d)->offered;
}

static void vhost_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	memcpy(dst, to_vhost(d)->config + off, len);
}

/* The back end takes orders, in the middle of a talk too: they need no answer. */
static bool takes_orders(const struct vhost_user *v)
{
	return v->phase == VHOST_READY || v->phase == VHOST_STARTING || v->phase == VHOST_RUNNING;
}

static void vhost_config_write(struct virtio_dev *d, size_t off, const void *src, size_t len)
{
	struct vhost_user *v = to_vhost(d);

	if (!v->has_config || !takes_orders(v))
		return;

	int r = vhost_talk_write_config(v, off, src, len);

	if (r < 0) {
		cut(v, r);
		return;
	}
	v->config_stale = true;
	poke(v);
}

static int watch_calls(struct vhost_user *v)
{
	int r = 0;

	for (unsigned q = 0; v->relay && q < v->ops.nqueues && r == 0; q++)
		r = virtio_watch_create(v->dev.events, vhost_relay_call_fd(v->relay, q), EPOLLIN,
					on_call, &v->queue[q], &v->queue[q].calls);
	return r;
}

static int vhost_attach(struct virtio_dev *d)
{
	struct vhost_user *v = to_vhost(d);
	int r = virtio_watch_create(d->events, v->timer, EPOLLIN, on_timer, v, &v->timer_watch);

	if (r == 0)
		r = watch_calls(v);
	if (r == 0)
		r = watch_back_channel(v);
	if (r == 0 && v->link.fd >= 0)
		r = virtio_watch_create(d->events, v->link.fd, EPOLLIN, on_link, v, &v->link_watch);
	return r;
}

static void vhost_detach(struct virtio_dev *d)
{
	struct vhost_user *v = to_vhost(d);

	for (unsigned q = 0; q < v->ops.nqueues; q++) {
		virtio_watch_destroy(v->queue[q].calls);
		v->queue[q].calls = NULL;
	}
	virtio_watch_destroy(v->back_watch);
	virtio_watch_destroy(v->link_watch);
	virtio_watch_destroy(v->timer_watch);
	v->back_watch = v->link_watch = v->timer_watch = NULL;
}

/* A new driver: the queues start from nothing. */
static int vhost_activate(struct virtio_dev *d)
{
	struct vhost_user *v = to_vhost(d);

	for (unsigned q = 0; q < v->ops.nqueues; q++)
		vhost_queue_reset(v, q);
	v->inflight_fd = fd_close(v->inflight_fd);
	poke(v);
	return 0;
}

/* Takes the queues back. The link's watch keeps still: it would make the main thread
 * wait for the lock. */
static void vhost_stop(struct virtio_dev *d)
{
	struct vhost_user *v = to_vhost(d);
	int r;

	if (v->link_watch)
		virtio_watch_set(v->link_watch, 0);
	/* A handover that has begun is brought to its end, and undone. */
	r = v->phase == VHOST_STARTING || v->phase == VHOST_RUNNING ? vhost_talk_finish(v) : 0;
	if (r == 0 && v->phase == VHOST_RUNNING)
		r = vhost_talk_stop(v);
	if (r < 0)
		cut(v, r);
	show_config(v);
	if (v->link_watch)
		virtio_watch_set(v->link_watch, EPOLLIN);
	/* For queues that go on: after a pause, or when one of them was disabled. */
	poke(v);
}

static void vhost_destroy(struct virtio_dev *d)
{
	struct vhost_user *v;

	if (!d)
		return;
	v = to_vhost(d);
	close_link(v);
	vhost_relay_destroy(v->relay);
	fd_close(v->inflight_fd);
	fd_close(v->timer);
	free(v);
}

static const uint16_t vhost_queue_sizes[VIRTIO_MAX_QUEUES] = {
	[0 ... VIRTIO_MAX_QUEUES - 1] = VIRTQ_MAX_SIZE,
};

static const struct virtio_ops vhost_ops = {
	.queue_sizes = vhost_queue_sizes,
	.remote = true,
	.features = vhost_features,
	.config_read = vhost_config_read,
	.config_write = vhost_config_write,
	.attach = vhost_attach,
	.detach = vhost_detach,
	.activate = vhost_activate,
	.kick = vhost_kick,
	.drain = vhost_stop,
	.quiesce = vhost_stop,
	.state = vhost_saved_state,
	.destroy = vhost_destroy,
};

/* --- creation --- */

static struct vhost_user *vhost_new(const struct vhost_user_options *o)
{
	struct vhost_user *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->ops = vhost_ops;
	v->ops.name = o->kind->name;
	v->ops.id = o->kind->id;
	v->ops.config_len = o->kind->config_len;
	v->ops.nqueues = o->kind->min_queues;
	v->ops.section = o->kind->section;
	v->dev.ops = &v->ops;
	v->kind = o->kind;
	v->masked = o->masked_features;
	v->has_config = !o->config;
	if (o->config)
		memcpy(v->config, o->config, o->kind->config_len);
	v->back_queues = o->kind->min_queues;
	v->backoff_ms = BACKOFF_FIRST_MS;
	for (unsigned q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		v->queue[q].device = v;
		v->queue[q].index = q;
	}
	v->inflight_fd = v->back_fd = v->back_inbox.fd = -1;
	vhost_link_init(&v->link);
	v->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return v;
}

/* Whose rings the back end gets is decided once, by the first that is there. */
static int choose_path(struct vhost_user *v)
{
	v->agreed = true;
	v->keeps_notes = vhost_speaks(v, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	v->ops.direct = v->keeps_notes || v->kind->in_order;
	return v->ops.direct ? 0 : vhost_relay_create(VIRTIO_MAX_QUEUES, &v->relay);
}

static int greet(struct vhost_user *v)
{
	int r = v->timer < 0 ? -EMFILE : vhost_link_open(&v->link, v->socket);

	if (r < 0)
		return r;
	vhost_talk_begin(v, &vhost_greet);
	r = vhost_talk_finish(v);
	show_config(v);
	return r < 0 ? r : choose_path(v);
}

int vhost_user_create(const struct vhost_user_options *options, struct virtio_dev **ret,
		      struct error *err)
{
	static const char hint[] = "start the back end first, and give the path that it "
				   "listens at";
	struct vhost_user *v;
	size_t len = strlen(options->socket);
	int r;

	if (len >= sizeof(v->socket))
		return error_set(err, -ENAMETOOLONG, "socket", "choose a shorter path",
				 "The path of the socket has %zu bytes and can have %zu: %s", len,
				 sizeof(v->socket) - 1, options->socket);
	v = vhost_new(options);
	if (!v)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	memcpy(v->socket, options->socket, len + 1);
	r = greet(v);
	if (r < 0) {
		error_set(err, r, "socket", hint, "No vhost-user back end can be had at %s: %s",
			  v->socket, reason(v, r));
		vhost_destroy(&v->dev);
		return r;
	}
	*ret = &v->dev;
	return 0;
}

void vhost_user_set_queues(struct virtio_dev *d, unsigned queues)
{
	struct vhost_user *v = to_vhost(d);

	if (queues > v->back_queues)
		queues = (unsigned)v->back_queues;
	if (queues > VIRTIO_MAX_QUEUES)
		queues = VIRTIO_MAX_QUEUES;
	if (queues < v->kind->min_queues)
		queues = v->kind->min_queues;
	v->ops.nqueues = queues;
	show_config(v);
}

int vhost_user_refresh(struct virtio_dev *d)
{
	struct vhost_user *v = to_vhost(d);

	if (!d->events)
		return -ENODEV;
	virtio_events_lock(d->events);
	v->config_stale = true;
	poke(v);
	virtio_events_unlock(d->events);
	return 0;
}
