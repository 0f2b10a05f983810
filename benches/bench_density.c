/* bench_density.c - how many copies of one saved guest a machine holds.
 *
 * The guest is guests/clone.S: it has touched 24 MiB, and each copy wakes up once a
 * second. It has a disk, a vsock, and a tap, which counts. Where real guests boot in reasonable time, it is the project's minimal kernel,
 * and each copy has run a command. When all of them run, and have run for a while, what one of them adds is asked
 * of three places:
 *
 *   available_kib   the kernel's own estimate, MemAvailable, before and after, by number
 *   kernel_kib      what the kernel holds for them, by number: slabs, page tables, vmalloc,
 *                   per-processor memory. Part of the first
 *   vmm_private_kib of each process, memory that no other has, outside guest RAM;
 *   private_kib     and with what of guest RAM was written to
 *
 * The first is a difference of the whole machine: nothing else should run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/clones.h"

enum { DENSITY_CLONES = 1000, SETTLE_S = 10, WATCH_S = 3, KIB_PER_MIB = 1024, LINUX_MIB = 256 };

struct density {
	struct clone_source source;
	struct clone *clone;
	unsigned n;
};

/* --- what /proc says --- */

/* The sum of the fields of a file like /proc/meminfo whose names begin with one of these;
 * -1: it cannot be read, or has none. */
static int64_t sum_fields(const char *path, const char *const names[])
{
	FILE *f = fopen(path, "re");
	int64_t sum = -1;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *value = strchr(line, ':');

		for (size_t i = 0; value && names[i]; i++) {
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				sum = (sum < 0 ? 0 : sum) + strtoll(value + 1, NULL, 10);
		}
	}
	if (f)
		fclose(f);
	return sum;
}

struct host_memory {
	int64_t available_kib, kernel_kib;
};

static int read_host(struct host_memory *ret, struct error *err)
{
	static const char *const available[] = { "MemAvailable:", NULL };
	static const char *const kernel[] = {
		"Slab:", "PageTables:", "SecPageTables:", "VmallocUsed:", "Percpu:", NULL,
	};

	*ret = (struct host_memory){
		.available_kib = sum_fields("/proc/meminfo", available),
		.kernel_kib = sum_fields("/proc/meminfo", kernel),
	};
	return ret->available_kib < 0
		       ? error_set(err, -EIO, NULL, NULL, "cannot read /proc/meminfo")
		       : 0;
}

/* --- the copies --- */

/* Times that the vCPU went to sleep so far; -1: it is gone. */
static int64_t count_sleeps(const struct clone *c)
{
	static const char *const names[] = { "voluntary_ctxt_switches:", NULL };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)c->child.pid,
		 (int)clone_vcpu(c));
	return sum_fields(path, names);
}

/* Each is alive and has woken up in the meantime. */
static int check_awake(const struct density *d, struct error *err)
{
	int64_t *before = calloc(d->n, sizeof(*before));
	unsigned asleep = 0;

	if (!before)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	for (unsigned i = 0; i < d->n; i++)
		before[i] = count_sleeps(&d->clone[i]);
	sleep(WATCH_S);
	for (unsigned i = 0; i < d->n; i++)
		asleep += before[i] < 0 || count_sleeps(&d->clone[i]) <= before[i];
	free(before);
	return asleep ? error_set(err, -EIO, NULL, NULL, "%u of %u copies do not wake up", asleep,
				  d->n)
		      : 0;
}

/* All that is the process's own, guest RAM included. */
static int64_t private_kib(pid_t pid)
{
	static const char *const names[] = { "Private_", NULL };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	return sum_fields(path, names);
}

static int add_clone(struct bench *b, const struct density *d, const struct clone *c,
		     struct error *err)
{
	const uint64_t guest_bytes = (uint64_t)d->source.mem_mib * KIB_PER_MIB * 1024;
	struct smaps memory;
	int r = smaps_read(c->child.pid, guest_bytes, &memory, err);

	if (r == 0)
		r = bench_add(b, &b->vmms[0], "vmm_private_kib", memory.private_kib, err);
	return r < 0 ? r : bench_add(b, &b->vmms[0], "private_kib", private_kib(c->child.pid), err);
}

static int start_one(struct density *d, struct error *err)
{
	struct clone *c = &d->clone[d->n];
	char tap[32];
	int r;

	*c = (struct clone){ .child = SPAWN_NONE, .api = -1 };
	d->n++;
	snprintf(tap, sizeof(tap), "wclone%u", d->n);
	r = clone_create(&d->source, CLONE_BLANK, d->n, tap, c, err);
	if (r == 0)
		r = clone_exec(c, CLONE_BLANK, err);
	if (r == 0)
		r = clone_send(c, err);
	if (r == 0)
		r = clone_await_answer(c, err);
	if (r < 0)
		return r;
	return d->source.guest == CLONE_LINUX ? clone_run_command(c, err)
					      : clone_await_guest(c, err);
}

static int start_all(struct density *d, unsigned wanted, struct error *err)
{
	int r = 0;

	while (d->n < wanted && r == 0) {
		r = start_one(d, err);
		if (d->n % 100 == 0)
			fprintf(stderr, "density: %u of %u\n", d->n, wanted);
	}
	return r;
}

/* --- all of it --- */

static int measure(struct bench *b, struct density *d, unsigned wanted, struct error *err)
{
	struct host_memory before = { 0 }, after = { 0 };
	int r = read_host(&before, err);

	if (r == 0)
		r = clones_make_taps(1, wanted, err);
	if (r == 0)
		r = start_all(d, wanted, err);
	if (r == 0)
		sleep(SETTLE_S);
	if (r == 0)
		r = check_awake(d, err);
	if (r == 0)
		r = read_host(&after, err);
	if (r == 0)
		r = bench_add(b, &b->vmms[0], "live_copies", d->n, err);
	if (r == 0)
		r = bench_add(b, &b->vmms[0], "available_kib",
			      (before.available_kib - after.available_kib) / d->n, err);
	if (r == 0)
		r = bench_add(b, &b->vmms[0], "kernel_kib",
			      (after.kernel_kib - before.kernel_kib) / d->n, err);
	for (unsigned i = 0; i < d->n && r == 0; i++)
		r = add_clone(b, d, &d->clone[i], err);
	return r;
}

/* A real guest where one boots in reasonable time. */
static int make_source(const struct bench *b, struct density *d, struct error *err)
{
	if (host_boots_fast(&b->report.host))
		return clone_source_make(b, CLONE_LINUX, LINUX_MIB, "wclone0", &d->source, err);
	return clone_source_make(b, CLONE_TINY, bench_machine(b).mem_mib, "wclone0", &d->source,
				 err);
}

static int density_run(struct bench *b, struct error *err)
{
	unsigned wanted = (unsigned)option_or(b->options->runs, DENSITY_CLONES);
	struct density d = { .clone = calloc(wanted, sizeof(*d.clone)) };
	int r = clones_take_wisp(b, wanted, err);

	if (r == 0 && !d.clone)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = clones_take_network(err);
	if (r == 0)
		r = clones_make_taps(0, 1, err);
	if (r == 0)
		r = make_source(b, &d, err);
	if (r == 0)
		r = measure(b, &d, wanted, err);
	for (unsigned i = 0; i < d.n; i++)
		clone_end(&d.clone[i]);
	clone_source_drop(&d.source);
	free(d.clone);
	return r;
}

const struct bench_row bench_density = {
	.name = "density",
	.help = "what one more copy of a saved guest adds, with a thousand (--runs) of them",
	.run = density_run,
};
