/* event_archive.h - events that the database does not keep, in files beside it.
 *
 * A folder of text files, events-NUMBER-TIME.jsonl by the number of the first event and the
 * second at which the file was begun; one event a line, in their order, with all that its hash
 * is over and that hash:
 *
 *   {"seq", "subject_n", "boot_id", "boot_ns", "wall_ns", "type", "tenant", "instance",
 *    "incarnation", "actor", "body": its text, "hash"}
 *
 * Files are only added to, and a new one is begun when the last has got long, or is not as it
 * was left: so what a wispd wrote that died before its commit stays, and does no harm. They
 * may be copied and moved away at any time.
 *
 * Errors: negative errno and *err.
 */
#ifndef SUPERVISOR_EVENT_ARCHIVE_H
#define SUPERVISOR_EVENT_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "supervisor/books/record.h"
#include "vmm/base/error.h"

enum { EVENT_ARCHIVE_NAME_BYTES = 64 };

/* --- writing --- */

/* The file that is added to, and how much of it counts. */
struct event_archive_end {
	char name[EVENT_ARCHIVE_NAME_BYTES]; /* "": there is none yet */
	int64_t bytes;
};

/* Any thread. Adds a line to out; -ENOMEM. */
int event_archive_print(FILE *out, const struct record *r, const uint8_t hash[LEDGER_HASH_BYTES]);

/* Any thread. Adds whole lines, from event first_seq on, to the folder's last file or to a new
 * one; they are on the disk when it returns 0, and *end is where they end. Makes the folder. */
int event_archive_add(const char *folder, int64_t first_seq, const char *lines, size_t len,
		      struct event_archive_end *end, struct error *err);

/* --- reading --- */

struct event_archive;

/* One thread at a time. -ENOENT: there is no such folder. */
int event_archive_open(const char *folder, struct event_archive **ret, struct error *err);
void event_archive_close(struct event_archive *a); /* accepts NULL */

/* The hash of event seq of the ledger in which the hash before it is previous. Numbers must
 * be asked for in rising order. 1, or 0: the archive does not have it. */
int event_archive_hash(struct event_archive *a, int64_t seq,
		       const uint8_t previous[LEDGER_HASH_BYTES], uint8_t ret[LEDGER_HASH_BYTES],
		       struct error *err);

#endif
