/* bench_net.c - a guest's network: bulk TCP both ways, and the round trip of a ping.
 *
 * The guest is the project's minimal kernel with its initramfs, which mounts the Debian
 * image for iperf3 and ping. The other end is the host, over a tap; each VMM carries the
 * frames itself (QEMU without vhost). Tap and server live in a network namespace of the
 * benchmark's own. The guest prints what its tools say, shortened to one line each.
 *
 * On a machine with one processor (the test host under deterministic time) guest, VMM and
 * server share it, and the rate tells what all three together cost a byte.
 *
 * Exits are counted in boots of their own, since counting costs time: a boot with one job,
 * less a boot without any.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benches/bench.h"
#include "benches/spawn.h"

enum { NET_RUNS = 5, NET_INSPECT = 1, NET_MEM_MIB = 256, KEY_LEN = 32, CMDLINE_LEN = 1792 };

#define TAP  "wbench0"
#define DONE "RESULT-END"
#define MAKE_TAP                                                                   \
	"modprobe -q tun; ip link set lo up && ip tuntap add " TAP " mode tap && " \
	"ip address add 10.0.0.1/24 dev " TAP " && ip link set " TAP " up"
#define SERVER "exec iperf3 --server --logfile /dev/null"

/* What the guest runs: one word to the kernel, which counts them, and evaluated by the
 * shell. Each program is run once in vain, so that it is in memory. It prints the last
 * column of each iperf3 summary, in Kbit/s, and the smallest and the mean time of the
 * pings, in ms. */
#define SCRIPT                                                                                 \
	"eval \"mkdir /mnt; mount -t ext4 -o ro /dev/vda /mnt; mount -t proc proc /mnt/proc; " \
	"mount -t devtmpfs dev /mnt/dev; mount -t tmpfs tmp /mnt/tmp; ifconfig lo up; "        \
	"ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up; "                                    \
	"bulk() { chroot /mnt iperf3 -c 10.0.0.1 -f k -n \\$2 \\$3 | "                         \
	"sed -n 's,^.* \\([0-9]*\\) Kbits/sec.*receiver.*,RESULT-'\\$1'=\\1=,p'; }; "          \
	"trip() { chroot /mnt /usr/bin/ping -q -c \\$1 -i 0.002 10.0.0.1 | "                   \
	"sed -n 's,^rtt.*= \\([0-9.]*\\)/\\([0-9.]*\\)/.*,RESULT-rtt=\\1=\\2=,p'; }; "         \
	"bulk warm 64K; trip 2 >/dev/null; %s echo " DONE "\""

enum { BULK_MIB = 16, PINGS = 200 };

/* The units of work of a job, for its exits: as many of them as make a unit's name. */
static const struct job {
	const char *name, *text;
	const char *unit;
	unsigned units, per;
} jobs[] = {
	{ "guest_to_host", "bulk guest_to_host 16M;", "GiB", BULK_MIB, 1024 },
	{ "host_to_guest", "bulk host_to_guest 16M -R;", "GiB", BULK_MIB, 1024 },
	{ "ping", "trip 200;", "1000", PINGS, 1000 },
};

enum { NJOBS = sizeof(jobs) / sizeof(jobs[0]) };

static const struct probe_spec counters[] = {
	{ PROBE_COUNT, "kvm/kvm_userspace_exit", NULL },
	{ PROBE_COUNT, "kvm/kvm_exit", NULL },
};
static const char *const counter_names[] = { "user_exits", "exits" };

enum { NCOUNTERS = sizeof(counters) / sizeof(counters[0]) };

struct net {
	struct machine machine;
	char kernel[PATH_MAX], initrd[PATH_MAX], disk[PATH_MAX];
	struct spawn server;
};

/* ---- Runs ----------------------------------------------------------------------- */

/* What follows RESULT-key= on the console; NULL: the guest did not say. */
static const char *result_of(const struct run_result *run, const char *key)
{
	char text[KEY_LEN];
	const char *at;

	snprintf(text, sizeof(text), "RESULT-%s=", key);
	at = strstr(run->console.data, text);
	return at ? at + strlen(text) : NULL;
}

static int add_rate(struct bench *b, const struct bench_vmm *vmm, const struct run_result *run,
		    const char *key, struct error *err)
{
	const char *text = result_of(run, key);
	char metric[KEY_LEN + 16];

	snprintf(metric, sizeof(metric), "%s_kbit/s", key);
	return bench_add(b, vmm, metric, text ? strtoll(text, NULL, 10) : -1, err);
}

static int add_round_trip(struct bench *b, const struct bench_vmm *vmm,
			  const struct run_result *run, struct error *err)
{
	const char *text = result_of(run, "rtt");
	double least_ms, mean_ms;
	char *end;
	int r;

	if (!text)
		return 0;
	least_ms = strtod(text, &end);
	mean_ms = strtod(end + (*end == '='), NULL);
	r = bench_add(b, vmm, "ping_least_us", (int64_t)(least_ms * 1000), err);
	return r < 0 ? r : bench_add(b, vmm, "ping_mean_us", (int64_t)(mean_ms * 1000), err);
}

/* Boots a guest that does these jobs. */
static bool run_jobs(struct bench *b, struct bench_vmm *vmm, const struct net *net,
		     const char *text, bool counted, struct run_result *ret)
{
	char cmdline[CMDLINE_LEN];
	struct machine m = net->machine;
	const struct bench_request request = {
		.machine = &m,
		.spec = {
			.marker = DONE,
			.probes = counters,
			.nprobes = counted ? NCOUNTERS : 0,
		},
		.exit_value = 0,
	};

	snprintf(cmdline, sizeof(cmdline),
		 "console=ttyS0 quiet reboot=k panic=-1 wisp.exit_port=0x%x -- " SCRIPT,
		 VMM_EXIT_PORT, text);
	m.cmdline = cmdline;
	return bench_run(b, vmm, &request, ret);
}

static bool run_all(struct bench *b, struct bench_vmm *vmm, const struct net *net,
		    struct run_result *ret)
{
	char text[CMDLINE_LEN] = "";

	for (size_t i = 0; i < NJOBS; i++)
		strcat(text, jobs[i].text);
	return run_jobs(b, vmm, net, text, false, ret);
}

static int timed(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result run;
	int r;

	if (!run_all(b, vmm, arg, &run))
		return 0;
	r = add_rate(b, vmm, &run, "guest_to_host", err);
	if (r == 0)
		r = add_rate(b, vmm, &run, "host_to_guest", err);
	return r < 0 ? r : add_round_trip(b, vmm, &run, err);
}

static int warm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result run;

	(void)err;
	run_all(b, vmm, arg, &run);
	return 0;
}

static int add_exits(struct bench *b, const struct bench_vmm *vmm, const struct job *j,
		     const struct run_result *run, const struct run_result *idle, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < NCOUNTERS && r == 0; i++) {
		char metric[REPORT_NAME_LEN + 1];
		int64_t all = run->probes[i], other = idle->probes[i];

		snprintf(metric, sizeof(metric), "%s_%s/%s", j->name, counter_names[i], j->unit);
		if (all >= other && other >= 0)
			r = bench_add(b, vmm, metric, (all - other) * j->per / j->units, err);
	}
	return r;
}

static int inspected(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct run_result idle, run;
	int r = 0;

	if (b->tracefs < 0 || !run_jobs(b, vmm, arg, "", true, &idle))
		return 0;
	for (size_t i = 0; i < NJOBS && r == 0; i++)
		if (run_jobs(b, vmm, arg, jobs[i].text, true, &run))
			r = add_exits(b, vmm, &jobs[i], &run, &idle, err);
	return r;
}

/* ---- What they run on ----------------------------------------------------------- */

static int find_image(const char *chosen, const char *name, char path[static PATH_MAX],
		      const char **ret, struct error *err)
{
	int r = chosen ? 0 : vmm_beside(name, path);

	*ret = chosen ? chosen : path;
	if (r < 0)
		return error_set(err, r, NULL, "build the guest images", "there is no %s", path);
	return 0;
}

static int find_images(const struct options *o, struct net *net, struct error *err)
{
	struct machine *m = &net->machine;
	int r = find_image(o->kernel, "../images/vmlinux-minimal", net->kernel, &m->kernel, err);

	if (r == 0)
		r = find_image(o->initrd, "../images/initramfs.cpio", net->initrd, &m->initrd, err);
	return r < 0 ? r : find_image(o->disk, "../images/debian.ext4", net->disk, &m->disk, err);
}

static int make_network(struct error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, NULL, "run as root, or use --testhost",
				   "cannot make a network namespace");
	return spawn_shell(MAKE_TAP, "install iproute2, and load the module tun", err);
}

static int net_init(struct bench *b, struct net *net, struct error *err)
{
	int r = find_images(b->options, net, err);

	net->machine.tap = TAP;
	if (!net->machine.huge_pages) /* as QEMU asks for them, too */
		net->machine.huge_pages = "Transparent";
	if (r == 0)
		r = make_network(err);
	return r < 0 ? r : spawn_shell_start(SERVER, &net->server, err);
}

static int net_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	struct net net = { .machine = bench_machine(b), .server = SPAWN_NONE };
	int r;

	net.machine.mem_mib = (unsigned)option_or(o->mem_mib, NET_MEM_MIB);
	r = net_init(b, &net, err);
	if (r == 0)
		r = bench_alternate(b, "warm-up", (unsigned)option_or(o->warmup, 1), warm, &net,
				    err);
	if (r == 0)
		r = bench_alternate(b, "run", (unsigned)option_or(o->runs, NET_RUNS), timed, &net,
				    err);
	if (r == 0)
		r = bench_alternate(b, "inspected run",
				    (unsigned)option_or(o->inspect, NET_INSPECT), inspected, &net,
				    err);
	spawn_end(&net.server);
	return r;
}

const struct bench_row bench_net = {
	.name = "net",
	.help = "a tap: bulk TCP both ways, and the round trip of a ping",
	.needs_fast_kvm = true,
	.run = net_run,
};
