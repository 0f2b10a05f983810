/* attempts.h - what an attacker who owns a thread of a jailed VMM would try. */
#ifndef TESTS_ESCAPE_ATTEMPTS_H
#define TESTS_ESCAPE_ATTEMPTS_H

#include <stddef.h>

/* Who may: bits, so that an attempt can name all to whom it is granted. */
enum { SHARED_KEY = 0x57495350 }; /* of the host's shared memory */

enum {
	BY_UNFILTERED = 1, /* a process in the jail that has no filter: the jail alone */
	BY_VCPU = 2,
	BY_WORKER = 4,
	BY_MAIN = 8,
	BY_HARDENED = 16, /* no filter; a user namespace, a root to read, Landlock without a rule */
};

struct attempt {
	const char *name;
	int (*run)(void);     /* 0: it worked; otherwise a negative errno */
	unsigned granted;     /* BY_...: it works there, and may */
	const char *because;  /* ... since; NULL when nobody may */
	int (*prepare)(void); /* what the VMM does before the filters; NULL: nothing */
};

extern const struct attempt attempts[];
extern const size_t attempts_count;

#endif
