/* zstd.h - the zstd program as a filter, between a pipe of ours and a file.
 *
 * A program and no library: what it reads may come from anywhere, and so the only code
 * that looks at compressed bytes runs in a process that has nothing but two descriptors.
 */
#ifndef VMM_SNAPSHOT_ZSTD_H
#define VMM_SNAPSHOT_ZSTD_H

#include <sys/types.h>

#include "vmm/base/error.h"

enum zstd_direction { ZSTD_COMPRESS, ZSTD_DECOMPRESS };

struct zstd {
	int fd; /* our end: to write what is to be compressed, or to read what it was */
	pid_t pid;
};

/* Starts it on the file, which stays the caller's. 0 or a negative errno and *err. */
int zstd_start(struct zstd *z, enum zstd_direction direction, int file, struct error *err);

/* Ends it and waits for it. 0, or -EIO and *err when it was not content. */
int zstd_finish(struct zstd *z, struct error *err);

/* The same for one that nobody needs any more. Accepts one that was not started, with
 * fd -1. */
void zstd_drop(struct zstd *z);

#endif
