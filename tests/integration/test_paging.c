/* test_paging.c - machines whose memory another process brings (wisp-pager), page by page:
 * tiny guests on the KVM of this machine, real ones in the test host.
 *
 *   test_paging [CASE]    only the named case
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "vmm/memory/userfault.h"

enum { SCRIPT_BYTES = 8192, PAGE = 4096 };

static void load_served(const struct machine *m, const char *more)
{
	saved_call(m, "PUT", "/snapshot/load", saved_served_body("state", more));
}

/* state and memory of a tiny guest that was asked something. */
static void make_snapshot(void)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);

	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
}

/* Served machines share one pager, are saved in either way, and are whole then: what had
 * not been brought is brought to be written. */
static void test_served(void **state)
{
	struct machine m, n;
	struct session *pager;

	(void)state;
	make_snapshot();
	pager = saved_pager("memory");
	n = saved_start("other.sock", NULL, NULL);
	load_served(&n, ", \"resume_vm\": true");
	m = saved_start("tiny.sock", NULL, NULL);
	load_served(&m, ", \"resume_vm\": true");
	saved_say(&m, "two");
	saved_say(&n, "other");
	saved_pause(&m);
	saved_create(&m, "state-full", "memory-full", "Full");
	saved_create(&m, "state-diff", "memory-full", "Diff");
	saved_kill(&m);
	saved_quit(&n);
	saved_pager_end(pager);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state-diff", "memory-full", ", \"resume_vm\": true");
	saved_say(&m, "three");
	saved_quit(&m);
}

/* A handler that is gone is missed when a page is. */
static void test_dead(void **state)
{
	struct machine m;
	struct session *pager;
	int client;

	(void)state;
	make_snapshot();
	pager = saved_pager("memory");
	m = saved_start("tiny.sock", NULL, NULL);
	load_served(&m, ", \"resume_vm\": true");
	saved_say(&m, "two");
	session_kill(pager, SIGKILL);
	session_wait(pager, SAVED_LIMIT_S);
	session_end(pager);
	session_expect(m.wisp, "p.sock is gone", SAVED_LIMIT_S);
	/* What it has it keeps. */
	saved_say(&m, "three");
	saved_pause(&m);
	client = api_send(m.socket, "PUT", "/snapshot/create",
			  saved_create_body("state2", "memory2", ""));
	session_expect(m.wisp, "is gone, and a page is missing", SAVED_LIMIT_S);
	assert_int_equal(session_wait(m.wisp, SAVED_LIMIT_S), 1);
	close(client);
	session_end(m.wisp);
}

/* Whoever listens at p.sock takes the memory and does nothing. */
static int listen_only(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, fixture_path("p.sock"));
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_stuck(void **state)
{
	struct machine m;
	int fd, client;

	(void)state;
	make_snapshot();
	fd = listen_only();
	m = saved_start("tiny.sock", NULL, NULL);
	client = api_send(m.socket, "PUT", "/snapshot/load",
			  saved_served_body("state", ", \"resume_vm\": true"));
	session_expect(m.wisp, "takes no page fault", SAVED_LIMIT_S);
	assert_int_equal(session_wait(m.wisp, SAVED_LIMIT_S), 1);
	close(client);
	close(fd);
	session_end(m.wisp);
}

/* --- a handler that sends everything twice --- */

/* From the machine's one message: its userfaultfd, and where its RAM begins. */
static int receive_faults(int peer, uint64_t *base)
{
	static const char name[] = "\"base_host_virt_addr\":";
	char text[1024] = "";
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const char *at;
	int fd;

	if (recvmsg(peer, &message, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	at = strstr(text, name);
	*base = at ? strtoull(at + strlen(name), NULL, 10) : 0;
	return at && fcntl(fd, F_SETFL, 0) == 0 ? fd : -1;
}

/* The same message from the other end. */
static void send_faults(int peer, char *text, int faults)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec io = { .iov_base = text, .iov_len = strlen(text) };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memcpy(CMSG_DATA(&control.head), &faults, sizeof(faults));
	assert_int_equal(sendmsg(peer, &message, MSG_NOSIGNAL), (ssize_t)io.iov_len);
}

static int bring(int faults, uint64_t to, const char *bytes)
{
	struct uffdio_copy copy = { .dst = to, .src = (uintptr_t)bytes, .len = PAGE };

	return ioctl(faults, UFFDIO_COPY, &copy) == 0 ? 0 : errno;
}

/* Each page, then other bytes for the same page, and words on the connection. True as long
 * as the kernel takes the first alone. */
static bool bring_twice(int peer, int faults, int memory, uint64_t base)
{
	char right[PAGE], other[PAGE];
	struct uffd_msg event;
	uint64_t at;

	if (read(faults, &event, sizeof(event)) != (ssize_t)sizeof(event))
		return false;
	at = event.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
	memset(other, 0xff, sizeof(other));
	if (pread(memory, right, sizeof(right), (off_t)(at - base)) != PAGE)
		return false;
	send(peer, "again", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	return bring(faults, at, right) == 0 && bring(faults, at, other) == EEXIST;
}

/* A process that is such a handler, of one machine. */
static pid_t start_twice(int listener)
{
	pid_t pid = fork();
	uint64_t base = 0;
	int peer, faults, memory;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = open(fixture_path("memory"), O_RDONLY | O_CLOEXEC);
	peer = accept(listener, NULL, NULL);
	faults = receive_faults(peer, &base);
	while (memory >= 0 && faults >= 0 && bring_twice(peer, faults, memory, base))
		continue;
	_exit(1);
}

/* The guest has what came first, and so has who saves it. */
static void test_twice(void **state)
{
	struct machine m;
	pid_t handler;
	int fd;

	(void)state;
	make_snapshot();
	fd = listen_only();
	handler = start_twice(fd);
	m = saved_start("tiny.sock", NULL, NULL);
	load_served(&m, ", \"resume_vm\": true");
	saved_say(&m, "two");
	saved_pause(&m);
	saved_create(&m, "state2", "memory2", "Full");
	assert_int_equal(waitpid(handler, NULL, WNOHANG), 0);
	saved_kill(&m);
	kill(handler, SIGKILL);
	waitpid(handler, NULL, 0);
	close(fd);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state2", "memory2", ", \"resume_vm\": true");
	saved_say(&m, "three");
	saved_quit(&m);
}

/* --- memory that is given back while it is asked for --- */

enum { GIVEN_PAGES = 8192, READERS = 16, GIVING_LIMIT_S = 120 };

/* Page n of the file has the number n + 1 at its beginning. */
static void make_numbered(void)
{
	static char page[PAGE];
	int fd = open(fixture_path("memory"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	for (uint32_t n = 1; n <= GIVEN_PAGES; n++) {
		memcpy(page, &n, sizeof(n));
		assert_int_equal(write(fd, page, PAGE), PAGE);
	}
	close(fd);
}

/* As a machine does it: memory of the pager's. */
static char *ask_pager(int *peer, int *faults)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = (size_t)GIVEN_PAGES * PAGE;
	char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char text[256];
	struct error err;

	assert_true(memory != MAP_FAILED);
	assert_int_equal(userfault_open(UFFD_FEATURE_EVENT_REMOVE, faults, &err), 0);
	assert_int_equal(userfault_register(*faults, memory, len, UFFDIO_REGISTER_MODE_MISSING), 0);
	*peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, fixture_path("p.sock"));
	assert_int_equal(connect(*peer, (const struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(text, sizeof(text),
		 "[{\"base_host_virt_addr\":%" PRIuPTR
		 ",\"size\":%zu,\"offset\":0,\"page_size\":%d}]",
		 (uintptr_t)memory, len, PAGE);
	send_faults(*peer, text, *faults);
	return memory;
}

struct reader {
	pthread_t thread;
	const char *memory;
	uint32_t from;
};

/* What a page begins with: its number, or nothing once it was given back. */
static void *read_all(void *arg)
{
	struct reader *r = arg;

	for (uint32_t i = 0; i < GIVEN_PAGES; i++) {
		uint32_t n = (r->from + i) % GIVEN_PAGES, first;

		memcpy(&first, r->memory + (size_t)n * PAGE, sizeof(first));
		if (first != n + 1 && first != 0)
			return r;
	}
	return NULL;
}

/* A pager whose every answer is refused until it reads that memory was given back must get
 * round to that, however many wait for pages. */
static void test_given_back(void **state)
{
	struct reader reader[READERS];
	struct session *pager;
	int peer, faults;
	char *memory;

	(void)state;
	make_numbered();
	pager = saved_pager("memory");
	memory = ask_pager(&peer, &faults);
	alarm(GIVING_LIMIT_S);
	for (unsigned i = 0; i < READERS; i++) {
		reader[i] = (struct reader){ .memory = memory, .from = i * GIVEN_PAGES / READERS };
		assert_int_equal(pthread_create(&reader[i].thread, NULL, read_all, &reader[i]), 0);
	}
	for (size_t n = 0; n < GIVEN_PAGES; n += 2)
		assert_int_equal(madvise(memory + n * PAGE, PAGE, MADV_DONTNEED), 0);
	for (unsigned i = 0; i < READERS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(reader[i].thread, &wrong), 0);
		assert_null(wrong);
	}
	for (size_t n = 0; n < GIVEN_PAGES; n += 2)
		assert_int_equal(memory[n * PAGE], 0);
	alarm(0);
	saved_pager_end(pager);
	munmap(memory, (size_t)GIVEN_PAGES * PAGE);
	close(faults);
	close(peer);
}

/* The process that could not load can load something else. */
static void test_absent(void **state)
{
	struct api_reply reply;
	struct machine m;

	(void)state;
	make_snapshot();
	unlink(fixture_path("p.sock"));
	m = saved_start("tiny.sock", NULL, NULL);
	api_call(m.socket, "PUT", "/snapshot/load", saved_served_body("state", ""), &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "p.sock cannot be reached"));
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	saved_say(&m, "two");
	saved_quit(&m);
}

/* --- real guests --- */

/* Sums of files in memory, which fill a good part of it and must stay what they are. */
#define WORK                                                                                     \
	"mkdir -p /m; mount -t tmpfs none /m\n"                                                  \
	"for f in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=/m/$f bs=64k count=16 2>/dev/null; " \
	"done\n"                                                                                 \
	"cd /m; md5sum 1 2 3 4 5 6 7 8 > sums\n"                                                 \
	"echo filled.\n"                                                                         \
	"i=0\n"                                                                                  \
	"while [ $i -lt 12 ]; do\n"                                                              \
	"	i=$((i + 1)); md5sum -c sums > /dev/null || exit 3\n"                                  \
	"	cp 1 9; cmp 1 9 || exit 4; rm 9\n"                                                     \
	"	echo round $i.\n"                                                                      \
	"done\n"

static const char *linux_config(const char *machine_extra)
{
	static char extra[1024];
	struct fixture_config config = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 256,
		.vcpus = 2,
		.machine_extra = machine_extra,
		.extra = extra,
	};

	snprintf(extra, sizeof(extra),
		 ", \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true,"
		 " \"stats_polling_interval_s\": 1},"
		 " \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true}]",
		 fixture_disk("script", WORK, SCRIPT_BYTES));
	return fixture_config("linux.json", &config);
}

static void see_through(struct machine *m)
{
	int got;

	session_expect(m->wisp, "round 12.", SAVED_LIMIT_S);
	got = session_wait(m->wisp, SAVED_LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(m->wisp));
	session_end(m->wisp);
}

/* A balloon that is blown up takes pages, which come back as zeros; then the machine is
 * saved while half of it is not there, and goes on from that. */
static void work(const char *machine_extra, const char *more)
{
	struct machine m = saved_start("linux.sock", linux_config(machine_extra), NULL);
	struct session *pager;

	session_expect(m.wisp, "filled.", SAVED_LIMIT_S);
	session_expect(m.wisp, "round 2.", SAVED_LIMIT_S);
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	pager = saved_pager("memory");
	m = saved_start("linux.sock", NULL, NULL);
	load_served(&m, more);
	session_expect(m.wisp, "round 4.", SAVED_LIMIT_S);
	saved_call(&m, "PATCH", "/balloon", "{\"amount_mib\": 100}");
	session_expect(m.wisp, "round 6.", SAVED_LIMIT_S);
	saved_call(&m, "PATCH", "/balloon", "{\"amount_mib\": 0}");
	session_expect(m.wisp, "round 8.", SAVED_LIMIT_S);
	saved_pause(&m);
	saved_create(&m, "state2", "memory2", "Full");
	saved_kill(&m);
	saved_pager_end(pager);
	m = saved_start("linux.sock", NULL, NULL);
	saved_load(&m, "state2", "memory2", ", \"resume_vm\": true");
	see_through(&m);
}

static void test_linux(void **state)
{
	(void)state;
	work(NULL, ", \"resume_vm\": true");
}

/* With pages of 2 MiB from beginning to end: booted on them, copied into them from a file
 * at the end, brought in them between. */
static void test_huge(void **state)
{
	(void)state;
	if (system("echo 280 > /proc/sys/vm/nr_hugepages") != 0)
		fail_msg("no huge pages can be set aside");
	work(", \"huge_pages\": \"2M\"", ", \"resume_vm\": true");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_served), cmocka_unit_test(test_dead),
		cmocka_unit_test(test_stuck),  cmocka_unit_test(test_twice),
		cmocka_unit_test(test_absent), cmocka_unit_test(test_given_back),
	};
	const struct CMUnitTest boots[] = {
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_huge),
	};

	return saved_main(argc, argv, tests, boots);
}
