/* agent.h - the guest's agent: it runs commands, carries files, and tells how the guest is,
 * for who connects to its vsock port; protocol.h has what is said.
 */
#ifndef GUEST_IMAGES_AGENT_AGENT_H
#define GUEST_IMAGES_AGENT_AGENT_H

#include <stdint.h>

/* Starts the agent as a process of its own, in a session of its own, with this process's
 * root directory. 0, or a negative errno: -EAFNOSUPPORT when the kernel has no vsock. */
int agent_start(uint32_t port);

/* Serves the connections of a listening socket, each in a process. Returns only when
 * accept() fails for good: a negative errno. */
int agent_serve(int listener);

#endif
