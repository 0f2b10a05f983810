/* confined.h - programs that read what strangers have made: archives, layouts, disks.
 *
 * Each runs in a user namespace of its own, where it is root over a range of users that
 * nobody else has (config.h, import_uid_first): it can give files any owner below 65536, and
 * is nobody on the host. It has no network, writes no file longer than it may, dies with
 * wispd, and is ended when its time is over. What it writes is a stranger's, too.
 */
#ifndef SUPERVISOR_CONFINED_H
#define SUPERVISOR_CONFINED_H

#include <stdint.h>

#include "supervisor/config.h"
#include "vmm/base/error.h"

enum { CONFINED_USERS = 65536, CONFINED_LINE_BYTES = 8192 };

struct confined {
	const struct config *config;
	const char *const *argv; /* argv[0] is a path; NULL-ended */
	int dir;		 /* its working folder */
	unsigned timeout_ms;
	/* A line of its standard output, without its end; a negative errno, with *err set, ends
	 * it. NULL: nobody wants them. A line that is too long is cut. */
	int (*line)(void *ctx, char *line, struct error *err);
	void *ctx;
};

/* Any thread. 0; what line() said; -EIO and the last thing it wrote to standard error;
 * -ETIMEDOUT. */
int confined_run(const struct confined *c, struct error *err);

/* Opens a regular file that such a program has made, below the folder, through no link. */
int confined_open(int dir, const char *path, struct error *err);

#endif
