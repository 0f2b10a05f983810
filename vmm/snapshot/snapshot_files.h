/* snapshot_files.h - the files of a snapshot: written aside and put in their places when
 * they are whole; the state read back.
 *
 * A staged file is written under its path with ".new" behind it. Until it is published
 * nothing has happened to what was there before; afterwards the new one is there, on
 * disk. Main thread.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_FILES_H
#define VMM_SNAPSHOT_SNAPSHOT_FILES_H

#include <limits.h>
#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/snapshot/state.h"

struct staged_file {
	char path[PATH_MAX], aside[PATH_MAX];
	const char *field; /* for messages: the one of the API */
	int fd;
};

/* An empty file aside of path, which is free or a regular file. 0 or a negative errno and
 * *err; the file can be dropped in either case. */
int staged_file_open(struct staged_file *f, const char *path, const char *field, struct error *err);

/* The bytes of the file that is there, if there is one of this size, before anything is
 * written: shared with it where the file system can do that. *ret: whether there was. */
int staged_file_start_from_old(struct staged_file *f, uint64_t size, bool *ret, struct error *err);

/* All of it is on disk, still aside. */
int staged_file_sync(struct staged_file *f, struct error *err);

/* Takes its place, for good. After staged_file_sync(). */
int staged_file_publish(struct staged_file *f, struct error *err);

/* Removes what was not published. */
void staged_file_drop(struct staged_file *f);

/* Reads and checks a state. field: for messages. */
int snapshot_read_state(const char *path, const char *field, struct state **ret, struct error *err);

#endif
