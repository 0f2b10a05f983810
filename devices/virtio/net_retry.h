/* net_retry.h - when to look again for a back end that is gone.
 *
 * Soon at first, then after twice as long each time, up to a second. One that is there
 * for less than that second counts as one that failed.
 */
#ifndef DEVICES_VIRTIO_NET_RETRY_H
#define DEVICES_VIRTIO_NET_RETRY_H

#include "devices/virtio/watch.h"

struct net_retry {
	int timer_fd; /* -1: not attached */
	struct virtio_watch *watch;
	uint64_t wait_ms, there_us;
};

void net_retry_init(struct net_retry *r);

/* fn is called when it is time to look. In the device's attach op. 0 or a negative errno;
 * to be detached either way. */
int net_retry_attach(struct net_retry *r, struct virtio_events *e, virtio_watch_fn fn, void *arg);
void net_retry_detach(struct net_retry *r);

/* The back end is gone, or was not there: fn is called later. */
void net_retry_later(struct net_retry *r);

/* It is there. */
void net_retry_found(struct net_retry *r);

#endif
