/* fd.h - descriptors: closing, eventfds, whole transfers. All are O_CLOEXEC. */
#ifndef VMM_BASE_FD_H
#define VMM_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes fd unless it is negative, keeps errno; returns -1 for `fd = fd_close(fd)`. */
int fd_close(int fd);

/* Whether path is "fd:N", the name of a descriptor that this process was started with. */
bool fd_is_named(const char *path);

/* As open(2). Of "fd:N" a duplicate, which shares position and flags with N; EBADF if N is
 * below 3, is not open for what flags ask for, or is one that this process has opened
 * itself. */
int fd_open(const char *path, int flags, mode_t mode);

/* The socket that "fd:N" names, once: it is the caller's and non-blocking from then on. A
 * descriptor; -EBADF as above, -ENOTSOCK. */
int fd_take_socket(const char *path);

/* Opens a file, made if it is missing, or a FIFO, which may have no reader yet, to append
 * lines to; mode: of a new file; or duplicates "fd:N". Writing never blocks: a full FIFO
 * refuses. A descriptor, or -errno. */
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
