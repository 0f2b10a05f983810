/* backend.c - a virtio device at work without a guest: its driver is in this process.
 *
 * The driver comes by a transport of its own, whose registers are function calls and which
 * has an interrupt for each queue, as a guest's queues on PCI have. What it does for a
 * queue, it does on the thread that serves that queue (lanes.h).
 *
 * Guest memory: for each queue its rings, one indirect table a slot, and the slots. The
 * request in slot i is always descriptor i of the queue, which points at table i, so the
 * driver's own work is small.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "benches/backend.h"
#include "benches/probe_perf.h"
#include "devices/virtio/registers.h"
#include "vmm/base/fd.h"

enum {
	QUEUE_SIZE = 256,
	QUEUE_AREA = 0x8000, /* of one queue: rings and tables */
	DESC_AT = 0x0,
	AVAIL_AT = 0x2000,
	USED_AT = 0x3000,
	TABLES_AT = 0x5000,
	TABLE_BYTES = BACKEND_MAX_SEGMENTS * sizeof(struct vring_desc),
	SYSCALLS_A_TURN = 2, /* the driver's: it is woken, and takes the count */
	SYSCALLS_A_KICK = 1,
};

struct driver_queue {
	struct backend *backend;
	const struct backend_queue *work;
	int irq_fd;
	struct loop_source *irq; /* on the loop of the queue's lane */
	gpa_t area, slots;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, kicked_idx, used_idx;
	uint8_t free[BACKEND_MAX_DEPTH]; /* slots: a stack */
	unsigned nfree;
	uint64_t begun, done, kicks, turns, bad;
};

struct backend {
	struct virtio_transport transport;
	bool has_transport;
	const struct backend_job *job;
	struct gmem *mem;
	struct loop *loop; /* the first lane's */
	struct lanes *lanes;
	int over_fd; /* signalled when a queue has done its work, or never will */
	struct loop_source *over;
	struct driver_queue queues[BACKEND_MAX_QUEUES];
	unsigned busy; /* queues that have not; atomic */
};

/* ---- The transport --------------------------------------------------------------- */

static struct backend *to_backend(struct virtio_transport *t)
{
	return container_of(t, struct backend, transport);
}

/* A device that has failed answers nothing any more. */
static void interrupt(struct virtio_transport *t, enum virtio_cause cause, unsigned queue)
{
	struct backend *b = to_backend(t);

	if (cause == VIRTIO_CAUSE_CONFIG)
		fd_event_signal(b->over_fd);
	for (unsigned i = 0; i < b->job->nqueues; i++) {
		if (b->queues[i].work->index == queue && cause == VIRTIO_CAUSE_QUEUE)
			fd_event_signal(b->queues[i].irq_fd);
	}
}

static void forget(struct virtio_transport *t)
{
	virtio_transport_fini(t);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = interrupt,
	.destroy = forget,
};

/* ---- The driver ----------------------------------------------------------------- */

static gpa_t slot_at(const struct driver_queue *q, unsigned slot)
{
	return gpa(q->slots.v + slot * q->work->slot_bytes);
}

/* False: the next request has to wait. */
static bool add_request(struct backend *b, struct driver_queue *q)
{
	const struct backend_queue *work = q->work;
	unsigned slot = q->free[q->nfree - 1], n;
	gpa_t at = slot_at(q, slot),
	      table_at = gpa(q->area.v + TABLES_AT + (uint64_t)slot * TABLE_BYTES);
	struct vring_desc *table = gmem_span(b->mem, table_at, TABLE_BYTES);

	n = work->describe(b->job->arg, q->begun, at, gmem_span(b->mem, at, work->slot_bytes),
			   table);
	if (n == 0)
		return false;
	for (unsigned i = 0; i + 1 < n; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(i + 1);
	}
	q->desc[slot] = (struct vring_desc){
		.addr = table_at.v,
		.len = (uint32_t)(n * sizeof(*table)),
		.flags = VRING_DESC_F_INDIRECT,
	};
	q->avail->ring[q->avail_idx++ % QUEUE_SIZE] = (uint16_t)slot;
	q->nfree--;
	q->begun++;
	return true;
}

static bool may_begin(const struct driver_queue *q)
{
	return q->nfree > 0 && (q->work->count == 0 || q->begun < q->work->count);
}

/* Shows the device what was added, and kicks it if it wants that (2.7.10). */
static void publish(struct backend *b, struct driver_queue *q)
{
	uint16_t *avail_event = (uint16_t *)&q->used->ring[QUEUE_SIZE];

	if (q->kicked_idx == q->avail_idx)
		return;
	__atomic_store_n(&q->avail->idx, q->avail_idx, __ATOMIC_SEQ_CST);
	if (vring_need_event(__atomic_load_n(avail_event, __ATOMIC_SEQ_CST), q->avail_idx,
			     q->kicked_idx)) {
		virtio_transport_notify(&b->transport, q->work->index);
		q->kicks++;
	}
	q->kicked_idx = q->avail_idx;
}

static void fill(struct backend *b, struct driver_queue *q)
{
	while (may_begin(q) && add_request(b, q))
		continue;
	publish(b, q);
}

static void collect(struct backend *b, struct driver_queue *q)
{
	while (__atomic_load_n(&q->used->idx, __ATOMIC_SEQ_CST) != q->used_idx) {
		unsigned slot = q->used->ring[q->used_idx++ % QUEUE_SIZE].id;
		void *host = gmem_span(b->mem, slot_at(q, slot), q->work->slot_bytes);

		q->bad += !q->work->answered(b->job->arg, host);
		q->free[q->nfree++] = (uint8_t)slot;
		q->done++;
	}
}

static bool is_over(const struct driver_queue *q)
{
	return q->done >= q->work->count;
}

static void tell_over(struct backend *b)
{
	__atomic_fetch_sub(&b->busy, 1, __ATOMIC_RELEASE);
	fd_event_signal(b->over_fd);
}

/* Of a job on one thread, a queue may wait for another's answers. */
static void fill_all(struct driver_queue *q)
{
	struct backend *b = q->backend;

	if (b->transport.events.lanes > 1)
		fill(b, q);
	for (unsigned i = 0; i < b->job->nqueues && b->transport.events.lanes == 1; i++)
		fill(b, &b->queues[i]);
}

/* As a guest's interrupt handler: takes all answers, says from which one on it wants to be
 * interrupted again, looks once more, and asks for more. */
static void on_interrupt(void *arg, uint32_t events)
{
	struct driver_queue *q = arg;
	uint16_t *used_event = &q->avail->ring[QUEUE_SIZE];
	bool was_over = is_over(q);

	(void)events;
	fd_event_drain(q->irq_fd);
	q->turns++;
	collect(q->backend, q);
	__atomic_store_n(used_event, q->used_idx, __ATOMIC_SEQ_CST);
	collect(q->backend, q);
	fill_all(q);
	if (is_over(q) && !was_over)
		tell_over(q->backend);
}

static void on_over(void *arg, uint32_t events)
{
	struct backend *b = arg;

	(void)events;
	fd_event_drain(b->over_fd);
	if (__atomic_load_n(&b->busy, __ATOMIC_ACQUIRE) == 0 || !virtio_dev_live(b->transport.dev))
		loop_stop(b->loop, 0);
}

/* ---- Life ----------------------------------------------------------------------- */

static void start_queue(struct backend *b, const struct driver_queue *q)
{
	const struct virtq_layout layout = {
		.size = QUEUE_SIZE,
		.desc = gpa(q->area.v + DESC_AT),
		.avail = gpa(q->area.v + AVAIL_AT),
		.used = gpa(q->area.v + USED_AT),
	};

	virtio_dev_queue_enable(b->transport.dev, q->work->index, &layout);
}

/* As 3.1.1 has it. 0, or -EPROTO when the device did not come up. */
static int start_device(struct backend *b)
{
	uint64_t features = b->job->features | UINT64_C(1) << VIRTIO_F_VERSION_1 |
			    1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX;
	struct virtio_dev *d = b->transport.dev;
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	virtio_events_lock(&b->transport.events);
	virtio_dev_set_status(d, status);
	for (uint32_t word = 0; word < 2; word++)
		virtio_dev_accept(d, word, (uint32_t)(features >> 32 * word));
	virtio_dev_set_status(d, status |= VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < b->job->nqueues; i++)
		start_queue(b, &b->queues[i]);
	virtio_dev_set_status(d, status | VIRTIO_CONFIG_S_DRIVER_OK);
	virtio_events_unlock(&b->transport.events);
	return virtio_dev_live(d) ? 0 : -EPROTO;
}

/* Guest memory: the queues' areas, then the slots of each. The size of it. */
static uint64_t lay_out(struct backend *b)
{
	uint64_t at = (uint64_t)QUEUE_AREA * b->job->nqueues;

	for (unsigned i = 0; i < b->job->nqueues; i++) {
		struct driver_queue *q = &b->queues[i];

		q->work = &b->job->queues[i];
		q->area = gpa((uint64_t)QUEUE_AREA * i);
		q->slots = gpa(at);
		at += q->work->depth * q->work->slot_bytes;
		while (q->nfree < q->work->depth) {
			q->free[q->nfree] = (uint8_t)(q->work->depth - 1 - q->nfree);
			q->nfree++;
		}
	}
	return at;
}

static void find_rings(struct backend *b, struct driver_queue *q)
{
	char *area = gmem_span(b->mem, q->area, QUEUE_AREA);

	q->desc = (void *)(area + DESC_AT);
	q->avail = (void *)(area + AVAIL_AT);
	q->used = (void *)(area + USED_AT);
}

/* Each queue's interrupt is on the loop that serves the queue. */
static int attach_driver(struct backend *b)
{
	struct virtio_transport *t = &b->transport;
	int r = loop_add(b->loop, b->over_fd, EPOLLIN, on_over, b, &b->over);

	for (unsigned i = 0; i < b->job->nqueues && r == 0; i++) {
		struct driver_queue *q = &b->queues[i];
		struct loop *loop = t->events.lane[t->queue[q->work->index].lane].loop;

		r = loop_add(loop, q->irq_fd, EPOLLIN, on_interrupt, q, &q->irq);
	}
	return r;
}

static int attach_transport(struct backend *b, struct virtio_dev **dev)
{
	int r = virtio_transport_init(&b->transport, &transport_ops, *dev, b->mem);

	if (r < 0)
		return r;
	b->has_transport = true;
	*dev = NULL;
	r = virtio_transport_attach_lanes(&b->transport, b->lanes);
	return r < 0 ? r : attach_driver(b);
}

static int open_events(struct backend *b)
{
	b->over_fd = fd_event();
	for (unsigned i = 0; i < b->job->nqueues; i++) {
		b->queues[i].backend = b;
		b->queues[i].irq_fd = fd_event();
		if (b->queues[i].irq_fd < 0)
			return b->queues[i].irq_fd;
		b->busy += b->queues[i].work->count > 0;
	}
	return b->over_fd < 0 ? b->over_fd : 0;
}

static int backend_init(struct backend *b, struct virtio_dev **dev, struct error *err)
{
	const struct gmem_config config = {
		.size_bytes = lay_out(b),
		.backing = GMEM_ANON,
	};
	int r = gmem_create(&config, &b->mem, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < b->job->nqueues; i++)
		find_rings(b, &b->queues[i]);
	r = open_events(b);
	if (r == 0)
		r = loop_create(&b->loop);
	if (r == 0)
		r = lanes_create(b->loop, b->job->threads, NULL, &b->lanes);
	if (r == 0)
		r = attach_transport(b, dev);
	if (r == 0)
		r = start_device(b);
	if (r == 0)
		r = lanes_start(b->lanes);
	return r < 0 ? error_set(err, r, NULL, NULL, "the device did not come up: %s", strerror(-r))
		     : 0;
}

static void backend_clear(struct backend *b)
{
	lanes_hold(b->lanes);
	loop_source_remove(b->over);
	for (unsigned i = 0; i < b->job->nqueues; i++)
		loop_source_remove(b->queues[i].irq);
	if (b->has_transport)
		virtio_transport_destroy(&b->transport);
	lanes_destroy(b->lanes);
	loop_destroy(b->loop);
	for (unsigned i = 0; i < b->job->nqueues; i++)
		fd_close(b->queues[i].irq_fd);
	fd_close(b->over_fd);
	gmem_destroy(b->mem);
}

/* ---- Measuring ------------------------------------------------------------------ */

struct meter {
	struct probe *syscalls;
	int cycles_fd;
	uint64_t wall_ns, cpu_ns;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void meter_begin(struct meter *m, const struct backend *b)
{
	int tracefs = b->job->tracefs;
	const struct probe_spec spec = { PROBE_NOW, "raw_syscalls/sys_enter", NULL };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
	};

	*m = (struct meter){ 0 };
	m->cycles_fd = -1;
	if (b->transport.events.lanes == 1) /* of this thread only */
		m->cycles_fd =
			(int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (tracefs >= 0 && b->transport.events.lanes == 1)
		probe_create(tracefs, getpid(), &spec, &m->syscalls, NULL);
	m->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	m->wall_ns = clock_ns(CLOCK_MONOTONIC);
}

static void meter_end(struct meter *m, const struct backend *b, struct backend_result *ret)
{
	int64_t own = 0;
	uint64_t cycles;

	*ret = (struct backend_result){
		.ns = clock_ns(CLOCK_MONOTONIC) - m->wall_ns,
		.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_ns,
		.cycles = -1,
		.syscalls = -1,
	};
	for (unsigned i = 0; i < b->job->nqueues; i++) {
		ret->count += b->queues[i].work->count;
		ret->kicks[i] = b->queues[i].kicks;
		ret->interrupts += b->queues[i].turns;
		own += (int64_t)b->queues[i].turns * SYSCALLS_A_TURN;
		own += (int64_t)b->queues[i].kicks * SYSCALLS_A_KICK;
	}
	if (m->cycles_fd >= 0 && read(m->cycles_fd, &cycles, sizeof(cycles)) == sizeof(cycles))
		ret->cycles = (int64_t)cycles;
	if (m->syscalls)
		ret->syscalls = probe_read(m->syscalls) - own;
	probe_destroy(m->syscalls);
	fd_close(m->cycles_fd);
}

static int measure(struct backend *b, struct backend_result *ret, struct error *err)
{
	struct meter meter;
	uint64_t missing = 0;
	int r;

	meter_begin(&meter, b);
	for (unsigned i = 0; i < b->job->nqueues; i++)
		fd_event_signal(b->queues[i].irq_fd); /* no answer, so far, but time to ask */
	lanes_release(b->lanes);
	r = loop_run(b->loop);
	lanes_hold(b->lanes);
	meter_end(&meter, b, ret);
	for (unsigned i = 0; i < b->job->nqueues; i++) {
		missing += b->queues[i].bad;
		if (!is_over(&b->queues[i]))
			missing += b->queues[i].work->count - b->queues[i].done;
	}
	if (r == 0 && missing > 0)
		r = -EIO;
	return r < 0 ? error_set(err, r, NULL, NULL, "%" PRIu64 " of %" PRIu64 " requests failed",
				 missing, ret->count)
		     : 0;
}

int backend_run(struct virtio_dev *dev, const struct backend_job *job, struct backend_result *ret,
		struct error *err)
{
	struct backend b = { .job = job, .over_fd = -1 };
	int r = backend_init(&b, &dev, err);

	if (r == 0)
		r = measure(&b, ret, err);
	backend_clear(&b);
	if (dev)
		dev->ops->destroy(dev);
	return r;
}

static int64_t each(int64_t total, const struct backend_result *result, unsigned per)
{
	return total < 0 ? -1 : total * (int64_t)per / (int64_t)result->count;
}

int backend_report(struct report *report, const char *row, const char *prefix, const char *rate,
		   const struct backend_result *result, struct error *err)
{
	uint64_t kicks = 0;
	int r = 0;

	for (unsigned i = 0; i < BACKEND_MAX_QUEUES; i++)
		kicks += result->kicks[i];

	const struct {
		const char *what;
		int64_t value;
	} all[] = {
		{ rate, (int64_t)((double)result->count * 1e9 / (double)result->ns) },
		{ "cpu_ns", each((int64_t)result->cpu_ns, result, 1) },
		{ "cycles", each(result->cycles, result, 1) },
		{ "syscalls_per_1000", each(result->syscalls, result, 1000) },
		{ "interrupts_per_1000", each((int64_t)result->interrupts, result, 1000) },
		{ "kicks_per_1000", each((int64_t)kicks, result, 1000) },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++) {
		char metric[REPORT_NAME_LEN + 1];

		snprintf(metric, sizeof(metric), "%s_%s", prefix, all[i].what);
		r = report_add(report, row, metric, all[i].value);
	}
	return r < 0 ? error_set(err, r, NULL, NULL, "no memory for samples") : 0;
}
