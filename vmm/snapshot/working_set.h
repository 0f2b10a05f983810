/* working_set.h - the pages of RAM that a guest needed when it went on from a snapshot.
 *
 * A list of runs of pages, recorded from a machine that was loaded, in a small file beside
 * the snapshot's. Prefetched (prefetch.h), they are there before the next copy of that
 * machine asks for them. Pages are those of the memory file: page 0 is its first 4 KiB.
 *
 * The file may have the bytes of these pages, too, one behind the other (stored): then
 * they are mapped from it, and a disk reads them in one go. A file may be anybody's: what
 * read gives out has been checked against the machine that it is for.
 *
 * Any thread, one at a time.
 */
#ifndef VMM_SNAPSHOT_WORKING_SET_H
#define VMM_SNAPSHOT_WORKING_SET_H

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/memory_file.h"

enum {
	WORKING_SET_PAGE = 4096,
	WORKING_SET_MAX_RUNS = 1 << 18,
	WORKING_SET_MAX_STORED = 64, /* each costs a load a mapping */
	WORKING_SET_MAJOR = 1,	     /* of the format: another one cannot be read */
	WORKING_SET_MINOR = 0,	     /* a later one cannot be read */
};

enum working_set_kind {
	WORKING_SET_READ = 1,	 /* at most: the kernel maps up to 16 pages where one was read */
	WORKING_SET_WRITTEN = 2, /* the machine had made its own copy */
	WORKING_SET_STORED = 3,
};

/* As in the file, little-endian. */
struct working_set_run {
	uint64_t first;
	uint32_t pages;
	uint32_t kind;
};

struct working_set {
	struct snapshot_id id; /* of the snapshot that the machine went on from */
	uint64_t memory_bytes;
	uint32_t count, stored;
	struct working_set_run *run;	    /* [count], ascending: read and written */
	struct working_set_run *stored_run; /* [stored], ascending: of which the file has bytes */
};

/* What of RAM, mapped from its file, this process has by now. 0 and *ret, or a negative
 * errno and *err. */
int working_set_record(const struct gmem *mem, const struct snapshot_id *id,
		       struct working_set **ret, struct error *err);
void working_set_destroy(struct working_set *w); /* accepts NULL */

/* Into the empty file fd, all but the bytes of what is stored, which belong behind
 * working_set_data(), run by run. 0 or a negative errno. */
int working_set_write(int fd, const struct working_set *w);
uint64_t working_set_data(const struct working_set *w);

/* Reads and checks. field: for messages. 0 and *ret, or -EBADMSG or another negative errno
 * and *err. */
int working_set_read(int fd, const char *field, struct working_set **ret, struct error *err);

/* Whether it is of this snapshot: 0, or -EBADMSG and *err. */
int working_set_check(const struct working_set *w, const struct snapshot_id *id,
		      uint64_t memory_bytes, const char *field, struct error *err);

/* Maps what is stored in fd over RAM, which was mapped from the snapshot's memory file.
 * Before the machine runs. 0 or a negative errno. */
int working_set_map(const struct working_set *w, int fd, struct gmem *mem);

#endif
