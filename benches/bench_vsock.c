/* bench_vsock.c - bytes each way and round trips over a vsock, the same under each VMM
 * whose vsocks are Unix sockets on the host.
 *
 * The guest runs `wisp-vsock work`, which connects to the host and does what it is asked.
 * A process of the harness's is the host's end: it listens, asks, and takes the times.
 *
 *   guest to host   from the request to the last of its bytes
 *   host to guest   from the request to the answer that all have arrived
 *   round trip      a message there and back, each waited for
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "benches/bench.h"
#include "guest-images/vsock/work.h"
#include "vmm/base/fd.h"

enum {
	VSOCK_RUNS = 5,
	VSOCK_PORT = 1000,
	VSOCK_BULK_MIB = 32,
	VSOCK_WARM_MIB = 2,
	VSOCK_ROUNDS = 500,
	VSOCK_WARM_ROUNDS = 20,
};

/* What the host's end reports. */
struct result {
	int64_t guest_to_host_ns, host_to_guest_ns;
	int64_t round_ns[VSOCK_ROUNDS];
};

struct vsock {
	struct machine machine;
	char kernel[PATH_MAX], initrd[PATH_MAX], path[PATH_MAX + 16];
	char cmdline[256];
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- The host's end, in a process of its own ------------------------------------- */

static char buffer[WORK_CHUNK];

/* Moves count bytes; 0 or -1. */
static int move(int fd, uint64_t count, bool out)
{
	while (count > 0) {
		size_t len = count < sizeof(buffer) ? (size_t)count : sizeof(buffer);
		ssize_t n = out ? send(fd, buffer, len, MSG_NOSIGNAL) : read(fd, buffer, len);

		if (n <= 0)
			return -1;
		count -= (uint64_t)n;
	}
	return 0;
}

static int ask(int fd, enum work_kind kind, uint64_t count)
{
	const struct work_request r = { kind, count };

	return send(fd, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) ? 0 : -1;
}

static int take_bulk(int fd, uint64_t bytes, int64_t *ret_ns)
{
	int64_t start = now_ns();

	if (ask(fd, WORK_SEND, bytes) < 0 || move(fd, bytes, false) < 0)
		return -1;
	*ret_ns = now_ns() - start;
	return 0;
}

static int send_bulk(int fd, uint64_t bytes, int64_t *ret_ns)
{
	int64_t start = now_ns();

	if (ask(fd, WORK_TAKE, bytes) < 0 || move(fd, bytes, true) < 0 || move(fd, 1, false) < 0)
		return -1;
	*ret_ns = now_ns() - start;
	return 0;
}

static int round_trips(int fd, unsigned rounds, int64_t *ret_ns)
{
	if (ask(fd, WORK_ECHO, rounds) < 0)
		return -1;
	for (unsigned i = 0; i < rounds; i++) {
		int64_t start = now_ns();

		if (move(fd, WORK_MESSAGE_BYTES, true) < 0 ||
		    move(fd, WORK_MESSAGE_BYTES, false) < 0)
			return -1;
		ret_ns[i] = now_ns() - start;
	}
	return 0;
}

/* Each thing twice: first a little of it, which is not counted. */
static int measure(int fd, struct result *ret)
{
	const uint64_t warm = (uint64_t)VSOCK_WARM_MIB << 20, bulk = (uint64_t)VSOCK_BULK_MIB << 20;
	int64_t ignored[VSOCK_WARM_ROUNDS];

	if (take_bulk(fd, warm, ignored) < 0 || take_bulk(fd, bulk, &ret->guest_to_host_ns) < 0 ||
	    send_bulk(fd, warm, ignored) < 0 || send_bulk(fd, bulk, &ret->host_to_guest_ns) < 0 ||
	    round_trips(fd, VSOCK_WARM_ROUNDS, ignored) < 0)
		return -1;
	return round_trips(fd, VSOCK_ROUNDS, ret->round_ns);
}

/* Ends with the guest's connection; its end of the pipe is closed without a result when
 * that failed. */
static void host_end(int listener, int result_fd)
{
	static struct result result;
	int fd = accept(listener, NULL, NULL);

	if (fd >= 0 && measure(fd, &result) == 0)
		(void)!write(result_fd, &result, sizeof(result));
	_exit(0);
}

/* ---- Runs ------------------------------------------------------------------------ */

static int listen_for_guest(const char *path, struct error *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (snprintf(to.sun_path, sizeof(to.sun_path), "%s_%d", path, VSOCK_PORT) >=
	    (int)sizeof(to.sun_path)) {
		fd_close(fd);
		return error_set(err, -ENAMETOOLONG, NULL, "set TMPDIR to a shorter path",
				 "%s is too long for a socket", path);
	}
	unlink(to.sun_path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 1) < 0) {
		int r = error_errno(err, NULL, NULL, "cannot listen at %s", to.sun_path);

		fd_close(fd);
		return r;
	}
	return fd;
}

static int add_result(struct bench *b, const struct bench_vmm *vmm, const struct result *result,
		      struct error *err)
{
	const int64_t mib_s = VSOCK_BULK_MIB * INT64_C(1000000000);
	int r = bench_add(b, vmm, "guest_to_host_mibps", mib_s / result->guest_to_host_ns, err);

	if (r == 0)
		r = bench_add(b, vmm, "host_to_guest_mibps", mib_s / result->host_to_guest_ns, err);
	for (unsigned i = 0; i < VSOCK_ROUNDS && r == 0; i++)
		r = bench_add(b, vmm, "round_trip_ns", result->round_ns[i], err);
	return r;
}

/* The guest's machine, with this process's child at the other end of its vsock. */
static bool run_machine(struct bench *b, struct bench_vmm *vmm, const struct vsock *v, int listener,
			int result_fd)
{
	const struct bench_request request = {
		.machine = &v->machine,
		.spec = { .end = RUN_TO_EXIT },
	};
	struct run_result run;
	pid_t pid = fork();
	bool ok;

	if (pid == 0)
		host_end(listener, result_fd);
	ok = bench_run(b, vmm, &request, &run);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	unlink(v->path); /* Firecracker leaves it behind */
	return ok;
}

/* A VMM whose run fails has been blamed; a harness that fails is an error. */
static int run_once_with_host(struct bench *b, struct bench_vmm *vmm, const struct vsock *v,
			      bool counts, struct error *err)
{
	int pipe[2], listener = listen_for_guest(v->path, err), r = listener < 0 ? listener : 0;
	struct result result;

	if (r < 0)
		return r;
	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = error_errno(err, NULL, NULL, "cannot make a pipe");
		fd_close(listener);
		return r;
	}
	if (run_machine(b, vmm, v, listener, pipe[1])) {
		if (read(pipe[0], &result, sizeof(result)) != sizeof(result))
			r = error_set(err, -EPROTO, NULL, NULL,
				      "the guest left before all was measured");
		else if (counts)
			r = add_result(b, vmm, &result, err);
	}
	fd_close(listener);
	fd_close(pipe[0]);
	fd_close(pipe[1]);
	return r;
}

static int warm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	return vmm->ops->unix_vsock ? run_once_with_host(b, vmm, arg, false, err) : 0;
}

static int timed(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	return vmm->ops->unix_vsock ? run_once_with_host(b, vmm, arg, true, err) : 0;
}

static int find_image(const char *given, const char *relative, char path[static PATH_MAX],
		      const char **ret, struct error *err)
{
	int r = given ? 0 : vmm_beside(relative, path);

	*ret = given ? given : path;
	if (r < 0)
		return error_set(err, r, "kernel", "guest-images/build minimal initramfs",
				 "there is no %s", path);
	return 0;
}

static int vsock_init(struct bench *b, struct vsock *v, struct error *err)
{
	const struct options *o = b->options;
	bool any = false;
	int r;

	for (size_t i = 0; i < b->nvmms; i++)
		any |= b->vmms[i].ops->unix_vsock;
	if (!any)
		return error_set(err, -EINVAL, "vmm", "name wisp or firecracker",
				 "none of these has vsocks that are Unix sockets");
	*v = (struct vsock){ .machine = bench_machine(b) };
	snprintf(v->path, sizeof(v->path), "%s/v.sock", b->dir);
	snprintf(v->cmdline, sizeof(v->cmdline),
		 "console=ttyS0 quiet reboot=k panic=-1 wisp.exit_port=0x%x -- "
		 "exec wisp-vsock work %d",
		 VMM_EXIT_PORT, VSOCK_PORT);
	v->machine.cmdline = o->cmdline ? o->cmdline : v->cmdline;
	v->machine.vsock = v->path;
	r = find_image(o->kernel, "../images/vmlinux-minimal", v->kernel, &v->machine.kernel, err);
	return r < 0 ? r
		     : find_image(o->initrd, "../images/initramfs.cpio", v->initrd,
				  &v->machine.initrd, err);
}

static int vsock_run(struct bench *b, struct error *err)
{
	const struct options *o = b->options;
	struct vsock v;
	int r = vsock_init(b, &v, err);

	if (r == 0)
		r = bench_alternate(b, "warm-up", (unsigned)option_or(o->warmup, 1), warm, &v, err);
	if (r == 0)
		r = bench_alternate(b, "vsock", (unsigned)option_or(o->runs, VSOCK_RUNS), timed, &v,
				    err);
	return r;
}

static const struct plot_phase phases[] = { { NULL, NULL } };

const struct bench_row bench_vsock = {
	.name = "vsock",
	.help = "bytes each way and round trips over a vsock",
	.needs_fast_kvm = true,
	.phases = phases,
	.run = vsock_run,
};
