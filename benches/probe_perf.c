/* probe_perf.c - what the kernel saw of one process: tracepoints through perf.
 *
 * An event that follows a process costs that process at each fork, thread and
 * switch: half a millisecond of a two-millisecond start. So a PROBE_FIRST, which is
 * there while time is taken, watches the processors instead, with a ring each, and
 * the earliest record of the process over the rings counts. When a ring is full the
 * kernel drops newer records: on a host whose other guests fill it first, the event
 * is missed and said to be. A PROBE_COUNT is for runs that are not timed: one
 * descriptor that follows the process, whose value includes every thread's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "benches/probe_perf.h"
#include "vmm/base/fd.h"

enum { RING_PAGES = 1 + 16 }; /* the control page and those of records */

struct ring {
	int fd;
	struct perf_event_mmap_page *page; /* NULL: a counter */
};

struct probe {
	enum probe_kind kind;
	pid_t pid;
	bool armed;
	size_t nrings;
	struct ring rings[]; /* PROBE_COUNT: one, without a page */
};

struct record { /* PERF_RECORD_SAMPLE with PERF_SAMPLE_TID | PERF_SAMPLE_TIME */
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t time_ns;
};

static size_t ring_bytes(void)
{
	return RING_PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

/* A tracefs of our own, which no path leads to and which ends with its descriptor. */
static int mount_private(void)
{
	int fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	int fd = -1, r = 0;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		r = -errno;
	fd_close(fs);
	return r < 0 ? r : fd;
}

int probe_tracefs(struct error *err)
{
	int fd = open("/sys/kernel/tracing", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && faccessat(fd, "events", R_OK, 0) == 0)
		return fd;
	fd_close(fd);
	fd = mount_private();
	if (fd < 0)
		error_set(err, fd, NULL, "run as root", "cannot open the kernel's tracepoints: %s",
			  strerror(-fd));
	return fd;
}

static int event_id(int tracefs, const char *event, uint64_t *ret)
{
	char path[128], text[32] = "";
	int fd, r;

	snprintf(path, sizeof(path), "events/%s/id", event);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read(fd, text, sizeof(text) - 1) > 0 ? 0 : -EIO;
	fd_close(fd);
	if (r == 0)
		*ret = strtoull(text, NULL, 10);
	return r;
}

static int ring_open(struct ring *ring, const struct probe_spec *spec, uint64_t id, pid_t pid,
		     int cpu)
{
	bool first = spec->kind == PROBE_FIRST;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.sample_period = first ? 1 : 0,
		.sample_type = first ? PERF_SAMPLE_TID | PERF_SAMPLE_TIME : 0,
		.wakeup_events = first ? 1 : 0,
		.disabled = spec->kind == PROBE_COUNT,
		.enable_on_exec = spec->kind == PROBE_COUNT,
		.inherit = !first,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
	void *page;

	ring->fd = (int)syscall(SYS_perf_event_open, &attr, first ? -1 : pid, cpu, -1,
				PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return -errno;
	if (spec->filter && ioctl(ring->fd, PERF_EVENT_IOC_SET_FILTER, spec->filter) < 0)
		return -errno;
	if (!first)
		return 0;
	page = mmap(NULL, ring_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	ring->page = page;
	return 0;
}

/* One ring a processor that is online; others answer ENODEV and are left out. */
static int rings_open(struct probe *p, const struct probe_spec *spec, uint64_t id, pid_t pid,
		      size_t ncpus)
{
	for (size_t cpu = 0; cpu < ncpus; cpu++) {
		int on = spec->kind == PROBE_FIRST ? (int)cpu : -1;
		int r = ring_open(&p->rings[p->nrings], spec, id, pid, on);

		if (r == -ENODEV)
			continue;
		p->nrings++;
		if (r < 0)
			return r;
	}
	return 0;
}

int probe_create(int tracefs, pid_t pid, const struct probe_spec *spec, struct probe **ret,
		 struct error *err)
{
	long configured = sysconf(_SC_NPROCESSORS_CONF);
	size_t ncpus = spec->kind == PROBE_FIRST && configured > 0 ? (size_t)configured : 1;
	struct probe *p = calloc(1, sizeof(*p) + ncpus * sizeof(p->rings[0]));
	uint64_t id = 0;
	int r;

	if (!p)
		return error_set(err, -ENOMEM, NULL, NULL, "no memory for a probe");
	p->kind = spec->kind;
	p->pid = pid;
	p->armed = true;
	r = event_id(tracefs, spec->event, &id);
	if (r < 0)
		goto fail;
	r = rings_open(p, spec, id, pid, ncpus);
	if (r < 0)
		goto fail;
	*ret = p;
	return 0;

fail:
	probe_destroy(p);
	return error_set(err, r, NULL, "load kvm, run as root", "cannot watch tracepoint %s: %s",
			 spec->event, strerror(-r));
}

void probe_destroy(struct probe *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nrings; i++) {
		if (p->rings[i].page)
			munmap(p->rings[i].page, ring_bytes());
		fd_close(p->rings[i].fd);
	}
	free(p);
}

size_t probe_poll(const struct probe *p, struct pollfd *fds, size_t room)
{
	size_t n = 0;

	if (p->kind != PROBE_FIRST || !p->armed)
		return 0;
	for (; n < p->nrings && n < room; n++)
		fds[n] = (struct pollfd){ .fd = p->rings[n].fd, .events = POLLIN };
	return n;
}

void probe_disarm(struct probe *p)
{
	for (size_t i = 0; i < p->nrings && p->armed; i++)
		ioctl(p->rings[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	p->armed = false;
}

/* The first record of the process. Nobody consumes the ring: it starts at offset 0. */
static int64_t ring_first_us(const struct ring *ring, pid_t pid)
{
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	const char *data = (const char *)ring->page + ring->page->data_offset;
	uint64_t at = 0;

	while (at + sizeof(struct record) <= head &&
	       at + sizeof(struct record) <= ring->page->data_size) {
		struct record rec;

		memcpy(&rec, data + at, sizeof(rec));
		if (rec.header.type == PERF_RECORD_SAMPLE && rec.pid == (uint32_t)pid)
			return (int64_t)(rec.time_ns / 1000);
		if (rec.header.size == 0)
			break;
		at += rec.header.size;
	}
	return -ENODATA;
}

static int64_t rings_first_us(const struct probe *p)
{
	int64_t first = -ENODATA;

	for (size_t i = 0; i < p->nrings; i++) {
		int64_t at = ring_first_us(&p->rings[i], p->pid);

		if (at >= 0 && (first < 0 || at < first))
			first = at;
	}
	return first;
}

int64_t probe_read(const struct probe *p)
{
	uint64_t count;
	ssize_t n;

	if (p->kind == PROBE_FIRST)
		return rings_first_us(p);
	n = read(p->rings[0].fd, &count, sizeof(count));
	if (n != (ssize_t)sizeof(count))
		return n < 0 ? -errno : -EIO;
	return (int64_t)count;
}
