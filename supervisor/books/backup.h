/* backup.h - copies of the database: made while wispd runs, checked, put in its place.
 *
 * A back-up is one file. It is the state of one moment: SQLite's online back-up reads
 * within one transaction, which in WAL mode holds nobody up. It is checked whole, pages
 * and chain, before it gets its name: what is there is good.
 *
 * Any thread; none of these touches an open store.
 */
#ifndef SUPERVISOR_BACKUP_H
#define SUPERVISOR_BACKUP_H

#include "supervisor/books/ledger.h"
#include "supervisor/books/proof.h"
#include "supervisor/config.h"
#include "vmm/base/error.h"

struct backup_report {
	struct proof_report ledger;
	int64_t seq; /* the last event */
	char hex[LEDGER_HEX_BYTES];
};

/* Copies the database of c to path, which must not be there yet. 0 or a negative errno:
 * -EEXIST; -EUCLEAN: what was copied is not whole. */
int backup_make(const struct config *c, const char *path, struct backup_report *ret,
		struct error *err);

/* Looks into a copy: 0 when it could be read, whatever was found (ret->ledger). The file is
 * not changed. archive: as in proof.h. */
int backup_check(const char *path, const char *archive, struct backup_report *ret,
		 struct error *err);

/* Puts a copy in the place of the database, of which no wispd may be the user (the caller
 * has its lock). What was there is kept beside it, with the time in its name. The ledger
 * goes on with an event, ledger.restored {from_seq, lost_seq}; lost_seq: up to where the
 * replaced one went, -1 when it could not be read. */
int backup_restore(const struct config *c, const char *path, struct backup_report *ret,
		   struct error *err);

#endif
