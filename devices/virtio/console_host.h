/* console_host.h - where a console's clients come from: a Unix socket or a PTY.
 *
 * A socket has as many clients as connect. A PTY is one client, anew whenever
 * somebody opens its terminal. Main thread.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_HOST_H
#define DEVICES_VIRTIO_CONSOLE_HOST_H

#include <limits.h>
#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/base/listener.h"

struct console_host {
	struct listener listener; /* fd -1 with a PTY */
	int master;		  /* -1 with a socket */
	int opened;		  /* inotify: somebody opens the terminal */
	char terminal[64];	  /* "/dev/pts/7" */
	char link[PATH_MAX];	  /* to it; "": not made */
};

/* Listens at uds_path, or opens a PTY and makes pty_path a symbolic link to its
 * terminal: exactly one of them is not "". 0, or a negative errno and *err;
 * console_host_close() is due in both cases. */
int console_host_open(struct console_host *h, const char *uds_path, const char *pty_path,
		      struct error *err);

/* Removes socket or link. Idempotent. */
void console_host_close(struct console_host *h);

/* Readable when a client may have come. */
int console_host_fd(const struct console_host *h);

/* A non-blocking descriptor of the next client, the caller's; or a negative errno,
 * -EAGAIN when there is none. */
int console_host_accept(struct console_host *h);

/* For a socket's client too many: says why, and closes. */
void console_host_refuse(int fd);

#endif
