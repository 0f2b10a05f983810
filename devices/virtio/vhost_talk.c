/* vhost_talk.c - how a talk with a vhost-user back end goes on.
 *
 * A talk is a table of steps (vhost_steps.c), and the same table is used in two ways: by
 * waiting for each answer, where the caller cannot go on without (a drive is
 * configured, a driver resets the device), and as answers come in, on the main loop,
 * where nobody must be kept waiting (the driver is up, a back end came back). Each talk
 * has one time limit.
 *
 * Two things are no such tables. Taking the queues back always waits. And the back end
 * has requests of its own, on a channel of their own, of which only one means anything
 * here: that its configuration has changed. The others are refused.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "devices/virtio/vhost_state.h"
#include "vmm/base/clock.h"

enum {
	TALK_LIMIT_US = 5000000,
	FINISH_POLL_NS = 500000, /* between looks at whether the back end has finished */
	BACK_BURST = 16,	 /* requests of the back end a turn */
};

int vhost_fault(struct vhost_user *v, const char *why)
{
	v->fault = why;
	return -EPROTO;
}

void vhost_talk_begin(struct vhost_user *v, const struct vhost_talk *talk)
{
	v->talk = talk;
	v->step = 0;
	v->said = false;
	v->fault = NULL;
	v->deadline_us = clock_now_us() + TALK_LIMIT_US;
	if (talk->during)
		v->phase = talk->during;
}

static int take_answer(struct vhost_user *v, const struct vhost_step *s)
{
	int r = vhost_link_receive(&v->link);

	if (r <= 0)
		return r;
	if (s->hear)
		r = s->hear(v);
	else if (v->link.inbox.payload.u64 != 0)
		r = vhost_fault(v, "it refused a request");
	return r < 0 ? r : 1;
}

/* One step. 1 when it is done, 0 when its answer is due, or a negative errno. */
static int take_step(struct vhost_user *v, const struct vhost_step *s)
{
	int r;

	if (!v->said) {
		if (s->due && !s->due(v))
			return 1;
		r = s->say(v);
		if (r < 0)
			return r;
		v->said = true;
	}
	return v->link.awaited ? take_answer(v, s) : 1;
}

int vhost_talk_advance(struct vhost_user *v)
{
	const struct vhost_talk *talk = v->talk;

	while (v->step < talk->count) {
		int r = take_step(v, &talk->steps[v->step]);

		if (r <= 0)
			return r;
		v->step++;
		v->said = false;
	}
	v->talk = NULL;
	if (talk->during)
		v->phase = talk->after;
	return 1;
}

int vhost_talk_finish(struct vhost_user *v)
{
	int r = 0;

	while (r == 0 && v->talk) {
		r = vhost_talk_advance(v);
		if (r == 0)
			r = vhost_link_wait(&v->link, v->deadline_us);
	}
	return r < 0 ? r : 0;
}

/* --- taking the queues back --- */

static int stop_queue(struct vhost_user *v, unsigned q, uint64_t deadline_us)
{
	const struct vhost_vring_state which = { .index = q };
	const struct vhost_call c = {
		.request = VHOST_USER_GET_VRING_BASE,
		.payload = &which,
		.len = sizeof(which),
		.answer_len = sizeof(which),
	};
	const struct vhost_vring_state *told = &v->link.inbox.payload.state;
	int r = vhost_link_send(&v->link, &c);

	while (r == 0) {
		r = vhost_link_receive(&v->link);
		if (r == 0)
			r = vhost_link_wait(&v->link, deadline_us);
	}
	if (r < 0)
		return r;
	if (told->index != q || told->num > UINT16_MAX)
		return vhost_fault(v, "it stopped another queue");
	v->queue[q].base = (uint16_t)told->num;
	v->queue[q].stopped = true;
	return 0;
}

static bool queue_finished(const struct vhost_user *v, unsigned q)
{
	struct virtq_rings rings;

	virtq_rings(v->dev.vq[q], &rings);
	if (v->relay)
		vhost_relay_rings(v->relay, q, &rings);
	return __atomic_load_n(&rings.used->idx, __ATOMIC_ACQUIRE) == v->queue[q].base;
}

/* A back end may stop taking requests while those that it took still go on, and write to
 * the guest's memory when they end. The used index tells: it comes up to the base. */
static int await_finished(struct vhost_user *v, unsigned q, uint64_t deadline_us)
{
	const struct timespec pause = { .tv_nsec = FINISH_POLL_NS };

	while (!queue_finished(v, q)) {
		if (clock_now_us() >= deadline_us) {
			v->fault = "it did not finish its requests";
			return -ETIMEDOUT;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

int vhost_talk_stop(struct vhost_user *v)
{
	uint64_t deadline_us = clock_now_us() + TALK_LIMIT_US;
	int r = 0;

	v->fault = NULL;
	for (unsigned q = 0; q < v->ops.nqueues && r == 0; q++) {
		if (virtq_enabled(v->dev.vq[q]))
			r = stop_queue(v, q, deadline_us);
	}
	for (unsigned q = 0; q < v->ops.nqueues && r == 0; q++) {
		if (virtq_enabled(v->dev.vq[q]))
			r = await_finished(v, q, deadline_us);
		if (r == 0 && virtq_enabled(v->dev.vq[q]))
			r = vhost_queue_collect(v, q);
	}
	if (r == 0)
		v->phase = VHOST_READY;
	return r;
}

int vhost_talk_write_config(struct vhost_user *v, size_t off, const void *src, size_t len)
{
	struct vhost_config config = { .offset = (uint32_t)off, .size = (uint32_t)len };
	const struct vhost_call c = {
		.request = VHOST_USER_SET_CONFIG,
		.payload = &config,
		.len = (uint32_t)(VHOST_USER_CONFIG_HEAD + len),
	};

	memcpy(config.data, src, len);
	return vhost_link_send(&v->link, &c);
}

/* --- requests of the back end --- */

static int answer_back(struct vhost_user *v, const struct vhost_header *asked, uint64_t value)
{
	const struct vhost_header header = {
		.request = asked->request,
		.flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
		.size = sizeof(value),
	};

	return vhost_send(v->back_fd, &header, &value, NULL, 0);
}

int vhost_back_serve(struct vhost_user *v)
{
	struct vhost_inbox *in = &v->back_inbox;

	for (int served = 0; served < BACK_BURST; served++) {
		int r = vhost_receive(v->back_fd, in, sizeof(in->payload));
		bool known = in->header.request == VHOST_USER_BACKEND_CONFIG_CHANGE;

		if (r <= 0)
			return r;
		v->config_stale = v->config_stale || known;
		if (in->header.flags & VHOST_USER_NEED_REPLY)
			r = answer_back(v, &in->header, known ? 0 : 1);
		vhost_inbox_clear(in);
		if (r < 0)
			return r;
	}
	return 1;
}
