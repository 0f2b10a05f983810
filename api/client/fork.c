/* fork.c - a running microVM copied into others that share its memory.
 *
 * One live snapshot, and a load of it by each of the copies: they map the memory file
 * copy-on-write, so what none of them writes is there once. Each is a process of its own
 * that nobody waits for; its end is its user's to see to.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/client/fork.h"

enum {
	READY_FD = 3,
	SAVE_LIMIT_MS = 600 * 1000, /* memory of any size to any disk */
	LOAD_LIMIT_MS = 60 * 1000,
	BODY_BYTES = 16384,
	NUMBER_CHARS = 12,
};

#define NUMBER "{n}"

struct family {
	const char *dir, *load;
	char wisp[PATH_MAX];
	pid_t pid[FORK_MAX];
	unsigned count;
	char *reason;
};

static int fail(const struct family *f, int r, const char *what)
{
	snprintf(f->reason, FORK_REASON_BYTES, "%s: %s", what, strerror(-r));
	return r;
}

static int call(const struct family *f, struct wisp *w, const char *path, const char *body)
{
	int r = wisp_call(w, "PUT", path, body, NULL);

	if (r < 0)
		snprintf(f->reason, FORK_REASON_BYTES, "%s", wisp_error(w));
	return r;
}

static int save(const struct family *f, struct wisp *source)
{
	char body[2 * PATH_MAX + 128];

	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s/state\", \"mem_file_path\": \"%s/memory\","
		 " \"live\": true}",
		 f->dir, f->dir);
	wisp_set_timeout(source, SAVE_LIMIT_MS);
	return call(f, source, "/snapshot/create", body);
}

/* --- one copy --- */

/* Beside this program; or on PATH. */
static void find_wisp(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof("wisp"));
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, "wisp");
	if (access(path, X_OK) < 0)
		strcpy(path, "wisp");
}

static int spawn(struct family *f, const char *const argv[], const char *log, int ready)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ready, READY_FD);
	r = posix_spawnp(&f->pid[f->count], f->wisp, &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (r == 0)
		f->count++;
	return -r;
}

/* Until its API can be called. */
static int start(struct family *f, unsigned n, const char *socket)
{
	char log[PATH_MAX + 32], id[NUMBER_CHARS + 8], ready = 0;
	const char *const argv[] = { f->wisp, "--api-sock", socket, "--id",
				     id,      "--ready-fd", "3",    NULL };
	int pipes[2], r;

	snprintf(log, sizeof(log), "%s/clone-%u.log", f->dir, n);
	snprintf(id, sizeof(id), "clone-%u", n);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail(f, -errno, "a pipe");
	r = spawn(f, argv, log, pipes[1]);
	close(pipes[1]);
	if (r == 0 && read(pipes[0], &ready, 1) != 1)
		r = -ECHILD;
	close(pipes[0]);
	return r < 0 ? fail(f, r, "wisp cannot be started; its log is beside the socket") : 0;
}

/* Appends what is inside of the object, with the number. */
static int add_members(const struct family *f, unsigned n, char *body, size_t size)
{
	const char *at = strchr(f->load, '{'), *end = strrchr(f->load, '}');
	size_t len = strlen(body);

	if (!at || !end || end <= at)
		return -EINVAL;
	for (at++; at < end && len < size - NUMBER_CHARS;) {
		if (strncmp(at, NUMBER, strlen(NUMBER)) == 0) {
			len += (size_t)snprintf(body + len, size - len, "%u", n);
			at += strlen(NUMBER);
		} else {
			body[len++] = *at++;
		}
	}
	body[len] = '\0';
	return at < end ? -E2BIG : 0;
}

static int load(const struct family *f, unsigned n, const char *socket)
{
	char body[BODY_BYTES];
	struct wisp *w;
	int r;

	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s/state\", \"mem_backend\": {\"backend_type\": \"File\","
		 " \"backend_path\": \"%s/memory\"}, \"resume_vm\": true%s",
		 f->dir, f->dir, f->load ? ", " : "");
	r = f->load ? add_members(f, n, body, sizeof(body) - 1) : 0;
	if (r < 0)
		return fail(f, r, "what to load it with is no JSON object, or too long");
	strcat(body, "}");
	r = wisp_open(socket, &w);
	if (r < 0)
		return fail(f, r, "a client");
	wisp_set_timeout(w, LOAD_LIMIT_MS);
	r = call(f, w, "/snapshot/load", body);
	wisp_close(w);
	return r;
}

static int copy(struct family *f, unsigned n)
{
	char socket[PATH_MAX + 32];
	int r;

	snprintf(socket, sizeof(socket), "%s/clone-%u.sock", f->dir, n);
	r = start(f, n, socket);
	if (r == 0)
		r = load(f, n, socket);
	if (r == 0)
		printf("{\"clone\": %u, \"pid\": %d, \"socket\": \"%s\"}\n", n, (int)f->pid[n],
		       socket);
	return r;
}

static void end_all(const struct family *f)
{
	for (unsigned i = 0; i < f->count; i++) {
		char socket[PATH_MAX + 32];

		kill(f->pid[i], SIGKILL);
		waitpid(f->pid[i], NULL, 0);
		snprintf(socket, sizeof(socket), "%s/clone-%u.sock", f->dir, i);
		unlink(socket);
	}
}

int fork_machine(struct wisp *source, const char *dir, unsigned count, const char *load_with,
		 char reason[FORK_REASON_BYTES])
{
	struct family *f = calloc(1, sizeof(*f));
	int r = 0;

	if (!f || count > FORK_MAX || strlen(dir) >= PATH_MAX) {
		snprintf(reason, FORK_REASON_BYTES, "too many copies, or too long a path");
		free(f);
		return -EINVAL;
	}
	f->dir = dir;
	f->load = load_with;
	f->reason = reason;
	find_wisp(f->wisp);
	r = save(f, source);
	for (unsigned n = 0; n < count && r == 0; n++)
		r = copy(f, n);
	if (r < 0)
		end_all(f);
	free(f);
	return r;
}
