/* activation.h - a process started by another: the socket that it was given, and word
 * that it is ready. The protocols are those of sd_listen_fds(3) and sd_notify(3), so
 * that systemd and everything that imitates it can start it. Main thread.
 */
#ifndef VMM_BASE_ACTIVATION_H
#define VMM_BASE_ACTIVATION_H

#include "vmm/base/error.h"

/* Takes the listening socket out of the environment (LISTEN_PID, LISTEN_FDS), once; it
 * becomes O_CLOEXEC. Its descriptor, which the caller then owns; 0: there is none for
 * this process; or a negative errno and *err. */
int activation_take_socket(struct error *err);

/* ready_fd becomes O_CLOEXEC: 0, or -EBADF and *err. 0, for none, is fine. */
int activation_check_fd(int ready_fd, struct error *err);

/* READY=1 to NOTIFY_SOCKET, if there is one, and a newline to ready_fd, which is closed;
 * 0: none. Whoever waits may be gone: that is logged, and no error. */
void activation_ready(int ready_fd);

#endif
