/* pmem.c - a file as the guest's persistent memory (virtio 1.2, section 5.19).
 *
 * The file is mapped, shared, and is memory for the guest: it loads and stores without
 * leaving the guest, and what it stores is in the host's page cache at once. The one
 * thing that it has to ask for is that this be made durable: a flush, on the one queue.
 *
 * A flush waits for the disk, so a thread does it (pmem_flush.h). What the driver asks
 * for while one is under way stays in the queue; the next flush is for all of that at
 * once. So a driver that asks often costs no more than one that asks seldom, and at any
 * time there is one flush at most, however many vCPUs ask. A rate limiter (throttle.h)
 * counts flushes, and the file's length for each.
 *
 * A read-only file is mapped read-only, in this process and in KVM: the guest's stores
 * to it come out of the guest as if nobody were there, and change nothing. The driver
 * cannot be told (the specification has no bit for that): who mounts it mounts it "ro".
 *
 * The guest may give addresses in the file to other devices, whose requests then move
 * data straight in and out of it (O_DIRECT on a DAX file system does): gmem knows the
 * window like RAM, and refuses to have a read-only one written.
 *
 * What lies behind the file's end, up to the next 2 MiB, is private memory.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/blk_file.h"
#include "devices/virtio/life.h"
#include "devices/virtio/pmem.h"
#include "devices/virtio/pmem_flush.h"
#include "devices/virtio/throttle.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

enum {
	QUEUE_SIZE = 256,
	BURST = QUEUE_SIZE, /* requests looked at in a turn */
};

/* 5.19.7 */
enum { RESP_OK = 0, RESP_EIO = 1 };

/* A request that waits for the flush under way. An answer has 4 bytes, and so has not
 * more spans than that. */
struct waiter {
	struct virtq_req req;
	struct iovec spans[sizeof(struct virtio_pmem_resp)];
};

struct virtio_pmem {
	struct virtio_dev dev;
	struct blk_file file;
	struct window *window;
	bool handed_over; /* the window is the machine's */
	bool read_only;

	struct throttle throttle;
	struct pmem_flush *flush;
	struct virtio_watch *watch;
	unsigned waiters; /* above 0: a flush is under way */
	struct waiter waiter[QUEUE_SIZE];
};

static struct virtio_pmem *to_pmem(struct virtio_dev *d)
{
	return container_of(d, struct virtio_pmem, dev);
}

static uint64_t file_bytes(const struct virtio_pmem *p)
{
	return p->file.sectors * BLK_SECTOR;
}

static struct window *pmem_hand_over(struct virtio_dev *d)
{
	to_pmem(d)->handed_over = true;
	return to_pmem(d)->window;
}

static void pmem_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	const struct window *w = container_of(d, const struct virtio_pmem, dev)->window;
	const struct virtio_pmem_config c = {
		.start = htole64(window_base(w).v),
		.size = htole64(window_len(w)),
	};

	memcpy(dst, (const char *)&c + off, len);
}

/* --- flushes --- */

static void answer(struct virtio_pmem *p, const struct virtq_req *req, int result)
{
	const struct virtio_pmem_resp resp = {
		.ret = result < 0 ? htole32(RESP_EIO) : htole32(RESP_OK),
	};

	if (result < 0)
		p->dev.counters.errors++;
	iov_write(&req->in, 0, &resp, sizeof(resp));
	virtq_push(p->dev.vq[0], req, sizeof(resp));
}

/* Keeps of a request what its answer needs. */
static void wait_for_flush(struct virtio_pmem *p, const struct virtq_req *req)
{
	struct waiter *w = &p->waiter[p->waiters++];

	w->req = *req;
	w->req.in.vec = w->spans;
	memcpy(w->spans, req->in.vec, req->in.count * sizeof(w->spans[0]));
}

/* Whether the request may be begun; otherwise it is back in its queue. The first one
 * of a flush pays for all. */
static bool admit(struct virtio_pmem *p)
{
	if (p->waiters > 0 || throttle_admit(&p->throttle, file_bytes(p), clock_now_us()))
		return true;
	virtq_unpop(p->dev.vq[0]);
	return false;
}

/* Takes one request off the ring. False: no more for now. */
static bool take(struct virtio_pmem *p)
{
	struct virtio_pmem_req body;
	struct virtq_req req;

	if (virtq_pop(p->dev.vq[0], &req) <= 0)
		return false;
	if (iov_read(&req.out, 0, &body, sizeof(body)) < 0 ||
	    req.in.len < sizeof(struct virtio_pmem_resp)) {
		virtio_dev_fail(&p->dev, "no room for a flush request or its answer");
		return false;
	}
	iov_truncate(&req.in, sizeof(struct virtio_pmem_resp));
	if (le32toh(body.type) != VIRTIO_PMEM_REQ_TYPE_FLUSH) {
		answer(p, &req, -EOPNOTSUPP);
		return true;
	}
	if (!admit(p))
		return false;
	wait_for_flush(p, &req);
	return true;
}

static bool pmem_kick(struct virtio_dev *d, unsigned index)
{
	struct virtio_pmem *p = to_pmem(d);
	unsigned served = 0;

	if (p->waiters > 0 || throttle_waits(&p->throttle))
		return false;
	while (served < BURST && take(p))
		served++;
	virtq_publish(d->vq[index]);
	if (!virtio_dev_live(d))
		p->waiters = 0;
	if (p->waiters > 0)
		pmem_flush_begin(p->flush);
	return served == BURST;
}

/* Waits for the flush under way and answers all that it was for. */
static void finish(struct virtio_pmem *p)
{
	int result;

	if (p->waiters == 0)
		return;
	result = pmem_flush_end(p->flush);
	for (unsigned i = 0; i < p->waiters; i++)
		answer(p, &p->waiter[i].req, result);
	p->waiters = 0;
	virtq_publish(p->dev.vq[0]);
}

static bool on_flushed(void *arg, uint32_t events)
{
	struct virtio_pmem *p = arg;

	(void)events;
	finish(p);
	return virtio_dev_kick(&p->dev, 0);
}

static bool on_admission(void *arg, uint32_t events)
{
	struct virtio_pmem *p = arg;

	(void)events;
	return virtio_dev_kick(&p->dev, 0);
}

static void pmem_drain(struct virtio_dev *d)
{
	finish(to_pmem(d));
}

static void pmem_quiesce(struct virtio_dev *d)
{
	struct virtio_pmem *p = to_pmem(d);

	if (p->waiters > 0)
		pmem_flush_end(p->flush);
	p->waiters = 0;
}

/* --- the device --- */

static int pmem_attach(struct virtio_dev *d)
{
	struct virtio_pmem *p = to_pmem(d);
	int r = throttle_attach(&p->throttle, d->events, on_admission, p);

	if (r == 0)
		r = pmem_flush_create(p->file.fd, &p->flush);
	if (r < 0)
		return r;
	return virtio_watch_create(d->events, pmem_flush_fd(p->flush), EPOLLIN, on_flushed, p,
				   &p->watch);
}

static void pmem_detach(struct virtio_dev *d)
{
	struct virtio_pmem *p = to_pmem(d);

	virtio_watch_destroy(p->watch);
	p->watch = NULL;
	throttle_detach(&p->throttle);
}

/* The file is not in the state; the guest has mapped it where it was. */
static uint64_t file_state(const struct virtio_pmem *p, struct state *s)
{
	uint64_t base = window_base(p->window).v, bytes = file_bytes(p);

	state_u64(s, &base);
	state_u64(s, &bytes);
	if (bytes != file_bytes(p))
		state_fail(s, "the file has another size than when the state was saved");
	return base;
}

static uint64_t pmem_saved_base(struct virtio_dev *d, struct state *s)
{
	return file_state(to_pmem(d), s);
}

/* While it is loaded, the window is there already. */
static void pmem_state(struct virtio_dev *d, struct state *s)
{
	file_state(to_pmem(d), s);
}

static void pmem_destroy(struct virtio_dev *d)
{
	struct virtio_pmem *p;

	if (!d)
		return;
	p = to_pmem(d);
	pmem_flush_destroy(p->flush);
	if (!p->handed_over)
		window_destroy(p->window);
	blk_file_close(&p->file);
	free(p);
}

static const uint16_t pmem_queue_sizes[] = { QUEUE_SIZE };

static const struct virtio_ops pmem_ops = {
	.name = "pmem",
	.id = VIRTIO_ID_PMEM,
	.nqueues = 1,
	.queue_sizes = pmem_queue_sizes,
	.config_len = sizeof(struct virtio_pmem_config),
	.hand_over = pmem_hand_over,
	.saved_base = pmem_saved_base,
	.config_read = pmem_config_read,
	.attach = pmem_attach,
	.detach = pmem_detach,
	.kick = pmem_kick,
	.drain = pmem_drain,
	.quiesce = pmem_quiesce,
	.section = STATE_PMEM,
	.state = pmem_state,
	.destroy = pmem_destroy,
};

static int map_file(struct virtio_pmem *p, const char *path, struct error *err)
{
	int r;

	if (file_bytes(p) == 0)
		return error_set(err, -EINVAL, "path_on_host", "give a file of 2 MiB or a multiple",
				 "Error backing file size is 0: '%s'", path);
	if (file_bytes(p) % WINDOW_PAGE_BYTES != 0 && !p->read_only)
		log_warn("pmem file '%s' is no multiple of 2 MiB: what the guest stores behind its "
			 "end is lost",
			 path);
	r = window_map_file(p->file.fd, file_bytes(p), p->read_only, &p->window);
	return r < 0 ? error_set(err, r, "path_on_host", NULL, "cannot map '%s': %s", path,
				 strerror(-r))
		     : 0;
}

int virtio_pmem_create(const struct virtio_pmem_options *o, struct virtio_dev **ret,
		       struct error *err)
{
	struct virtio_pmem *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	p->dev.ops = &pmem_ops;
	p->file.fd = -1;
	p->read_only = o->read_only;
	throttle_init(&p->throttle);
	throttle_configure(&p->throttle, &o->limits);
	r = blk_file_open(o->path, (struct blk_file_mode){ .read_only = o->read_only }, &p->file,
			  err);
	if (r == 0)
		r = map_file(p, o->path, err);
	if (r < 0) {
		pmem_destroy(&p->dev);
		return r;
	}
	*ret = &p->dev;
	return 0;
}

void virtio_pmem_set_limiter(struct virtio_dev *d, const struct limiter_config *c)
{
	virtio_events_lock(d->events);
	throttle_configure(&to_pmem(d)->throttle, c);
	virtio_events_unlock(d->events);
}
