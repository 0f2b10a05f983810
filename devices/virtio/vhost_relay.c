/* vhost_relay.c - queues between a driver and a back end that keeps no notes.
 *
 * When a back end dies, all that is left of its requests are the rings, and they do not
 * tell: requests are finished in any order, so those behind the used index may be
 * finished and earlier ones not, and a head that was made available again looks like one
 * that was never finished. To give a new back end the wrong ones would write to buffers
 * that the guest has long used otherwise.
 *
 * So a back end that does not keep notes itself (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)
 * does not see the driver's rings. It gets an available and a used ring in a page of
 * ours, beside the driver's descriptors and the guest's memory: data is not copied, only
 * heads are, from one available ring to the other when the driver notifies, and back
 * when the back end calls. In between they are in flight, in a list that only we write.
 *
 * We are the driver of these rings (2.7), and believe nothing that is read from them: a
 * finished request must be one that is in flight. Their guest address is beyond RAM, but
 * a driver may name it in a descriptor, and so reach the rings of its own device; that
 * gains it no more than a back end has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/vhost_relay.h"
#include "vmm/base/fd.h"

/* 2^46: beyond what any machine's RAM reaches, within what back ends can add to. */
#define RELAY_GUEST_ADDRESS (UINT64_C(1) << 46)

enum {
	QUEUE_BYTES = 4096, /* of the file, for both rings of a queue */
	USED_OFFSET = 1024,
};
_Static_assert(6 + 2 * VIRTQ_MAX_SIZE <= USED_OFFSET, "the available ring fits");
_Static_assert(USED_OFFSET + 6 + 8 * VIRTQ_MAX_SIZE <= QUEUE_BYTES, "the used ring fits");

struct relay_queue {
	struct vring_avail *avail; /* shared with the back end, as is */
	struct vring_used *used;
	uint16_t size;
	bool event_idx;
	uint16_t next_avail, next_used;
	bool offered; /* since the last kick */
	int kick, call;
	unsigned count;
	uint16_t flight[VIRTQ_MAX_SIZE]; /* heads, oldest first */
};

struct vhost_relay {
	int fd;
	char *map;
	unsigned queues;
	struct relay_queue queue[];
};

static size_t file_bytes(const struct vhost_relay *r)
{
	return (size_t)r->queues * QUEUE_BYTES;
}

static int open_queues(struct vhost_relay *r)
{
	for (unsigned i = 0; i < r->queues; i++) {
		struct relay_queue *q = &r->queue[i];
		char *at = r->map + (size_t)i * QUEUE_BYTES;

		q->avail = (void *)at;
		q->used = (void *)(at + USED_OFFSET);
		q->kick = fd_event();
		q->call = fd_event();
		if (q->kick < 0 || q->call < 0)
			return -EMFILE;
	}
	return 0;
}

static int open_file(struct vhost_relay *r)
{
	r->fd = memfd_create("wisp-vhost-rings", MFD_CLOEXEC);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)file_bytes(r)) < 0)
		return -errno;
	r->map = mmap(NULL, file_bytes(r), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	return r->map == MAP_FAILED ? -errno : 0;
}

int vhost_relay_create(unsigned queues, struct vhost_relay **ret)
{
	struct vhost_relay *r = calloc(1, sizeof(*r) + queues * sizeof(r->queue[0]));
	int error;

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	r->map = MAP_FAILED;
	r->queues = queues;
	for (unsigned i = 0; i < queues; i++)
		r->queue[i].kick = r->queue[i].call = -1;
	error = open_file(r);
	if (error == 0)
		error = open_queues(r);
	if (error < 0) {
		vhost_relay_destroy(r);
		return error;
	}
	*ret = r;
	return 0;
}

void vhost_relay_destroy(struct vhost_relay *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->queues; i++) {
		fd_close(r->queue[i].call);
		fd_close(r->queue[i].kick);
	}
	if (r->map != MAP_FAILED)
		munmap(r->map, file_bytes(r));
	fd_close(r->fd);
	free(r);
}

void vhost_relay_region(const struct vhost_relay *r, struct vhost_region *ret, int *fd)
{
	*ret = (struct vhost_region){
		.guest_address = RELAY_GUEST_ADDRESS,
		.size = file_bytes(r),
		.user_address = (uintptr_t)r->map,
	};
	*fd = r->fd;
}

void vhost_relay_rings(const struct vhost_relay *r, unsigned q, struct virtq_rings *ret)
{
	ret->avail = r->queue[q].avail;
	ret->used = r->queue[q].used;
}

int vhost_relay_kick_fd(const struct vhost_relay *r, unsigned q)
{
	return r->queue[q].kick;
}

int vhost_relay_call_fd(const struct vhost_relay *r, unsigned q)
{
	return r->queue[q].call;
}

void vhost_relay_reset(struct vhost_relay *r, unsigned q, uint16_t size, bool event_idx)
{
	struct relay_queue *queue = &r->queue[q];

	queue->size = size;
	queue->event_idx = event_idx;
	queue->count = 0;
}

static void put_available(struct relay_queue *q, uint16_t head)
{
	q->avail->ring[q->next_avail++ % q->size] = head;
	q->offered = true;
	__atomic_store_n(&q->avail->idx, q->next_avail, __ATOMIC_RELEASE);
}

/* Zeroed with event_idx: a call is wanted for the first request that is finished. */
void vhost_relay_restart(struct vhost_relay *r, unsigned q)
{
	struct relay_queue *queue = &r->queue[q];

	memset(queue->avail, 0, QUEUE_BYTES);
	queue->next_avail = queue->next_used = 0;
	for (unsigned i = 0; i < queue->count; i++)
		put_available(queue, queue->flight[i]);
}

/* Where a request is in the list, or its end. */
static unsigned find(const struct relay_queue *q, uint32_t head)
{
	unsigned i = 0;

	while (i < q->count && q->flight[i] != head)
		i++;
	return i;
}

int vhost_relay_offer(struct vhost_relay *r, unsigned q, uint16_t head)
{
	struct relay_queue *queue = &r->queue[q];

	if (queue->count == queue->size || find(queue, head) < queue->count)
		return -EEXIST;
	queue->flight[queue->count++] = head;
	put_available(queue, head);
	return 0;
}

void vhost_relay_kick(struct vhost_relay *r, unsigned q)
{
	if (r->queue[q].offered)
		fd_event_signal(r->queue[q].kick);
	r->queue[q].offered = false;
}

/* Looks once more after asking for a call (2.7.7.1). */
static bool nothing_finished(struct relay_queue *q)
{
	if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) != q->next_used)
		return false;
	if (!q->event_idx)
		return true;
	__atomic_store_n(&q->avail->ring[q->size], q->next_used, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&q->used->idx, __ATOMIC_SEQ_CST) == q->next_used;
}

int vhost_relay_finished(struct vhost_relay *r, unsigned q, struct vring_used_elem *e)
{
	struct relay_queue *queue = &r->queue[q];
	unsigned at;

	if (nothing_finished(queue))
		return 0;
	memcpy(e, &queue->used->ring[queue->next_used % queue->size], sizeof(*e));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	at = find(queue, e->id);
	if (at == queue->count)
		return -EPROTO;
	queue->next_used++;
	queue->count--;
	memmove(&queue->flight[at], &queue->flight[at + 1],
		(queue->count - at) * sizeof(queue->flight[0]));
	return 1;
}
