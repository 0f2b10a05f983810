/* net_tap.h - a tap of the host's kernel as the back end of a network interface. */
#ifndef DEVICES_VIRTIO_NET_TAP_H
#define DEVICES_VIRTIO_NET_TAP_H

#include "devices/virtio/net_backend.h"
#include "vmm/base/error.h"

/* Attaches to the tap of this name, which is created if there is none and the caller
 * may do that (CAP_NET_ADMIN). One that was made with multi_queue has a queue for each
 * vCPU. Or duplicates the descriptor "fd:N" of a tap that is attached with a virtio header;
 * it has that one queue. 0 and *ret; or a negative errno and *err: -EBUSY when somebody
 * else has it.
 * Main thread. */
int net_tap_open(const char *name, struct net_backend **ret, struct error *err);

/* Takes over descriptors, of which each read is one frame and each write, too: taps that
 * somebody else has set up with a 12-byte header, or datagram sockets. They are
 * non-blocking, and of n pairs. offloads: what the other end was set up for. 0 and
 * *ret, which owns them; or -ENOMEM. */
int net_tap_adopt(const int *fds, unsigned n, uint64_t offloads, struct net_backend **ret);

#endif
