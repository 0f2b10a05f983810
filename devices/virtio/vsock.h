/* vsock.h - stream sockets between host and guest (virtio 1.2, section 5.10).
 *
 * A host client connects to the Unix socket at uds_path, writes "CONNECT <port>\n" and
 * reads "OK <host port>\n" once the guest accepted. Client and guest have 2 s each for
 * that. A guest that connects to port P of CID 2 reaches the listener of
 * "<uds_path>_<P>".
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio/device.h"
#include "vmm/base/error.h"

enum { VIRTIO_VSOCK_MAX_CONNS = 1023 };

/* Listens at uds_path from now until the device is destroyed. guest_cid is 3 or more.
 * 0 and *ret, for a transport to own; or a negative errno and *err. Main thread. */
int virtio_vsock_create(uint32_t guest_cid, const char *uds_path, struct virtio_dev **ret,
			struct error *err);

/* Ends every connection and tells the driver so, that it ends them too and reads its CID
 * again (5.10.6.7); its listeners stay. For a machine that goes on from a snapshot: this
 * writes to guest memory also while the machine is paused, so that the driver knows before
 * a vCPU runs. A driver that left no buffer for it is told when it does. Main thread, of a
 * device on a loop. */
void virtio_vsock_reset_transport(struct virtio_dev *dev);

#endif
