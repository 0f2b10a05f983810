/* process.h - processes that outlive this one: begun only when that is written down.
 *
 * process_spawn() makes a process that waits at a gate; it begins when process_go() is
 * called, and ends without a trace if this process dies before. So what runs is known.
 * Loop thread, but where noted. The process must ignore SIGPIPE.
 */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct process {
	pid_t pid;
	int64_t start; /* field 22 of /proc/PID/stat: in ticks since the host's boot */
	int pidfd;     /* readable when it has ended; to be closed */
	int gate;      /* -1: it was let go */
};

enum { PROCESS_GATE_FD = 3 };

/* argv[0] is the path of a program that waits for a byte from PROCESS_GATE_FD before it does
 * anything, and ends when there will be none (wisp-jailer --gate-fd). Its input is /dev/null, its
 * output and errors go to log_fd; it has a session of its own, and no other descriptor of ours. */
int process_spawn(const char *const argv[], int log_fd, struct process *ret, struct error *err);
void process_go(struct process *p);
/* Ends one that was not let go, and forgets it. */
void process_cancel(struct process *p);

/* One that was begun in an earlier life: -ESRCH, it has ended. */
int process_adopt(pid_t pid, int64_t start, struct process *ret);

/* When that one of now was begun. -ESRCH. */
int process_start_of(pid_t pid, int64_t *ret);

/* It has ended. "exit" or "signal" and the number, of a child of ours; else "unknown". */
const char *process_reap(struct process *p, int *code);

/* Runs a program to its end: 0, or -EIO and *err with the last line that it wrote, or
 * -ETIMEDOUT, after which it was killed. Any thread. */
int process_run(const char *const argv[], unsigned timeout_ms, struct error *err);
/* The same, and all that it wrote; the end of that, if it is longer than size - 1. */
int process_ask(const char *const argv[], unsigned timeout_ms, char *ret, size_t size,
		struct error *err);
/* The first, with this text for its input. */
int process_run_with(const char *const argv[], const char *input, size_t len, unsigned timeout_ms,
		     struct error *err);

/* A program that reads what is written to the pipe *to, whose output and errors come from *from,
 * and which has file as its descriptor PROCESS_GATE_FD. Both pipes are the caller's to close, and
 * the child is to be waited for. Its pid, or a negative errno and *err. Any thread. */
pid_t process_open(const char *const argv[], int file, int *to, int *from, struct error *err);
/* As read(2), once there is something; -ETIMEDOUT when there was nothing until then (clock.h). */
ssize_t process_read(int from, void *data, size_t size, uint64_t deadline_us);

#endif
