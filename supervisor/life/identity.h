/* identity.h - who a guest is to be that goes on from a snapshot: told to its agent.
 *
 * Any thread; waits for the guest, at most agent_timeout_ms of the configuration.
 */
#ifndef SUPERVISOR_LIFE_IDENTITY_H
#define SUPERVISOR_LIFE_IDENTITY_H

#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

/* Its name, a machine id and randomness of its own, the time, and its interfaces' addresses;
 * returns when the agent says that all of it is so. It may be told again. 0 or a negative
 * errno and *err. */
int identity_tell(const struct launch *l, struct error *err);

#endif
