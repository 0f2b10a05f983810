/* vhost_steps.c - what is said to a vhost-user back end, and what is believed of it.
 *
 * What a back end says is checked against what was asked: the link takes only answers
 * of the right kind and length, and the steps here check values. Its features only
 * ever narrow what the driver is offered. Its configuration space is data for the
 * driver. The descriptor for its notes about requests in flight is kept and given back,
 * never mapped here.
 *
 * What cannot be checked: the back end maps the guest's memory and may do to the guest
 * what it likes. It is the guest's disk or file system, and as much to be trusted; the
 * VMM does not depend on it.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vhost_state.h"
#include "vmm/base/fd.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { MAX_INFLIGHT_BYTES = 16 * 1024 * 1024 };

static const uint64_t known_protocol =
	BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
	BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
	BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);

/* A request without payload whose answer is one number. */
static int ask_u64(struct vhost_user *v, uint32_t request)
{
	const struct vhost_call c = { .request = request, .answer_len = sizeof(uint64_t) };

	return vhost_link_send(&v->link, &c);
}

static int say_u64(struct vhost_user *v, uint32_t request, uint64_t value)
{
	const struct vhost_call c = {
		.request = request,
		.payload = &value,
		.len = sizeof(value),
	};

	return vhost_link_send(&v->link, &c);
}

/* --- the greeting --- */

static int say_owner(struct vhost_user *v)
{
	const struct vhost_call c = { .request = VHOST_USER_SET_OWNER };

	return vhost_link_send(&v->link, &c);
}

static int ask_features(struct vhost_user *v)
{
	return ask_u64(v, VHOST_USER_GET_FEATURES);
}

static int hear_features(struct vhost_user *v)
{
	uint64_t has = v->link.inbox.payload.u64;
	uint64_t offer = has & v->kind->features & ~v->masked;

	if (!(has & BIT(VIRTIO_F_VERSION_1)) || !(has & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return vhost_fault(v, "it lacks virtio 1 or the protocol's own features");
	if (v->agreed && v->offered & ~offer)
		return vhost_fault(v, "it lacks features that the driver was offered");
	v->has_features = has;
	if (!v->agreed)
		v->offered = offer;
	return 0;
}

static int ask_protocol(struct vhost_user *v)
{
	return ask_u64(v, VHOST_USER_GET_PROTOCOL_FEATURES);
}

static bool tracks_inflight(const struct vhost_user *v)
{
	return vhost_speaks(v, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
}

static int hear_protocol(struct vhost_user *v)
{
	v->protocol = v->link.inbox.payload.u64 & known_protocol;
	if (v->has_config && !vhost_speaks(v, VHOST_USER_PROTOCOL_F_CONFIG))
		return vhost_fault(v, "it does not tell its configuration");
	if (v->agreed && v->relay)
		v->protocol &= ~BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	else if (v->agreed && v->keeps_notes && !tracks_inflight(v))
		return vhost_fault(v, "it does not keep track of requests any more");
	return 0;
}

static int say_protocol(struct vhost_user *v)
{
	return say_u64(v, VHOST_USER_SET_PROTOCOL_FEATURES, v->protocol);
}

static bool speaks_mq(const struct vhost_user *v)
{
	return vhost_speaks(v, VHOST_USER_PROTOCOL_F_MQ);
}

static int ask_queues(struct vhost_user *v)
{
	return ask_u64(v, VHOST_USER_GET_QUEUE_NUM);
}

static int hear_queues(struct vhost_user *v)
{
	uint64_t has = v->link.inbox.payload.u64;

	if (has < (v->agreed ? v->ops.nqueues : v->kind->min_queues))
		return vhost_fault(v, "it has too few queues");
	v->back_queues = has;
	return 0;
}

static bool has_config(const struct vhost_user *v)
{
	return v->has_config;
}

static int ask_config(struct vhost_user *v)
{
	struct vhost_config config = { .size = (uint32_t)v->kind->config_len };
	const struct vhost_call c = {
		.request = VHOST_USER_GET_CONFIG,
		.payload = &config,
		.len = VHOST_USER_CONFIG_HEAD + config.size,
		.answer_len = VHOST_USER_CONFIG_HEAD + config.size,
	};

	v->config_stale = false;
	return vhost_link_send(&v->link, &c);
}

static int hear_config(struct vhost_user *v)
{
	const struct vhost_config *c = &v->link.inbox.payload.config;

	if (c->offset != 0 || c->size != v->kind->config_len)
		return vhost_fault(v, "it told another part of its configuration");
	memcpy(v->told_config, c->data, c->size);
	return 0;
}

static bool wants_back_channel(const struct vhost_user *v)
{
	return v->has_config && vhost_speaks(v, VHOST_USER_PROTOCOL_F_BACKEND_REQ);
}

static int say_back_channel(struct vhost_user *v)
{
	struct vhost_call c = {
		.request = VHOST_USER_SET_BACKEND_REQ_FD,
		.nfds = 1,
		.acknowledge = vhost_speaks(v, VHOST_USER_PROTOCOL_F_REPLY_ACK),
	};
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	v->back_fd = ends[0];
	c.fds = &ends[1];
	r = vhost_link_send(&v->link, &c);
	fd_close(ends[1]);
	return r;
}

static const struct vhost_step greet_steps[] = {
	{ .say = say_owner },
	{ .say = ask_features, .hear = hear_features },
	{ .say = ask_protocol, .hear = hear_protocol },
	{ .say = say_protocol },
	{ .due = speaks_mq, .say = ask_queues, .hear = hear_queues },
	{ .due = has_config, .say = ask_config, .hear = hear_config },
	{ .due = wants_back_channel, .say = say_back_channel },
};
const struct vhost_talk vhost_greet = {
	.steps = greet_steps,
	.count = sizeof(greet_steps) / sizeof(greet_steps[0]),
	.during = VHOST_GREETING,
	.after = VHOST_READY,
};

/* --- the configuration space, later --- */

static const struct vhost_step reread_steps[] = {
	{ .due = has_config, .say = ask_config, .hear = hear_config },
};
const struct vhost_talk vhost_reread = { .steps = reread_steps, .count = 1 };

/* --- handing the queues over --- */

static int say_features(struct vhost_user *v)
{
	return say_u64(v, VHOST_USER_SET_FEATURES,
		       v->dev.accepted | BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

static int say_memory(struct vhost_user *v)
{
	struct vhost_memory_table m = { 0 };
	int fds[GMEM_MAX_REGIONS + 1];
	const struct gmem_region *r = gmem_regions(v->dev.mem, &m.count);
	struct vhost_call c = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.payload = &m,
		.fds = fds,
		.acknowledge = vhost_speaks(v, VHOST_USER_PROTOCOL_F_REPLY_ACK),
	};

	for (unsigned i = 0; i < m.count; i++) {
		fds[i] = r[i].fd;
		m.region[i] = (struct vhost_region){
			.guest_address = r[i].base.v,
			.size = r[i].len,
			.user_address = (uintptr_t)r[i].host,
			.file_offset = r[i].fd_offset,
		};
	}
	if (v->relay) {
		vhost_relay_region(v->relay, &m.region[m.count], &fds[m.count]);
		m.count++;
	}
	c.nfds = m.count;
	c.len = (uint32_t)(offsetof(struct vhost_memory_table, region) +
			   m.count * sizeof(m.region[0]));
	return vhost_link_send(&v->link, &c);
}

static bool lacks_inflight(const struct vhost_user *v)
{
	return tracks_inflight(v) && v->inflight_fd < 0;
}

static int ask_inflight(struct vhost_user *v)
{
	const struct vhost_inflight wanted = {
		.queues = (uint16_t)v->ops.nqueues,
		.queue_size = VIRTQ_MAX_SIZE,
	};
	const struct vhost_call c = {
		.request = VHOST_USER_GET_INFLIGHT_FD,
		.payload = &wanted,
		.len = sizeof(wanted),
		.answer_len = sizeof(wanted),
		.answer_has_fd = true,
	};

	return vhost_link_send(&v->link, &c);
}

static int hear_inflight(struct vhost_user *v)
{
	struct vhost_inbox *in = &v->link.inbox;
	const struct vhost_inflight *told = &in->payload.inflight;

	if (told->file_size == 0 || told->file_size > MAX_INFLIGHT_BYTES)
		return vhost_fault(v, "its area for requests in flight has no sensible size");
	v->inflight = (struct vhost_inflight){
		.file_size = told->file_size,
		.file_offset = told->file_offset,
		.queues = (uint16_t)v->ops.nqueues,
		.queue_size = VIRTQ_MAX_SIZE,
	};
	v->inflight_fd = in->fd;
	in->fd = -1;
	return 0;
}

static int say_inflight(struct vhost_user *v)
{
	const struct vhost_call c = {
		.request = VHOST_USER_SET_INFLIGHT_FD,
		.payload = &v->inflight,
		.len = sizeof(v->inflight),
		.fds = &v->inflight_fd,
		.nfds = 1,
	};

	return vhost_link_send(&v->link, &c);
}

/* Where the back end starts in the available ring. One that takes over from another finds
 * what was in flight in the notes, or, of a kind that works in order, from there on. */
static uint16_t queue_base(struct vhost_user *v, unsigned q, const struct virtq_rings *rings)
{
	struct vhost_queue *queue = &v->queue[q];

	if (v->relay) {
		vhost_relay_restart(v->relay, q);
		queue->base = 0;
	} else if (!queue->stopped) {
		queue->base = __atomic_load_n(&rings->used->idx, __ATOMIC_ACQUIRE);
	}
	queue->stopped = false;
	return queue->base;
}

static int say_state(struct vhost_user *v, uint32_t request, unsigned q, uint32_t value, bool ack)
{
	const struct vhost_vring_state state = { .index = q, .num = value };
	const struct vhost_call c = {
		.request = request,
		.payload = &state,
		.len = sizeof(state),
		.acknowledge = ack,
	};

	return vhost_link_send(&v->link, &c);
}

static int say_address(struct vhost_user *v, unsigned q, const struct virtq_rings *rings)
{
	const struct vhost_vring_addr addr = {
		.index = q,
		.desc_user_addr = (uintptr_t)rings->desc,
		.used_user_addr = (uintptr_t)rings->used,
		.avail_user_addr = (uintptr_t)rings->avail,
	};
	const struct vhost_call c = {
		.request = VHOST_USER_SET_VRING_ADDR,
		.payload = &addr,
		.len = sizeof(addr),
	};

	return vhost_link_send(&v->link, &c);
}

static int say_eventfd(struct vhost_user *v, uint32_t request, unsigned q, int fd)
{
	const uint64_t index = q;
	const struct vhost_call c = {
		.request = request,
		.payload = &index,
		.len = sizeof(index),
		.fds = &fd,
		.nfds = 1,
	};

	return vhost_link_send(&v->link, &c);
}

/* The kick last of what a queue needs: a back end may start with it. */
static int say_queue(struct vhost_user *v, unsigned q, bool ack)
{
	const struct virtio_sink *sink = v->dev.sink;
	int kick = v->relay ? vhost_relay_kick_fd(v->relay, q) : sink->kick_fd(sink, q);
	int call = v->relay ? vhost_relay_call_fd(v->relay, q) : sink->call_fd(sink, q);
	struct virtq_rings rings;
	int r;

	virtq_rings(v->dev.vq[q], &rings);
	if (v->relay)
		vhost_relay_rings(v->relay, q, &rings);
	r = say_state(v, VHOST_USER_SET_VRING_NUM, q, rings.size, false);
	if (r == 0)
		r = say_state(v, VHOST_USER_SET_VRING_BASE, q, queue_base(v, q, &rings), false);
	if (r == 0)
		r = say_address(v, q, &rings);
	if (r == 0)
		r = say_eventfd(v, VHOST_USER_SET_VRING_CALL, q, call);
	if (r == 0)
		r = say_eventfd(v, VHOST_USER_SET_VRING_KICK, q, kick);
	return r < 0 ? r : say_state(v, VHOST_USER_SET_VRING_ENABLE, q, 1, ack);
}

/* An acknowledgement of the last request stands for all before it. */
static int say_queues(struct vhost_user *v)
{
	bool ack = vhost_speaks(v, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	unsigned last = v->ops.nqueues;
	int r = 0;

	for (unsigned q = 0; q < v->ops.nqueues; q++) {
		if (virtq_enabled(v->dev.vq[q]))
			last = q;
		else
			vhost_queue_reset(v, q);
	}
	for (unsigned q = 0; q < v->ops.nqueues && r == 0; q++) {
		if (virtq_enabled(v->dev.vq[q]))
			r = say_queue(v, q, ack && q == last);
	}
	return r;
}

static const struct vhost_step start_steps[] = {
	{ .say = say_features },
	{ .say = say_memory },
	{ .due = lacks_inflight, .say = ask_inflight, .hear = hear_inflight },
	{ .due = tracks_inflight, .say = say_inflight },
	{ .say = say_queues },
};
const struct vhost_talk vhost_start = {
	.steps = start_steps,
	.count = sizeof(start_steps) / sizeof(start_steps[0]),
	.during = VHOST_STARTING,
	.after = VHOST_RUNNING,
};
