/* queue.c - the split virtqueue, device side (virtio 1.2, section 2.7).
 *
 * A queue is three areas of guest RAM: a descriptor table and an available ring,
 * which the driver writes, and a used ring, which the device writes. All three
 * stay the guest's while we read them, so everything here follows one rule: copy
 * once, check the copy, use the copy. A descriptor is copied whole before any of
 * its fields is looked at; an index is loaded once; nothing is read back from a
 * ring that was written there.
 *
 * What a driver may do to us is bounded by what is checked:
 * - The rings: size a power of two within the device's maximum, alignment 16/2/4,
 *   each area inside one region of guest RAM (2.7). Only then do they become host
 *   pointers, for as long as the queue stays enabled; regions never move.
 * - The available index may run ahead of us by the queue's size, not more.
 * - A chain holds at most the device's maximum queue size of buffers. That is the
 *   longest chain a driver may build (2.7.5.3.1), it ends every loop, and it is
 *   what the array of spans holds. The length of an indirect table bounds its
 *   indices and is otherwise free: a short chain in a long table is legal.
 * - A descriptor that points at an indirect table ends the direct chain, is not
 *   counted as a buffer itself, and its write flag is ignored (2.7.5.3.2).
 *   Tables inside tables, and a table with a successor, are refused.
 * - Readable buffers come before writable ones (2.7.4.2); the sum of lengths stays
 *   within 2^32 (2.7.5.2). A descriptor of length 0 describes no buffer: the
 *   specification gives it no meaning, and it is refused.
 * A violation fails the whole device. The head of a broken chain is as little to
 * be trusted as the rest, so nothing is returned through the used ring.
 *
 * Ordering. Loading the available index acquires: descriptors and ring entries
 * written before it are seen. Storing the used index releases the used entries.
 * Notification is the store-then-load pattern on both sides: each side stores its
 * index, then loads the other's wish (used_event, avail_event), and one of the two
 * must see the other's store. Both accesses are sequentially consistent, which
 * orders the store before the load on x86 (a locked exchange) and on arm64
 * (store-release, load-acquire), and pairs with the driver's full barrier.
 *
 * With event indices a driver does not notify while we work through a burst,
 * because avail_event still names an entry that it has passed. It is moved only
 * when the ring looks empty, and then we look again. Without event indices the
 * driver notifies every time, and one look is enough.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "devices/virtio/queue.h"

/* Ring fields are little-endian (2.7.3 leaves legacy out), and so are our hosts. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the rings are read in host order");

#define CHAIN_MAX_BYTES (UINT64_C(1) << 32)

struct virtq {
	struct virtio_dev *dev;
	struct virtio_counters *counters;
	const struct gmem *mem; /* NULL while disabled */
	unsigned index;
	uint16_t max_size, size;
	bool event_idx, indirect;

	/* Host view of the rings, NULL while disabled. Shared with the guest. */
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	uint16_t next_avail; /* the next entry to take */
	uint16_t seen_avail; /* the driver's index when last looked at */
	uint16_t next_used;  /* the next entry to write */
	uint16_t published;  /* the used index that the driver sees */

	struct iovec spans[]; /* max_size of them: the request in hand */
};

/* A descriptor table being walked: the queue's own, or an indirect one, which
 * need not be aligned. */
struct table {
	const char *at;
	uint32_t count;
	bool indirect;
};

int virtq_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct virtq **ret)
{
	struct virtq *q = calloc(1, sizeof(*q) + max_size * sizeof(q->spans[0]));

	if (!q)
		return -ENOMEM;
	q->dev = dev;
	q->counters = &dev->counters;
	q->index = index;
	q->max_size = max_size;
	*ret = q;
	return 0;
}

void virtq_destroy(struct virtq *q)
{
	free(q);
}

struct virtio_counters *virtq_counters(const struct virtq *q)
{
	return q->counters;
}

void virtq_set_counters(struct virtq *q, struct virtio_counters *c)
{
	q->counters = c;
}

bool virtq_enabled(const struct virtq *q)
{
	return q->mem != NULL;
}

uint16_t virtq_max_size(const struct virtq *q)
{
	return q->max_size;
}

uint16_t virtq_size(const struct virtq *q)
{
	return q->size;
}

/* One area of the queue, or NULL when it is misaligned or not inside one region. */
static void *ring_span(const struct gmem *mem, gpa_t at, size_t len, uint64_t align)
{
	return at.v % align == 0 ? gmem_span(mem, at, len) : NULL;
}

const char *virtq_enable(struct virtq *q, const struct virtq_layout *l, const struct gmem *mem,
			 uint64_t features)
{
	size_t n = l->size;

	if (n == 0 || n > q->max_size || (n & (n - 1)) != 0)
		return "queue size is not a power of two within the maximum";

	/* Both rings end in an event index, negotiated or not (2.7: 6 bytes). */
	const void *desc =
		ring_span(mem, l->desc, n * sizeof(struct vring_desc), VRING_DESC_ALIGN_SIZE);
	void *avail = ring_span(mem, l->avail, 6 + n * 2, VRING_AVAIL_ALIGN_SIZE);
	void *used = ring_span(mem, l->used, 6 + n * sizeof(struct vring_used_elem),
			       VRING_USED_ALIGN_SIZE);

	if (!desc || !avail || !used)
		return "a ring is misaligned or outside guest memory";
	q->size = (uint16_t)n;
	q->event_idx = (features >> VIRTIO_RING_F_EVENT_IDX) & 1;
	q->indirect = (features >> VIRTIO_RING_F_INDIRECT_DESC) & 1;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->next_avail = q->seen_avail = 0;
	q->next_used = q->published = 0;
	q->mem = mem;
	return NULL;
}

void virtq_rings(const struct virtq *q, struct virtq_rings *ret)
{
	*ret = (struct virtq_rings){
		.size = q->size,
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
	};
}

void virtq_state(struct virtq *q, struct state *s)
{
	state_u16(s, &q->next_avail);
	state_u16(s, &q->published);
	if (!state_loading(s))
		return;
	q->seen_avail = q->next_avail;
	q->next_used = q->published;
}

void virtq_disable(struct virtq *q)
{
	q->mem = NULL;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
}

static int virtq_fail(struct virtq *q, const char *why)
{
	virtio_dev_fail(q->dev, why);
	return -EPROTO;
}

/* The event indices live behind the last entry of either ring. */
static const uint16_t *used_event(const struct virtq *q)
{
	return &q->avail->ring[q->size];
}

static uint16_t *avail_event(const struct virtq *q)
{
	return (uint16_t *)(void *)&q->used->ring[q->size];
}

/* Looks for new entries: 1, 0 when there are none, -EPROTO. */
static int virtq_look(struct virtq *q)
{
	uint16_t idx = __atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE);

	if (idx == q->next_avail && q->event_idx) {
		__atomic_store_n(avail_event(q), q->next_avail, __ATOMIC_SEQ_CST);
		idx = __atomic_load_n(&q->avail->idx, __ATOMIC_SEQ_CST);
	}
	if ((uint16_t)(idx - q->next_avail) > q->size)
		return virtq_fail(q, "available index jumped by more than the queue size");
	q->seen_avail = idx;
	return idx != q->next_avail;
}

/* The fence keeps the compiler from reading the shared original again later. */
static struct vring_desc desc_copy(const struct table *t, uint32_t i)
{
	struct vring_desc d;

	memcpy(&d, t->at + i * sizeof(d), sizeof(d));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return d;
}

/* The functions below return NULL, or which rule was broken. */

static const char *chain_add(struct virtq *q, struct virtq_req *req, const struct vring_desc *d)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	unsigned count = req->out.count + req->in.count;

	if (count == q->max_size)
		return "descriptor chain loops or is longer than the queue";
	if (!writable && req->in.count > 0)
		return "readable descriptor behind a writable one";
	if (d->len == 0)
		return "descriptor of length 0";
	if (d->len > CHAIN_MAX_BYTES - req->out.len - req->in.len)
		return "descriptor chain of more than 4 GiB";

	/* Nobody stores through a readable view: its spans are const in all but type. */
	void *host = writable ? gmem_span(q->mem, gpa(d->addr), d->len)
			      : (void *)gmem_view(q->mem, gpa(d->addr), d->len);
	struct iov *side = writable ? &req->in : &req->out;

	if (!host)
		return "buffer outside guest memory";
	req->out.vec[count] = (struct iovec){ .iov_base = host, .iov_len = d->len };
	side->count++;
	side->len += d->len;
	return NULL;
}

static const char *table_enter(struct virtq *q, const struct vring_desc *d, struct table *t)
{
	if (t->indirect)
		return "indirect table inside an indirect table";
	if (!q->indirect)
		return "indirect descriptor without the feature";
	if (d->flags & VRING_DESC_F_NEXT)
		return "indirect descriptor with a successor";
	if (d->len == 0 || d->len % sizeof(struct vring_desc) != 0)
		return "indirect table of a length that holds no whole descriptors";
	t->at = gmem_view(q->mem, gpa(d->addr), d->len);
	if (!t->at)
		return "indirect table outside guest memory";
	t->count = d->len / (uint32_t)sizeof(struct vring_desc);
	t->indirect = true;
	return NULL;
}

static const char *chain_read(struct virtq *q, uint16_t head, struct virtq_req *req,
			      struct iovec *spans)
{
	struct table t = { .at = (const char *)q->desc, .count = q->size };
	const char *why = NULL;
	uint32_t i = head;
	bool more = true;

	*req = (struct virtq_req){ .head = head, .out.vec = spans };
	while (more && !why) {
		if (i >= t.count)
			return "descriptor index beyond its table";

		struct vring_desc d = desc_copy(&t, i);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			why = table_enter(q, &d, &t);
			i = 0;
		} else {
			why = chain_add(q, req, &d);
			i = d.next;
			more = d.flags & VRING_DESC_F_NEXT;
		}
	}
	req->in.vec = spans + req->out.count;
	return why;
}

int virtq_pop_into(struct virtq *q, struct virtq_req *req, struct iovec *spans)
{
	if (q->next_avail == q->seen_avail) {
		int r = virtq_look(q);

		if (r <= 0)
			return r;
	}

	const uint16_t *entry = &q->avail->ring[q->next_avail & (q->size - 1)];
	uint16_t head = __atomic_load_n(entry, __ATOMIC_RELAXED);
	const char *why = chain_read(q, head, req, spans);

	if (why)
		return virtq_fail(q, why);
	q->next_avail++;
	q->counters->requests++;
	return 1;
}

int virtq_pop(struct virtq *q, struct virtq_req *req)
{
	return virtq_pop_into(q, req, q->spans);
}

/* Valid while the entry is. Its place in the ring is written again one round later,
 * for which the driver needs the requests that came before it, not this one; so all that
 * have been popped since must be in hand, too. */
void virtq_unpop(struct virtq *q)
{
	q->next_avail--;
	q->counters->requests--;
}

void virtq_push(struct virtq *q, const struct virtq_req *req, uint32_t written)
{
	q->used->ring[q->next_used & (q->size - 1)] = (struct vring_used_elem){
		.id = req->head,
		.len = written,
	};
	q->next_used++;
}

static bool interrupt_wanted(const struct virtq *q, uint16_t old)
{
	if (!q->event_idx) {
		uint16_t flags = __atomic_load_n(&q->avail->flags, __ATOMIC_SEQ_CST);

		return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	}

	uint16_t event = __atomic_load_n(used_event(q), __ATOMIC_SEQ_CST);

	return vring_need_event(event, q->published, old);
}

void virtq_publish(struct virtq *q)
{
	uint16_t old = q->published;

	if (q->next_used == old)
		return;
	q->published = q->next_used;
	__atomic_store_n(&q->used->idx, q->published, __ATOMIC_SEQ_CST);
	if (interrupt_wanted(q, old))
		virtio_dev_interrupt(q->dev, q->index);
}
