/* listener.h - a Unix stream socket that listens at a path, and cleans up after itself.
 *
 * The file is removed at the end only if it is still the one that bind() made.
 */
#ifndef VMM_BASE_LISTENER_H
#define VMM_BASE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "vmm/base/error.h"

struct listener {
	struct sockaddr_un address;
	int fd; /* non-blocking; -1: closed */
	dev_t dev;
	ino_t ino; /* which file bind() made */
	bool bound;
};

/* How errors speak of it. */
struct listener_name {
	const char *field; /* "api-sock" */
	const char *what;  /* "API socket" */
};

/* Binds and listens. reserve: bytes of a path's room that the caller needs behind
 * it. 0, or a negative errno and *err, which tells a live owner of the path from a
 * file left behind; listener_close() is due in both cases. Main thread. */
int listener_open(struct listener *l, const char *path, size_t reserve, int backlog,
		  const struct listener_name *name, struct error *err);

/* Takes over a socket that listens already; its file is its maker's to remove. 0 or a
 * negative errno and *err; the descriptor is the listener's from the call on. */
int listener_adopt(struct listener *l, int fd, const struct listener_name *name, struct error *err);

/* Idempotent; for a listener whose open failed, too. */
void listener_close(struct listener *l);

#endif
