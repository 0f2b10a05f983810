/* console.h - between a guest's serial port and the host's standard streams.
 *
 * Output goes to out_fd, whatever that is, and never makes the loop wait; while a
 * terminal or pipe is not ready the guest's own 64 KiB buffer takes the rest. If
 * the reader is gone, output is turned off and the machine goes on.
 *
 * Input is read from in_fd when that is a terminal in whose foreground we are, a
 * pipe or a socket; anything else, and the end of the input, only mean that there
 * is none. A terminal is put into raw mode, so that Ctrl-C reaches the guest.
 * There, and only there, Ctrl-A is special: `Ctrl-A x` ends the machine and
 * `Ctrl-A Ctrl-A` types one Ctrl-A.
 *
 * Main thread. The process must ignore SIGPIPE.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "devices/serial.h"
#include "devices/virtio/limiter.h"
#include "vmm/base/loop.h"

struct console;

struct console_ends {
	int in_fd, out_fd;	   /* not owned */
	struct token_bucket limit; /* bytes of output beyond it are dropped; size 0: none */
};

/* Both descriptors are made non-blocking where that matters, for
 * everyone who shares them, until console_destroy(). serial and loop must outlive
 * the console; `Ctrl-A x` is loop_stop(loop, 0). 0 and *ret, or a negative errno
 * and everything as it was. */
int console_create(struct serial *serial, struct loop *loop, const struct console_ends *ends,
		   struct console **ret);

/* Writes what the guest has sent and waits for a slow reader, for at most one
 * second in all. The vCPUs must have stopped. */
void console_flush(struct console *c);

/* Flushes, then gives terminal and descriptors back as they were. The vCPUs must
 * have stopped. Accepts NULL. */
void console_destroy(struct console *c);

#endif
