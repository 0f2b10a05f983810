/* bench_supervisor.c - what wispd costs: a run from a pool, a list, its memory, what is left.
 *
 * A wispd of its own, with folders in $TMPDIR and a network namespace, as root. The guest is a
 * loop that halts: what is measured is the supervisor and the VMM, not a kernel.
 *
 *   run_us             POST /instances until the operation is done: a VMM of the pool runs it
 *   answer_us          the part of it until the request is answered, and all is written down
 *   vmm_us             what the VMM needs for its part: the same calls to one that waits, by
 *                      the benchmark itself
 *   own_us             run_us less the median of those: wispd's own share, and its client's
 *   run_cpu_us         processor time of wispd from the request until then: what a machine that
 *                      others use, too, cannot spoil as easily
 *   list_1000_us       GET /instances with a thousand
 *   rss_1000_kib       resident memory of wispd then
 *   cycles_per_s       instances made, started, ended and removed a second
 *   cycle_cpu_us       wispd's processor time for one of these,
 *   cycle_children_us  that of all programs which it has run for it, with the VMM, and
 *   cycle_written_bytes what wispd has written to files for it
 *   cpu_metered_us     processor time that those are billed for
 *   cpu_group_us       what the kernel says of them: of the group above theirs
 *   left_...           what more there was of anything after all cycles than before
 *   wired_...          the same, each with an interface in a network; where there can be none
 *                      (a kernel without connection tracking on bridges), there is no such row
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/bench.h"
#include "benches/host_wispd.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	RUNS = 100,
	LISTED = 1000,
	LISTS = 50,
	CYCLES = 10, /* for each run */
	IN_FLIGHT = 16,
	POOL = 16,
};

/* In MiB, as text: where the guest is loaded, it needs as many. */
#define MEMORY "64"
#define VM     "{\"image\": \"idle\", \"shape\": \"bench\", \"start\": true"

/* A pool, and what is taken from it. */
struct leg {
	const char *prefix; /* of its metrics */
	const char *pool;   /* as it is asked for */
	const char *vm;
};

static const struct leg plain = {
	.prefix = "",
	.pool = "",
	.vm = VM "}",
};

static const struct leg wired = {
	.prefix = "wired_",
	.pool = ", \"networks\": [\"bench\"]",
	.vm = VM ", \"interfaces\": [{\"network\": \"bench\"}]}",
};

struct supervised {
	struct host_wispd h;
	int netns; /* that was left */
	char kernel[PATH_MAX];
	char ids[LISTED][32];
};

static int add_to(struct bench *b, const char *prefix, const char *metric, int64_t value,
		  struct error *err)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", prefix, metric);
	return report_add(&b->report, "wisp", name, value) < 0
		       ? error_set(err, -ENOMEM, NULL, NULL, "out of memory")
		       : 0;
}

static int add(struct bench *b, const char *metric, int64_t value, struct error *err)
{
	return add_to(b, "", metric, value, err);
}

/* --- instances --- */

/* answer: the caller's. */
static int make(struct supervised *s, const char *body, char id[32], json_t **answer,
		struct error *err)
{
	int r = host_wispd_call(&s->h, "POST", "/instances", body, answer, err);
	const json_t *instance = json_object_get(*answer, "instance");

	if (r == 0)
		snprintf(id, 32, "%s", json_string_value(json_object_get(instance, "id")));
	return r;
}

static int begin_removal(struct supervised *s, const char *id, json_t **answer, struct error *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/instances/%s", id);
	return host_wispd_call(&s->h, "DELETE", path, NULL, answer, err);
}

/* Its links and rules are in nobody's way. */
static int leave_network(struct supervised *s, struct error *err)
{
	s->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->netns >= 0 && unshare(CLONE_NEWNET) == 0)
		return 0;
	return error_errno(err, NULL, "start it as root", "cannot make a network namespace");
}

static int set_up(struct bench *b, struct supervised *s, struct error *err)
{
	char body[PATH_MAX + 64];
	json_t *answer = NULL;
	int r = vmm_beside("../share/wisp/bench/idle.elf", s->kernel);

	if (r < 0)
		return error_set(err, r, NULL, "build or install the whole of wisp",
				 "there is no %s", s->kernel);
	r = leave_network(s, err);
	if (r < 0)
		return r;
	r = host_wispd_start(b->dir, &s->h, err);
	if (r == 0)
		r = host_wispd_call(&s->h, "PUT", "/shapes/bench",
				    "{\"vcpus\": 1, \"mem_mib\": " MEMORY "}", NULL, err);
	snprintf(body, sizeof(body), "{\"name\": \"idle\", \"kernel\": \"%s\"}", s->kernel);
	if (r == 0)
		r = host_wispd_call(&s->h, "POST", "/images", body, &answer, err);
	if (r == 0)
		r = host_wispd_await(&s->h, answer, err);
	json_decref(answer);
	return r;
}

/* --- a thousand --- */

/* They are made while others still are: only the last one of each batch is waited for. */
static int make_thousand(struct supervised *s, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < LISTED && r == 0; i++) {
		json_t *answer = NULL;

		r = make(s, "{\"image\": \"idle\", \"shape\": \"bench\"}", s->ids[i], &answer, err);
		if (r == 0 && (i % IN_FLIGHT == IN_FLIGHT - 1 || i == LISTED - 1))
			r = host_wispd_await(&s->h, answer, err);
		json_decref(answer);
	}
	return r;
}

static int time_lists(struct bench *b, struct supervised *s, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < LISTS && r == 0; i++) {
		uint64_t start_us = clock_now_us();
		struct wisp_reply reply = { 0 };

		r = wisp_call(s->h.client, "GET", "/instances", NULL, &reply);
		if (r == 0)
			r = add(b, "list_1000_us", (int64_t)(clock_now_us() - start_us), err);
		else
			error_set(err, r, NULL, NULL, "%s", wisp_error(s->h.client));
		wisp_reply_clear(&reply);
	}
	return r < 0 ? r : add(b, "rss_1000_kib", host_wispd_rss_kib(&s->h), err);
}

static int remove_thousand(struct supervised *s, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < LISTED && r == 0; i++)
		r = begin_removal(s, s->ids[i], NULL, err);
	return r < 0 ? r : host_wispd_await_number(&s->h, "/instances", "instances", 0, 0, err);
}

static int measure_thousand(struct bench *b, struct supervised *s, struct error *err)
{
	int r = make_thousand(s, err);

	if (r == 0)
		r = time_lists(b, s, err);
	return r < 0 ? r : remove_thousand(s, err);
}

/* --- from a pool --- */

static int make_pool(struct supervised *s, const struct leg *leg, struct error *err)
{
	char body[160];
	int r;

	snprintf(body, sizeof(body),
		 "{\"name\": \"warm\", \"image\": \"idle\", \"shape\": \"bench\", \"min\": %d%s}",
		 POOL, leg->pool);
	r = host_wispd_call(&s->h, "POST", "/pools", body, NULL, err);
	return r < 0 ? r : host_wispd_await_number(&s->h, "/pools/warm", "ready", POOL, POOL, err);
}

/* It goes, and the pool is full again: nothing is under way when the next is timed. */
static int await_quiet(struct supervised *s, const char *id, struct error *err)
{
	json_t *answer = NULL;
	int r = begin_removal(s, id, &answer, err);

	if (r == 0)
		r = host_wispd_await(&s->h, answer, err);
	json_decref(answer);
	return r < 0 ? r : host_wispd_await_number(&s->h, "/pools/warm", "ready", POOL, POOL, err);
}

static int time_run(struct bench *b, struct supervised *s, const struct leg *leg, int64_t vmm_us,
		    struct error *err)
{
	int64_t cpu_us = host_wispd_own_cpu_us(&s->h);
	uint64_t start_us = clock_now_us();
	json_t *answer = NULL;
	int64_t answer_us, run_us;
	char id[32] = "";
	bool taken;
	int r = make(s, leg->vm, id, &answer, err);

	answer_us = (int64_t)(clock_now_us() - start_us);
	taken = json_is_true(json_object_get(json_object_get(answer, "pool"), "taken"));
	if (r == 0)
		r = host_wispd_await(&s->h, answer, err);
	run_us = (int64_t)(clock_now_us() - start_us);
	cpu_us = host_wispd_own_cpu_us(&s->h) - cpu_us;
	json_decref(answer);
	if (r == 0 && !taken)
		r = error_set(err, -ECANCELED, NULL, NULL, "the pool had none");
	if (r == 0)
		r = add_to(b, leg->prefix, "run_us", run_us, err);
	if (r == 0)
		r = add_to(b, leg->prefix, "answer_us", answer_us, err);
	if (r == 0)
		r = add_to(b, leg->prefix, "own_us", run_us - vmm_us, err);
	if (r == 0)
		r = add_to(b, leg->prefix, "run_cpu_us", cpu_us, err);
	return r < 0 ? r : await_quiet(s, id, err);
}

/* --- the VMM's part --- */

static int await_vmm(struct wisp *w, struct spawn *vmm, struct error *err)
{
	while (wisp_call(w, "GET", "/version", NULL, NULL) < 0)
		if (usleep(1000) < 0 || spawn_exec_errno(vmm))
			return error_set(err, -ECANCELED, NULL, NULL, "wisp does not answer");
	return 0;
}

/* As runtime_wisp.c asks. */
static int ask_vmm(const struct supervised *s, const char *dir, struct wisp *w, int64_t *us)
{
	char boot[PATH_MAX + 64], console[PATH_MAX + 96], vsock[PATH_MAX + 64];
	const char *const calls[][2] = {
		{ "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": " MEMORY "}" },
		{ "/boot-source", boot },
		{ "/serial", console },
		{ "/vsock", vsock },
		{ "/actions", "{\"action_type\": \"InstanceStart\"}" },
	};
	uint64_t start_us = clock_now_us();
	int r = wisp_call(w, "GET", "/", NULL, NULL);

	snprintf(boot, sizeof(boot), "{\"kernel_image_path\": \"%s\", \"boot_args\": \"\"}",
		 s->kernel);
	snprintf(console, sizeof(console), "{\"serial_out_path\": \"%s/console\"}", dir);
	snprintf(vsock, sizeof(vsock), "{\"guest_cid\": 3, \"uds_path\": \"%s/vsock\"}", dir);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && r == 0; i++)
		r = wisp_call(w, "PUT", calls[i][0], calls[i][1], NULL);
	*us = (int64_t)(clock_now_us() - start_us);
	return r;
}

static int time_vmm(struct bench *b, const struct supervised *s, struct error *err)
{
	char program[PATH_MAX], socket[PATH_MAX + 16], vsock[PATH_MAX + 16];
	char *const argv[] = { program,
			       (char *)"--api-sock",
			       socket,
			       (char *)"--blank",
			       (char *)"--blank-vcpus",
			       (char *)"1",
			       (char *)"--blank-mem-mib",
			       (char *)MEMORY,
			       NULL };
	struct spawn vmm = SPAWN_NONE;
	struct wisp *w = NULL;
	int64_t us = 0;
	int r = vmm_beside("wisp", program);

	snprintf(socket, sizeof(socket), "%s/vmm.sock", b->dir);
	snprintf(vsock, sizeof(vsock), "%s/vsock", b->dir);
	if (r == 0)
		r = spawn_create(argv, &vmm, err);
	if (r == 0)
		r = spawn_release(&vmm);
	if (r == 0)
		r = wisp_open(socket, &w);
	if (r == 0)
		r = await_vmm(w, &vmm, err);
	if (r == 0 && ask_vmm(s, b->dir, w, &us) < 0)
		r = error_set(err, -EIO, NULL, NULL, "wisp refused: %s", wisp_error(w));
	wisp_close(w);
	spawn_end(&vmm);
	unlink(socket);
	unlink(vsock);
	return r < 0 ? r : add(b, "vmm_us", us, err);
}

static int compare(const void *left, const void *right)
{
	const int64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Of what was added for a metric so far; the samples stay in their order. */
static int64_t median_of(const struct bench *b, const char *metric)
{
	const struct report_row *row = report_find(&b->report, "wisp", metric);
	size_t n = row ? row->samples.n : 0;
	int64_t *sorted = n ? malloc(n * sizeof(*sorted)) : NULL, median;

	if (!sorted)
		return 0;
	memcpy(sorted, row->samples.v, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	median = stats_percentile(sorted, n, 50);
	free(sorted);
	return median;
}

static int measure_vmm(struct bench *b, struct supervised *s, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, RUNS);
	int r = 0;

	for (unsigned i = 0; i < runs && r == 0; i++)
		r = time_vmm(b, s, err);
	return r;
}

static int measure_runs(struct bench *b, struct supervised *s, const struct leg *leg,
			struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, RUNS);
	int r = 0;

	for (unsigned i = 0; i < runs && r == 0; i++)
		r = time_run(b, s, leg, median_of(b, "vmm_us"), err);
	return r;
}

/* --- again and again --- */

/* IN_FLIGHT of them at a time: the oldest goes when the next comes. */
static int cycle(struct supervised *s, const struct leg *leg, unsigned count, struct error *err)
{
	json_t *answers[IN_FLIGHT] = { 0 };
	int r = 0;

	for (unsigned i = 0; i < count + IN_FLIGHT && r == 0; i++) {
		unsigned at = i % IN_FLIGHT;

		if (answers[at])
			r = host_wispd_await(&s->h, answers[at], err);
		if (r == 0 && answers[at])
			r = begin_removal(s, s->ids[at], NULL, err);
		json_decref(answers[at]);
		answers[at] = NULL;
		if (r == 0 && i < count)
			r = make(s, leg->vm, s->ids[at], &answers[at], err);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		json_decref(answers[i]);
	return r < 0 ? r : host_wispd_await_number(&s->h, "/instances", "instances", 0, 0, err);
}

static int add_leavings(struct bench *b, const struct leg *leg, const struct host_leavings *before,
			const struct host_leavings *after, struct error *err)
{
	const struct {
		const char *metric;
		int64_t more;
	} rows[] = {
		{ "left_jails", after->jails - before->jails },
		{ "left_mounts", after->mounts - before->mounts },
		{ "left_cgroups", after->cgroups - before->cgroups },
		{ "left_links", after->links - before->links },
		{ "left_rules", after->rules - before->rules },
		{ "left_files", after->files - before->files },
		{ "left_descriptors", after->descriptors - before->descriptors },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && r == 0; i++)
		r = add_to(b, leg->prefix, rows[i].metric, rows[i].more < 0 ? 0 : rows[i].more,
			   err);
	return r;
}

/* --- what they are billed for --- */

struct cpu {
	int64_t metered_us, group_us;
};

static int read_cpu(struct supervised *s, struct cpu *ret, struct error *err)
{
	json_t *answer = NULL, *row;
	int r = host_wispd_call(&s->h, "GET", "/usage", NULL, &answer, err);
	const char *meter;
	size_t n;

	*ret = (struct cpu){ .group_us = host_wispd_cpu_us(&s->h) };
	json_array_foreach(json_object_get(answer, "usage"), n, row)
	{
		meter = json_string_value(json_object_get(row, "meter"));
		if (meter && strcmp(meter, "cpu_used") == 0)
			ret->metered_us += json_integer_value(json_object_get(row, "quantity"));
	}
	json_decref(answer);
	return r;
}

static int add_cpu(struct bench *b, struct supervised *s, const struct leg *leg,
		   const struct cpu *before, struct error *err)
{
	struct cpu after;
	int r = read_cpu(s, &after, err);

	if (r < 0 || before->group_us < 0)
		return r;
	r = add_to(b, leg->prefix, "cpu_metered_us", after.metered_us - before->metered_us, err);
	return r < 0 ? r
		     : add_to(b, leg->prefix, "cpu_group_us", after.group_us - before->group_us,
			      err);
}

static int add_use(struct bench *b, const struct leg *leg, unsigned count,
		   const struct host_use *before, const struct host_use *after, struct error *err)
{
	int r = add_to(b, leg->prefix, "cycle_cpu_us", (after->cpu_us - before->cpu_us) / count,
		       err);

	if (r == 0)
		r = add_to(b, leg->prefix, "cycle_children_us",
			   (after->children_us - before->children_us) / count, err);
	return r < 0 ? r
		     : add_to(b, leg->prefix, "cycle_written_bytes",
			      (after->written_bytes - before->written_bytes) / count, err);
}

static int measure_cycles(struct bench *b, struct supervised *s, const struct leg *leg,
			  struct error *err)
{
	const unsigned runs = (unsigned)option_or(b->options->runs, RUNS);
	const unsigned count = (runs ? runs : 1) * CYCLES;
	struct host_leavings before, after;
	struct host_use used, use;
	struct cpu cpu;
	uint64_t start_us;
	int64_t us;
	int r = read_cpu(s, &cpu, err);

	host_wispd_count(&s->h, &before);
	host_wispd_use(&s->h, &used);
	start_us = clock_now_us();
	if (r == 0)
		r = cycle(s, leg, count, err);
	us = (int64_t)(clock_now_us() - start_us);
	host_wispd_use(&s->h, &use);
	if (r == 0)
		r = add_to(b, leg->prefix, "cycles_per_s", count * INT64_C(1000000) / us, err);
	if (r == 0)
		r = add_use(b, leg, count, &used, &use, err);
	/* Before the pool gives up VMMs that nobody had. */
	if (r == 0)
		r = add_cpu(b, s, leg, &cpu, err);
	if (r == 0)
		r = host_wispd_await_number(&s->h, "/pools/warm", "ready", POOL, POOL, err);
	host_wispd_count(&s->h, &after);
	return r < 0 ? r : add_leavings(b, leg, &before, &after, err);
}

static int measure_leg(struct bench *b, struct supervised *s, const struct leg *leg,
		       struct error *err)
{
	int r = make_pool(s, leg, err);

	if (r == 0)
		r = measure_runs(b, s, leg, err);
	if (r == 0)
		r = measure_cycles(b, s, leg, err);
	if (r == 0)
		r = host_wispd_call(&s->h, "DELETE", "/pools/warm", NULL, NULL, err);
	return r < 0 ? r : host_wispd_await_no_jail(&s->h, err);
}

/* Whether one can be made there: not every kernel has all that rules need. */
static bool has_network(struct supervised *s)
{
	static const char network[] = "{\"name\": \"bench\", \"prefix4\": \"10.0.0.0/16\"}";
	json_t *answer = NULL;
	struct error err;
	char id[32] = "";
	int r = host_wispd_call(&s->h, "POST", "/networks", network, NULL, &err);

	if (r == 0)
		r = make(s, wired.vm, id, &answer, &err);
	if (r == 0)
		r = host_wispd_await(&s->h, answer, &err);
	json_decref(answer);
	if (r < 0)
		fprintf(stderr, "supervisor: nothing is measured with networks: %s\n", err.text);
	(void)begin_removal(s, id, NULL, &err);
	(void)host_wispd_await_no_jail(&s->h, &err);
	return r == 0;
}

/* --- all --- */

/* What may still live goes, whatever went wrong. */
static void end_all(struct supervised *s)
{
	json_t *j = NULL, *i;
	struct error err;
	size_t at;

	(void)host_wispd_call(&s->h, "DELETE", "/pools/warm", NULL, NULL, &err);
	(void)host_wispd_call(&s->h, "GET", "/instances", NULL, &j, &err);
	json_array_foreach(json_object_get(j, "instances"), at, i)(void)
		begin_removal(s, json_string_value(json_object_get(i, "id")), NULL, &err);
	json_decref(j);
	(void)host_wispd_await_number(&s->h, "/instances", "instances", 0, 0, &err);
	(void)host_wispd_await_no_jail(&s->h, &err);
}

static int supervisor_run(struct bench *b, struct error *err)
{
	struct supervised *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s)
		return error_set(err, r, NULL, NULL, "out of memory");
	s->netns = -1;
	r = set_up(b, s, err);
	if (r == 0)
		r = measure_thousand(b, s, err);
	if (r == 0)
		r = measure_vmm(b, s, err);
	if (r == 0)
		r = measure_leg(b, s, &plain, err);
	if (r == 0 && has_network(s))
		r = measure_leg(b, s, &wired, err);
	if (s->h.client)
		end_all(s);
	host_wispd_end(&s->h);
	if (s->netns >= 0 && setns(s->netns, CLONE_NEWNET) < 0 && r == 0)
		r = error_errno(err, NULL, NULL, "cannot go back to the network");
	fd_close(s->netns);
	free(s);
	return r;
}

const struct bench_row bench_supervisor = {
	.name = "supervisor",
	.help = "wispd: a run from a pool, a list of 1,000, its memory, what is left; root",
	.in_process = true,
	.run = supervisor_run,
};
