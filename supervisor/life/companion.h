/* companion.h - programs that serve one VMM, beside it: passt, virtiofsd.
 *
 * Each has a keeper (keeper/keep.h), which starts it again when it has ended, and which is
 * found by its lock in the VMM's folder of wispd's, whoever started it: so a companion
 * outlives wispd as its VMM does. It runs as a user without privileges, and is reached by a
 * socket in the folder that the VMM sees. All of a VMM are in one control group beside its own
 * (cell.h), with their keepers: what they take is limited, and their processor time is the instance's.
 *
 * Any thread, one at a time for an instance. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_LIFE_COMPANION_H
#define SUPERVISOR_LIFE_COMPANION_H

#include "supervisor/life/launch.h"

enum { COMPANION_NAME_BYTES = 32 };

/* That group's name: the instance's id, and this. */
#define COMPANION_GROUP ".aside"

struct companion {
	char name[COMPANION_NAME_BYTES]; /* its socket is NAME.sock there */
	bool listen;			 /* gets it as descriptor 3; else it makes it */
	uid_t user;			 /* and group */
	const char *const *argv;	 /* NULL-ended */
	const char *share, *below;	 /* what it is to serve (keep.h); NULL: no folder */
	uid_t first_other;		 /* who else there is, then */
	unsigned others;
	bool read_only;
};

/* Begins it anew; returns when it serves. */
int companion_begin(const struct launch *l, const struct companion *c, struct error *err);
/* One that is not there has ended. */
int companion_end(const struct launch *l, const char *name, struct error *err);

/* Of one that serves no VMM, by the folder of its keeper's lock, NAME.lock. */
bool companion_lives(int folder, const char *name);
int companion_end_in(int folder, const char *name, struct error *err);

/* Of one whose folder, a jail's, is to be removed: all. */
int companions_end(int jail, struct error *err);

#endif
