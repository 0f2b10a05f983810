/* test_wispd_guests.c - real guests of wispd's, entered by wispctl: commands, terminals,
 * files, and who may. Wants the test host.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 240,
	POLL_MS = 20,
	FILE_BYTES = 3 << 20,
	ALICE = 61234, /* users, each of a tenant of his own */
	BOB,
};

#define PRINCIPALS                                                           \
	", \"agent_timeout_ms\": 240000, \"principals\": ["                  \
	"{\"uid\": 61234, \"role\": \"operator\", \"tenant\": \"default\"}," \
	"{\"uid\": 61235, \"role\": \"operator\", \"tenant\": \"b\"}]"

#define ctl(h, output, ...) wispd_host_ctl(h, output, (const char *const[]){ __VA_ARGS__, NULL })
#define as(h, uid, ...)	    wispd_host_ctl_as(h, uid, (const char *const[]){ __VA_ARGS__, NULL })

/* One host for all cases: a guest takes seconds to boot. */
static struct wispd_host *h;

#define expect(wanted, ...) wispd_host_expect(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

static unsigned count_instances(void)
{
	json_t *j = NULL;
	unsigned n;

	assert_int_equal(wispd_host_call(h, "GET", "/instances", NULL, &j), 200);
	n = (unsigned)json_array_size(json_object_get(j, "instances"));
	json_decref(j);
	return n;
}

/* A guest that is there for the cases that follow. */
static int set_up(void **state)
{
	const char *kernel = fixture_image("vmlinux-minimal");
	const char *initrd = fixture_image("initramfs.cpio");

	(void)state;
	if (!kernel || !initrd)
		return -1;
	h = wispd_host_make(PRINCIPALS);
	if (!wispd_host_start(h, 0))
		return -1;
	/* The test's folder is root's alone. */
	assert_int_equal(chmod(fixture_dir(), 0711), 0);
	expect(0, "image", "add", "--agent", "--kernel", kernel, "--initrd", initrd, "--cmdline",
	       "console=ttyS0 reboot=k panic=-1 quiet", "box");
	expect(0, "image", "add", "--kernel", kernel, "--cmdline",
	       "console=ttyS0 reboot=k panic=-1 quiet", "kernel");
	assert_int_equal(ctl(h, NULL, "tenant", "set", "b"), 0);
	expect(0, "run", "--name", "vm", "--shape", "tiny", "box");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wispd_host_end(h);
	return 0;
}

/* --- commands --- */

static void test_exec(void **state)
{
	const char *output;

	(void)state;
	output = expect(3, "exec", "-e", "A=b c", "--env", "B=d", "-w", "/tmp", "vm", "--", "sh",
			"-c", "echo \"$A$B\"; pwd; cat; exit 3");
	assert_string_equal(output, "b cd\n/tmp\n");
	output = expect(0, "exec", "-u", "1234:5678", "vm", "id");
	expect_in(output, "uid=1234 gid=5678");
	expect(124, "exec", "--timeout", "1", "vm", "sleep", "1000");
	expect(127, "exec", "vm", "no-such-program");
	output = expect(125, "exec", "nobody", "true");
	expect_in(output, "There is no instance nobody");
	output = expect(0, "health", "vm");
	expect_in(output, "hostname=wisp");
	output = expect(0, "inspect", "vm");
	expect_in(output, "\"state\": \"ready\"");
	output = expect(1, "console", "vm");
	expect_in(output, "console=hvc0");
	/* Whoever went in is known. */
	output = expect(0, "events", "--tail", "3");
	expect_in(output, "instance.entered");
}

static struct session *begin(const char *const words[])
{
	const char *argv[24] = { fixture_program("wispctl"), "--socket", wispd_host_socket(h) };

	for (unsigned n = 3; *words; words++)
		argv[n++] = *words;
	return session_start(argv);
}

#define start(...) begin((const char *const[]){ __VA_ARGS__, NULL })

/* Input, and a signal that is the command's. */
static void test_streams(void **state)
{
	static const char script[] = "trap 'echo caught; exit 9' INT; read a; read b; "
				     "echo $((a * b)); while :; do sleep 0.1; done";
	struct session *s = start("exec", "-i", "vm", "sh", "-c", script);

	(void)state;
	session_send(s, "6\n");
	session_send(s, "7\n");
	session_expect(s, "42", LIMIT_S);
	session_kill(s, SIGINT);
	session_expect(s, "caught", LIMIT_S);
	assert_int_equal(session_wait(s, LIMIT_S), 9);
	session_end(s);
	/* Who reads slowly stops the command, not wispd: nothing is read here meanwhile. */
	s = start("exec", "vm", "sh", "-c", "yes | head -c 2000000; echo the end");
	assert_int_equal(ctl(h, NULL, "exec", "vm", "true"), 0);
	session_expect(s, "the end", LIMIT_S);
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);
}

/* --- terminals --- */

/* Reads until text comes. */
static void see(int fd, const char *text)
{
	static char said[8192];
	size_t n = 0;

	said[0] = '\0';
	while (!strstr(said, text) && n < sizeof(said) - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got = poll(&p, 1, LIMIT_S * 1000) > 0
				      ? read(fd, said + n, sizeof(said) - 1 - n)
				      : -1;

		if (got <= 0)
			fail_msg("no \"%s\" in:\n%s", text, said);
		n += (size_t)got;
		said[n] = '\0';
	}
}

static void test_terminal(void **state)
{
	struct winsize size = { .ws_row = 33, .ws_col = 77 };
	int master, status;
	pid_t pid = forkpty(&master, NULL, NULL, &size);

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(fixture_program("wispctl"), "wispctl", "--socket", wispd_host_socket(h),
		      "exec", "-it", "vm", "sh", "-c", "tty; stty size; read x; stty size; exit 5",
		      NULL);
		_exit(127);
	}
	see(master, "33 77");
	size.ws_row = 44;
	size.ws_col = 99;
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(master, "\n", 1), 1);
	see(master, "44 99");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 5);
	close(master);
}

/* --- files --- */

static void test_copies(void **state)
{
	static char data[FILE_BYTES];
	const char *there, *back;
	FILE *f;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 2654435761U >> 13);
	there = fixture_path("there");
	back = fixture_path("back");
	f = fopen(there, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, sizeof(data), f), sizeof(data));
	fclose(f);
	expect(0, "cp", there, "vm:/tmp/copy");
	expect(0, "cp", "vm:/tmp/copy", back);
	f = fopen(back, "re");
	assert_non_null(f);
	for (size_t i = 0; i < sizeof(data); i++)
		if (fgetc(f) != (unsigned char)data[i])
			fail_msg("byte %zu differs", i);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	expect(153, "cp", there, back);
	expect(1, "cp", "vm:/no-such", back);
}

/* --- run --- */

static void test_run(void **state)
{
	const char *output;
	struct session *s;

	(void)state;
	output = expect(7, "run", "--rm", "--shape", "tiny", "box", "--", "sh", "-c",
			"echo hi; exit 7");
	assert_string_equal(output, "hi\n");
	assert_int_equal(count_instances(), 1);
	/* Interrupted while the command runs, and while the guest boots. */
	s = start("run", "--rm", "--shape", "tiny", "box", "--", "sh", "-c",
		  "echo begun; sleep 1000");
	session_expect(s, "begun", LIMIT_S);
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, LIMIT_S), 128 + SIGTERM);
	session_end(s);
	assert_int_equal(count_instances(), 1);
	s = start("run", "--rm", "--shape", "tiny", "--name", "early", "box", "--", "true");
	while (count_instances() < 2)
		poll(NULL, 0, POLL_MS);
	session_kill(s, SIGINT);
	assert_int_equal(session_wait(s, LIMIT_S), 128 + SIGINT);
	session_end(s);
	assert_int_equal(count_instances(), 1);
	assert_int_equal(wispd_host_jails(h), 1);
}

/* --- addresses --- */

/* The second interface's address is on no command line: the agent sets it, before anybody
 * hears that the guest runs. */
static void test_addresses(void **state)
{
	static const char body[] = "{\"image\": \"box\", \"name\": \"two\", \"shape\": \"tiny\","
				   " \"start\": true, \"interfaces\": [{\"network\": \"one\"},"
				   " {\"network\": \"other\"}]}";
	const char *output;

	(void)state;
	expect(0, "net", "create", "one", "--prefix4", "10.71.0.0/24");
	expect(0, "net", "create", "other", "--prefix4", "10.72.0.0/16", "--prefix6",
	       "fd00:72::/64");
	assert_string_equal(wispd_host_do(h, "POST", "/instances", body), "done");
	output = expect(0, "exec", "two", "ip", "-4", "address");
	expect_in(output, "10.71.0.2/24");
	expect_in(output, "10.72.0.2/16");
	output = expect(0, "exec", "two", "ip", "route");
	expect_in(output, "default via 10.71.0.1 ");
	expect(0, "exec", "two", "ping", "-c", "1", "-W", "30", "10.72.0.1");
	expect(0, "rm", "two");
	expect(0, "net", "rm", "one", "other");
}

/* --- images --- */

static void make(const char *script)
{
	const char *argv[] = { "sh", "-euxc", script, "make", fixture_path("oci"), NULL };
	struct session *s = session_start(argv);

	if (session_wait(s, LIMIT_S) != 0)
		fail_msg("%s", session_output(s));
	session_end(s);
}

static const char layout_script[] =
	"mkdir -p $1/tree/bin $1/tree/tmp $1/tree/etc; cd $1; cp $(command -v busybox) tree/bin;"
	"for p in sh cat id stat echo test; do ln -s busybox tree/bin/$p; done;"
	"echo 'root:x:0:0::/:/bin/sh' >tree/etc/passwd; echo mine >tree/etc/owned;"
	"chown 1234:5678 tree/etc/owned; chmod 4755 tree/bin/busybox;"
	"umoci init --layout lay; umoci new --image lay:box; umoci insert --image lay:box tree /;"
	"umoci config --image lay:box --config.env A=image --config.env B=image"
	" --config.workingdir /tmp --config.cmd sh --config.cmd -c --config.cmd 'echo $A $B; pwd'";

/* An OCI image from its layout to its command's output. */
static void test_oci(void **state)
{
	char source[256];
	const char *output;

	(void)state;
	make(layout_script);
	snprintf(source, sizeof(source), "oci:%s:box", fixture_path("oci/lay"));
	expect(0, "image", "import", "--base", "kernel", source, "app");
	output = expect(0, "image", "ls");
	expect_in(output, "app ");
	expect_in(output, "published");
	output = expect(0, "events", "--tail", "12");
	expect_in(output, "image.published");
	output = expect(0, "run", "--rm", "--shape", "tiny", "-e", "B=mine", "app");
	assert_string_equal(output, "image mine\n/tmp\n");
	output = expect(7, "run", "--rm", "--shape", "tiny", "app", "--", "sh", "-c",
			"echo hi; stat -c '%u %g' /etc/owned; exit 7");
	assert_string_equal(output, "hi\n1234 5678\n");
	assert_int_equal(count_instances(), 1);
	/* The same again is the same, and nothing is left of either. */
	output = expect(0, "image", "import", "--base", "kernel", source, "app");
	expect(0, "image", "rm", "app");
	expect(1, "run", "app");
}

static const char bad_script[] =
	"mkdir -p $1/bad; cd $1/bad; echo x >x;"
	"tar -P --transform 's,^x,../../x,' -cf dots.tar x;"
	"mknod null c 1 3; tar -cf device.tar null; truncate -s 40G big; tar -Scf bomb.tar big;"
	"echo nothing >rubbish.tar; ln -s /etc/passwd link.tar;"
	"qemu-img create -q -f qcow2 -F raw -b /etc/passwd refers.qcow2";

static void test_hostile_images(void **state)
{
	static const struct {
		const char *kind, *file, *words;
	} rows[] = {
		{ "tar", "dots.tar", "leads out" },
		{ "tar", "device.tar", "special file" },
		{ "tar", "bomb.tar", "holds more" },
		{ "tar", "rubbish.tar", "tar" },
		{ "tar", "none.tar", "Cannot open" },
		{ "qcow2", "refers.qcow2", "another file" },
		{ "qcow2", "x", "qcow2" },
		{ "oci", "x", "Cannot open" },
	};
	char source[256], path[64];

	(void)state;
	make(bad_script);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "oci/bad/%s", rows[i].file);
		snprintf(source, sizeof(source), "%s:%s", rows[i].kind, fixture_path(path));
		expect_in(expect(1, "image", "import", "--base", "kernel", source, "bad"),
			  rows[i].words);
	}
	assert_int_not_equal(rmdir(wispd_host_path(h, "state/imports")), -1);
}

/* One that does not boot gets no name, and what it said is kept. */
static void test_probe(void **state)
{
	const char *output;
	char digest[65];

	(void)state;
	output = expect(1, "image", "add", "--agent", "--kernel", fixture_guest("power-off"),
			"broken");
	expect_in(output, "did not boot");
	snprintf(digest, sizeof(digest), "%.64s",
		 strstr(output, "image log ") + strlen("image log "));
	expect(1, "run", "broken");
	expect_in(expect(1, "run", digest), "not published");
	expect(0, "image", "log", digest);
	expect(0, "image", "rm", digest);
}

/* --- who may --- */

static void test_tenants(void **state)
{
	const char *mine = fixture_path("mine");

	(void)state;
	fixture_file("mine", "secret");
	assert_int_equal(chmod(mine, 0644), 0);
	assert_int_equal(as(h, ALICE, "exec", "vm", "true"), 0);
	assert_int_equal(as(h, ALICE, "cp", mine, "vm:/tmp/mine"), 0);
	assert_int_equal(as(h, ALICE, "health", "vm"), 0);
	assert_int_equal(as(h, BOB, "exec", "vm", "true"), 125);
	assert_int_equal(as(h, BOB, "--tenant", "default", "exec", "vm", "true"), 125);
	assert_int_equal(as(h, BOB, "cp", "vm:/tmp/mine", "/tmp/stolen"), 1);
	assert_int_equal(as(h, BOB, "cp", mine, "vm:/tmp/mine"), 1);
	assert_int_equal(as(h, BOB, "console", "vm"), 1);
	assert_int_equal(as(h, BOB, "health", "vm"), 1);
	assert_int_equal(as(h, BOB, "logs", "vm"), 1);
	assert_int_equal(as(h, BOB, "stop", "vm"), 1);
	assert_int_equal(as(h, BOB, "rm", "vm"), 1);
	assert_int_equal(as(h, ALICE, "exec", "vm", "test", "-f", "/tmp/mine"), 0);
}

/* --- an end --- */

/* wispd dies: the guest and its agent do not, and the next one hears it. It ends in order. */
static void test_end(void **state)
{
	const char *output;

	(void)state;
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	expect(0, "exec", "vm", "true");
	expect(0, "stop", "--timeout", "240", "vm");
	output = expect(0, "inspect", "vm");
	expect_in(output, "\"state\": \"stopped\"");
	assert_null(strstr(output, "killed"));
	output = expect(125, "exec", "vm", "true");
	expect_in(output, "vm is stopped");
	expect(0, "rm", "vm");
	assert_int_equal(wispd_host_jails(h), 0);
	expect(0, "doctor");
}

/* --- a pool --- */

static void await_pool(int64_t ready)
{
	json_t *j = NULL;
	int64_t now = -1;

	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		assert_int_equal(wispd_host_call(h, "GET", "/pools/warm", NULL, &j), 200);
		now = json_integer_value(json_object_get(j, "ready"));
		if (now == ready)
			assert_string_equal(json_string_value(json_object_get(j, "golden")),
					    "ready");
		json_decref(j);
		if (now == ready)
			return;
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("%lld blanks are ready, not %lld\n%s", (long long)now, (long long)ready,
		 wispd_host_log(h));
}

/* Its name, and randomness; in a blank's guest, or one that the snapshot was restored to. It is
 * heard: whoever has another's address is not. */
static void run_in_pool(const char *name, bool warm, char random[64])
{
	static const char command[] =
		"hostname; ping -c 1 -W 30 10.67.0.1 >/dev/null && od -An -N16 -tx1 /dev/urandom";
	char said[96];
	const char *output;
	size_t len = strlen(name);

	output = expect(0, "run", "--rm", "--shape", "tiny", "--pool", "warm", "--net", "pooled",
			"--name", name, "box", "--", "sh", "-c", command);
	if (strncmp(output, name, len) != 0 || output[len] != '\n')
		fail_msg("%s says that it is %s", name, output);
	snprintf(random, 64, "%s", output + len + 1);
	assert_int_equal(strlen(random), 16 * 3 + 1);
	snprintf(said, sizeof(said), "instance.%staken", warm ? "" : "not_");
	expect_in(expect(0, "events", "--tail", "40"), said);
}

/* What an instance asks for beyond its network a blank's has, too: a port, and a rate, at which
 * six seconds' worth takes four at least, for what is in one second may pass at once. */
static void check_limits(void)
{
	time_t begun;
	json_t *j = NULL;

	assert_int_equal(
		wispd_host_call(h, "POST", "/instances",
				"{\"image\": \"box\", \"shape\": \"tiny\", \"start\": true,"
				" \"name\": \"slow\", \"pool\": \"warm\", \"interfaces\":"
				" [{\"network\": \"pooled\", \"publish\": [\"8099:9\"],"
				" \"rx_bytes_per_s\": 500000}]}",
				&j),
		202);
	assert_true(json_is_true(json_object_get(json_object_get(j, "pool"), "taken")));
	assert_string_equal(wispd_host_await(h, json_string_value(json_object_get(j, "operation"))),
			    "done");
	json_decref(j);
	expect(0, "exec", "slow", "--", "sh", "-c",
	       "sleep 100 | nc -l -p 9 >/tmp/got 2>/dev/null &");
	begun = time(NULL);
	assert_int_equal(
		system("until head -c 3000000 /dev/zero | busybox nc -w 60 10.67.0.1 8099; do"
		       " sleep 0.2; done"),
		0);
	expect_in(expect(0, "exec", "slow", "--", "sh", "-c",
			 "while pidof nc >/dev/null; do sleep 0.2; done; wc -c </tmp/got"),
		  "3000000");
	assert_true(time(NULL) - begun >= 4);
	expect(0, "rm", "slow");
}

/* The file that the pool's blanks have, too: it is one file by many names. */
static void spoil_snapshot(void)
{
	DIR *dir = opendir(wispd_host_path(h, "state/snapshots"));
	struct dirent *entry;
	char path[320];

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "state/snapshots/%s/state", entry->d_name);
		assert_int_equal(truncate(wispd_host_path(h, path), 100), 0);
	}
	closedir(dir);
}

/* One boots, all go on from there, and each is somebody else, somewhere else. */
static void test_pool(void **state)
{
	unsigned jails = wispd_host_jails(h);
	char random[3][64];

	(void)state;
	expect(0, "net", "create", "pooled", "--prefix4", "10.67.0.0/24");
	expect(0, "pool", "create", "warm", "box", "--shape", "tiny", "--min", "2", "--net",
	       "pooled");
	await_pool(2);
	assert_int_equal(wispd_host_jails(h), jails + 2);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	run_in_pool("first", true, random[0]);
	run_in_pool("second", true, random[1]);
	expect(0, "pool", "resize", "warm", "--min", "0", "--max", "0");
	await_pool(0);
	run_in_pool("third", false, random[2]);
	for (unsigned i = 0; i < 3; i++)
		assert_string_not_equal(random[i], random[(i + 1) % 3]);
	/* A snapshot that is no good costs time, and nothing else. */
	expect(0, "pool", "resize", "warm", "--min", "1", "--max", "1");
	await_pool(1);
	check_limits();
	await_pool(1);
	spoil_snapshot();
	expect(7, "run", "--rm", "--shape", "tiny", "--pool", "warm", "--net", "pooled", "box",
	       "--", "sh", "-c", "exit 7");
	expect_in(expect(0, "events", "--tail", "40"), "instance.taken");
	expect(0, "pool", "rm", "warm");
	for (int waited = 0; wispd_host_files(h, "state/snapshots"); waited += POLL_MS) {
		assert_true(waited < LIMIT_S * 1000);
		poll(NULL, 0, POLL_MS);
	}
	for (int waited = 0; wispd_host_jails(h) > jails; waited += POLL_MS) {
		assert_true(waited < LIMIT_S * 1000);
		poll(NULL, 0, POLL_MS);
	}
	expect(0, "net", "rm", "pooled");
	expect(0, "doctor");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),	 cmocka_unit_test(test_streams),
		cmocka_unit_test(test_terminal), cmocka_unit_test(test_copies),
		cmocka_unit_test(test_run),	 cmocka_unit_test(test_pool),
		cmocka_unit_test(test_oci),	 cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_probe),	 cmocka_unit_test(test_hostile_images),
		cmocka_unit_test(test_tenants),	 cmocka_unit_test(test_end),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_guests needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
