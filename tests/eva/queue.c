/* queue.c - Eva on the virtqueue: any rings, which change at any moment.
 *
 * The guest's memory here is so small that Eva can go through it byte by byte. It holds
 * anything, and anything else after each access that the queue orders (any.h). The driver
 * puts its rings anywhere and gives descriptors any content; the device takes and
 * returns requests, and goes on after it has been failed, which the core would not.
 *
 * Guest memory is proven beside this (gmem.c): a span that it gives is as long as was
 * asked. Here it gives the last bytes that there are, so that a single one too many would
 * be beyond them.
 */
#include "tests/eva/any.h"

#include "devices/virtio/queue.c"

enum { MAX_SIZE = 2, RAM_BYTES = 48 };

static char ram[RAM_BYTES];
static struct virtio_dev dev;

static void guest_writes(void)
{
	Frama_C_make_unknown(ram, sizeof(ram));
}

/* Descriptor tables one by one, since their length matters; of other spans nobody asks. */
static void *last(size_t len)
{
	if (len == 0 || len > RAM_BYTES || any_bool())
		return NULL;
	for (size_t n = 0; n <= RAM_BYTES; n += sizeof(struct vring_desc))
		if (len == n)
			return ram + (RAM_BYTES - n);
	return ram + (RAM_BYTES - len);
}

void *gmem_span(const struct gmem *m, gpa_t at, size_t len)
{
	(void)m;
	(void)at;
	return last(len);
}

const void *gmem_view(const struct gmem *m, gpa_t at, size_t len)
{
	(void)m;
	(void)at;
	return last(len);
}

void virtio_dev_fail(struct virtio_dev *d, const char *why)
{
	/*@ check \valid_read(why); */
	d->counters.requests++;
}

void virtio_dev_interrupt(struct virtio_dev *d, unsigned q)
{
	(void)q;
	d->counters.requests++;
}

void state_u16_as(struct state *s, const char *name, uint16_t *value)
{
	(void)s;
	(void)name;
	*value = (uint16_t)Frama_C_interval(0, UINT16_MAX);
}

bool state_loading(const struct state *s)
{
	(void)s;
	return true;
}

/* What virtq_pop() promises. */
static void check_request(const struct virtq_req *req)
{
	unsigned count = req->out.count + req->in.count;

	/*@ check 1 <= count <= MAX_SIZE; */
	for (unsigned i = 0; i < count; i++) {
		const struct iovec *span = &req->out.vec[i];
		/*@ check span->iov_len > 0; */
		/*@ check \initialized(&span->iov_base); */
		(void)span;
	}
}

/* As it is after any number of requests. */
static void any_progress(struct virtq *q, uint16_t ahead)
{
	q->next_avail = (uint16_t)any_u64();
	q->seen_avail = (uint16_t)(q->next_avail + ahead);
	q->next_used = (uint16_t)any_u64();
	q->published = (uint16_t)any_u64();
}

static void serve(struct virtq *q)
{
	struct virtq_req req;

	if (virtq_pop(q, &req) == 1) {
		check_request(&req);
		virtq_push(q, &req, (uint32_t)any_u64());
		virtq_unpop(q);
	}
	virtq_publish(q);
}

static bool enable(struct virtq *q, uint32_t size)
{
	struct virtq_layout l = {
		.size = size,
		.desc = gpa(any_u64()),
		.avail = gpa(any_u64()),
		.used = gpa(any_u64()),
	};

	guest_writes();
	return !virtq_enable(q, &l, (const struct gmem *)(const void *)&dev, any_u64());
}

static void run(struct virtq *q, uint32_t size, uint16_t ahead)
{
	if (!enable(q, size))
		return;
	virtq_state(q, NULL);
	any_progress(q, ahead);
	serve(q);
	virtq_disable(q);
}

int main(void)
{
	struct virtq *q;

	if (virtq_create(&dev, 0, MAX_SIZE, &q) < 0)
		return 0;
	if (enable(q, (uint32_t)any_u64()))
		virtq_disable(q);
	run(q, 1, 0);
	run(q, 1, 1);
	run(q, 2, 1);
	virtq_destroy(q);
	return 0;
}
