/* net_mmds.h - the metadata service on a network interface: the detour of its frames.
 *
 * Between the device and its back end. What the guest sends to the service's address
 * goes no further; what the service sends comes before the back end's frames. Every other
 * frame costs a look at 42 bytes of its own. An interface without the service has no struct
 * net_mmds: each call accepts NULL, and finds nothing.
 *
 * With the device's lock held; main thread, but for net_mmds_forget().
 */
#ifndef DEVICES_VIRTIO_NET_MMDS_H
#define DEVICES_VIRTIO_NET_MMDS_H

#include <netinet/in.h>

#include "devices/virtio/net_header.h"
#include "devices/virtio/watch.h"

struct mmds;
struct net_mmds;

/* 0 and *ret, or a negative errno. The service must outlive it. */
int net_mmds_create(struct mmds *m, in_addr_t address, struct net_mmds **ret);
void net_mmds_destroy(struct net_mmds *n);

/* In the device's attach op: fn(arg, events) is called when there may be something to
 * give. detach: in its detach op; idempotent. */
int net_mmds_attach(struct net_mmds *n, struct virtio_events *e, virtio_watch_fn fn, void *arg);
void net_mmds_detach(struct net_mmds *n);

/* Takes a frame, whose head was copied, if it is for the service. */
bool net_mmds_take(struct net_mmds *n, const struct net_head *head, const struct iov *frame);

/* Writes a frame as a back end's receive op would. 0: there is none. */
ssize_t net_mmds_give(struct net_mmds *n, const struct iov *into);

/* The driver is gone. Any thread. */
void net_mmds_forget(struct net_mmds *n);

#endif
