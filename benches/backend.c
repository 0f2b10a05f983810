/* backend.c - a virtio device at work without a guest: its driver is in this process.
 *
 * Guest memory: descriptors, rings, one indirect table and one slot a request. Request
 * in slot i is always descriptor i of the queue, which points at table i, so the
 * driver's own work is small.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "benches/backend.h"
#include "benches/probe_perf.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/transport.h"
#include "vmm/base/fd.h"

enum {
	QUEUE_SIZE = 256,
	DESC_AT = 0x1000,
	AVAIL_AT = 0x3000,
	USED_AT = 0x4000,
	TABLES_AT = 0x6000,
	SLOTS_AT = 0x10000,
	TABLE_BYTES = BACKEND_MAX_SEGMENTS * sizeof(struct vring_desc),
	SYSCALLS_A_TURN = 2, /* the driver's: it is woken, and takes the count */
	SYSCALLS_A_KICK = 1,
};

struct backend {
	const struct backend_job *job;
	struct gmem *mem;
	struct loop *loop;
	struct virtio_transport *transport;
	struct loop_source *irq;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, kicked_idx, used_idx;
	uint64_t begun, done, bad, turns, kicks;
};

static void put(struct backend *b, uint64_t reg, uint32_t value)
{
	virtio_mmio_bus_ops.write(b->transport, reg, &value, sizeof(value));
}

static uint32_t get(struct backend *b, uint64_t reg)
{
	uint32_t value = 0;

	virtio_mmio_bus_ops.read(b->transport, reg, &value, sizeof(value));
	return value;
}

/* ---- The driver ----------------------------------------------------------------- */

static void add_request(struct backend *b, unsigned slot)
{
	const struct backend_job *job = b->job;
	gpa_t at = gpa(SLOTS_AT + slot * job->slot_bytes);
	gpa_t table_at = gpa(TABLES_AT + slot * TABLE_BYTES);
	struct vring_desc *table =
		gmem_span(b->mem, table_at, BACKEND_MAX_SEGMENTS * sizeof(*table));
	unsigned n = job->describe(job->arg, b->begun, at, gmem_span(b->mem, at, job->slot_bytes),
				   table);

	for (unsigned i = 0; i + 1 < n; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(i + 1);
	}
	b->desc[slot] = (struct vring_desc){
		.addr = table_at.v,
		.len = (uint32_t)(n * sizeof(*table)),
		.flags = VRING_DESC_F_INDIRECT,
	};
	b->avail->ring[b->avail_idx++ % QUEUE_SIZE] = (uint16_t)slot;
	b->begun++;
}

/* Shows the device what was added, and kicks it if it wants that (2.7.10). */
static void publish(struct backend *b)
{
	uint16_t *avail_event = (uint16_t *)&b->used->ring[QUEUE_SIZE];

	__atomic_store_n(&b->avail->idx, b->avail_idx, __ATOMIC_SEQ_CST);
	if (vring_need_event(__atomic_load_n(avail_event, __ATOMIC_SEQ_CST), b->avail_idx,
			     b->kicked_idx)) {
		put(b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		b->kicks++;
	}
	b->kicked_idx = b->avail_idx;
}

static void collect(struct backend *b)
{
	while (__atomic_load_n(&b->used->idx, __ATOMIC_SEQ_CST) != b->used_idx) {
		unsigned slot = b->used->ring[b->used_idx++ % QUEUE_SIZE].id;
		gpa_t at = gpa(SLOTS_AT + slot * b->job->slot_bytes);

		b->bad += !b->job->answered(b->job->arg, gmem_span(b->mem, at, b->job->slot_bytes));
		b->done++;
		if (b->begun < b->job->count)
			add_request(b, slot);
	}
}

/* As a guest's interrupt handler: takes all answers, says from which one on it wants
 * to be interrupted again, and looks once more. */
static void on_interrupt(void *arg, uint32_t events)
{
	struct backend *b = arg;
	uint16_t *used_event = &b->avail->ring[QUEUE_SIZE];

	(void)events;
	fd_event_drain(virtio_mmio_irq_fd(b->transport));
	put(b, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	b->turns++;
	collect(b);
	__atomic_store_n(used_event, b->used_idx, __ATOMIC_SEQ_CST);
	collect(b);
	publish(b);
	if (b->done == b->job->count || get(b, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)
		loop_stop(b->loop, 0);
}

/* ---- Life ----------------------------------------------------------------------- */

static void set_address(struct backend *b, uint64_t low_reg, uint64_t high_reg, uint32_t at)
{
	put(b, low_reg, at);
	put(b, high_reg, 0);
}

/* As 3.1.1 has it. 0, or -EPROTO when the device did not come up. */
static int start_device(struct backend *b)
{
	uint64_t features = b->job->features | UINT64_C(1) << VIRTIO_F_VERSION_1 |
			    1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX;
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	put(b, VIRTIO_MMIO_STATUS, status);
	for (uint32_t word = 0; word < 2; word++) {
		put(b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		put(b, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * word));
	}
	put(b, VIRTIO_MMIO_STATUS, status |= VIRTIO_CONFIG_S_FEATURES_OK);
	put(b, VIRTIO_MMIO_QUEUE_SEL, 0);
	put(b, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
	set_address(b, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH, DESC_AT);
	set_address(b, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, AVAIL_AT);
	set_address(b, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH, USED_AT);
	put(b, VIRTIO_MMIO_QUEUE_READY, 1);
	put(b, VIRTIO_MMIO_STATUS, status |= VIRTIO_CONFIG_S_DRIVER_OK);
	return get(b, VIRTIO_MMIO_STATUS) == status ? 0 : -EPROTO;
}

static int backend_init(struct backend *b, struct virtio_dev **dev, struct error *err)
{
	const struct gmem_config config = {
		.size_bytes = SLOTS_AT + b->job->depth * b->job->slot_bytes,
		.backing = GMEM_ANON,
	};
	int r = gmem_create(&config, &b->mem, err);

	if (r < 0)
		return r;
	b->desc = gmem_span(b->mem, gpa(DESC_AT), QUEUE_SIZE * sizeof(*b->desc));
	b->avail = gmem_span(b->mem, gpa(AVAIL_AT), USED_AT - AVAIL_AT);
	b->used = gmem_span(b->mem, gpa(USED_AT), TABLES_AT - USED_AT);
	r = loop_create(&b->loop);
	if (r == 0)
		r = virtio_mmio_create(*dev, b->mem, &b->transport);
	if (r == 0)
		*dev = NULL;
	if (r == 0)
		r = virtio_transport_attach(b->transport, b->loop);
	if (r == 0)
		r = loop_add(b->loop, virtio_mmio_irq_fd(b->transport), EPOLLIN, on_interrupt, b,
			     &b->irq);
	if (r == 0)
		r = start_device(b);
	return r < 0 ? error_set(err, r, NULL, NULL, "the device did not come up: %s", strerror(-r))
		     : 0;
}

static void backend_clear(struct backend *b)
{
	loop_source_remove(b->irq);
	virtio_transport_destroy(b->transport);
	loop_destroy(b->loop);
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

static void meter_begin(struct meter *m, int tracefs)
{
	const struct probe_spec spec = { PROBE_NOW, "raw_syscalls/sys_enter", NULL };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
	};

	*m = (struct meter){ 0 };
	m->cycles_fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (tracefs >= 0)
		probe_create(tracefs, getpid(), &spec, &m->syscalls, NULL);
	m->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	m->wall_ns = clock_ns(CLOCK_MONOTONIC);
}

static void meter_end(struct meter *m, const struct backend *b, struct backend_result *ret)
{
	uint64_t cycles;
	int64_t own = (int64_t)(b->turns * SYSCALLS_A_TURN + b->kicks * SYSCALLS_A_KICK);

	*ret = (struct backend_result){
		.ns = clock_ns(CLOCK_MONOTONIC) - m->wall_ns,
		.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_ns,
		.cycles = -1,
		.syscalls = -1,
		.interrupts = b->turns,
		.kicks = b->kicks,
	};
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
	int r;

	meter_begin(&meter, b->job->tracefs);
	for (unsigned i = 0; i < b->job->depth; i++)
		add_request(b, i);
	publish(b);
	r = loop_run(b->loop);
	meter_end(&meter, b, ret);
	if (r == 0 && (b->bad > 0 || b->done < b->job->count))
		r = -EIO;
	return r < 0 ? error_set(err, r, NULL, NULL, "%llu of %llu requests failed",
				 (unsigned long long)(b->bad + b->job->count - b->done),
				 (unsigned long long)b->job->count)
		     : 0;
}

int backend_run(struct virtio_dev *dev, const struct backend_job *job, struct backend_result *ret,
		struct error *err)
{
	struct backend b = { .job = job };
	int r = backend_init(&b, &dev, err);

	if (r == 0)
		r = measure(&b, ret, err);
	backend_clear(&b);
	if (dev)
		dev->ops->destroy(dev);
	return r;
}
