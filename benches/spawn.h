/* spawn.h - a child process that is held just before its exec.
 *
 * The child exists, with its pipes, before anything is measured: probes can be
 * attached to its pid first. spawn_release() lets it go; the moment at which it
 * calls execve(2) is written down by the child itself, so neither fork nor the
 * harness's own work is part of a measurement.
 *
 * A child never outlives the harness: it asks the kernel for SIGKILL when its
 * parent dies, and spawn_end() kills and reaps.
 */
#ifndef BENCHES_SPAWN_H
#define BENCHES_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct spawn_shared;

struct spawn {
	pid_t pid;
	int pidfd; /* readable once the child has ended */
	int out;   /* its stdout and stderr: read ends, non-blocking, */
	int err;   /* ended by EOF when no process holds the other end */
	int go;
	struct spawn_shared *shared;
};

/* What spawn_end() may be given instead of a child. */
#define SPAWN_NONE                                                     \
	(struct spawn)                                                 \
	{                                                              \
		.pid = -1, .pidfd = -1, .out = -1, .err = -1, .go = -1 \
	}

/* Forks a child that will run argv[0] with stdin from /dev/null. 0 and *ret (to be
 * given to spawn_end), or a negative errno and *err. */
int spawn_create(char *const *argv, struct spawn *ret, struct error *err);

/* A shell's command, started. *ret as above. */
int spawn_shell_start(const char *command, struct spawn *ret, struct error *err);

/* The same, run to its end, which must be a good one; hint: what to do otherwise. */
int spawn_shell(const char *command, const char *hint, struct error *err);

/* Lets the child exec. 0 or a negative errno. */
int spawn_release(struct spawn *s);

/* When the child called execve(2), CLOCK_MONOTONIC in us; 0: not yet. */
uint64_t spawn_exec_us(const struct spawn *s);

/* The errno of an execve(2) that failed, or 0. */
int spawn_exec_errno(const struct spawn *s);

/* Reaps a child whose pidfd is readable: its wait status, or a negative errno. */
int spawn_reap(struct spawn *s);

/* Kills and reaps what is left, closes everything. Safe to call twice. */
void spawn_end(struct spawn *s);

#endif
