/* tar.h - writes an archive of texts: POSIX ustar, files of root, readable by their owner alone.
 *
 * Whatever unpacks tar reads it. Names are short, and what they hold fits memory.
 */
#ifndef SUPERVISOR_CLI_TAR_H
#define SUPERVISOR_CLI_TAR_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One file; -ENAMETOOLONG: more than 99 bytes; -EFBIG; -EIO. */
int tar_put(FILE *out, const char *name, int64_t mtime_s, const char *data, size_t len);

/* The end of the archive; -EIO. */
int tar_end(FILE *out);

#endif
