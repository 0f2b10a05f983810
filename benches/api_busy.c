/* api_busy.c - how long the API takes to answer while a guest keeps a disk busy.
 *
 * The guest reads a file that is in the page cache, 32 blocks at a time and without a
 * pause, so that wisp's one main thread always has work: requests of 4 KiB, of which it
 * serves many a second, and of 128 KiB, which fill its turns. Between two turns it
 * answers a call. What is asked is everything that a running machine takes, but for
 * snapshots, the network, which needs a tap, and what needs a driver in the guest.
 *
 * The disk's requests per second while all that is asked are a metric, too: a disk that
 * stood still would make the rest worthless.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/bench_api.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	DISK_BYTES = 4 << 20,
	PMEM_BYTES = 2 << 20,
	GETS = 200,
	ROUNDS = 4,
	BODY_BYTES = PATH_MAX + 128,
	WARM_REQUESTS = 1000, /* of the disk, before the first sample */
	PACE_US = 1000,	      /* between calls, so that the disk is what wisp works on */
	LIMIT_US = 10 * 1000 * 1000,
};

#define REQUESTS "\nwisp_block_requests_total{device=\"disk\"} "
#define LIMITER	 "{\"bandwidth\": {\"size\": 0, \"refill_time\": 0}}"

static const struct {
	const char *guest, *prefix;
} loads[] = {
	{ "blk-busy-4k.elf", "busy4k" },
	{ "blk-busy-128k.elf", "busy128k" },
};

/* Each is made ROUNDS times, and the first GETS times besides; a "@" in a body is the folder of the run. */
static const struct call {
	const char *name, *verb, *path, *body;
} calls[] = {
	{ "get", "GET", "/", NULL },
	{ "version", "GET", "/version", NULL },
	{ "config", "GET", "/vm/config", NULL },
	{ "machine", "GET", "/machine-config", NULL },
	{ "metrics", "GET", "/metrics", NULL },
	{ "flush_metrics", "PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}" },
	{ "drive_limits", "PATCH", "/drives/disk",
	  "{\"drive_id\": \"disk\", \"rate_limiter\": " LIMITER "}" },
	{ "drive_file", "PATCH", "/drives/disk",
	  "{\"drive_id\": \"disk\", \"path_on_host\": \"@/disk\"}" },
	{ "pmem", "PATCH", "/pmem/pmem", "{\"id\": \"pmem\", \"rate_limiter\": " LIMITER "}" },
	{ "get_balloon", "GET", "/balloon", NULL },
	{ "get_memory", "GET", "/hotplug/memory", NULL },
	{ "pause", "PATCH", "/vm", "{\"state\": \"Paused\"}" },
	{ "resume", "PATCH", "/vm", "{\"state\": \"Resumed\"}" },
};

enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* Its "@", if it has one, in place. */
static const char *fill_in(const struct bench *b, const char *text, char body[static BODY_BYTES])
{
	const char *at = text ? strchr(text, '@') : NULL;

	if (!at)
		return text;
	snprintf(body, BODY_BYTES, "%.*s%s%s", (int)(at - text), text, b->dir, at + 1);
	return body;
}

static int make_file(const struct bench *b, const char *name, off_t bytes, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, bytes) < 0) {
		fd_close(fd);
		return error_errno(err, NULL, NULL, "cannot make %s", path);
	}
	fd_close(fd);
	return 0;
}

static int configure(const struct bench *b, struct wisp *w, struct error *err)
{
	static const struct {
		const char *path, *body;
	} rows[] = {
		{ "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}" },
		{ "/metrics", "{\"metrics_path\": \"@/metrics\"}" },
		{ "/drives/disk", "{\"drive_id\": \"disk\", \"path_on_host\": \"@/disk\", "
				  "\"is_root_device\": false}" },
		{ "/pmem/pmem", "{\"id\": \"pmem\", \"path_on_host\": \"@/pmem\"}" },
		{ "/balloon", "{\"amount_mib\": 0, \"deflate_on_oom\": true}" },
		{ "/hotplug/memory", "{\"total_size_mib\": 128}" },
	};
	char body[BODY_BYTES];
	int r = make_file(b, "disk", DISK_BYTES, err);

	if (r == 0)
		r = make_file(b, "pmem", PMEM_BYTES, err);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && r == 0; i++) {
		r = api_server_call(w, "PUT", rows[i].path, fill_in(b, rows[i].body, body), err);
	}
	return r;
}

/* What the disk has served so far. */
static int count_requests(struct wisp *w, uint64_t *ret, struct error *err)
{
	struct wisp_reply reply;
	const char *at;
	int r = wisp_call(w, "GET", "/metrics", NULL, &reply);

	at = r == 0 ? strstr(reply.body, REQUESTS) : NULL;
	if (at)
		*ret = strtoull(at + strlen(REQUESTS), NULL, 10);
	wisp_reply_clear(&reply);
	return at ? 0 : error_set(err, -EIO, NULL, NULL, "wisp does not count the disk's requests");
}

/* Until the guest is at it. *ret: what the disk has served by then. */
static int warm_up(struct wisp *w, uint64_t *ret, struct error *err)
{
	uint64_t end_us = clock_now_us() + LIMIT_US;
	int r;

	do
		r = count_requests(w, ret, err);
	while (r == 0 && *ret < WARM_REQUESTS && clock_now_us() < end_us);
	if (r == 0 && *ret < WARM_REQUESTS)
		return error_set(err, -ETIMEDOUT, NULL, NULL, "the guest does not read its disk");
	return r;
}

/* A call after a pause. */
static int time_call(struct bench *b, const struct bench_vmm *vmm, const char *prefix,
		     const struct call *c, struct wisp *w, struct error *err)
{
	char metric[REPORT_NAME_LEN + 1], body[BODY_BYTES];

	usleep(PACE_US);
	snprintf(metric, sizeof(metric), "%s_%s_us", prefix, c->name);
	return api_server_time(b, vmm, metric, w, c->verb, c->path, fill_in(b, c->body, body), err);
}

static int make_calls(struct bench *b, const struct bench_vmm *vmm, const char *prefix,
		      struct wisp *w, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < GETS && r == 0; i++)
		r = time_call(b, vmm, prefix, &calls[0], w, err);
	for (unsigned i = 0; i < ROUNDS * CALLS && r == 0; i++)
		r = time_call(b, vmm, prefix, &calls[i % CALLS], w, err);
	return r;
}

static int measure(struct bench *b, const struct bench_vmm *vmm, const char *prefix, struct wisp *w,
		   struct error *err)
{
	uint64_t start_us, before = 0, after = 0, took_us;
	char metric[REPORT_NAME_LEN + 1];
	int r = warm_up(w, &before, err);

	start_us = clock_now_us();
	if (r == 0)
		r = make_calls(b, vmm, prefix, w, err);
	if (r == 0)
		r = count_requests(w, &after, err);
	if (r < 0)
		return r;
	took_us = clock_now_us() - start_us;
	snprintf(metric, sizeof(metric), "%s_disk_iops", prefix);
	return bench_add(b, vmm, metric, (int64_t)((after - before) * 1000000 / took_us), err);
}

int api_busy_run(struct bench *b, struct bench_vmm *vmm, struct error *err)
{
	int r = 0;

	/* Others refuse calls about devices whose drivers this guest does not have. */
	if (vmm->ops != &vmm_wisp)
		return 0;
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]) && r == 0; i++) {
		struct api_server s;
		int64_t answer_us;

		r = api_server_start(b, vmm, &s, &answer_us, err);
		if (r == 0)
			r = configure(b, s.w, err);
		if (r == 0)
			r = api_server_boot(s.w, loads[i].guest, NULL, err);
		if (r == 0)
			r = measure(b, vmm, loads[i].prefix, s.w, err);
		api_server_end(&s);
	}
	return r;
}
