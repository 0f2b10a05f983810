/* bench_cold.c - from a request to a command's end in a copy of a Linux, of whose files
 * nothing is in the host's memory.
 *
 *   plain   each page is read when the guest gets to it
 *   list    a working set is prefetched, from where its pages lie in the memory file
 *   stored  the same, from a file in which they lie together
 *
 * The processes are blanks: what is measured is the request, the disk and the guest. The
 * working set is recorded from a copy that does what is measured. Faults are those of the
 * vCPU's thread until the command has ended, major ones those that waited for the disk.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "benches/clones.h"
#include "benches/cold_disk.h"
#include "vmm/base/clock.h"

enum { COLD_RUNS = 20, LINUX_MIB = 256 };

struct cold {
	struct clone_source source;
	char list[PATH_MAX + 32], stored[PATH_MAX + 32];
	const struct variant *variant;
	const struct disk *disk;
};

/* How long a request takes. */
static const struct disk {
	const char *name;
	unsigned request_ns;
} disks[] = {
	{ "flash", 80000 },
	{ "network", 1000000 },
};

static const struct variant {
	const char *name;
	bool list, stored;
} variants[] = {
	{ "plain", false, false },
	{ "list", true, false },
	{ "stored", false, true },
};

static const char *set_of(const struct cold *c, const struct variant *v)
{
	if (v->list)
		return c->list;
	return v->stored ? c->stored : NULL;
}

static int forget(const struct cold *c, struct error *err)
{
	const char *files[] = { c->source.state, c->source.memory, c->source.set };
	int r = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == 0; i++)
		r = files[i] ? cold_disk_forget(files[i]) : 0;
	return r < 0 ? error_set(err, r, NULL, NULL, "the host does not forget a file: %s",
				 strerror(-r))
		     : 0;
}

static int add(struct bench *b, const struct bench_vmm *vmm, const struct cold *c, const char *what,
	       int64_t value, struct error *err)
{
	char metric[REPORT_NAME_LEN + 1];

	snprintf(metric, sizeof(metric), "%s_%s_%s", c->disk->name, c->variant->name, what);
	return bench_add(b, vmm, metric, value, err);
}

static int add_faults(struct bench *b, const struct bench_vmm *vmm, const struct cold *c,
		      const struct clone *copy, struct error *err)
{
	struct clone_faults f;
	int r = clone_faults(copy, &f);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "faults cannot be counted");
	r = add(b, vmm, c, "faults", (int64_t)(f.minor + f.major), err);
	return r < 0 ? r : add(b, vmm, c, "major_faults", (int64_t)f.major, err);
}

/* A blank that has been asked to load, and its guest to run a command. */
static int run_copy(const struct cold *c, struct clone *copy, struct error *err)
{
	int r = clone_create(&c->source, CLONE_BLANK, 0, NULL, copy, err);

	if (r == 0)
		r = clone_exec(copy, CLONE_BLANK, err);
	if (r == 0)
		r = forget(c, err);
	if (r == 0)
		r = clone_send(copy, err);
	if (r == 0)
		r = clone_await_answer(copy, err);
	return r < 0 ? r : clone_run_command(copy, err);
}

static int once(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct clone copy = { .child = SPAWN_NONE, .api = -1 };
	struct cold *c = arg;
	int r;

	c->source.set = set_of(c, c->variant);
	r = run_copy(c, &copy, err);
	vmm->runs++;
	if (r == 0)
		r = add(b, vmm, c, "request_to_command_us",
			(int64_t)(clock_now_us() - copy.sent_us), err);
	if (r == 0)
		r = add_faults(b, vmm, c, &copy, err);
	clone_end(&copy);
	return r;
}

/* --- what is loaded --- */

static int make_stored(const struct cold *c, struct error *err)
{
	char program[PATH_MAX], command[5 * PATH_MAX];
	int r = vmm_beside("wisp-snapshot", program);

	if (r < 0)
		return error_set(err, r, NULL, "build it", "there is no %s", program);
	snprintf(command, sizeof(command), "%s optimise %s %s %s", program, c->source.memory,
		 c->list, c->stored);
	return spawn_shell(command, "its message is above", err);
}

static int make_sets(struct cold *c, struct error *err)
{
	struct clone copy = { .child = SPAWN_NONE, .api = -1 };
	int r = run_copy(c, &copy, err);

	if (r == 0)
		r = clone_record(&copy, c->list, err);
	clone_end(&copy);
	return r < 0 ? r : make_stored(c, err);
}

static int measure(struct bench *b, const struct disk *disk, const char *folder, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, COLD_RUNS);
	struct bench on_disk = *b;
	struct cold c = { .disk = disk };
	int r;

	snprintf(on_disk.dir, sizeof(on_disk.dir), "%s", folder);
	snprintf(c.list, sizeof(c.list), "%s/list", folder);
	snprintf(c.stored, sizeof(c.stored), "%s/stored", folder);
	r = clone_source_make(&on_disk, CLONE_LINUX, LINUX_MIB, NULL, &c.source, err);
	if (r == 0)
		r = make_sets(&c, err);
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]) && r == 0; i++) {
		c.variant = &variants[i];
		r = bench_alternate(b, c.variant->name, runs, once, &c, err);
	}
	return r;
}

static int measure_on(struct bench *b, const struct disk *disk, const char *folder,
		      struct error *err)
{
	int r = cold_disk_make(folder, disk->request_ns, err);

	if (r == 0)
		r = measure(b, disk, folder, err);
	cold_disk_remove(folder);
	return r;
}

static int cold_run(struct bench *b, struct error *err)
{
	char folder[PATH_MAX];
	int r = clones_take_wisp(b, 1, err);

	if (r < 0)
		return r;
	snprintf(folder, sizeof(folder), "%.4000s/cold", b->dir);
	if (mkdir(folder, 0700) < 0)
		return error_errno(err, NULL, NULL, "cannot make %s", folder);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, NULL, "run as root, or use --testhost",
				   "cannot make a mount namespace");
	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]) && r == 0; i++)
		r = measure_on(b, &disks[i], folder, err);
	return r;
}

const struct bench_row bench_cold = {
	.name = "cold",
	.help = "from a request to a command's end in a copy, its files on a disk",
	.needs_fast_kvm = true,
	.run = cold_run,
};
