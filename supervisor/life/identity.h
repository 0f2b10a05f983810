/* identity.h - who a guest is to be: told to its agent.
 *
 * One that starts is told the addresses of its interfaces (guest.h); one that goes on from a
 * snapshot more, since it has been another. Any thread.
 */
#ifndef SUPERVISOR_LIFE_IDENTITY_H
#define SUPERVISOR_LIFE_IDENTITY_H

#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

enum {
	IDENTITY_TEXT_BYTES = 128,
	IDENTITY_WAYS_OUT_MAX = 3, /* two gateways, a resolver */
	IDENTITY_ADDRESSES_MAX = 2 * LAUNCH_NETS_MAX + IDENTITY_WAYS_OUT_MAX,
};

/* In front of its kernel's command line, for what follows "--" there is a command of the
 * guest's: eth0 has this address of IPv4. via of the family 0: there is no gateway. resolver:
 * who knows names; NULL: nobody. */
void identity_tell_kernel(struct launch *l, const char *name, const struct address *address,
			  const struct address *via, unsigned bits, const struct address *resolver);

/* "address=eth0 10.0.0.2/24", "gateway=10.0.0.1", "resolver=10.0.0.1 net.internal", ...: of both
 * families, for the verbs addresses and identity of the agent; how many. all: those, too, that a
 * guest asks its network for, which a clone has to be told since it does not know that it is one. */
unsigned identity_addresses(const struct launch *l, bool all,
			    char texts[IDENTITY_ADDRESSES_MAX][IDENTITY_TEXT_BYTES]);

/* A connection to its agent, which is tried for so long; a descriptor, or a negative errno and
 * *err. */
int identity_connect(const struct launch *l, int limit_ms, struct error *err);

/* Its name, a machine id and randomness of its own, the time, and its interfaces' addresses;
 * returns when the agent says that all of it is so, and waits at most agent_timeout_ms of the
 * configuration. It may be told again. 0 or a negative errno and *err. */
int identity_tell(const struct launch *l, struct error *err);

#endif
