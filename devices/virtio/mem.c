/* mem.c - memory that a running guest is given and gives back (virtio 1.2, 5.15).
 *
 * The device has a window (window.h) of guest addresses behind RAM, cut into blocks, none
 * of which is memory at first. The host says how much it would like the guest to have;
 * the driver asks for blocks to be plugged until it has that much, or gives blocks back
 * that it could empty. Only the driver's requests change anything, and none takes the
 * guest above what the host asked for.
 *
 * What a block is before it is plugged, and after it was unplugged: not memory. No
 * device can be given its address, it costs the host nothing, and in a slot without any
 * plugged block the guest's processors find nothing. A driver must have accepted that
 * (UNPLUGGED_INACCESSIBLE): one that expects to read zeros there is refused.
 *
 * A slot that appears or goes is a change of KVM's memory map, which takes milliseconds.
 * A turn therefore ends after TURN_SLOTS; one request may touch as many, and a larger one
 * is told that the device is busy. Linux asks for one of its memory blocks at a time: 16
 * slots at most. To unplug all takes as many turns as it needs, and the request waits in
 * its queue for the last.
 *
 * While memory is saved under a running guest no block comes or goes: the device is busy, and
 * a driver asks again later.
 *
 * A reset changes nothing of all this: a driver that comes up asks what is plugged. Nor does
 * a snapshot: which blocks are plugged is loaded before any device is (vmm/snapshot/plugged.h).
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "devices/virtio/mem.h"
#include "vmm/base/log.h"

enum {
	QUEUE_SIZE = 64,
	BURST_REQUESTS = 64,
	TURN_SLOTS = 64,
};

#define BIT(n) (UINT64_C(1) << (n))
#define MIB    UINT64_C(0x100000)

struct virtio_mem {
	struct virtio_dev dev;
	struct window *window;
	bool handed_over; /* the window is the machine's */
	uint64_t block_bytes, blocks, slot_blocks;

	uint64_t requested, plugged; /* blocks */
	uint64_t unplug_at;	     /* UNPLUG_ALL under way: the blocks before it are done */
	unsigned slots_left;	     /* of this turn */
};

/* Blocks that a request names, by their number in the window. */
struct range {
	uint64_t first, count;
};

static struct virtio_mem *to_mem(struct virtio_dev *d)
{
	return container_of(d, struct virtio_mem, dev);
}

static struct window *mem_hand_over(struct virtio_dev *d)
{
	to_mem(d)->handed_over = true;
	return to_mem(d)->window;
}

static uint64_t mem_features(const struct virtio_dev *d)
{
	(void)d;
	return BIT(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
}

static void mem_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	const struct virtio_mem *m = container_of(d, const struct virtio_mem, dev);
	const uint64_t region = m->blocks * m->block_bytes;
	const struct virtio_mem_config c = {
		.block_size = htole64(m->block_bytes),
		.addr = htole64(window_base(m->window).v),
		.region_size = htole64(region),
		.usable_region_size = htole64(region),
		.plugged_size = htole64(m->plugged * m->block_bytes),
		.requested_size = htole64(m->requested * m->block_bytes),
	};

	memcpy(dst, (const char *)&c + off, len);
}

static int mem_activate(struct virtio_dev *d)
{
	to_mem(d)->unplug_at = 0;
	if (virtio_dev_has(d, VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE))
		return 0;
	log_guest("virtio-mem: the driver would read memory that is not there");
	return -EOPNOTSUPP;
}

/* --- requests --- */

/* 5.15.6.1: aligned, not empty, and all of it inside. */
static bool find_range(const struct virtio_mem *m, uint64_t addr, uint16_t count, struct range *ret)
{
	uint64_t base = window_base(m->window).v;

	if (addr < base || (addr - base) % m->block_bytes != 0 || count == 0)
		return false;
	ret->first = (addr - base) / m->block_bytes;
	ret->count = count;
	return ret->first < m->blocks && count <= m->blocks - ret->first;
}

static unsigned slots_of(const struct virtio_mem *m, const struct range *r)
{
	uint64_t last = r->first + r->count - 1;

	return (unsigned)(last / m->slot_blocks - r->first / m->slot_blocks) + 1;
}

/* Takes what the request costs from this turn's budget. */
static void spend(struct virtio_mem *m, const struct range *r)
{
	unsigned cost = slots_of(m, r);

	m->slots_left -= cost < m->slots_left ? cost : m->slots_left;
}

/* Whether a request for so many blocks can be met at all now. */
static bool is_busy(const struct virtio_mem *m, const struct range *r)
{
	return window_is_held(m->window) || slots_of(m, r) > TURN_SLOTS;
}

static uint16_t plug(struct virtio_mem *m, const struct range *r)
{
	int error;

	if (window_plugged(m->window, r->first, r->count) != 0)
		return VIRTIO_MEM_RESP_ERROR;
	if (m->plugged + r->count > m->requested)
		return VIRTIO_MEM_RESP_NACK;
	if (is_busy(m, r))
		return VIRTIO_MEM_RESP_BUSY;
	spend(m, r);
	error = window_plug(m->window, r->first, r->count);
	if (error < 0) {
		log_guest("virtio-mem: cannot plug %llu blocks: %s", (unsigned long long)r->count,
			  strerror(-error));
		return VIRTIO_MEM_RESP_BUSY;
	}
	m->plugged += r->count;
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug(struct virtio_mem *m, const struct range *r)
{
	if (window_plugged(m->window, r->first, r->count) != r->count)
		return VIRTIO_MEM_RESP_ERROR;
	if (is_busy(m, r))
		return VIRTIO_MEM_RESP_BUSY;
	spend(m, r);
	window_unplug(m->window, r->first, r->count);
	m->plugged -= r->count;
	return VIRTIO_MEM_RESP_ACK;
}

/* As much of it as the turn allows; true when that was the last. */
static bool unplug_all(struct virtio_mem *m)
{
	struct range r = { m->unplug_at, m->slots_left * m->slot_blocks };

	if (r.count > m->blocks - r.first)
		r.count = m->blocks - r.first;
	m->plugged -= window_plugged(m->window, r.first, r.count);
	window_unplug(m->window, r.first, r.count);
	m->unplug_at += r.count;
	spend(m, &r);
	if (m->unplug_at < m->blocks)
		return false;
	m->unplug_at = 0;
	return true;
}

static uint16_t state(const struct virtio_mem *m, const struct range *r)
{
	uint64_t plugged = window_plugged(m->window, r->first, r->count);

	if (plugged == 0)
		return VIRTIO_MEM_STATE_UNPLUGGED;
	return plugged == r->count ? VIRTIO_MEM_STATE_PLUGGED : VIRTIO_MEM_STATE_MIXED;
}

/* The requests that name blocks. They lay out their fields alike. */
static struct virtio_mem_resp serve_range(struct virtio_mem *m, const struct virtio_mem_req *req)
{
	struct virtio_mem_resp resp = { .type = VIRTIO_MEM_RESP_ERROR };
	struct range r;

	if (!find_range(m, le64toh(req->u.plug.addr), le16toh(req->u.plug.nb_blocks), &r))
		return resp;
	switch (le16toh(req->type)) {
	case VIRTIO_MEM_REQ_PLUG:
		resp.type = plug(m, &r);
		break;
	case VIRTIO_MEM_REQ_UNPLUG:
		resp.type = unplug(m, &r);
		break;
	case VIRTIO_MEM_REQ_STATE:
		resp.type = VIRTIO_MEM_RESP_ACK;
		resp.u.state.state = state(m, &r);
		break;
	default:
		break;
	}
	return resp;
}

static void answer(struct virtio_mem *m, const struct virtq_req *req, struct virtio_mem_resp resp)
{
	if (resp.type == VIRTIO_MEM_RESP_ERROR)
		m->dev.counters.errors++;
	resp.type = htole16(resp.type);
	resp.u.state.state = htole16(resp.u.state.state);
	iov_write(&req->in, 0, &resp, sizeof(resp));
	virtq_push(m->dev.vq[0], req, sizeof(resp));
}

/* Serves one request. False: there is none, or it goes on in the next turn. */
static bool serve(struct virtio_mem *m)
{
	struct virtio_mem_resp resp = { .type = VIRTIO_MEM_RESP_ACK };
	struct virtio_mem_req body;
	struct virtq_req req;

	if (virtq_pop(m->dev.vq[0], &req) <= 0)
		return false;
	if (iov_read(&req.out, 0, &body, sizeof(body)) < 0 || req.in.len < sizeof(resp)) {
		virtio_dev_fail(&m->dev, "no room for a memory request or its answer");
		return false;
	}
	if (le16toh(body.type) != VIRTIO_MEM_REQ_UNPLUG_ALL) {
		resp = serve_range(m, &body);
	} else if (window_is_held(m->window)) {
		resp.type = VIRTIO_MEM_RESP_BUSY;
	} else if (!unplug_all(m)) {
		virtq_unpop(m->dev.vq[0]);
		return false;
	}
	answer(m, &req, resp);
	return true;
}

static bool mem_kick(struct virtio_dev *d, unsigned index)
{
	struct virtio_mem *m = to_mem(d);
	uint64_t plugged = m->plugged;
	unsigned served = 0;

	m->slots_left = TURN_SLOTS;
	while (served < BURST_REQUESTS && m->slots_left > 0 && serve(m))
		served++;
	virtq_publish(d->vq[index]);
	if (m->plugged != plugged)
		virtio_dev_note_change(d);
	return served == BURST_REQUESTS || m->slots_left == 0;
}

/* --- the device --- */

/* The blocks are not in here. An UNPLUG_ALL under way begins anew: what is done stays so. */
static void mem_state(struct virtio_dev *d, struct state *s)
{
	struct virtio_mem *m = to_mem(d);

	state_u64(s, &m->requested);
	state_u64(s, &m->plugged);
	if (!state_loading(s))
		return;
	if (m->requested > m->blocks)
		state_fail(s, "more blocks are requested than there are");
	else if (m->plugged != window_plugged(m->window, 0, m->blocks))
		state_fail(s, "another number of blocks than are plugged");
}

static void mem_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	if (!to_mem(d)->handed_over)
		window_destroy(to_mem(d)->window);
	free(to_mem(d));
}

static const uint16_t mem_queue_sizes[] = { QUEUE_SIZE };

static const struct virtio_ops mem_ops = {
	.name = "mem",
	.id = VIRTIO_ID_MEM,
	.nqueues = 1,
	.queue_sizes = mem_queue_sizes,
	.config_len = sizeof(struct virtio_mem_config),
	.features = mem_features,
	.hand_over = mem_hand_over,
	.config_read = mem_config_read,
	.activate = mem_activate,
	.kick = mem_kick,
	.section = STATE_MEM,
	.state = mem_state,
	.destroy = mem_destroy,
};

int virtio_mem_create(const struct virtio_mem_options *o, struct virtio_dev **ret)
{
	const struct window_blocks c = {
		.len = o->total_mib * MIB,
		.block_bytes = o->block_mib * MIB,
		.slot_bytes = o->slot_mib * MIB,
	};
	struct virtio_mem *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->dev.ops = &mem_ops;
	r = window_reserve(&c, &m->window);
	if (r < 0) {
		mem_destroy(&m->dev);
		return r;
	}
	m->block_bytes = c.block_bytes;
	m->blocks = c.len / c.block_bytes;
	m->slot_blocks = c.slot_bytes / c.block_bytes;
	*ret = &m->dev;
	return 0;
}

static int request(struct virtio_mem *m, uint64_t mib)
{
	uint64_t block_mib = m->block_bytes / MIB;

	if (mib % block_mib != 0 || mib / block_mib > m->blocks)
		return -EINVAL;
	if (!virtio_dev_live(&m->dev))
		return -ENODEV;
	m->requested = mib / block_mib;
	virtio_dev_config_changed(&m->dev);
	return 0;
}

int virtio_mem_request(struct virtio_dev *d, uint64_t mib)
{
	int r;

	virtio_events_lock(d->events);
	r = request(to_mem(d), mib);
	virtio_events_unlock(d->events);
	return r;
}

void virtio_mem_status(struct virtio_dev *d, struct virtio_mem_status *ret)
{
	const struct virtio_mem *m = to_mem(d);

	virtio_events_lock(d->events);
	*ret = (struct virtio_mem_status){
		.plugged_mib = m->plugged * m->block_bytes / MIB,
		.requested_mib = m->requested * m->block_bytes / MIB,
	};
	virtio_events_unlock(d->events);
}
