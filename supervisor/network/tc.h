/* tc.h - two links that get each other's frames: what one receives the other sends, by traffic
 * control's ingress, and nobody else sees it.
 *
 * In the network namespace of the calling thread. Everything bears to be done again. 0 or a
 * negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_TC_H
#define SUPERVISOR_NETWORK_TC_H

#include "vmm/base/error.h"

/* What comes in by one goes out by the other. -EBUSY: it goes elsewhere already. */
int tc_redirect(const char *from, const char *to, struct error *err);
/* No more; a link that is not there, or whose frames go elsewhere, is left as it is. */
int tc_restore(const char *from, const char *to, struct error *err);

#endif
