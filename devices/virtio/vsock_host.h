/* vsock_host.h - the host's side of a vsock device: Unix stream sockets.
 *
 * The device listens at a path; a guest that connects to port P of the host
 * reaches whoever listens at "<path>_P". All sockets are non-blocking. Main thread.
 */
#ifndef DEVICES_VIRTIO_VSOCK_HOST_H
#define DEVICES_VIRTIO_VSOCK_HOST_H

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/listener.h"

struct vsock_host {
	struct listener listener; /* its fd is -1 when closed */
};

/* Binds and listens. The path leaves room for "_" and any port. 0, or a negative errno
 * and *err, with field "uds_path"; vsock_host_close() is due in both cases. */
int vsock_host_listen(struct vsock_host *h, const char *path, struct error *err);

/* Removes the file if it is still the one that was made. Idempotent. */
void vsock_host_close(struct vsock_host *h);

/* The next host client's socket; -EAGAIN: none; or another negative errno. */
int vsock_host_accept(const struct vsock_host *h);

/* A socket connected to the listener of a port, or a negative errno. */
int vsock_host_connect(const struct vsock_host *h, uint32_t port);

#endif
