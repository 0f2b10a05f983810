/* fd.h - descriptors: closing, eventfds, whole transfers. All are O_CLOEXEC. */
#ifndef VMM_BASE_FD_H
#define VMM_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Closes fd unless it is negative, keeps errno; returns -1 for `fd = fd_close(fd)`. */
int fd_close(int fd);

/* Opens a file, made if it is missing, or a FIFO, which may have no reader yet, to append
 * lines to; mode: of a new file. Writing never blocks: a full FIFO refuses. A descriptor,
 * or -errno. */
int fd_open_lines(const char *path, mode_t mode);

/* A non-blocking eventfd, or a negative errno. */
int fd_event(void);

/* Adds one to an eventfd. Never blocks and never fails in a way that matters:
 * a full counter is a pending wake-up already. Any thread. */
void fd_event_signal(int fd);

/* Takes the count of an eventfd to zero. True when it had been signalled. */
int fd_event_drain(int fd);

/* Reads or writes all of len at off, across short transfers and EINTR. 0, a
 * negative errno, or -ENODATA when the file ends first. */
int fd_pread_all(int fd, void *buf, size_t len, off_t off);
int fd_pwrite_all(int fd, const void *buf, size_t len, off_t off);

#endif
