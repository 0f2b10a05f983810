/* test_api.c - the real wisp over its API socket, on real KVM, with tiny guests.
 *
 * Bad input comes as a table. Each row is sent to a wisp of its own, which must
 * refuse it with the right words, and then take a correct configuration and run a
 * guest whose exit status comes back: so nothing of what was refused stays behind.
 * In a build with sanitizers a leak changes that status, to one that no test wants.
 *
 * All files lie in the test's folder, which is the working directory, so that the
 * bodies in the tables can name them.
 */
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77, MIB = 1 << 20, CONNECTIONS = 1000 };

#define SOCKET "api.sock"
#define START  "{\"action_type\": \"InstanceStart\"}"

/* clang-format off */
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* clang-format on */

/* --- files --- */

static void copy_start(const char *from, const char *to, size_t bytes)
{
	char *buf = calloc(1, bytes);
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");

	assert_true(buf && in && out);
	assert_int_equal(fread(buf, 1, bytes, in), bytes);
	assert_int_equal(fwrite(buf, 1, bytes, out), bytes);
	fclose(in);
	assert_int_equal(fclose(out), 0);
	free(buf);
}

/* An ELF kernel whose one segment has this many bytes. */
static void make_kernel(const char *path, uint64_t bytes)
{
	const struct {
		Elf64_Ehdr elf;
		Elf64_Phdr load;
	} file = {
		.elf = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = MIB,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.load = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_offset = 4096,
			.p_vaddr = MIB,
			.p_paddr = MIB,
			.p_filesz = bytes,
			.p_memsz = bytes,
			.p_align = 4096,
		},
	};
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(&file, sizeof(file), 1, f), 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(truncate(path, (off_t)(4096 + bytes)), 0);
}

static int make_files(void **state)
{
	static const char *const guests[] = { "hello", "exit", "hlt-loop", "serial-echo", "cpuid" };

	(void)state;
	assert_int_equal(setenv("ASAN_OPTIONS", "exitcode=99", 0), 0);
	assert_int_equal(chdir(fixture_dir()), 0);
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++)
		assert_int_equal(symlink(fixture_guest(guests[i]), guests[i]), 0);
	fixture_file("text", "this is not a kernel\n");
	fixture_file("empty", "");
	copy_start("exit", "truncated", 0x1000);
	make_kernel("huge", 64 * MIB);
	fixture_disk("initrd", "", 64 * MIB);
	fixture_disk("disk", "WISPDISK", MIB);
	copy_start("exit", "secret", 0x1000);
	assert_int_equal(chmod("secret", 0), 0);
	assert_int_equal(mkdir("folder", 0700), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	return 0;
}

/* --- requests --- */

static struct session *start_wisp(void)
{
	struct session *s = session_start(
		ARGS(fixture_program("wisp"), "--api-sock", SOCKET, "--debug-exit-port", "0xf4"));

	api_wait(SOCKET, LIMIT_S);
	return s;
}

static void expect(const char *verb, const char *path, const char *body, int status,
		   const char *words)
{
	struct api_reply reply;

	api_call(SOCKET, verb, path, body, &reply);
	if (reply.status != status || !strstr(reply.body, words))
		fail_msg("%s %s %.300s: %d %s\nwanted %d, \"%s\"", verb, path, body ? body : "",
			 reply.status, reply.body, status, words);
}

static void put(const char *path, const char *body)
{
	expect("PUT", path, body, 204, "");
}

static void expect_end(struct session *s, int status)
{
	int got = session_wait(s, LIMIT_S);

	if (got != status)
		fail_msg("wisp ended with %d, not %d:\n%s", got, status, session_output(s));
	session_end(s);
	assert_int_not_equal(access(SOCKET, F_OK), 0);
}

/* A correct machine, whatever was asked for before. */
static void run_exit_guest(struct session *s)
{
	put("/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}");
	put("/boot-source", "{\"kernel_image_path\": \"exit\", \"boot_args\": \"7\"}");
	put("/actions", START);
	expect_end(s, 7);
}

/* --- the life of a machine --- */

static const char disk_body[] = "{\"drive_id\": \"disk\", \"path_on_host\": \"disk\", "
				"\"is_root_device\": true, \"is_read_only\": true}";

static const char vsock_body[] = "{\"guest_cid\": 3, \"uds_path\": \"v.sock\"}";

static void configure(const char *guest)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\", \"boot_args\": \"quiet\"}",
		 guest);
	put("/machine-config", "{\"vcpu_count\": 2, \"mem_size_mib\": 48}");
	put("/boot-source", body);
	put("/drives/disk", disk_body);
	put("/entropy", "{}");
	put("/vsock", "{\"guest_cid\": 9, \"uds_path\": \"other.sock\"}");
	put("/vsock", vsock_body);
	assert_int_not_equal(access("other.sock", F_OK), 0);
	assert_int_equal(access("v.sock", F_OK), 0);
}

static void expect_state(const char *name)
{
	char words[64];

	snprintf(words, sizeof(words), "\"state\":\"%s\"", name);
	expect("GET", "/", NULL, 200, words);
}

static void set_state(const char *name)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"state\": \"%s\"}", name);
	expect("PATCH", "/vm", body, 204, "");
	expect_state(name[0] == 'P' ? "Paused" : "Running");
}

/* What may only be asked of a machine that has not started. */
static void expect_all_too_late(void)
{
	static const char too_late[] = "not supported after starting the microVM";

	expect("PUT", "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}", 400,
	       too_late);
	expect("PATCH", "/machine-config", "{\"vcpu_count\": 1}", 400, too_late);
	expect("PUT", "/boot-source", "{\"kernel_image_path\": \"exit\"}", 400, too_late);
	expect("PUT", "/drives/disk", disk_body, 400, too_late);
	expect("PUT", "/entropy", "{}", 400, too_late);
	expect("PUT", "/balloon", "{\"amount_mib\": 1, \"deflate_on_oom\": true}", 400, too_late);
	expect("PUT", "/vsock", vsock_body, 400, too_late);
	expect("PUT", "/actions", START, 400, too_late);
}

static void test_life(void **state)
{
	struct session *s = start_wisp();

	(void)state;
	expect_state("Not started");
	expect("PATCH", "/vm", "{\"state\": \"Paused\"}", 400, "before starting the microVM");
	configure("serial-echo");
	put("/actions", START);
	expect_state("Running");
	session_send(s, "ping");
	session_expect(s, "ping", LIMIT_S);

	set_state("Paused");
	set_state("Paused");
	session_send(s, "pong");
	assert_false(session_sees(s, "pong", 1));
	expect("GET", "/vm/config", NULL, 200, "\"mem_size_mib\":48");
	set_state("Resumed");
	set_state("Resumed");
	session_expect(s, "pong", LIMIT_S);

	put("/actions", "{\"action_type\": \"SendCtrlAltDel\"}");
	expect_all_too_late();
	session_send(s, "q");
	expect_end(s, 0);
	assert_int_not_equal(access("v.sock", F_OK), 0);
}

static void expect_event(int fd, const char *name, const char *words)
{
	api_expect_event(fd, name, words, LIMIT_S);
}

/* What a client hears that only listens, while another drives the machine, and what a
 * client costs that does not read. */
static void test_events(void **state)
{
	struct session *s = start_wisp();
	int deaf = api_listen(SOCKET), fd = api_listen(SOCKET);

	(void)state;
	expect_event(fd, "state", "{\"state\":\"Not started\",\"timestamp_ms\":");
	configure("serial-echo");
	put("/actions", START);
	expect_event(fd, "state", "\"Running\"");
	set_state("Paused");
	set_state("Paused");
	expect_event(fd, "state", "\"Paused\"");
	for (unsigned i = 0; i < 300; i++) {
		set_state("Resumed");
		expect_event(fd, "state", "\"Running\"");
		set_state("Paused");
		expect_event(fd, "state", "\"Paused\"");
	}
	set_state("Resumed");
	expect_event(fd, "state", "\"Running\"");
	session_send(s, "q");
	expect_event(fd, "guest_ended", "\"reason\":\"");
	expect_event(fd, "state", "{\"state\":\"Ended\",\"exit_status\":0,");
	expect_end(s, 0);
	close(fd);
	close(deaf);
}

/* Descriptors that the process has open. */
static unsigned count_descriptors(const struct session *s)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)session_pid(s));
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Of a thousand who stay connected, ten are served and the rest refused, and when they
 * have gone, nothing is left of them. */
static void test_thousand_connections(void **state)
{
	static int fds[CONNECTIONS];
	struct rlimit limit = { CONNECTIONS + 100, CONNECTIONS + 100 };
	struct session *s = start_wisp();
	unsigned before, served = 0;

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail_msg("cannot have %d descriptors: %m", CONNECTIONS);
	expect_state("Not started");
	before = count_descriptors(s);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		int status = 0;

		fds[i] = api_ask(SOCKET, "/version", &status);
		if (status != 200 && status != 503)
			fail_msg("connection %u: status %d", i, status);
		served += status == 200;
	}
	assert_int_equal(served, 10);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
	/* The server sees the ends one by one; the test's time limit ends a wait for ever. */
	while (count_descriptors(s) > before)
		usleep(1000);
	expect_state("Not started");
	run_exit_guest(s);
}

/* The guest looks for KVM's name, and ends with 3 when it reads otherwise. */
static void test_cpu_template(void **state)
{
	static const char no_leaf[] = "{\"cpuid_modifiers\": [{\"leaf\": \"0x12345\", \"subleaf\": "
				      "\"0x0\", \"flags\": 0, \"modifiers\": [{\"register\": "
				      "\"eax\", \"bitmap\": \"0b1\"}]}]}";
	static const char no_msr[] = "{\"msr_modifiers\": [{\"addr\": \"0x12345\", "
				     "\"bitmap\": \"0b1\"}]}";
	static const char renamed[] =
		"{\"kvm_capabilities\": [\"3\", \"!4\"], \"msr_modifiers\": [{\"addr\": "
		"\"0x1a0\", \"bitmap\": \"0b1\"}], \"cpuid_modifiers\": [{\"leaf\": "
		"\"0x40000000\", \"subleaf\": \"0x0\", \"flags\": 0, \"modifiers\": "
		"[{\"register\": \"ebx\", \"bitmap\": \"0bxxxx_xxx0\"}, {\"register\": "
		"\"ebx\", \"bitmap\": \"0bxxxx_xx0x\"}]}]}";
	struct session *s = start_wisp();

	(void)state;
	configure("cpuid");
	expect("PATCH", "/machine-config", "{\"cpu_template\": \"V1N1\"}", 400,
	       "CPU vendor mismatched between actual CPU and CPU template.");
	expect("PATCH", "/machine-config", "{\"cpu_template\": \"None\"}", 204, "");
	expect("GET", "/machine-config", NULL, 200, "\"huge_pages\":\"None\"}");
	put("/cpu-config", no_leaf);
	expect("PUT", "/actions", START, 400, "CPUID entry not supported by KVM: Leaf: 0x12345");
	put("/cpu-config", no_msr);
	expect("PUT", "/actions", START, 400, "MSR entry not supported by KVM");
	put("/cpu-config", "{\"kvm_capabilities\": [\"99999\"]}");
	expect("PUT", "/actions", START, 400, "capability 99999");
	put("/cpu-config", renamed);
	put("/actions", START);
	expect_end(s, 3);
}

/* The serial port's output in a file, as much of it as the limit lets through. */
static void test_serial(void **state)
{
	struct session *s = start_wisp();
	char text[64] = "";
	FILE *f;

	(void)state;
	put("/boot-source", "{\"kernel_image_path\": \"hello\"}");
	expect("PUT", "/serial", "{\"serial_out_path\": \"no/such/dir\"}", 400, "cannot be opened");
	put("/serial", "{\"serial_out_path\": \"serial.txt\", "
		       "\"rate_limiter\": {\"size\": 100, \"refill_time\": 1000}}");
	put("/actions", START);
	expect_end(s, 0);
	f = fopen("serial.txt", "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(text, "hello\n");
}

/* GET /vm/config is a configuration file, and makes the same machine. */
static void test_config_file_is_the_same(void **state)
{
	struct api_reply by_api, by_file;
	struct session *s = start_wisp();

	(void)state;
	configure("hlt-loop");
	api_call(SOCKET, "GET", "/vm/config", NULL, &by_api);
	assert_int_equal(by_api.status, 200);
	session_kill(s, SIGTERM);
	expect_end(s, 128 + SIGTERM);

	fixture_file("machine.json", by_api.body);
	s = session_start(ARGS(fixture_program("wisp"), "--api-sock", SOCKET, "--config-file",
			       "machine.json"));
	session_expect(s, "halted", LIMIT_S);
	expect_state("Running");
	api_call(SOCKET, "GET", "/vm/config", NULL, &by_file);
	assert_string_equal(by_file.body, by_api.body);
	session_kill(s, SIGTERM);
	expect_end(s, 128 + SIGTERM);
}

/* --- bad input --- */

struct bad_case {
	const char *path, *body; /* PUT; "*" in the body: `fill` letters */
	const char *field, *words;
	bool at_start;	  /* accepted, and refused by InstanceStart */
	bool not_as_root; /* root may do it */
	size_t fill;
	const char *before; /* a body for the same path, with which it is accepted */
};

/* clang-format off */
#define BOOT(kernel, more) \
	.path = "/boot-source", \
	.body = "{\"kernel_image_path\": \"" kernel "\"" more "}"
#define MACHINE(vcpus, mib) \
	.path = "/machine-config", \
	.body = "{\"vcpu_count\": " vcpus ", \"mem_size_mib\": " mib "}"
#define BALLOON(mib, more) \
	.path = "/balloon", \
	.body = "{\"amount_mib\": " mib ", \"deflate_on_oom\": true" more "}"
#define VSOCK(cid, where) \
	.path = "/vsock", \
	.body = "{\"guest_cid\": " cid ", \"uds_path\": \"" where "\"}"
#define DRIVE(file, root) \
	.path = "/drives/bad", \
	.body = "{\"drive_id\": \"bad\", \"path_on_host\": \"" file "\", " \
		"\"is_root_device\": " root "}"

static const struct bad_case bad_cases[] = {
	{ BOOT("none", ""), "kernel_image_path", "No such file" },
	{ BOOT("secret", ""), "kernel_image_path", "Permission denied", .not_as_root = true },
	{ BOOT("text", ""), "kernel_image_path", "is a text file", .at_start = true },
	{ BOOT("empty", ""), "kernel_image_path", "kernel", .at_start = true },
	{ BOOT("folder", ""), "kernel_image_path", "folder", .at_start = true },
	{ BOOT("fifo", ""), "kernel_image_path", "fifo", .at_start = true },
	{ BOOT("truncated", ""), "kernel_image_path", "truncated", .at_start = true },
	{ BOOT("huge", ""), "kernel_image_path", "outside guest RAM", .at_start = true },
	{ BOOT("exit", ", \"initrd_path\": \"none\""), "initrd_path", "No such file" },
	{ BOOT("exit", ", \"initrd_path\": \"initrd\""), "initrd_path", "is too large", .at_start = true },
	{ BOOT("exit", ", \"boot_args\": \"*\""), "boot_args", "", .fill = 2048 },
	{ BOOT("exit", ", \"boot_args\": \"*\""), "", "larger than the limit of", .fill = 60000 },
	{ BOOT("exit", ", \"boot_args\": 5"), "boot_args", "invalid type" },
	{ BOOT("exit", ", \"colour\": 5"), "colour", "unknown field" },
	{ MACHINE("0", "32"), "vcpu_count", "number of vCPUs" },
	{ MACHINE("33", "32"), "vcpu_count", "number of vCPUs" },
	{ MACHINE("\"two\"", "32"), "vcpu_count", "invalid type" },
	{ MACHINE("1", "0"), "mem_size_mib", "memory size" },
	{ MACHINE("1", "2147483648"), "mem_size_mib", "more than this host has" },
	{ MACHINE("1", "-1"), "mem_size_mib", "" },
	{ MACHINE("1", "32, \"colour\": 5"), "colour", "unknown field" },
	{ DRIVE("none", "false"), "path_on_host", "No such file" },
	{ DRIVE("folder", "false"), "path_on_host", "is a directory" },
	{ DRIVE("fifo", "false"), "path_on_host", "is a FIFO" },
	{ DRIVE("disk", "5"), "is_root_device", "invalid type" },
	{ DRIVE("disk", "true"), "is_root_device", "already exists", .before = disk_body },
	{ .path = "/drives/other", disk_body, "drive_id", "does not match" },
	{ .path = "/entropy", "{\"colour\": 5}", "colour", "unknown field" },
	{ .path = "/entropy", "{", "", "" },
	{ BALLOON("129", ""), "amount_mib", "Amount of pages requested is too large" },
	{ BALLOON("128", ", \"stats_polling_interval_s\": 65536"), "stats_polling_interval_s", "" },
	{ VSOCK("2", "v.sock"), "guest_cid", "out of range" },
	{ VSOCK("3", "none/v.sock"), "uds_path", "No such file" },
	{ VSOCK("3", "text"), "uds_path", "exists and nobody listens" },
	{ VSOCK("3", SOCKET), "uds_path", "in use by another process" },
	{ VSOCK("3", "*"), "uds_path", "can have 1 to 96", .fill = 97 },
	{ .path = "/actions", "{\"action_type\": \"Explode\"}", "action_type", "unknown variant" },
	{ .path = "/nothing", "{}", "", "Invalid request method and/or path" },
};
/* clang-format on */

/* The row's body; to be freed. */
static char *make_body(const struct bad_case *c)
{
	const char *star = c->fill ? strchr(c->body, '*') : NULL;
	size_t size = strlen(c->body) + c->fill + 1;
	char *body = malloc(size), *to = body;

	assert_non_null(body);
	if (!star)
		return strcpy(body, c->body);
	to = mempcpy(to, c->body, (size_t)(star - c->body));
	memset(to, 'x', c->fill);
	strcpy(to + c->fill, star + 1);
	return body;
}

static void run_bad_case(const struct bad_case *c)
{
	struct session *s = start_wisp();
	char *body = make_body(c);

	if (c->before)
		put("/drives/disk", c->before);
	if (c->at_start) {
		put("/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}");
		put("/drives/disk", disk_body);
		put(c->path, body);
		expect("PUT", "/actions", START, 400, c->words);
		expect("PUT", "/actions", START, 400, c->field);
	} else {
		expect("PUT", c->path, body, 400, c->words);
		expect("PUT", c->path, body, 400, c->field);
	}
	expect_state("Not started");
	free(body);
	run_exit_guest(s);
}

static void test_bad_input(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *c = &bad_cases[i];

		if (c->not_as_root && geteuid() == 0) {
			print_message("left out, since root may do it: %s\n", c->body);
			continue;
		}
		print_message("bad input %s %s\n", c->path, c->body);
		run_bad_case(c);
	}
}

/* --- the command line --- */

static void expect_refused(const char *const args[], int status, const char *words)
{
	struct session *s = session_start(args);
	int got = session_wait(s, LIMIT_S);

	if (got != status || !strstr(session_output(s), words))
		fail_msg("%s %s: ended with %d, not %d, \"%s\":\n%s", args[1], args[2], got, status,
			 words, session_output(s));
	session_end(s);
}

static void test_socket_in_use(void **state)
{
	struct session *s = start_wisp();

	(void)state;
	expect_refused(ARGS(fixture_program("wisp"), "--api-sock", SOCKET), 1, "is in use");
	run_exit_guest(s);
}

static void test_bad_socket_path(void **state)
{
	static const char long_path[200] = { [0 ... 198] = 'x' };

	(void)state;
	expect_refused(ARGS(fixture_program("wisp"), "--api-sock", long_path), 1, "api-sock");
	expect_refused(ARGS(fixture_program("wisp"), "--api-sock", "none/api.sock"), 1, "api-sock");
	expect_refused(ARGS(fixture_program("wisp"), "--api-sock", "text"), 1, "api-sock");
	expect_refused(ARGS(fixture_program("wisp"), "--api-socket", "x"), 153, "--api-socket");
}

struct bad_file {
	const char *text, *words;
};

static const struct bad_file bad_files[] = {
	{ "", "bad.json" },
	{ "{\"boot-source\": ", "line 1" },
	{ "{\"colour\": {}}", "colour" },
	{ "{}", "boot-source" },
	{ "{\"boot-source\": {\"kernel_image_path\": \"none\"}}", "boot-source.kernel_image_path" },
	{ "{\"boot-source\": {\"kernel_image_path\": \"text\"}}", "kernel_image_path" },
	{ "{\"boot-source\": {\"kernel_image_path\": \"exit\"},"
	  " \"drives\": [{\"drive_id\": \"a\", \"is_root_device\": false,"
	  " \"path_on_host\": \"none\"}]}",
	  "drives[0].path_on_host" },
	{ "{\"machine-config\": {\"vcpu_count\": 33, \"mem_size_mib\": 32}}",
	  "machine-config.vcpu_count" },
};

static void test_bad_config_file(void **state)
{
	(void)state;
	expect_refused(ARGS(fixture_program("wisp"), "--no-api", "--config-file", "none"), 152,
		       "config-file");
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		fixture_file("bad.json", bad_files[i].text);
		expect_refused(
			ARGS(fixture_program("wisp"), "--no-api", "--config-file", "bad.json"), 152,
			bad_files[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_thousand_connections),
		cmocka_unit_test(test_cpu_template),
		cmocka_unit_test(test_serial),
		cmocka_unit_test(test_config_file_is_the_same),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_socket_in_use),
		cmocka_unit_test(test_bad_socket_path),
		cmocka_unit_test(test_bad_config_file),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, make_files, NULL);
}
