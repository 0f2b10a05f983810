/* wispd_host.c - starting wispd, asking it, and looking at the host behind its back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client/libwisp.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum {
	LIMIT_MS = 60000,
	POLL_MS = 2,
	CMDLINE_BYTES = 4096,
	PATH_BYTES = 256,
	LOG_BYTES = 600,
	MAX_ARGS = 40,
	CTL_LIMIT_S = 300
};

struct wispd_host {
	pid_t pid; /* 0: none */
	struct wisp *client;
	char state[16], outcome[16];
};

const char *wispd_host_path(const struct wispd_host *h, const char *name)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", h->state, name);
	return fixture_path(path);
}

const char *wispd_host_socket(const struct wispd_host *h)
{
	return wispd_host_path(h, "sock");
}

const char *wispd_host_log(const struct wispd_host *h)
{
	static char text[LOG_BYTES + 1];
	FILE *f = fopen(wispd_host_path(h, "log"), "re");
	size_t n = 0;

	if (f) {
		if (fseek(f, -LOG_BYTES, SEEK_END) < 0)
			rewind(f);
		n = fread(text, 1, LOG_BYTES, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

struct wispd_host *wispd_host_make(const char *more)
{
	static unsigned made;
	struct wispd_host *h = calloc(1, sizeof(*h));
	char config[2048];

	assert_non_null(h);
	snprintf(h->state, sizeof(h->state), "host-%u", made++);
	assert_int_equal(mkdir(fixture_path(h->state), 0755), 0);
	snprintf(config, sizeof(config),
		 "{\"state_dir\": \"%s\", \"jail_dir\": \"%s\", \"socket\": \"%s\","
		 " \"start_timeout_ms\": 60000%s%s}",
		 wispd_host_path(h, "state"), wispd_host_path(h, "jails"), wispd_host_socket(h),
		 strstr(more, "\"cgroup\"") ? "" : ", \"cgroup\": \"\"", more);
	fixture_file("wispd.json", config);
	assert_int_equal(rename(fixture_path("wispd.json"), wispd_host_path(h, "json")), 0);
	return h;
}

/* --- the process --- */

static void be_wispd(const struct wispd_host *h, long crash_at)
{
	char number[32], library[PATH_BYTES];
	int log = open(wispd_host_path(h, "log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDERR_FILENO);
	if (crash_at) {
		snprintf(number, sizeof(number), "%ld", crash_at);
		snprintf(library, sizeof(library), "%s", fixture_program("libcrash_at.so"));
		setenv("CRASH_AT", number, 1);
		setenv("LD_PRELOAD", library, 1);
	}
	execl(fixture_program("wispd"), "wispd", "--config", wispd_host_path(h, "json"), NULL);
	_exit(127);
}

bool wispd_host_runs(struct wispd_host *h)
{
	if (h->pid && waitpid(h->pid, NULL, WNOHANG) == h->pid)
		h->pid = 0;
	return h->pid != 0;
}

/* Each life has a client of its own. */
static void forget_client(struct wispd_host *h)
{
	wisp_close(h->client);
	h->client = NULL;
}

bool wispd_host_start(struct wispd_host *h, long crash_at)
{
	assert_false(wispd_host_runs(h));
	forget_client(h);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		be_wispd(h, crash_at);
	assert_int_equal(wisp_open(wispd_host_socket(h), &h->client), 0);
	wisp_set_timeout(h->client, LIMIT_MS);
	for (int waited = 0; wispd_host_runs(h); waited += POLL_MS) {
		if (wisp_call(h->client, "GET", "/version", NULL, NULL) == 0)
			return true;
		if (waited > LIMIT_MS)
			fail_msg("wispd does not get ready");
		poll(NULL, 0, POLL_MS);
	}
	return false;
}

int wispd_host_run(struct wispd_host *h, const char *option, const char *value)
{
	const char *config = wispd_host_path(h, "json");
	int status = 0;
	pid_t pid;

	assert_false(wispd_host_runs(h));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(fixture_program("wispd"), "wispd", "--config", config, option, value,
		      (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void wispd_host_stop(struct wispd_host *h, int signal)
{
	if (!wispd_host_runs(h))
		return;
	kill(h->pid, signal);
	assert_int_equal(waitpid(h->pid, NULL, 0), h->pid);
	h->pid = 0;
}

/* --- requests --- */

int wispd_host_call(struct wispd_host *h, const char *verb, const char *path, const char *body,
		    json_t **ret)
{
	struct wisp_reply reply;
	int r = wisp_call(h->client, verb, path, body, &reply), status = reply.status;

	if (r < 0 && r != -EPROTO)
		status = 0;
	if (ret)
		*ret = reply.body ? json_loads(reply.body, 0, NULL) : NULL;
	wisp_reply_clear(&reply);
	return status;
}

const char *wispd_host_await(struct wispd_host *h, const char *operation)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/operations/%s?wait_ms=30000", operation);
	for (;;) {
		json_t *j = NULL;
		const char *state;

		if (wispd_host_call(h, "GET", path, NULL, &j) != 200) {
			json_decref(j);
			return "";
		}
		state = json_string_value(json_object_get(j, "state"));
		snprintf(h->outcome, sizeof(h->outcome), "%s", state);
		json_decref(j);
		if (strcmp(h->outcome, "active") != 0)
			return h->outcome;
	}
}

const char *wispd_host_do(struct wispd_host *h, const char *verb, const char *path,
			  const char *body)
{
	json_t *j = NULL;
	const char *outcome = "";

	if (wispd_host_call(h, verb, path, body, &j) == 202)
		outcome = wispd_host_await(h, json_string_value(json_object_get(j, "operation")));
	json_decref(j);
	return outcome;
}

void wispd_host_add_image(struct wispd_host *h, const char *guest)
{
	char body[PATH_BYTES + 64];

	snprintf(body, sizeof(body), "{\"name\": \"%s\", \"kernel\": \"%s\"}", guest,
		 fixture_guest(guest));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
}

/* --- wispctl --- */

static void put_words(struct wispd_host *h, const char *argv[MAX_ARGS], const char *const words[])
{
	unsigned n = 0;

	argv[n++] = fixture_program("wispctl");
	argv[n++] = "--socket";
	argv[n++] = wispd_host_socket(h);
	for (; *words && n < MAX_ARGS - 1; words++)
		argv[n++] = *words;
	assert_null(*words);
	argv[n] = NULL;
}

int wispd_host_ctl(struct wispd_host *h, const char **output, const char *const words[])
{
	static char kept[1 << 16];
	const char *argv[MAX_ARGS];
	struct session *s;
	int status;

	put_words(h, argv, words);
	s = session_start(argv);
	status = session_wait(s, CTL_LIMIT_S);
	snprintf(kept, sizeof(kept), "%s", session_output(s));
	session_end(s);
	if (output)
		*output = kept;
	return status;
}

const char *wispd_host_expect(struct wispd_host *h, int status, const char *const words[])
{
	const char *output;
	int got = wispd_host_ctl(h, &output, words);

	if (got != status)
		fail_msg("status %d, not %d:\n%s\n%s", got, status, output, wispd_host_log(h));
	return output;
}

int wispd_host_ctl_as(struct wispd_host *h, uid_t uid, const char *const words[])
{
	const char *argv[MAX_ARGS];
	int status = 0, null;
	pid_t pid;

	put_words(h, argv, words);
	pid = fork();
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(126);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* --- the host --- */

/* Its command line names the folder of this host's jails, and the instance. */
static bool is_jailer(const struct wispd_host *h, const char *pid, const char *id)
{
	char path[PATH_BYTES], text[CMDLINE_BYTES];
	bool dir = false, named = !id;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	for (const char *p = text; p < text + n; p += strlen(p) + 1) {
		dir = dir || strcmp(p, wispd_host_path(h, "jails")) == 0;
		named = named || strcmp(p, id) == 0;
	}
	return dir && named;
}

unsigned wispd_host_jailers(struct wispd_host *h, const char *id)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc)) != NULL)
		count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			 is_jailer(h, entry->d_name, id);
	closedir(proc);
	return count;
}

unsigned wispd_host_files(struct wispd_host *h, const char *folder)
{
	DIR *dir = opendir(wispd_host_path(h, folder));
	struct dirent *entry;
	unsigned count = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

unsigned wispd_host_jails(struct wispd_host *h)
{
	return wispd_host_files(h, "jails/wisp");
}

pid_t wispd_host_jailer(struct wispd_host *h, const char *which)
{
	json_t *j = NULL, *e, *events;
	char id[64], path[96];
	pid_t pid = 0;
	size_t at;

	snprintf(path, sizeof(path), "/instances/%s", which);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(j, "id")));
	json_decref(j);
	assert_int_equal(wispd_host_call(h, "GET", "/events?limit=1000", NULL, &j), 200);
	events = json_object_get(j, "events");
	json_array_foreach(events, at, e)
	{
		if (strcmp(json_string_value(json_object_get(e, "type")), "instance.spawned") ==
			    0 &&
		    strcmp(json_string_value(json_object_get(e, "instance")), id) == 0)
			pid = (pid_t)json_integer_value(
				json_object_get(json_object_get(e, "body"), "pid"));
	}
	json_decref(j);
	assert_true(pid > 0);
	return pid;
}

unsigned wispd_host_taps(void)
{
	struct if_nameindex *all = if_nameindex();
	unsigned n = 0;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		n += strncmp(i->if_name, "wt", 2) == 0;
	if_freenameindex(all);
	return n;
}

void wispd_host_end_jailers(const struct wispd_host *h)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    is_jailer(h, entry->d_name, NULL))
			kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
	if (proc)
		closedir(proc);
}

void wispd_host_end(struct wispd_host *h)
{
	wispd_host_stop(h, SIGTERM);
	wispd_host_end_jailers(h);
	forget_client(h);
	free(h);
}
