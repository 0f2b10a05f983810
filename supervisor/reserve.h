/* reserve.h - room on the disk that is kept for ends.
 *
 * A file of RESERVE_BYTES in state_dir holds it. When the books cannot be written for want of
 * room it is removed: what runs can then end, and is recorded; nothing new begins until there
 * is room for the file again. Loop thread.
 */
#ifndef SUPERVISOR_RESERVE_H
#define SUPERVISOR_RESERVE_H

#include <stdbool.h>

enum { RESERVE_BYTES = 1 << 20 };

/* Makes it, if it is not there; false: there is no room for it. */
bool reserve_make(const char *state_dir);

/* Gives it up; false: there was none. */
bool reserve_give_up(const char *state_dir);

#endif
