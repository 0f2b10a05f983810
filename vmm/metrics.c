/* metrics.c - what one microVM did, as JSON lines.
 *
 * For each line all totals are built anew as one JSON object, each number is reduced
 * by what it was in the object before, and that is written. So nobody who counts
 * keeps a second counter for what was told already, and a line that could not be
 * written loses nothing: its numbers come with the next.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/metrics.h"

enum {
	INTERVAL_S = 60,
	REQUESTS_MAX = 16,
};

/* As Firecracker's message begins. */
#define BAD_INPUT "Cannot initialize the metrics system due to bad user input: "

struct request_count {
	uint64_t count, fails;
};

struct metrics {
	uint64_t value[METRICS];
	struct request_count request[METRICS_VERBS][REQUESTS_MAX];
	uint64_t deprecated, missed;
	bool torn; /* the last line has no end */
	const char *id;
	struct metrics_config config;
	json_t *properties; /* NULL: none */
	struct metrics_source source;
	int fd, timer_fd;
	struct loop_source *timer;
	json_t *told; /* the totals of the last line */
};

static const struct {
	const char *group, *name;
} value_names[METRICS] = {
	[METRIC_STARTUP_US] = { "api_server", "process_startup_time_us" },
	[METRIC_STARTUP_CPU_US] = { "api_server", "process_startup_time_cpu_us" },
	[METRIC_PAUSE_US] = { "latencies_us", "pause_vm" },
	[METRIC_RESUME_US] = { "latencies_us", "resume_vm" },
	[METRIC_CREATE_FULL_US] = { "latencies_us", "full_create_snapshot" },
	[METRIC_CREATE_DIFF_US] = { "latencies_us", "diff_create_snapshot" },
	[METRIC_LOAD_US] = { "latencies_us", "load_snapshot" },
	[METRIC_SIGHUP] = { "signals", "sighup" },
	[METRIC_SIGXCPU] = { "signals", "sigxcpu" },
	[METRIC_SIGXFSZ] = { "signals", "sigxfsz" },
	[METRIC_SECCOMP_FAULTS] = { "seccomp", "num_faults" },
};

static const struct {
	const char *group;
	bool fails; /* failures are told, too */
	const char *name[REQUESTS_MAX];
} request_names[METRICS_VERBS] = {
	[METRICS_GET] = { "get_api_requests",
			  false,
			  { "instance_info", "machine_cfg", "mmds", "vmm_version",
			    "hotplug_memory" } },
	[METRICS_PUT] = { "put_api_requests",
			  true,
			  { "actions", "boot_source", "drive", "logger", "machine_cfg", "cpu_cfg",
			    "metrics", "network", "mmds", "vsock", "pmem", "serial",
			    "hotplug_memory" } },
	[METRICS_PATCH] = { "patch_api_requests",
			    true,
			    { "drive", "network", "machine_cfg", "mmds", "hotplug_memory" } },
};

int metrics_create(const char *id, struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->id = id;
	m->fd = m->timer_fd = -1;
	*ret = m;
	return 0;
}

void metrics_destroy(struct metrics *m)
{
	if (!m)
		return;
	loop_source_remove(m->timer);
	fd_close(m->timer_fd);
	fd_close(m->fd);
	json_decref(m->properties);
	json_decref(m->told);
	free(m);
}

void metrics_set(struct metrics *m, enum metric which, uint64_t value)
{
	m->value[which] = value;
}

void metrics_count_request(struct metrics *m, enum metrics_verb verb, const char *name, bool failed)
{
	for (unsigned i = 0; i < REQUESTS_MAX && request_names[verb].name[i]; i++) {
		if (strcmp(request_names[verb].name[i], name) != 0)
			continue;
		m->request[verb][i].count++;
		m->request[verb][i].fails += failed;
	}
}

void metrics_count_deprecated(struct metrics *m)
{
	m->deprecated++;
}

int metrics_open(struct metrics *m, const struct metrics_config *config, struct error *err)
{
	int fd;

	if (m->fd >= 0)
		return error_set(err, -EBUSY, "metrics_path", "keep the first one",
				 BAD_INPUT "Reinitialization of metrics not allowed. They go to %s",
				 m->config.metrics_path);
	fd = fd_open_lines(config->metrics_path, 0644);
	if (fd < 0)
		return error_set(err, fd, "metrics_path", "give a writable file or FIFO",
				 BAD_INPUT "%s: %s", config->metrics_path, strerror(-fd));
	m->fd = fd;
	m->config = *config;
	if (config->has_properties)
		m->properties = json_loads(config->properties, 0, NULL);
	return 0;
}

const struct metrics_config *metrics_config(const struct metrics *m)
{
	return m->fd < 0 ? NULL : &m->config;
}

/* --- the totals --- */

/* The object called name in o, made if it is not there. Borrowed. */
static json_t *group(json_t *o, const char *name)
{
	json_t *g = json_object_get(o, name);

	if (!g) {
		g = json_object();
		json_object_set_new(o, name, g);
	}
	return g;
}

void metrics_add(json_t *totals, const char *group_name, const char *name, uint64_t n)
{
	json_t *g = group(totals, group_name);
	json_int_t before = json_integer_value(json_object_get(g, name));

	json_object_set_new(g, name, json_integer(before + (json_int_t)n));
}

static void add_requests(const struct metrics *m, json_t *o)
{
	char name[64];

	for (unsigned verb = 0; verb < METRICS_VERBS; verb++) {
		const char *g = request_names[verb].group;

		for (unsigned i = 0; i < REQUESTS_MAX && request_names[verb].name[i]; i++) {
			snprintf(name, sizeof(name), "%s_count", request_names[verb].name[i]);
			metrics_add(o, g, name, m->request[verb][i].count);
			snprintf(name, sizeof(name), "%s_fails", request_names[verb].name[i]);
			if (request_names[verb].fails)
				metrics_add(o, g, name, m->request[verb][i].fails);
		}
	}
}

/* Everything that is told as a difference. */
json_t *metrics_counters(const struct metrics *m)
{
	json_t *o = json_object();

	add_requests(m, o);
	metrics_add(o, "deprecated_api", "deprecated_http_api_calls", m->deprecated);
	metrics_add(o, "logger", "missed_metrics_count", m->missed);
	metrics_add(o, "logger", "missed_log_count", log_missed());
	if (m->source.add)
		m->source.add(m->source.ctx, o);
	return o;
}

static void add_values(const struct metrics *m, json_t *o)
{
	for (unsigned i = 0; i < METRICS; i++)
		metrics_add(o, value_names[i].group, value_names[i].name, m->value[i]);
}

json_t *metrics_values(const struct metrics *m)
{
	json_t *o = json_object();

	add_values(m, o);
	return o;
}

/* --- a line --- */

/* A counter that is less than it was began anew, with its machine. */
static json_int_t added_to(const json_t *before, json_int_t now)
{
	json_int_t old = json_integer_value(before);

	return old <= now ? now - old : now;
}

/* Reduces the numbers in the groups of now by those in before, which may be NULL. */
static void subtract(json_t *now, const json_t *before)
{
	const char *group_name, *name;
	json_t *g, *number;

	json_object_foreach(now, group_name, g)
	{
		const json_t *old = json_object_get(before, group_name);

		json_object_foreach(g, name, number) json_integer_set(
			number, added_to(json_object_get(old, name), json_integer_value(number)));
	}
}

static uint64_t utc_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* In one write, so that a FIFO mixes lines of several machines as little as it can. A
 * line that was cut short is ended before the next. */
static int write_line(struct metrics *m, const json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT), *whole = NULL;
	int len = text ? asprintf(&whole, "%s%s\n", m->torn ? "\n" : "", text) : -1;
	ssize_t n;

	free(text);
	if (len < 0)
		return -ENOMEM;
	n = write(m->fd, whole, (size_t)len);
	free(whole);
	if (n < 0)
		return -errno;
	m->torn = n < len;
	return m->torn ? -EIO : 0;
}

/* What was added to the totals since the last line, and what stands for itself. */
static json_t *build_line(const struct metrics *m, const json_t *now)
{
	json_t *line = json_pack("{s:I}", "utc_timestamp_ms", (json_int_t)utc_ms());
	json_t *added = json_deep_copy(now);

	if (m->config.emit_id)
		json_object_set_new(line, "id", json_string(m->id));
	if (m->properties)
		json_object_set(line, "properties", m->properties);
	subtract(added, m->told);
	add_values(m, added);
	json_object_update(line, added);
	json_decref(added);
	return line;
}

int metrics_flush(struct metrics *m)
{
	json_t *now, *line;
	int r;

	if (m->fd < 0)
		return 0;
	now = metrics_counters(m);
	line = build_line(m, now);
	r = write_line(m, line);
	json_decref(line);
	if (r < 0) {
		m->missed++;
		json_decref(now);
		return r;
	}
	json_decref(m->told);
	m->told = now;
	return 0;
}

/* Without the counters, whose owners may be in the middle of anything, and without memory
 * from the heap, whose lock this thread may hold. */
void metrics_tell_violation(const struct metrics *m)
{
	char line[128];
	int len = snprintf(line, sizeof(line),
			   "%s{\"utc_timestamp_ms\":%" PRIu64 ",\"%s\":{\"%s\":1}}\n",
			   m->torn ? "\n" : "", utc_ms(), value_names[METRIC_SECCOMP_FAULTS].group,
			   value_names[METRIC_SECCOMP_FAULTS].name);

	if (m->fd >= 0)
		(void)!write(m->fd, line, (size_t)len);
}

static void on_timer(void *arg, uint32_t events)
{
	struct metrics *m = arg;
	uint64_t expirations;
	int r;

	(void)events;
	if (read(m->timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	r = metrics_flush(m);
	if (r < 0)
		log_guest("the metrics cannot be written: %s", strerror(-r));
}

static int start_timer(struct metrics *m, struct loop *loop)
{
	const struct itimerspec minute = { { INTERVAL_S, 0 }, { INTERVAL_S, 0 } };

	m->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->timer_fd < 0 || timerfd_settime(m->timer_fd, 0, &minute, NULL) < 0)
		return -errno;
	return loop_add(loop, m->timer_fd, EPOLLIN, on_timer, m, &m->timer);
}

void metrics_start(struct metrics *m, const struct metrics_source *source, struct loop *loop)
{
	int r;

	m->source = *source;
	if (m->fd < 0 || m->timer)
		return;
	r = start_timer(m, loop);
	if (r == 0)
		r = metrics_flush(m);
	if (r < 0)
		log_warn("the metrics cannot be written: %s", strerror(-r));
}
