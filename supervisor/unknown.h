/* unknown.h - what a ledger that was restored knows nothing of is put aside, not removed.
 *
 * Files without a row are left-overs, and are removed when wispd starts. But in the place of a lost
 * ledger there is an older one, and a disk that it does not name may be all that is left of
 * somebody's work. So at the first start after that such files go to state_dir/unknown, and
 * an operator decides. Loop thread.
 */
#ifndef SUPERVISOR_UNKNOWN_H
#define SUPERVISOR_UNKNOWN_H

#include <stdbool.h>

struct wispd;

/* If the ledger was restored: moves folder/name, which may be a path of state_dir's (folder -1),
 * to state_dir/unknown/as. false: it can be removed. One that cannot be moved stays where it is. */
bool unknown_keep(struct wispd *d, int folder, const char *name, const char *as);

#endif
