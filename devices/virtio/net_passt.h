/* net_passt.h - passt as the back end of a network interface: a network without any
 * privilege on the host.
 *
 * passt is a program of its own that listens on a Unix stream socket and turns the
 * guest's packets into sockets of its own user. On the stream, either way, each Ethernet
 * frame is preceded by its length, 4 bytes, big-endian (passt(1), "--socket").
 */
#ifndef DEVICES_VIRTIO_NET_PASST_H
#define DEVICES_VIRTIO_NET_PASST_H

#include "devices/virtio/net_backend.h"
#include "vmm/base/error.h"

/* Connects to the passt that listens at this path, and again when it has ended; or takes
 * over the connected socket that "fd:N" names, once and for all. 0 and *ret; or a negative
 * errno and *err. Main thread. */
int net_passt_connect(const char *path, struct net_backend **ret, struct error *err);

/* Takes over a connected stream socket. 0 and *ret, which owns it; or -ENOMEM. */
int net_passt_adopt(int fd, struct net_backend **ret);

#endif
