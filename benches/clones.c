/* clones.c - a machine of wisp's that is saved, and others that go on from it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "benches/clones.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

#define READY  "ready\n" /* as in guests/clone.S */
#define COPIED "c\n"
#define MAKE_TAPS                                         \
	"modprobe -q tun; i=%u; while [ $i -lt %u ]; do " \
	"ip tuntap add wclone$i mode tap || exit 1; i=$((i + 1)); done"

enum {
	DISK_BYTES = 1 << 20,
	LIMIT_MS = 20000,
	RETRY_US = 50,
	BODY_BYTES = CLONE_REQUEST_BYTES - 256
};

/* --- processes and their API --- */

static int connect_api(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path)) {
		fd_close(fd);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	fd_close(fd);
	return -ENOENT;
}

/* Until somebody listens. */
static int await_api(const char *path, struct error *err)
{
	uint64_t end_us = clock_now_us() + LIMIT_MS * UINT64_C(1000);
	int fd;

	while ((fd = connect_api(path)) == -ENOENT && clock_now_us() < end_us)
		usleep(RETRY_US);
	return fd < 0 ? error_set(err, fd, NULL, NULL, "nobody listens on %s", path) : fd;
}

static int send_all(int fd, const char *text, size_t len, struct error *err)
{
	if (send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	return error_errno(err, NULL, NULL, "a request cannot be sent");
}

int clone_await_text(int fd, const char *wanted, char text[static CLONE_TEXT_BYTES],
		     struct error *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	text[0] = '\0';
	while (!strstr(text, wanted)) {
		n = poll(&p, 1, LIMIT_MS) == 1 ? read(fd, text + len, CLONE_TEXT_BYTES - 1 - len)
					       : 0;
		if (n <= 0)
			return error_set(err, -EIO, NULL, NULL,
					 "waited in vain for \"%.8s\": %.300s", wanted, text);
		len += (size_t)n;
		text[len] = '\0';
	}
	return 0;
}

static int await_answer(int fd, struct error *err)
{
	char text[CLONE_TEXT_BYTES];
	int r = clone_await_text(fd, "\r\n\r\n", text, err);

	if (r < 0 || strncmp(text, "HTTP/1.1 20", strlen("HTTP/1.1 20")) == 0)
		return r;
	return error_set(err, -EPROTO, NULL, NULL, "wisp refused: %.300s", text);
}

static size_t format_request(char *to, size_t size, const char *verb, const char *path,
			     const char *body)
{
	return (size_t)snprintf(
		to, size, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		verb, path, strlen(body), body);
}

static int call(int fd, const char *verb, const char *path, const char *body, struct error *err)
{
	char request[CLONE_REQUEST_BYTES];
	size_t len = format_request(request, sizeof(request), verb, path, body);
	int r = send_all(fd, request, len, err);

	return r < 0 ? r : await_answer(fd, err);
}

/* --- the source --- */

static int make_disk(const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	if (fd < 0 || ftruncate(fd, DISK_BYTES) < 0)
		r = error_errno(err, NULL, NULL, "cannot make the disk %s", path);
	fd_close(fd);
	return r;
}

static int configure(const struct clone_source *s, int api, const char *vsock, const char *tap,
		     struct error *err)
{
	char body[BODY_BYTES];
	int r;

	snprintf(body, sizeof(body), "{\"vcpu_count\": 1, \"mem_size_mib\": %u}", s->mem_mib);
	r = call(api, "PUT", "/machine-config", body, err);
	if (s->guest == CLONE_LINUX)
		snprintf(body, sizeof(body),
			 "{\"kernel_image_path\": \"%s\", \"initrd_path\": \"%s\","
			 " \"boot_args\": \"" CLONE_LINUX_ARGS "\"}",
			 s->kernel, s->initrd);
	else
		snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\"}", s->kernel);
	if (r == 0)
		r = call(api, "PUT", "/boot-source", body, err);
	snprintf(body, sizeof(body),
		 "{\"drive_id\": \"d\", \"path_on_host\": \"%s\", \"is_root_device\": false,"
		 " \"is_read_only\": true}",
		 s->disk);
	if (r == 0)
		r = call(api, "PUT", "/drives/d", body, err);
	snprintf(body, sizeof(body), "{\"guest_cid\": 3, \"uds_path\": \"%s\"}", vsock);
	if (r == 0)
		r = call(api, "PUT", "/vsock", body, err);
	snprintf(body, sizeof(body), "{\"iface_id\": \"n\", \"host_dev_name\": \"%s\"}",
		 tap ? tap : "");
	if (r == 0 && tap)
		r = call(api, "PUT", "/network-interfaces/n", body, err);
	return r;
}

static int save(const struct clone_source *s, struct clone *c, struct error *err)
{
	char text[CLONE_TEXT_BYTES], body[3 * PATH_MAX];
	int r = call(c->api, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", err);

	fcntl(c->child.out, F_SETFL, 0);
	if (r == 0)
		r = clone_await_text(c->child.out,
				     s->guest == CLONE_LINUX ? CLONE_LINUX_READY : READY, text,
				     err);
	if (r == 0)
		r = call(c->api, "PATCH", "/vm", "{\"state\": \"Paused\"}", err);
	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\"}",
		 s->state, s->memory);
	return r < 0 ? r : call(c->api, "PUT", "/snapshot/create", body, err);
}

static int find_guest(struct clone_source *s, struct error *err)
{
	bool is_linux = s->guest == CLONE_LINUX;
	int r = vmm_beside(is_linux ? "../images/vmlinux-minimal" : "../share/wisp/bench/clone.elf",
			   s->kernel);

	if (r < 0)
		return error_set(err, r, NULL, "build the guest images, and all of wisp-bench",
				 "the guest of this benchmark is missing: %s", s->kernel);
	r = is_linux ? vmm_beside("../images/initramfs.cpio", s->initrd) : 0;
	return r < 0 ? error_set(err, r, NULL, "build the guest images", "there is no %s",
				 s->initrd)
		     : 0;
}

int clone_source_make(const struct bench *b, enum clone_guest guest, unsigned mem_mib,
		      const char *tap, struct clone_source *ret, struct error *err)
{
	struct clone c = { .child = SPAWN_NONE, .api = -1 };
	int r;

	ret->guest = guest;
	ret->set = NULL;
	r = find_guest(ret, err);
	if (r < 0)
		return r;
	ret->program = b->vmms[0].program;
	ret->dir = b->dir;
	ret->mem_mib = mem_mib;
	snprintf(ret->state, sizeof(ret->state), "%s/state-%u", b->dir, mem_mib);
	snprintf(ret->memory, sizeof(ret->memory), "%s/memory-%u", b->dir, mem_mib);
	snprintf(ret->disk, sizeof(ret->disk), "%s/disk", b->dir);
	r = make_disk(ret->disk, err);
	if (r == 0)
		r = clone_create(ret, CLONE_PLAIN, 0, tap, &c, err);
	if (r == 0)
		r = clone_exec(&c, CLONE_PLAIN, err);
	if (r == 0)
		r = configure(ret, c.api, c.vsock, tap, err);
	if (r == 0)
		r = save(ret, &c, err);
	clone_end(&c);
	return r;
}

void clone_source_drop(const struct clone_source *s)
{
	unlink(s->state);
	unlink(s->memory);
}

/* --- copies --- */

static void make_request(const struct clone_source *s, const char *tap, struct clone *c)
{
	char body[BODY_BYTES], network[128] = "", set[PATH_MAX + 64] = "";

	if (tap)
		snprintf(
			network, sizeof(network),
			", \"network_overrides\": [{\"iface_id\": \"n\", \"host_dev_name\": \"%s\"}]",
			tap);
	if (s->set)
		snprintf(set, sizeof(set), ", \"working_set_path\": \"%s\"", s->set);
	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s\", \"mem_backend\": {\"backend_type\": \"File\","
		 " \"backend_path\": \"%s\"}, \"resume_vm\": true,"
		 " \"vsock_override\": {\"uds_path\": \"%s\"}%s%s}",
		 s->state, s->memory, c->vsock, network, set);
	c->request_len =
		format_request(c->request, sizeof(c->request), "PUT", "/snapshot/load", body);
}

int clone_create(const struct clone_source *s, enum clone_kind kind, unsigned n, const char *tap,
		 struct clone *ret, struct error *err)
{
	struct argv argv = { 0 };
	int r;

	snprintf(ret->socket, sizeof(ret->socket), "%s/api-%u", s->dir, n);
	snprintf(ret->vsock, sizeof(ret->vsock), "%s/vsock-%u", s->dir, n);
	unlink(ret->socket);
	unlink(ret->vsock);
	make_request(s, tap, ret);
	argv_add_words(&argv, (const char *const[]){ s->program, "--api-sock", ret->socket,
						     "--level", "Warn", NULL });
	if (kind == CLONE_BLANK) {
		argv_add_words(&argv, (const char *const[]){ "--blank", "--blank-mem-mib", NULL });
		argv_add(&argv, "%u", s->mem_mib);
	}
	r = argv.error ? argv.error : spawn_create(argv.v, &ret->child, err);
	argv_free(&argv);
	return r;
}

int clone_exec(struct clone *c, enum clone_kind kind, struct error *err)
{
	int r = spawn_release(&c->child);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot start a copy");
	c->api = r = await_api(c->socket, err);
	if (r < 0 || kind != CLONE_BLANK)
		return r < 0 ? r : 0;
	/* It answers when it is ready. */
	r = send_all(c->api, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		     strlen("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), err);
	return r < 0 ? r : await_answer(c->api, err);
}

int clone_send(struct clone *c, struct error *err)
{
	c->sent_us = clock_now_us();
	return send_all(c->api, c->request, c->request_len, err);
}

int clone_await_answer(struct clone *c, struct error *err)
{
	return await_answer(c->api, err);
}

int clone_await_guest(struct clone *c, struct error *err)
{
	char text[CLONE_TEXT_BYTES];

	fcntl(c->child.out, F_SETFL, 0);
	return clone_await_text(c->child.out, COPIED, text, err);
}

void clone_end(struct clone *c)
{
	spawn_end(&c->child);
	c->api = fd_close(c->api);
	if (c->socket[0])
		unlink(c->socket);
	if (c->vsock[0])
		unlink(c->vsock);
}

int clone_run_command(const struct clone *c, struct error *err)
{
	struct spawn command = SPAWN_NONE;
	struct argv argv = { 0 };
	char program[PATH_MAX];
	int r = vmm_beside("wisp-guest", program);

	if (r < 0)
		return error_set(err, r, NULL, "build it", "there is no %s", program);
	argv_add_words(&argv, (const char *const[]){ program, c->vsock, "exec", "true", NULL });
	r = argv.error ? argv.error : spawn_create(argv.v, &command, err);
	argv_free(&argv);
	if (r == 0)
		r = spawn_release(&command);
	if (r == 0 && spawn_reap(&command) != 0) {
		char text[CLONE_TEXT_BYTES] = "";

		if (read(command.err, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		r = error_set(err, -EIO, NULL, NULL, "the guest did not run a command: %.200s",
			      text);
	}
	spawn_end(&command);
	return r;
}

pid_t clone_vcpu(const struct clone *c)
{
	char path[64], name[32];
	pid_t pid = c->child.pid, found = -ENOENT;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && found < 0 && (e = readdir(dir)) != NULL) {
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.12s/comm", (int)pid, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strcmp(name, "vcpu0\n") == 0)
			found = (pid_t)strtol(e->d_name, NULL, 10);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

int clone_record(const struct clone *c, const char *path, struct error *err)
{
	char body[PATH_MAX + 64];

	snprintf(body, sizeof(body), "{\"working_set_path\": \"%s\"}", path);
	return call(c->api, "PUT", "/snapshot/working-set", body, err);
}

/* A thread's stat, whose second field has no blank here; counted from 1 as in proc(5). */
static uint64_t stat_field(const char *line, unsigned n)
{
	while (line && --n > 0) {
		line = strchr(line, ' ');
		line = line ? line + 1 : NULL;
	}
	return line ? strtoull(line, NULL, 10) : 0;
}

int clone_faults(const struct clone *c, struct clone_faults *ret)
{
	enum { MINFLT = 10, MAJFLT = 12 };
	pid_t thread = clone_vcpu(c);
	char path[64], line[512];
	FILE *f;
	bool read;

	if (thread < 0)
		return (int)thread;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)c->child.pid, (int)thread);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	read = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	if (!read)
		return -EIO;
	ret->minor = stat_field(line, MINFLT);
	ret->major = stat_field(line, MAJFLT);
	return 0;
}

/* Each has a console, a process's end and an API to be watched. */
static int allow_descriptors(unsigned copies, struct error *err)
{
	enum { EACH = 5, OTHERS = 100 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_errno(err, NULL, NULL, "cannot read a limit");
	if (limit.rlim_cur >= copies * EACH + OTHERS)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max >= copies * EACH + OTHERS && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	return error_set(err, -EMFILE, NULL, "raise ulimit -Hn, or ask for fewer (--runs)",
			 "%u copies need more descriptors than the limit of %llu", copies,
			 (unsigned long long)limit.rlim_max);
}

int clones_take_wisp(struct bench *b, unsigned copies, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nvmms; i++) {
		if (b->vmms[i].ops == &vmm_wisp)
			b->vmms[n++] = b->vmms[i];
	}
	b->nvmms = n;
	if (n == 0)
		return error_set(err, -ENOENT, "vmm", "wisp", "this benchmark is wisp's own");
	return allow_descriptors(copies, err);
}

int clones_take_network(struct error *err)
{
	return unshare(CLONE_NEWNET) < 0 ? error_errno(err, NULL, "run as root, or use --testhost",
						       "cannot make a network namespace")
					 : 0;
}

int clones_make_taps(unsigned first, unsigned count, struct error *err)
{
	char command[256];

	snprintf(command, sizeof(command), MAKE_TAPS, first, first + count);
	return spawn_shell(command, "install iproute2, and load the module tun", err);
}
