/* test_main.c - the program itself around a fake machine: exit statuses, messages,
 * signals, the report, the socket's file.
 *
 * Where the test must act after start-up, the configuration file is a FIFO: its
 * open() by both sides is the meeting point, so nothing waits for time to pass.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGS_MAX = 12, OUTPUT_BYTES = 8192, TIME_LIMIT_S = 60 };

struct dir {
	char path[32];
	char config[64], sock[64], out[64], report[64];
};

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	strcpy(d->path, "/tmp/test_main.XXXXXX");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->config, sizeof(d->config), "%s/config", d->path);
	snprintf(d->sock, sizeof(d->sock), "%s/sock", d->path);
	snprintf(d->out, sizeof(d->out), "%s/out", d->path);
	snprintf(d->report, sizeof(d->report), "%s/report", d->path);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;

	unlink(d->config);
	unlink(d->out);
	unlink(d->report);
	assert_int_equal(rmdir(d->path), 0); /* the socket's file is gone */
	free(d);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void read_file(const char *path, char *buf)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, OUTPUT_BYTES - 1, f);
	buf[n] = '\0';
	fclose(f);
}

/* Output and errors go to d->out. */
static pid_t start(const struct dir *d, const char *const *args)
{
	char *argv[ARGS_MAX + 2] = { (char *)"wisp" };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	for (int i = 0; args[i]; i++)
		argv[i + 1] = (char *)args[i];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, d->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	assert_int_equal(posix_spawn(&pid, WISP_UNDER_TEST, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_run(const struct dir *d, const char *const *args, int status, const char *words)
{
	char output[OUTPUT_BYTES];
	int got = wait_for(start(d, args));

	read_file(d->out, output);
	if (got != status || !strstr(output, words))
		fail_msg("%s: %d, %s\nwanted %d, '%s'", args[0], got, output, status, words);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void information(void **state)
{
	const struct dir *d = *state;

	expect_run(d, ARGS("--help"), 0, "Usage: wisp");
	expect_run(d, ARGS("--version"), 0, "wisp v" WISP_VERSION "\nFirecracker API v1.");
	expect_run(d, ARGS("--snapshot-version"), 0, "v1.2.0\n");
	expect_run(d, ARGS("--check-host"), 0, "fake host");
}

static void bad_command_lines(void **state)
{
	const struct dir *d = *state;

	expect_run(d, ARGS("--nope"), 153, "wisp: Found argument '--nope' which wasn't expected");
	expect_run(d, ARGS("--no-api"), 153, "without 'config-file' (no-api: give --config-file)");
	expect_run(d, ARGS("--describe-snapshot", "/nonexistent/x"), 1,
		   "(describe-snapshot: give the path of a file");
	expect_run(d, ARGS("--describe-snapshot", "/dev/null"), 1, "no regular file");
	expect_run(d, ARGS("--log-path", "/nonexistent/x"), 1, "(log-path: give a writable file");
	expect_run(d, ARGS("--report", "/nonexistent/x"), 1, "(report: give a writable file");
	expect_run(d, ARGS("--api-sock", "/nonexistent/x"), 1, "(api-sock: create its directory");
}

static void bad_configuration(void **state)
{
	const struct dir *d = *state;

	expect_run(d, ARGS("--no-api", "--config-file", "/nonexistent/x"), 152,
		   "wisp: Configuration file /nonexistent/x: Cannot open: No such file");
	write_file(d->config, "{\"machine-config\":{\"vcpu_count\":1}}");
	expect_run(d, ARGS("--api-sock", d->sock, "--config-file", d->config), 152,
		   "missing field `mem_size_mib` (machine-config.mem_size_mib)");
}

static void guests_end_is_the_exit_status(void **state)
{
	const struct dir *d = *state;
	char report[OUTPUT_BYTES];

	write_file(d->config,
		   "{\"boot-source\":{\"kernel_image_path\":\"k\",\"boot_args\":\"exit=42\"}}");
	expect_run(d, ARGS("--no-api", "--config-file", d->config, "--report", d->report), 42, "");
	read_file(d->report, report);
	assert_string_equal(report, "{\"calls\": \"put_boot_source start \"}\n");
	expect_run(d, ARGS("--api-sock", d->sock, "--config-file", d->config), 42, "");
}

/* Once this returns the program has opened its configuration: signals are blocked
 * and the API's socket is there. Close the descriptor to let it go on. */
static int meet(const struct dir *d)
{
	int fd = open(d->config, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void closed_streams_are_not_reused(void **state)
{
	const struct dir *d = *state;
	char *argv[] = { (char *)"wisp",	  (char *)"--api-sock", (char *)d->sock,
			 (char *)"--config-file", (char *)d->config,	NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	assert_int_equal(mkfifo(d->config, 0600), 0);
	posix_spawn_file_actions_init(&actions);
	for (int stream = 0; stream <= 2; stream++)
		posix_spawn_file_actions_addclose(&actions, stream);
	assert_int_equal(posix_spawn(&pid, WISP_UNDER_TEST, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);

	int fd = meet(d);

	for (int stream = 0; stream <= 2; stream++) {
		char link[64], target[64] = "";

		snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, stream);
		assert_true(readlink(link, target, sizeof(target) - 1) > 0);
		assert_string_equal(target, "/dev/null");
	}
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(write(fd, "{}", 2), 2);
	close(fd);
	assert_int_equal(wait_for(pid), 143);
}

static void signals_end_it(void **state)
{
	static const struct {
		int number, exit_status;
	} rows[] = {
		{ SIGTERM, 143 }, { SIGINT, 130 },  { SIGHUP, 156 },
		{ SIGXCPU, 154 }, { SIGXFSZ, 151 },
	};
	const struct dir *d = *state;

	assert_int_equal(mkfifo(d->config, 0600), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = start(d, ARGS("--api-sock", d->sock, "--config-file", d->config));
		int fd = meet(d);

		assert_int_equal(kill(pid, SIGPIPE), 0); /* ignored */
		assert_int_equal(kill(pid, rows[i].number), 0);
		assert_int_equal(write(fd, "{}", 2), 2);
		close(fd);
		assert_int_equal(wait_for(pid), rows[i].exit_status);
	}
}

static void api_serves_the_configured_machine(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
	const struct dir *d = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char answer[OUTPUT_BYTES] = "";
	size_t used = 0;
	ssize_t n;
	int fd, s;

	assert_int_equal(mkfifo(d->config, 0600), 0);

	pid_t pid = start(d, ARGS("--id=it", "--api-sock", d->sock, "--config-file", d->config));

	fd = meet(d);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, d->sock);
	assert_int_equal(connect(s, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(s, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	assert_int_equal(write(fd, "{}", 2), 2);
	close(fd);
	while ((n = recv(s, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
		used += (size_t)n;
	close(s);
	assert_non_null(strstr(answer, "{\"id\":\"it\",\"state\":\"Running\""));
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(wait_for(pid), 143);
}

static void log_goes_to_its_file(void **state)
{
	const struct dir *d = *state;
	char log[OUTPUT_BYTES];

	write_file(d->config, "{\"metrics\":{}}");
	expect_run(d,
		   ARGS("--no-api", "--config-file", d->config, "--log-path", d->report, "--id=me",
			"--show-level"),
		   152, "wisp: Configuration file");
	read_file(d->report, log);
	assert_non_null(strstr(log, ":ERROR] Configuration file "));
	assert_non_null(strstr(log, " [me:"));
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(information),
		IN_DIR(bad_command_lines),
		IN_DIR(bad_configuration),
		IN_DIR(guests_end_is_the_exit_status),
		IN_DIR(closed_streams_are_not_reused),
		IN_DIR(signals_end_it),
		IN_DIR(api_serves_the_configured_machine),
		IN_DIR(log_goes_to_its_file),
	};

	alarm(TIME_LIMIT_S); /* a program that never opens its FIFO must not hang us */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
