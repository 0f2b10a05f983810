/* test_agent.c - the guest's agent, as it is, with this machine for a guest.
 *
 * Each test has a socket pair: a process serves the one end as the agent does in a guest,
 * the other is asked by the host's functions, or gets what no host of ours would send.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest-images/agent/agent.h"
#include "guest-images/agent/caller.h"
#include "guest-images/agent/fields.h"
#include "guest-images/agent/identity.h"
#include "guest-images/agent/session.h"

enum { LIMIT_MS = 60 * 1000, BIG_BYTES = 3 * 1024 * 1024 + 5, NO_CHROOT = 77 };

struct peer {
	pid_t pid;
	int fd;
	struct channel *channel;
};

static struct peer peer_start(void)
{
	struct peer p;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p.pid = fork();
	if (p.pid == 0) {
		close(pair[0]);
		session_serve(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	p.fd = pair[0];
	assert_int_equal(channel_create(p.fd, &p.channel), 0);
	return p;
}

static void peer_end(struct peer *p)
{
	int status;

	channel_destroy(p->channel);
	close(p->fd);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
}

/* Sends a request of "name=value" texts, up to NULL. */
static void request(struct peer *p, const char *const texts[])
{
	char bytes[4096];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	for (size_t i = 0; texts[i]; i++)
		fields_add_text(&f, texts[i]);
	assert_false(f.full);
	assert_int_equal(channel_send(p->channel, FRAME_REQUEST, f.bytes, f.len), 0);
}

/* --- exec --- */

struct heard {
	char out[BIG_BYTES + 1], errors[4096];
	size_t out_len, errors_len;
	struct frame last;
};

static void collect(char *to, size_t size, size_t *len, const struct frame *f)
{
	assert_true(*len + f->len < size);
	memcpy(to + *len, f->payload, f->len);
	*len += f->len;
	to[*len] = '\0';
}

/* Everything up to the answer or the fault. */
static void hear(struct peer *p, struct heard *h)
{
	memset(h, 0, sizeof(*h));
	for (;;) {
		assert_int_equal(channel_receive_within(p->channel, LIMIT_MS, &h->last), 0);
		if (h->last.type == FRAME_OUTPUT)
			collect(h->out, sizeof(h->out), &h->out_len, &h->last);
		else if (h->last.type == FRAME_ERRORS)
			collect(h->errors, sizeof(h->errors), &h->errors_len, &h->last);
		else
			return;
	}
}

static const char *answer(const struct heard *h, const char *name)
{
	return fields_get(h->last.payload, h->last.len, name);
}

static void expect(const struct heard *h, const char *name, const char *value)
{
	assert_int_equal(h->last.type, FRAME_ANSWER);
	assert_non_null(answer(h, name));
	assert_string_equal(answer(h, name), value);
}

/* What a shell is to run, as a field. Static storage. */
static const char *script(const char *text)
{
	static char field[256];

	snprintf(field, sizeof(field), "argument=%s", text);
	return field;
}

static struct heard *exec_heard(const char *const texts[])
{
	static struct heard h;
	struct peer p = peer_start();
	int r;

	request(&p, texts);
	/* Who refuses may be gone by now; its answer can still be read. */
	r = channel_send(p.channel, FRAME_INPUT, NULL, 0);
	assert_true(r == 0 || r == -EPIPE);
	hear(&p, &h);
	/* Its strings live in the channel. */
	static char kept[FRAME_MAX + 1];
	memcpy(kept, h.last.payload, h.last.len + 1);
	h.last.payload = kept;
	peer_end(&p);
	return &h;
}

#define EXEC(...)	 exec_heard((const char *const[]){ "verb=exec", __VA_ARGS__, NULL })
#define SHELL(text, ...) EXEC("argument=/bin/sh", "argument=-c", script(text), __VA_ARGS__)

static void test_streams_and_status(void **state)
{
	struct heard *h = SHELL("echo out; echo err >&2; exit 3", "user=0");

	(void)state;
	assert_string_equal(h->out, "out\n");
	assert_string_equal(h->errors, "err\n");
	expect(h, "status", "3");
}

static void test_signal(void **state)
{
	(void)state;
	expect(SHELL("kill -9 $$", "user=0"), "signal", "9");
}

static void test_environment(void **state)
{
	struct heard *h = SHELL("echo $A-$HOME-$TERM; pwd", "environment=A=x=y", "directory=/usr",
				"environment=HOME=/tmp");

	(void)state;
	assert_string_equal(h->out, "x=y-/tmp-\n/usr\n");
}

static void test_user(void **state)
{
	struct heard *h;

	(void)state;
	if (getuid() != 0)
		skip();
	h = SHELL("id -u; id -g; echo $USER", "user=daemon:4");
	assert_string_equal(h->out, "1\n4\ndaemon\n");
	h = SHELL("id -u; id -g", "user=12345:54321");
	assert_string_equal(h->out, "12345\n54321\n");
	h = SHELL("true", "user=nobody-of-this-name");
	assert_int_equal(h->last.type, FRAME_FAULT);
}

static void test_terminal(void **state)
{
	struct heard *h = SHELL("stty size; test -t 0 && test -t 2 && echo terminal", "terminal=1",
				"rows=33", "columns=111");

	(void)state;
	assert_string_equal(h->out, "33 111\r\nterminal\r\n");
	expect(h, "status", "0");
}

static void test_not_run(void **state)
{
	struct heard *h = EXEC("argument=/no/such/program");

	(void)state;
	assert_int_equal(h->last.type, FRAME_FAULT);
	assert_string_equal(answer(h, "code"), "2");
	assert_non_null(strstr(answer(h, "text"), "/no/such/program"));
	h = EXEC("argument=/bin/true", "directory=/no/such/place");
	assert_int_equal(h->last.type, FRAME_FAULT);
	assert_non_null(strstr(answer(h, "text"), "/no/such/place"));
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "verb=fly", "verb", "=exec", "" };

	(void)state;
	assert_int_equal(EXEC("environment=A=b")->last.type, FRAME_FAULT); /* no argument */
	assert_int_equal(EXEC("argument=/bin/true", "environment=A")->last.type, FRAME_FAULT);
	assert_int_equal(EXEC("argument=/bin/true", "environment==b")->last.type, FRAME_FAULT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(exec_heard((const char *const[]){ bad[i], NULL })->last.type,
				 FRAME_FAULT);
}

static void test_time_limit(void **state)
{
	struct heard *h =
		SHELL("trap 'echo told; exit 9' TERM; while :; do sleep 1; done", "timeout_ms=200");

	(void)state;
	assert_string_equal(h->out, "told\n");
	expect(h, "status", "9");
	expect(h, "timeout", "1");
}

/* More goes in and comes out than any buffer holds, both at once. */
static void test_bulk_echo(void **state)
{
	static const char *const cat[] = { "verb=exec", "argument=cat", NULL };
	static char sent[BIG_BYTES];
	static struct heard h;
	struct peer p = peer_start();
	size_t at = 0;
	int r = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 2654435761u >> 24);
	request(&p, cat);
	memset(&h, 0, sizeof(h));
	while (h.out_len < sizeof(sent)) {
		struct frame f;
		size_t n = channel_room(p.channel);

		if (n > sizeof(sent) - at)
			n = sizeof(sent) - at;
		if (n > 0) {
			assert_int_equal(channel_put(p.channel, FRAME_INPUT, sent + at, n), 0);
			at += n;
		}
		assert_int_equal(channel_flush(p.channel), 0);
		r = channel_take(p.channel, &f);
		assert_true(r == 0 || r == -EAGAIN);
		if (r == 0)
			collect(h.out, sizeof(h.out), &h.out_len, &f);
	}
	assert_memory_equal(h.out, sent, sizeof(sent));
	assert_int_equal(channel_send(p.channel, FRAME_INPUT, NULL, 0), 0);
	hear(&p, &h);
	expect(&h, "status", "0");
	peer_end(&p);
}

static void test_signal_frame(void **state)
{
	const char *const texts[] = {
		"verb=exec",   "argument=/bin/sh",
		"argument=-c", script("trap 'exit 7' USR1; echo ready; while :; do sleep 1; done"),
		NULL,
	};
	struct peer p = peer_start();
	struct frame f;
	static struct heard h;

	(void)state;
	request(&p, texts);
	assert_int_equal(channel_receive_within(p.channel, LIMIT_MS, &f), 0);
	assert_int_equal(f.type, FRAME_OUTPUT);
	assert_int_equal(channel_send(p.channel, FRAME_SIGNAL, "number=10", 10), 0);
	hear(&p, &h);
	expect(&h, "status", "7");
	peer_end(&p);
}

/* A caller that goes away takes its command with it, one that ignores SIGHUP too. */
static void test_caller_gone(void **state)
{
	static const char *const texts[] = { "verb=exec", "argument=/bin/sh", "argument=-c",
					     "argument=trap '' HUP; echo $$; exec sleep 1000",
					     NULL };
	struct peer p = peer_start();
	struct frame f;
	pid_t pid;

	(void)state;
	request(&p, texts);
	assert_int_equal(channel_receive_within(p.channel, LIMIT_MS, &f), 0);
	pid = (pid_t)atoi(f.payload);
	assert_true(pid > 1);
	peer_end(&p); /* which waits for the agent, and that for the command */
	assert_int_equal(kill(pid, 0), -1);
}

/* --- files --- */

static char *folder(void)
{
	static char path[2][64];
	static unsigned next;
	char *p = path[next++ % 2];

	strcpy(p, "/tmp/test-agent-XXXXXX");
	assert_non_null(mkdtemp(p));
	return p;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

static void test_copy_tree(void **state)
{
	struct tree_result result;
	struct error err;
	char *from = folder(), *to = folder(), path[256];
	struct peer p = peer_start();

	(void)state;
	shell("cd %s && mkdir -p a/b a/empty && head -c 300000 /dev/urandom >a/b/big && "
	      "touch a/nothing && ln -s ../nowhere a/link && chmod 640 a/b/big && mkfifo a/fifo",
	      from);
	snprintf(path, sizeof(path), "%s/a", from);
	assert_int_equal(caller_write(p.fd, path, to, &result, &err), 0);
	peer_end(&p);
	shell("diff -r --no-dereference -x fifo %s/a %s/a && test $(stat -c %%a %s/a/b/big) = 640",
	      from, to, to);

	p = peer_start();
	snprintf(path, sizeof(path), "%s/a", to);
	shell("mkdir %s/back", from);
	char back[256];
	snprintf(back, sizeof(back), "%s/back/renamed", from);
	assert_int_equal(caller_read(p.fd, path, back, &result, &err), 0);
	assert_int_equal(result.entries, 6);
	assert_int_equal(result.bytes, 300000);
	peer_end(&p);
	shell("diff -r --no-dereference %s/a %s/back/renamed && rm -r %s %s", to, from, from, to);
}

static void test_copy_refused(void **state)
{
	struct tree_result result;
	struct error err;
	struct peer p = peer_start();

	(void)state;
	assert_int_equal(caller_read(p.fd, "/no/such/file", "/tmp", &result, &err), -EREMOTE);
	assert_non_null(strstr(err.text, "/no/such/file"));
	peer_end(&p);
	p = peer_start();
	assert_int_equal(caller_write(p.fd, "/etc/passwd", "/no/such/place/x", &result, &err),
			 -EREMOTE);
	assert_non_null(strstr(err.text, "/no/such/place"));
	peer_end(&p);
	p = peer_start();
	assert_int_equal(caller_write(p.fd, "/no/such/file", "/tmp", &result, &err), -ENOENT);
	peer_end(&p);
}

/* What a guest's agent could send to a host that copies from it. */
static void test_hostile_tree(void **state)
{
#define ENTRY(path, type) "path=" path "\0type=" type "\0mode=420\0uid=0\0gid=0\0target=/etc"
	static const struct {
		const char *what;
		size_t len;
	} bad[] = {
		{ ENTRY("../x", "file"), sizeof(ENTRY("../x", "file")) },
		{ ENTRY("/x", "file"), sizeof(ENTRY("/x", "file")) },
		{ ENTRY("a//x", "file"), sizeof(ENTRY("a//x", "file")) },
		{ ENTRY("a/", "file"), sizeof(ENTRY("a/", "file")) },
		{ ENTRY("a/../../x", "file"), sizeof(ENTRY("a/../../x", "file")) },
		{ ENTRY("link/x", "file"), sizeof(ENTRY("link/x", "file")) },
		{ ENTRY("x", "device"), sizeof(ENTRY("x", "device")) },
		{ "path=x", sizeof("path=x") },
		{ "no field", sizeof("no field") },
	};
	char *dir = folder();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tree_result result;
		struct channel *ours, *theirs;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(channel_create(pair[0], &ours), 0);
		assert_int_equal(channel_create(pair[1], &theirs), 0);
		channel_put(theirs, FRAME_ENTRY, ENTRY("", "directory"),
			    sizeof(ENTRY("", "directory")));
		channel_put(theirs, FRAME_ENTRY, ENTRY("a", "directory"),
			    sizeof(ENTRY("a", "directory")));
		channel_put(theirs, FRAME_ENTRY, ENTRY("link", "link"),
			    sizeof(ENTRY("link", "link")));
		channel_put(theirs, FRAME_ENTRY, bad[i].what, bad[i].len);
		channel_put(theirs, FRAME_END, NULL, 0);
		assert_true(tree_receive(ours, dir, "top", false, &result) < 0);
		channel_destroy(ours);
		channel_destroy(theirs);
		close(pair[0]);
		close(pair[1]);
	}
	shell("test ! -e %s/x && test ! -e /etc/x && rm -r %s", dir, dir);
#undef ENTRY
}

/* --- the rest --- */

static void test_health(void **state)
{
	static struct caller_answer a;
	const char *const nothing[] = { NULL };
	struct peer p = peer_start();
	struct error err;
	uint64_t n;

	(void)state;
	assert_int_equal(caller_ask(p.fd, "health", nothing, LIMIT_MS, &a, &err), 0);
	assert_true(fields_number(a.bytes, a.len, "memory_available_bytes", 1, UINT64_MAX, &n));
	assert_true(fields_number(a.bytes, a.len, "uptime_ms", 1, UINT64_MAX, &n));
	assert_non_null(fields_get(a.bytes, a.len, "boot_id"));
	peer_end(&p);
}

/* Frames that are none, and a caller that stops in the middle of one. */
static void test_broken_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\0\0\0\0\0\0\0\0", 8 },	   /* no such type */
		{ "\377\377\377\377\0\0\0\0", 8 }, /* nor this one */
		{ "\1\0\0\0\377\377\377\377", 8 }, /* longer than a frame */
		{ "\1\0\0\0\1\0\2\0", 8 },	   /* by one byte */
		{ "\1\0\0\0\5\0\0\0verb", 12 },	   /* which never ends */
		{ "\1\0\0\0\4\0\0\0verb", 12 },	   /* no zero byte */
		{ "\2\0\0\0\0\0\0\0", 8 },	   /* input, but for what? */
		{ "\1", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct peer p = peer_start();

		assert_int_equal(send(p.fd, bad[i].bytes, bad[i].len, 0), (ssize_t)bad[i].len);
		shutdown(p.fd, SHUT_WR);
		peer_end(&p);
	}
}

/* What makes no sense is refused before anything is done. (What does would change this
 * machine: test_clones has that, in a guest.) */
static void test_bad_identity(void **state)
{
	static const struct {
		int (*set)(const char *value);
		const char *values[8];
	} cases[] = {
		{ identity_seed, { "", "1", "0g", "-1", " 12" } },
		{ identity_clock, { "", "x", "-1", "1.5", "99999999999999999999" } },
		{ identity_hostname, { "", "-a", ".a", "a b", "a/b", "a_b" } },
		{ identity_machine_id, { "", "12", "zz345678901234567890123456789012" } },
		{ identity_mac,
		  { "", "lo", "lo 06:00", " 06:00:00:00:00:01", "lo 06:00:00:00:00:0g",
		    "lo 06:00:00:00:00:01 " } },
		{ identity_address,
		  { "lo", "lo 10.0.0.1", "lo 10.0.0.1/0", "lo 10.0.0.1/33", "lo 10.0.0/24",
		    "lo 10.0.0.1/24x", "lo fd00::1/129" } },
		{ identity_gateway, { "", "x", "10.0.0", "10.0.0.1/24", "::x" } },
		{ identity_resolver,
		  { "", "10.0.0.1", "10.0.0.1 ", " net", "10.0.0 net", "10.0.0.1 -",
		    "10.0.0.1 a\nb" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < 8 && cases[i].values[k]; k++) {
			if (cases[i].set(cases[i].values[k]) != -EINVAL)
				fail_msg("not refused: %zu \"%s\"", i, cases[i].values[k]);
		}
	}
}

/* --- virtio ports --- */

static void expect_ok(int fd)
{
	char line[16] = "";

	for (size_t n = 0; n < strlen("OK 1024\n"); n++)
		assert_int_equal(recv(fd, line + n, 1, 0), 1);
	assert_string_equal(line, "OK 1024\n");
}

/* What is left over from one connection is nothing of the next one's. */
static void test_port(void **state)
{
	static const char *const said[] = { "CONNECT 1024\n", "xyz\nCONNECT 99\nCONNECT 1024\n",
					    "half a frame CONNECT 1024\n" };
	struct caller_answer answer;
	struct error err;
	int pair[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		agent_serve_port(pair[1], 1024);
		_exit(0);
	}
	close(pair[1]);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		static const char *const none[] = { NULL };

		assert_int_equal(send(pair[0], said[i], strlen(said[i]), 0),
				 (ssize_t)strlen(said[i]));
		fcntl(pair[0], F_SETFL, 0);
		expect_ok(pair[0]);
		assert_int_equal(caller_ask(pair[0], "health", none, LIMIT_MS, &answer, &err), 0);
		assert_non_null(fields_get(answer.bytes, answer.len, "uptime_ms"));
	}
	close(pair[0]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* What `ip -6` says to these words. Static storage. */
static const char *ip(const char *words)
{
	static char text[1024];
	char line[128];
	FILE *f;

	snprintf(line, sizeof(line), "ip -6 -o %s", words);
	f = popen(line, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	pclose(f);
	return text;
}

/* In a network of its own: one address, one way out, whatever there was. */
static void test_addresses6(void **state)
{
	static const char addresses[] = "address show dev eth0 scope global";
	static const char routes[] = "route show default";

	(void)state;
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) < 0) {
		fprintf(stderr, "no network namespace can be made\n");
		skip();
	}
	assert_int_equal(identity_address("eth0 fd00:1::2/64"), -ENODEV);
	assert_int_equal(system("ip link add eth0 type veth peer name peer && ip link set peer up"),
			 0);
	assert_int_equal(identity_address("eth0 fd00:1::2/64"), 0);
	assert_int_equal(identity_gateway("fd00:1::1"), 0);
	assert_non_null(strstr(ip(addresses), "fd00:1::2/64"));
	assert_null(strstr(ip(addresses), "tentative"));
	assert_non_null(strstr(ip(routes), "via fd00:1::1 "));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(identity_address("eth0 fd00:2::3/64"), 0);
		assert_int_equal(identity_gateway("fd00:2::1"), 0);
	}
	assert_int_equal(identity_address("eth0 fd00:2::3/128"), 0);
	assert_int_equal(identity_gateway("eth0 fd00:2::1"), 0);
	assert_null(strstr(ip(addresses), "fd00:1::2"));
	assert_non_null(strstr(ip(addresses), "fd00:2::3/128"));
	assert_null(strstr(ip(routes), "fd00:1::1"));
	assert_non_null(strstr(ip(routes), "via fd00:2::1 "));
}

/* A root in which there is nothing, and nobody who would look for an id. */
static void test_bare_image(void **state)
{
	char dir[] = "/tmp/wisp-agent-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (chdir(dir) < 0 || chroot(".") < 0)
			_exit(NO_CHROOT);
		_exit(identity_machine_id("0123456789abcdef0123456789abcdef") != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rmdir(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_CHROOT)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_and_status),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_not_run),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_bulk_echo),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_caller_gone),
		cmocka_unit_test(test_copy_tree),
		cmocka_unit_test(test_copy_refused),
		cmocka_unit_test(test_hostile_tree),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_broken_frames),
		cmocka_unit_test(test_bad_identity),
		cmocka_unit_test(test_bare_image),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_addresses6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
