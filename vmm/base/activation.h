/* activation.h - a process started by another: the socket that it was given, and word
 * that it is ready. The protocols are those of sd_listen_fds(3) and sd_notify(3), so
 * that systemd and everything that imitates it can start it. Main thread.
 */
#ifndef VMM_BASE_ACTIVATION_H
#define VMM_BASE_ACTIVATION_H

#include "vmm/base/error.h"

/* Takes the listening socket that path names as "fd:N", or else the one in the environment
 * (LISTEN_PID, LISTEN_FDS), once; it becomes O_CLOEXEC. Its descriptor, which the caller
 * then owns; 0: there is none for this process; or a negative errno and *err. */
int activation_take_socket(const char *path, struct error *err);

/* Who is to be told. */
struct activation {
	int ready_fd;  /* 0: nobody */
	int notify_fd; /* connected to NOTIFY_SOCKET; negative: nobody */
};

/* Before the process gives up the right to connect to others. ready_fd becomes O_CLOEXEC;
 * 0, for none, is fine. 0, or -EBADF and *err. A NOTIFY_SOCKET at which nobody listens is
 * logged, and no error. */
int activation_open(struct activation *a, int ready_fd, struct error *err);

/* READY=1 to NOTIFY_SOCKET, if there is one, and a newline to ready_fd; both are closed.
 * Whoever waits may be gone: that is logged, and no error. */
void activation_ready(struct activation *a);

/* Idempotent. */
void activation_close(struct activation *a);

#endif
