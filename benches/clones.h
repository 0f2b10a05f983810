/* clones.h - a machine of wisp's that is saved, and others that go on from it.
 *
 * The guest is guests/clone.S: it has touched 24 MiB, spins, and as a copy says so on its
 * console and then wakes up once a second. It has a disk, a vsock and, if asked for, a
 * tap. A request to load is sent as bytes that were made before, on a connection that is
 * there, so that no client's work is in the times.
 */
#ifndef BENCHES_CLONES_H
#define BENCHES_CLONES_H

#include <limits.h>
#include <stdbool.h>

#include "benches/bench.h"
#include "benches/spawn.h"

/* Of the VMMs wisp alone, since others load what they have saved themselves; and
 * descriptors for so many copies. */
int clones_take_wisp(struct bench *b, unsigned copies, struct error *err);

/* A network namespace of this process's own, which its children have, too; taps in it,
 * named wclone0, wclone1, ..., from number `first` on. Root. */
int clones_take_network(struct error *err);
int clones_make_taps(unsigned first, unsigned count, struct error *err);

/* CLONE_LINUX: the project's minimal kernel and its agent, in place of that guest. */
enum clone_guest { CLONE_TINY, CLONE_LINUX };

/* Its command line, and what its console says when the agent listens (wisp-init). */
#define CLONE_LINUX_ARGS  "console=ttyS0 quiet reboot=k panic=-1 wisp.agent"
#define CLONE_LINUX_READY "agent on port 1024"

struct clone_source {
	const char *program, *dir;
	unsigned mem_mib;
	enum clone_guest guest;
	const char *set; /* a working set that copies are loaded with, or NULL */
	char kernel[PATH_MAX], initrd[PATH_MAX];
	char state[PATH_MAX + 32], memory[PATH_MAX + 32], disk[PATH_MAX + 32];
};

/* Boots the guest and saves it; tap: a tap's name, or NULL. Files go into b->dir. */
int clone_source_make(const struct bench *b, enum clone_guest guest, unsigned mem_mib,
		      const char *tap, struct clone_source *ret, struct error *err);
void clone_source_drop(const struct clone_source *s);

enum { CLONE_REQUEST_BYTES = 6 * PATH_MAX, CLONE_TEXT_BYTES = 4096 };

struct clone {
	struct spawn child;
	int api;	  /* the connection */
	uint64_t sent_us; /* CLOCK_MONOTONIC */
	char socket[PATH_MAX + 32], vsock[PATH_MAX + 32];
	char request[CLONE_REQUEST_BYTES];
	size_t request_len;
};

enum clone_kind { CLONE_BLANK, CLONE_PLAIN };

/* A process for copy number n, held before its exec; clone_exec() lets it go, and
 * connects as soon as it listens. A blank then is one. Ended by clone_end() in any case. */
int clone_create(const struct clone_source *s, enum clone_kind kind, unsigned n, const char *tap,
		 struct clone *ret, struct error *err);
int clone_exec(struct clone *c, enum clone_kind kind, struct error *err);

/* Sends the request; reads the answer, which must be that it runs. */
int clone_send(struct clone *c, struct error *err);
int clone_await_answer(struct clone *c, struct error *err);

/* What comes from fd until it holds `wanted`, which must be within CLONE_TEXT_BYTES. */
int clone_await_text(int fd, const char *wanted, char text[static CLONE_TEXT_BYTES],
		     struct error *err);

/* Reads the console until the guest has said that it is a copy. */
int clone_await_guest(struct clone *c, struct error *err);

/* The same of a CLONE_LINUX: it has run a command, and sent its status. */
int clone_run_command(const struct clone *c, struct error *err);

/* Has the pages that it has touched listed in a file: a working set. */
int clone_record(const struct clone *c, const char *path, struct error *err);

/* The page faults of the vCPU's thread so far. 0 or a negative errno. */
struct clone_faults {
	uint64_t minor, major;
};
int clone_faults(const struct clone *c, struct clone_faults *ret);

/* The thread of the vCPU, or -ENOENT: one that is no blank has none before it loads. */
pid_t clone_vcpu(const struct clone *c);

/* Ends the process and removes its sockets. Accepts one that was never created, but zeroed
 * with SPAWN_NONE. */
void clone_end(struct clone *c);

#endif
