/* bench_incoming.c - from an exec to a command's end in a saved Linux: wisp's load beside
 * QEMU's -incoming, in turns.
 *
 * Both save a guest of the same kernel, initrd, memory and devices (a console and a vsock)
 * once its agent listens, to a file that stays in the page cache. Each run is a new process
 * that goes on from it, and a command that its guest runs: from execve(2) to the command's
 * status, which comes through the vsock.
 *
 *   exec_to_command_us            of either
 *   blank_request_to_command_us   of a wisp that waited as a blank: from the request
 *   ..._faults, ..._major_faults  of wisp's vCPU until then
 *
 * QEMU's vsock is the host kernel's (vhost_vsock), wisp's a Unix socket; the protocol behind
 * them and who speaks it are the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "benches/clones.h"
#include "guest-images/agent/caller.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	INCOMING_RUNS = 20,
	LINUX_MIB = 256,
	QEMU_CID = 7077,
	LIMIT_MS = 60000,
	RETRY_US = 500,
};

/* The third of QEMU's virtio windows, as in vmm_qemu.c. */
#define QEMU_VSOCK   " virtio_mmio.device=512@0xfeb00400:7"
#define QEMU_COMMAND CLONE_LINUX_ARGS QEMU_VSOCK

struct incoming {
	struct clone_source wisp;
	struct bench_vmm *qemu; /* NULL: not among the VMMs */
	char state[PATH_MAX + 32], monitor[PATH_MAX + 32];
};

/* --- a command --- */

static int connect_cid(void)
{
	const struct sockaddr_vm to = {
		.svm_family = AF_VSOCK,
		.svm_cid = QEMU_CID,
		.svm_port = AGENT_PORT,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	fd_close(fd);
	return -ECONNRESET;
}

/* By wisp's socket, or by QEMU's CID where that is NULL. */
static int try_command(const char *vsock)
{
	static const char *const arguments[] = { "true", NULL };
	const struct caller_exec exec = { .arguments = arguments };
	struct caller_outcome outcome;
	struct error ignored = { 0 };
	int code, r,
		fd = vsock ? caller_connect(vsock, AGENT_PORT, LIMIT_MS, &ignored) : connect_cid();

	if (fd < 0)
		return fd;
	r = caller_exec(fd, &exec, &outcome, &code, &ignored);
	fd_close(fd);
	return r < 0 ? r : outcome.status == 0 ? 0 : -EIO;
}

/* Until the guest has run it: a connection of before its vsock was reset is lost. */
static int run_command(const char *vsock, struct error *err)
{
	uint64_t end_us = clock_now_us() + LIMIT_MS * UINT64_C(1000);
	int r;

	while ((r = try_command(vsock)) < 0 && clock_now_us() < end_us)
		usleep(RETRY_US);
	return r < 0 ? error_set(err, r, NULL, NULL, "the guest runs no command: %s", strerror(-r))
		     : 0;
}

/* --- QEMU --- */

static int qemu_argv(const struct bench *b, const struct incoming *in, bool load, struct argv *ret,
		     struct error *err)
{
	struct machine m = bench_machine(b);
	int r;

	m.kernel = in->wisp.kernel;
	m.initrd = in->wisp.initrd;
	m.mem_mib = LINUX_MIB;
	m.cmdline = QEMU_COMMAND;
	r = in->qemu->ops->command(&m, in->qemu->program, b->dir, ret, err);
	argv_add_words(ret, (const char *const[]){ "-global", "virtio-mmio.force-legacy=false",
						   "-device", NULL });
	argv_add(ret, "vhost-vsock-device,guest-cid=%d,bus=virtio-mmio-bus.2", QEMU_CID);
	argv_add(ret, load ? "-incoming" : "-monitor");
	if (load)
		argv_add(ret, "exec:cat %s", in->state);
	else
		argv_add(ret, "unix:%s,server=on,wait=off", in->monitor);
	return r < 0 ? r : ret->error;
}

static int qemu_create(const struct bench *b, const struct incoming *in, bool load,
		       struct spawn *ret, struct error *err)
{
	struct argv argv = { 0 };
	int r = qemu_argv(b, in, load, &argv, err);

	if (r == 0)
		r = spawn_create(argv.v, ret, err);
	argv_free(&argv);
	return r;
}

/* The monitor does one command after the other, and ends QEMU behind the last. A guest that was
 * stopped before would be stopped where it goes on. */
static int qemu_tell(const struct incoming *in, struct error *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char text[2 * PATH_MAX];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
	int n = snprintf(text, sizeof(text), "migrate \"exec:cat >%s\"\nquit\n", in->state);

	snprintf(to.sun_path, sizeof(to.sun_path), "%.100s", in->monitor);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		r = error_errno(err, NULL, NULL, "QEMU's monitor cannot be told");
	while (r == 0 && recv(fd, text, sizeof(text), 0) > 0)
		continue;
	fd_close(fd);
	return r;
}

static int qemu_save(const struct bench *b, const struct incoming *in, struct error *err)
{
	struct spawn child = SPAWN_NONE;
	char text[CLONE_TEXT_BYTES];
	int status, r = spawn_shell("modprobe -q vhost_vsock || [ -c /dev/vhost-vsock ]",
				    "as root, with vhost_vsock, or use --testhost", err);

	if (r == 0)
		r = qemu_create(b, in, false, &child, err);
	if (r == 0)
		r = spawn_release(&child);
	if (r == 0)
		r = clone_await_text(child.out, CLONE_LINUX_READY, text, err);
	if (r == 0)
		r = run_command(NULL, err);
	if (r == 0)
		r = qemu_tell(in, err);
	if (r == 0) {
		status = spawn_reap(&child);
		if (status != 0 || access(in->state, R_OK) < 0)
			r = error_set(err, -EIO, NULL, NULL, "QEMU did not save its guest");
	}
	spawn_end(&child);
	return r;
}

static int qemu_once(struct bench *b, struct bench_vmm *vmm, const struct incoming *in,
		     struct error *err)
{
	struct spawn child = SPAWN_NONE;
	int r = qemu_create(b, in, true, &child, err);

	if (r == 0)
		r = spawn_release(&child);
	if (r == 0)
		r = run_command(NULL, err);
	if (r == 0)
		r = bench_add(b, vmm, "exec_to_command_us",
			      (int64_t)(clock_now_us() - spawn_exec_us(&child)), err);
	spawn_end(&child);
	return r;
}

/* --- wisp --- */

static int add_faults(struct bench *b, const struct bench_vmm *vmm, const struct clone *c,
		      const char *prefix, struct error *err)
{
	char metric[REPORT_NAME_LEN + 1];
	struct clone_faults f;
	int r = clone_faults(c, &f);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "faults cannot be counted");
	snprintf(metric, sizeof(metric), "%s_faults", prefix);
	r = bench_add(b, vmm, metric, (int64_t)(f.minor + f.major), err);
	snprintf(metric, sizeof(metric), "%s_major_faults", prefix);
	return r < 0 ? r : bench_add(b, vmm, metric, (int64_t)f.major, err);
}

static int wisp_run(struct clone *c, const struct incoming *in, enum clone_kind kind,
		    struct error *err)
{
	int r = clone_create(&in->wisp, kind, 0, NULL, c, err);

	if (r == 0)
		r = clone_exec(c, kind, err);
	if (r == 0)
		r = clone_send(c, err);
	if (r == 0)
		r = clone_await_answer(c, err);
	return r < 0 ? r : run_command(c->vsock, err);
}

static int wisp_once(struct bench *b, struct bench_vmm *vmm, const struct incoming *in,
		     enum clone_kind kind, struct error *err)
{
	bool blank = kind == CLONE_BLANK;
	struct clone c = { .child = SPAWN_NONE, .api = -1 };
	int r = wisp_run(&c, in, kind, err);
	uint64_t end_us = clock_now_us();

	if (r == 0)
		r = bench_add(b, vmm, blank ? "blank_request_to_command_us" : "exec_to_command_us",
			      (int64_t)(end_us - (blank ? c.sent_us : spawn_exec_us(&c.child))),
			      err);
	if (r == 0)
		r = add_faults(b, vmm, &c, blank ? "blank" : "exec", err);
	clone_end(&c);
	return r;
}

/* --- both --- */

static int once(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	const struct incoming *in = arg;
	int r;

	vmm->runs++;
	if (vmm == in->qemu)
		return qemu_once(b, vmm, in, err);
	r = wisp_once(b, vmm, in, CLONE_PLAIN, err);
	return r < 0 ? r : wisp_once(b, vmm, in, CLONE_BLANK, err);
}

/* wisp is the first of them, and Firecracker is not among them. */
static int choose_vmms(struct bench *b, struct incoming *in, struct error *err)
{
	struct bench_vmm qemu = { 0 };
	int r;

	for (size_t i = 0; i < b->nvmms; i++) {
		if (b->vmms[i].ops == &vmm_qemu)
			qemu = b->vmms[i];
	}
	r = clones_take_wisp(b, 1, err);
	if (r < 0 || !qemu.ops)
		return r;
	in->qemu = &b->vmms[b->nvmms++];
	*in->qemu = qemu;
	return 0;
}

static int incoming_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, INCOMING_RUNS);
	struct incoming in = { .qemu = NULL };
	int r = choose_vmms(b, &in, err);

	snprintf(in.state, sizeof(in.state), "%s/qemu-state", b->dir);
	snprintf(in.monitor, sizeof(in.monitor), "%s/monitor", b->dir);
	if (r == 0)
		r = clone_source_make(b, CLONE_LINUX, LINUX_MIB, NULL, &in.wisp, err);
	if (r == 0 && in.qemu)
		r = qemu_save(b, &in, err);
	return r < 0 ? r : bench_alternate(b, "run", runs, once, &in, err);
}

const struct bench_row bench_incoming = {
	.name = "incoming",
	.help = "from an exec to a command's end in a saved Linux, beside QEMU's -incoming",
	.needs_fast_kvm = true,
	.run = incoming_run,
};
