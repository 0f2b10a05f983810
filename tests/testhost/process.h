/* process.h - child processes that cannot outlive this one.
 *
 * Everything the test host starts (QEMU, apt-get, dpkg-deb, depmod) leads a
 * process group of its own, reads nothing, and is killed by the kernel should
 * this process die first. All functions belong to the main thread.
 */
#ifndef TESTS_TESTHOST_PROCESS_H
#define TESTS_TESTHOST_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct error;
struct tail;

/* SIGINT, SIGTERM and SIGHUP, as a descriptor. */
struct interrupt {
	int fd;	   /* signalfd; readable once one has come */
	int signo; /* the one that came, or 0 */
};

/* Blocks those signals and ignores SIGPIPE. 0, or a negative errno. */
int interrupt_setup(struct interrupt *i);

/* Takes a pending signal into i->signo. True when there is or was one. */
int interrupt_pending(struct interrupt *i);

/* Ends this process as the signal in i->signo would have. Returns if it is 0. */
void interrupt_raise(const struct interrupt *i);

struct process {
	pid_t pid; /* also its process group; 0: none */
};

struct process_start {
	const char *const *argv; /* NULL-ended; argv[0] is looked up in PATH */
	const char *cwd;	 /* or NULL: ours */
	int output;		 /* becomes its stdout and stderr; borrowed */
	const int *keep;	 /* descriptors it inherits under their numbers */
	size_t nkeep;
};

/* 0 and *ret running, or a negative errno and *e. -ENOENT: no such program. */
int process_start(const struct process_start *how, struct process *ret, struct error *e);

/* Kills the whole group and reaps the leader. Does nothing for pid 0. */
void process_kill(struct process *p);

/* Waits for its end: the exit code, 128 + N for a death by signal N. */
int process_wait(struct process *p);

/* Runs a tool to its end. Its output goes to *output; what takes longer than two
 * seconds is announced on stderr as "LABEL". 0; -EINTR when i says stop (the tool
 * is dead then); -EIO and *e with its last line when it failed; -ENOENT. */
int process_run(const char *const argv[], const char *cwd, const char *label, struct interrupt *i,
		struct tail *output, struct error *e);

#endif
