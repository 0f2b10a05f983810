/* bench_blk.c - a guest reads its disk: how fast, and at how many exits.
 *
 * The guest is the project's minimal kernel with one program in its initrd,
 * guests/blk_load.c, which reads /dev/vda past its own page cache and prints its times.
 * The disk is by default a null_blk device of the host: 64 GiB that answer each request
 * after a fixed time, like flash. What is read again comes from the host's page cache
 * ("cached"); reads of what was never read go to the device ("uncached").
 *
 * Each VMM runs in its variants: wisp with each io_engine, QEMU with an iothread and
 * io_uring, once through the page cache and once around it (cache=none). A variant has
 * a label of its own in the report, but QEMU's share one, since each job belongs to
 * one of them: the better one for it.
 *
 * Exits are counted in boots of their own, since counting costs time: a boot with the
 * job, less a boot without any, by the number of requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/bench.h"
#include "guest-images/init/newc.h"
#include "vmm/base/fd.h"

enum { BLK_RUNS = 5, BLK_INSPECT = 1, KIB = 1024 };

#define DEVICE	  "/dev/nullb0"
#define JOBS_TEXT 1024

/* What a variant does with the host's page cache. */
enum cache { CACHE_ANY, CACHE_USED, CACHE_AROUND };

struct job {
	const char *name;
	const char *what; /* of blk_load, from the pattern on */
	enum cache cache;
	unsigned block, count;
};

/* Cached: the first 4 MiB, which the first job brings in. Sequential reads of what is
 * not cached begin where no random one comes. Streams are of 64 MiB: one of 16 MiB is
 * over in 25 ms, and the next differs from it by a third. */
#define CACHED	"0,4194304"
#define DEVICE_ "1073741824,51539607552"
#define STREAM	"60129542144,4294967296"
static const struct job jobs[] = {
	{ "warm", "seq,1048576,1," CACHED ",4", CACHE_USED, 1024 * KIB, 4 },
	{ "cached_rand1", "random,4096,1," CACHED ",200", CACHE_USED, 4 * KIB, 200 },
	{ "cached_rand32", "random,4096,32," CACHED ",1600", CACHE_USED, 4 * KIB, 1600 },
	{ "cached_seq", "seq,131072,4," CACHED ",512", CACHE_USED, 128 * KIB, 512 },
	{ "uncached_rand1", "random,4096,1," DEVICE_ ",200", CACHE_AROUND, 4 * KIB, 200 },
	{ "uncached_rand32", "random,4096,32," DEVICE_ ",1600", CACHE_AROUND, 4 * KIB, 1600 },
	{ "uncached_seq", "seq,131072,4," STREAM ",512", CACHE_AROUND, 128 * KIB, 512 },
};

enum { NJOBS = sizeof(jobs) / sizeof(jobs[0]), WARM = 0 };

struct variant {
	const char *vmm, *label;
	const char *io_engine;	/* of a configuration file; NULL: its default */
	const char *qemu_drive; /* options of QEMU's -drive */
	enum cache cache;	/* CACHE_ANY: all jobs */
};

static const struct variant variants[] = {
	{ "wisp", "wisp", "Sync", NULL, CACHE_ANY },
	{ "wisp", "wisp-async", "Async", NULL, CACHE_ANY },
	{ "wisp", "wisp-direct", "Direct", NULL, CACHE_AROUND },
	{ "qemu", "qemu", NULL, "cache=writeback,aio=io_uring", CACHE_USED },
	{ "qemu", "qemu", NULL, "cache=none,aio=io_uring", CACHE_AROUND },
	{ "firecracker", "firecracker", "Sync", NULL, CACHE_ANY },
	{ "firecracker", "fc-async", "Async", NULL, CACHE_ANY },
};

enum { NVARIANTS = sizeof(variants) / sizeof(variants[0]) };

struct blk {
	struct machine machine;
	char kernel[PATH_MAX], load[PATH_MAX], initrd[PATH_MAX];
};

static bool belongs(const struct variant *v, const struct job *j)
{
	return v->cache == CACHE_ANY || v->cache == j->cache;
}

/* ---- Runs ----------------------------------------------------------------------- */

/* What an earlier run read must not be there for this one. */
static void forget(const char *disk)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		fprintf(stderr, "blk: %s stays in the page cache\n", disk);
	fd_close(fd);
}

static bool run_jobs(struct bench *b, struct bench_vmm *vmm, const struct blk *blk,
		     const struct variant *v, const char *text, const struct probe_spec *probes,
		     size_t nprobes, struct run_result *ret)
{
	char cmdline[JOBS_TEXT + 128];
	struct machine m = blk->machine;
	const struct bench_request request = {
		.machine = &m,
		.spec = { .marker = "blk-load done", .probes = probes, .nprobes = nprobes },
		.exit_value = 0,
	};

	snprintf(cmdline, sizeof(cmdline), "console=ttyS0 quiet reboot=k panic=-1 -- %s", text);
	m.cmdline = cmdline;
	m.io_engine = v->io_engine;
	m.qemu_drive = v->qemu_drive;
	forget(m.disk);
	return bench_run(b, vmm, &request, ret);
}

static void add_job(char text[static JOBS_TEXT], const struct job *j)
{
	size_t used = strlen(text);

	snprintf(text + used, JOBS_TEXT - used, "%s%s,%s", used ? " " : "", j->name, j->what);
}

/* The time that the guest says a job took, or 0. */
static int64_t job_ns(const struct run_result *run, const struct job *j)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "blk-load %s %u ", j->name, j->count);
	at = strstr(run->console.data, key);
	return at ? strtoll(at + strlen(key), NULL, 10) : 0;
}

static int add_speed(struct bench *b, const struct variant *v, const struct job *j, int64_t ns)
{
	char metric[REPORT_NAME_LEN + 1];
	double per_s = ns > 0 ? j->count / (double)ns * 1e9 : -1;
	bool stream = j->block > 4 * KIB;

	snprintf(metric, sizeof(metric), "%s_%s", j->name, stream ? "mibps" : "iops");
	return report_add(&b->report, v->label, metric,
			  (int64_t)(stream ? per_s * j->block / (1024 * KIB) : per_s));
}

static int time_variant(struct bench *b, struct bench_vmm *vmm, const struct blk *blk,
			const struct variant *v)
{
	char text[JOBS_TEXT] = "";
	struct run_result run;
	int r = 0;

	for (size_t i = 0; i < NJOBS; i++)
		if (belongs(v, &jobs[i]))
			add_job(text, &jobs[i]);
	if (!run_jobs(b, vmm, blk, v, text, NULL, 0, &run))
		return 0;
	for (size_t i = WARM + 1; i < NJOBS && r == 0; i++)
		if (belongs(v, &jobs[i]))
			r = add_speed(b, v, &jobs[i], job_ns(&run, &jobs[i]));
	return r;
}

static int timed(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < NVARIANTS && r == 0; i++)
		if (strcmp(variants[i].vmm, vmm->ops->name) == 0)
			r = time_variant(b, vmm, arg, &variants[i]);
	return r < 0 ? error_set(err, r, NULL, NULL, "no memory for samples") : 0;
}

/* ---- Exits ---------------------------------------------------------------------- */

static const struct probe_spec counters[] = {
	{ PROBE_COUNT, "kvm/kvm_exit", NULL },
	{ PROBE_COUNT, "kvm/kvm_userspace_exit", NULL },
};
static const char *const counter_names[] = { "exits", "user_exits" };

enum { NCOUNTERS = sizeof(counters) / sizeof(counters[0]) };

static int add_exits(struct bench *b, const struct variant *v, const struct job *j,
		     const struct run_result *run, const struct run_result *idle)
{
	int r = 0;

	for (size_t i = 0; i < NCOUNTERS && r == 0; i++) {
		char metric[REPORT_NAME_LEN + 1];
		int64_t all = run->probes[i], other = idle->probes[i];

		snprintf(metric, sizeof(metric), "%s_%s_per_1000", j->name, counter_names[i]);
		if (all >= other && other >= 0)
			r = report_add(&b->report, v->label, metric,
				       (all - other) * 1000 / j->count);
	}
	return r;
}

/* The idle boot warms what the jobs' boots do, so that their difference is the job. */
static int inspect_variant(struct bench *b, struct bench_vmm *vmm, const struct blk *blk,
			   const struct variant *v)
{
	struct run_result idle, run;
	char text[JOBS_TEXT] = "";
	int r = 0;

	add_job(text, &jobs[WARM]);
	if (!run_jobs(b, vmm, blk, v, text, counters, NCOUNTERS, &idle))
		return 0;
	for (size_t i = WARM + 1; i < NJOBS && r == 0; i++) {
		if (!belongs(v, &jobs[i]))
			continue;
		text[0] = '\0';
		add_job(text, &jobs[WARM]);
		add_job(text, &jobs[i]);
		if (run_jobs(b, vmm, blk, v, text, counters, NCOUNTERS, &run))
			r = add_exits(b, v, &jobs[i], &run, &idle);
	}
	return r;
}

static int inspected(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	int r = 0;

	if (b->tracefs < 0)
		return 0;
	for (size_t i = 0; i < NVARIANTS && r == 0; i++)
		if (strcmp(variants[i].vmm, vmm->ops->name) == 0)
			r = inspect_variant(b, vmm, arg, &variants[i]);
	return r < 0 ? error_set(err, r, NULL, NULL, "no memory for samples") : 0;
}

/* ---- What is run ---------------------------------------------------------------- */

static int run_command(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* Depth 256: the device must not be what limits the requests in flight. */
static int make_device(struct error *err)
{
	static const char *const modprobe[] = {
		"modprobe",
		"null_blk",
		"nr_devices=1",
		"gb=64",
		"queue_mode=2",
		"irqmode=2",
		"bs=512",
		"hw_queue_depth=256",
		"submit_queues=1",
		"no_sched=1",
		"completion_nsec=80000",
		NULL,
	};
	int r = run_command(modprobe);

	if (r == 0 && access(DEVICE, R_OK) < 0)
		r = -errno;
	if (r < 0)
		return error_set(err, r, "disk", "give --disk FILE (read only), or use --testhost",
				 "cannot make %s with the module null_blk", DEVICE);
	return 0;
}

static void remove_device(void)
{
	static const char *const rmmod[] = { "modprobe", "-r", "null_blk", NULL };

	if (run_command(rmmod) < 0)
		fprintf(stderr, "blk: the module null_blk stays loaded\n");
}

/* An initrd whose init is the load. */
static int write_initrd(const char *path, const char *load, struct error *err)
{
	struct newc archive = { .fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) };
	int r = archive.fd < 0 ? -errno : newc_dir(&archive, "dev");

	if (r == 0)
		r = newc_copy(&archive, "init", 0755, load);
	if (r == 0)
		r = newc_end(&archive);
	fd_close(archive.fd);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot write %s", path) : 0;
}

static int blk_init(struct bench *b, struct blk *blk, struct error *err)
{
	const struct options *o = b->options;
	struct machine *m = &blk->machine;
	int r = 0;

	*blk = (struct blk){ .machine = bench_machine(b) };
	m->kernel = o->kernel ? o->kernel : blk->kernel;
	m->disk = o->disk ? o->disk : DEVICE;
	m->initrd = blk->initrd;
	if (!m->huge_pages)
		m->huge_pages = "Transparent";
	if (!o->kernel)
		r = vmm_beside("../images/vmlinux-minimal", blk->kernel);
	if (r < 0)
		return error_set(err, r, "kernel", "guest-images/build minimal", "there is no %s",
				 blk->kernel);
	r = vmm_beside("../share/wisp/bench/blk-load", blk->load);
	if (r < 0)
		return error_set(err, r, NULL, "build it", "there is no %s", blk->load);
	snprintf(blk->initrd, sizeof(blk->initrd), "%.4000s/blk.cpio", b->dir);
	r = write_initrd(blk->initrd, blk->load, err);
	return r < 0 || o->disk ? r : make_device(err);
}

static int blk_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	struct blk blk;
	int r = blk_init(b, &blk, err);

	if (r < 0)
		return r;
	r = bench_alternate(b, "reads", (unsigned)option_or(o->runs, BLK_RUNS), timed, &blk, err);
	if (r == 0)
		r = bench_alternate(b, "counted reads",
				    (unsigned)option_or(o->inspect, BLK_INSPECT), inspected, &blk,
				    err);
	if (!o->disk)
		remove_device();
	return r;
}

const struct bench_row bench_blk = {
	.name = "blk",
	.help = "a guest's reads of its disk: how fast, at how many exits",
	.needs_fast_kvm = true,
	.run = blk_run,
};
