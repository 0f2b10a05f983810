/* archive.h - looking through a tar archive before it is unpacked. Any thread. */
#ifndef SUPERVISOR_ARCHIVE_H
#define SUPERVISOR_ARCHIVE_H

#include <stdint.h>

#include "supervisor/config.h"
#include "vmm/base/error.h"

enum { ARCHIVE_ENTRIES_MAX = 2000000 };

/* What an archive, or several, would take on a file system. */
struct archive_size {
	uint64_t entries, bytes;
};

/* Adds what the archive at path in the folder holds. -EINVAL: something in it that no image
 * may have: a way out (".."), a device, a link to outside; -EFBIG: more than images may have. */
int archive_check(const struct config *c, int dir, const char *path, struct archive_size *size,
		  struct error *err);

/* The judgement on one line of "tar --list --verbose --quoting-style=c". */
int archive_check_line(const struct config *c, const char *line, struct archive_size *size,
		       struct error *err);

#endif
