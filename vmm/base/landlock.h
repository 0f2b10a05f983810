/* landlock.h - what files this process can still open: Landlock's rules.
 *
 * A list of rules is made, and then holds for the calling thread, and for all that it
 * starts, for good: what no rule names cannot be opened, made, renamed or removed. What is
 * open stays open, and is as good as before. Besides, where the kernel's version has it:
 * no file is executed, no TCP, no signal to a process and no connection to an abstract
 * socket of others, no ioctl of a device that is opened later, no connection to a Unix
 * socket by its path but for a rule.
 * Kernel document: userspace-api/landlock. Main thread.
 */
#ifndef VMM_BASE_LANDLOCK_H
#define VMM_BASE_LANDLOCK_H

#include <stdint.h>

#include "vmm/base/error.h"

/* Bits: what a rule grants for a file, or for all files below a folder. */
enum landlock_right {
	LANDLOCK_READ = 1,
	LANDLOCK_WRITE = 2,    /* and cut off */
	LANDLOCK_CONTROL = 4,  /* ioctl, of a device */
	LANDLOCK_MAKE = 8,     /* regular files, sockets, symbolic links; in a folder */
	LANDLOCK_REMOVE = 16,  /* the same; rename, within a folder, wants both */
	LANDLOCK_CONNECT = 32, /* to Unix sockets */
	LANDLOCK_ALL = 63,
};

struct landlock;

/* The version of Landlock that this kernel has: 1 or more; -ENOSYS, -EOPNOTSUPP (turned off
 * at boot) or another negative errno without. */
int landlock_abi(void);

/* Of a version, which may be newer than what is known here: everything that is restricted.
 * fs, net and scoped are Landlock's bits; granted: those of fs that a rule with these rights
 * has. */
struct landlock_masks {
	uint64_t fs, net, scoped;
};
struct landlock_masks landlock_masks(int abi);
uint64_t landlock_granted(int abi, unsigned rights);

/* An empty list. 0 and *ret; or a negative errno, as landlock_abi(). */
int landlock_create(struct landlock **ret);
void landlock_destroy(struct landlock *l); /* accepts NULL */

/* Adds a rule for a file, or a folder and what is below it; what path names now, wherever it
 * is moved. Links are followed. 0 or a negative errno. */
int landlock_allow(struct landlock *l, const char *path, unsigned rights);

/* The same for the folder that holds path. */
int landlock_allow_folder_of(struct landlock *l, const char *path, unsigned rights);

/* From here on. The list has no use any more, and the process cannot gain privileges by
 * executing anything. 0 or a negative errno. */
int landlock_restrict(struct landlock *l);

/* Rules so far. */
unsigned landlock_count(const struct landlock *l);

#endif
