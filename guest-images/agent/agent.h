/* agent.h - the guest's agent: it runs commands, carries files, and tells how the guest is,
 * for who connects to its vsock port; protocol.h has what is said.
 */
#ifndef GUEST_IMAGES_AGENT_AGENT_H
#define GUEST_IMAGES_AGENT_AGENT_H

#include <stdint.h>

/* Starts the agent as a process of its own, in a session of its own, with this process's
 * root directory. 0, or a negative errno: -EAFNOSUPPORT when the kernel has no vsock. */
int agent_start(uint32_t port);

/* The same for a guest without a vsock: serves the virtio ports "wisp.agent.0" and so on, as
 * many as there are, at most AGENT_PORTS_MAX. They may come later; each carries one connection
 * at a time, which begins as at the Unix socket of a vsock: "CONNECT port", "OK port". */
enum { AGENT_PORTS_MAX = 16 };
int agent_start_ports(uint32_t port, unsigned count);

/* Serves the connections of such a port, whose descriptor this is, until it has gone. */
void agent_serve_port(int fd, uint32_t port);

/* Becomes a process of its own that talks to nobody: for what the two above start. */
void agent_detach(void);

/* Serves the connections of a listening socket, each in a process. Returns only when
 * accept() fails for good: a negative errno. */
int agent_serve(int listener);

#endif
