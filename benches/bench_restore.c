/* bench_restore.c - from a request, or an exec, to a saved guest that runs.
 *
 *   blank_request_to_guest_us   PUT /snapshot/load to a waiting wisp (--blank), to the
 *                               guest's first instruction; _answer_: to the API's answer
 *   exec_to_guest_us            execve(2) of a wisp that waits for nothing, which is asked
 *                               to load as soon as it listens
 *   blank_large_..., large_...  the same with 4 GiB of memory instead of 128 MiB
 *   at_once_copies/s            requests to many blanks at the same moment, until the last
 *                               guest has said on its console that it is a copy
 *   linux_request_to_command_us  where real guests boot: from a request to a blank, to the
 *                               end of a wisp-guest that has had the copy run a command
 *
 * One vCPU, a disk, a vsock and a tap of each copy's own. The first instruction is the
 * kernel's event, as in bench_startup.c, of the one thread that the vCPU is.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/clones.h"
#include "vmm/base/clock.h"

enum {
	RESTORE_RUNS = 1000,
	LARGE_MIB = 4096,
	LINUX_MIB = 256,
	AT_ONCE = 200,
	AT_ONCE_PORTION = 100, /* rounds are the hundredth part of the runs */
	EVENT_LIMIT_MS = 1000,
};

struct restore {
	struct clone_source source;
	enum clone_kind kind;
	const char *prefix; /* of the metrics */
};

/* A blank's thread is known: the events of other machines on this host are not taken. */
static int watch_guest(const struct bench *b, const struct restore *r, const struct clone *c,
		       struct probe **ret, struct error *err)
{
	struct probe_spec spec = bench_first_entry(b);
	char filter[32];

	if (r->kind == CLONE_BLANK) {
		pid_t thread = clone_vcpu(c);

		if (thread < 0)
			return error_set(err, (int)thread, NULL, NULL, "a blank has no vCPU");
		snprintf(filter, sizeof(filter), "common_pid == %d", (int)thread);
		spec.filter = filter;
	}
	return probe_create(b->tracefs, c->child.pid, &spec, ret, err);
}

static int64_t read_probe(const struct probe *p)
{
	enum { MAX_CPUS = 1024 };
	struct pollfd fds[MAX_CPUS];
	uint64_t end_us = clock_now_us() + EVENT_LIMIT_MS * UINT64_C(1000);
	int64_t at = probe_read(p);

	while (at < 0 && clock_now_us() < end_us) {
		poll(fds, (nfds_t)probe_poll(p, fds, MAX_CPUS), 10);
		at = probe_read(p);
	}
	return at;
}

static int add(struct bench *b, const struct bench_vmm *vmm, const struct restore *r,
	       const char *what, int64_t value, struct error *err)
{
	char metric[REPORT_NAME_LEN + 1];

	snprintf(metric, sizeof(metric), "%s%s", r->prefix, what);
	return bench_add(b, vmm, metric, value, err);
}

static int add_times(struct bench *b, const struct bench_vmm *vmm, const struct restore *r,
		     const struct clone *c, int64_t guest_us, int64_t answer_us, struct error *err)
{
	int64_t sent_us = (int64_t)c->sent_us;
	int e;

	if (r->kind == CLONE_PLAIN)
		return add(b, vmm, r, "exec_to_guest_us",
			   guest_us - (int64_t)spawn_exec_us(&c->child), err);
	e = add(b, vmm, r, "request_to_guest_us", guest_us - sent_us, err);
	return e < 0 ? e : add(b, vmm, r, "request_to_answer_us", answer_us - sent_us, err);
}

static int load_watched(struct bench *b, const struct bench_vmm *vmm, const struct restore *r,
			struct clone *c, struct error *err)
{
	struct probe *probe = NULL;
	int64_t answer_us = 0, guest_us = 0;
	int e = r->kind == CLONE_BLANK ? clone_exec(c, r->kind, err) : 0;

	if (e == 0 && b->tracefs >= 0)
		e = watch_guest(b, r, c, &probe, err);
	if (e == 0 && r->kind == CLONE_PLAIN)
		e = clone_exec(c, r->kind, err);
	if (e == 0)
		e = clone_send(c, err);
	if (e == 0)
		e = clone_await_answer(c, err);
	answer_us = (int64_t)clock_now_us();
	if (e == 0 && probe)
		guest_us = read_probe(probe);
	if (e == 0 && guest_us < 0)
		e = error_set(err, -ENODATA, NULL, NULL,
			      "the guest's first instruction was not seen");
	probe_destroy(probe);
	return e < 0 || !guest_us ? e : add_times(b, vmm, r, c, guest_us, answer_us, err);
}

static int one(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct restore *r = arg;
	struct clone c = { .child = SPAWN_NONE, .api = -1 };
	int e = clone_create(&r->source, r->kind, 0, "wclone0", &c, err);

	vmm->runs++;
	if (e == 0)
		e = load_watched(b, vmm, r, &c, err);
	clone_end(&c);
	return e;
}

/* --- many at once --- */

static int send_to_all(struct clone *c, unsigned n, struct error *err)
{
	int e = 0;

	for (unsigned i = 0; i < n && e == 0; i++)
		e = clone_send(&c[i], err);
	for (unsigned i = 0; i < n && e == 0; i++)
		e = clone_await_answer(&c[i], err);
	for (unsigned i = 0; i < n && e == 0; i++)
		e = clone_await_guest(&c[i], err);
	return e;
}

static int prepare_all(const struct restore *r, struct clone *c, unsigned n, struct error *err)
{
	char tap[32];
	int e = 0;

	for (unsigned i = 0; i < n && e == 0; i++) {
		snprintf(tap, sizeof(tap), "wclone%u", i);
		e = clone_create(&r->source, CLONE_BLANK, i, tap, &c[i], err);
		if (e == 0)
			e = clone_exec(&c[i], CLONE_BLANK, err);
	}
	return e;
}

static int at_once(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct restore *r = arg;
	struct clone *c = calloc(AT_ONCE, sizeof(*c));
	uint64_t start_us, took_us;
	int e;

	if (!c)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	for (unsigned i = 0; i < AT_ONCE; i++)
		c[i] = (struct clone){ .child = SPAWN_NONE, .api = -1 };
	e = prepare_all(r, c, AT_ONCE, err);
	start_us = clock_now_us();
	if (e == 0)
		e = send_to_all(c, AT_ONCE, err);
	took_us = clock_now_us() - start_us;
	for (unsigned i = 0; i < AT_ONCE; i++)
		clone_end(&c[i]);
	free(c);
	return e < 0 ? e
		     : bench_add(b, vmm, "at_once_copies/s", AT_ONCE * 1000000LL / (int64_t)took_us,
				 err);
}

/* --- all of it --- */

static int measure(struct bench *b, unsigned mem_mib, enum clone_kind kind, const char *prefix,
		   unsigned runs, struct error *err)
{
	struct restore r = { .kind = kind, .prefix = prefix };
	int e = clone_source_make(b, CLONE_TINY, mem_mib, "wclone0", &r.source, err);

	if (e == 0)
		e = bench_alternate(b, prefix[0] ? prefix : "exec", runs, one, &r, err);
	clone_source_drop(&r.source);
	return e;
}

static int measure_at_once(struct bench *b, unsigned mem_mib, unsigned rounds, struct error *err)
{
	struct restore r = { .kind = CLONE_BLANK };
	int e = clone_source_make(b, CLONE_TINY, mem_mib, "wclone0", &r.source, err);

	if (e == 0)
		e = bench_alternate(b, "at_once", rounds, at_once, &r, err);
	clone_source_drop(&r.source);
	return e;
}

/* --- a real guest, where one boots in reasonable time --- */

static int command_once(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct restore *r = arg;
	struct clone c = { .child = SPAWN_NONE, .api = -1 };
	int e = clone_create(&r->source, CLONE_BLANK, 0, "wclone0", &c, err);

	vmm->runs++;
	if (e == 0)
		e = clone_exec(&c, CLONE_BLANK, err);
	if (e == 0)
		e = clone_send(&c, err);
	if (e == 0)
		e = clone_await_answer(&c, err);
	if (e == 0)
		e = clone_run_command(&c, err);
	if (e == 0)
		e = bench_add(b, vmm, "linux_request_to_command_us",
			      (int64_t)(clock_now_us() - c.sent_us), err);
	clone_end(&c);
	return e;
}

static int measure_linux(struct bench *b, unsigned runs, struct error *err)
{
	struct restore r = { .kind = CLONE_BLANK };
	int e = clone_source_make(b, CLONE_LINUX, LINUX_MIB, "wclone0", &r.source, err);

	if (e == 0)
		e = bench_alternate(b, "linux", runs, command_once, &r, err);
	clone_source_drop(&r.source);
	return e;
}

/* wisp gives no machine more memory than the host has. */
static bool holds_large(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

	if ((uint64_t)pages * (uint64_t)bytes >> 20 >= LARGE_MIB)
		return true;
	fprintf(stderr, "restore: without copies of %u MiB, which this host has not\n",
		(unsigned)LARGE_MIB);
	return false;
}

static int measure_large(struct bench *b, unsigned runs, struct error *err)
{
	int e;

	if (!holds_large())
		return 0;
	e = measure(b, LARGE_MIB, CLONE_BLANK, "blank_large_", runs, err);
	return e < 0 ? e : measure(b, LARGE_MIB, CLONE_PLAIN, "large_", runs, err);
}

static int restore_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	unsigned runs = (unsigned)option_or(o->runs, RESTORE_RUNS);
	unsigned mem_mib = bench_machine(b).mem_mib;
	int e = clones_take_wisp(b, AT_ONCE, err);

	if (e == 0)
		e = clones_take_network(err);
	if (e == 0)
		e = clones_make_taps(0, AT_ONCE, err);
	if (e == 0)
		e = measure(b, mem_mib, CLONE_BLANK, "blank_", runs, err);
	if (e == 0)
		e = measure(b, mem_mib, CLONE_PLAIN, "", runs, err);
	if (e == 0)
		e = measure_large(b, runs, err);
	if (e == 0)
		e = measure_at_once(b, mem_mib, 1 + runs / AT_ONCE_PORTION, err);
	return e < 0 || !host_boots_fast(&b->report.host) ? e : measure_linux(b, runs, err);
}

const struct bench_row bench_restore = {
	.name = "restore",
	.help = "from a request, or an exec, to a saved guest that runs",
	.run = restore_run,
};
