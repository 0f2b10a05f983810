/* net_header.h - what a guest asks of its frames by the virtio header (5.1.6.2). */
#ifndef DEVICES_VIRTIO_NET_HEADER_H
#define DEVICES_VIRTIO_NET_HEADER_H

#include "devices/virtio/net_backend.h"

/* What is copied of a frame before it is sent. */
struct net_head {
	struct virtio_net_hdr_v1 virtio;
	struct ethhdr ethernet;
};

/* Takes what means nothing out of a header in front of a frame of this many bytes. False
 * when it asks for what was not negotiated, or for something beyond the frame. */
bool net_header_clean(struct virtio_net_hdr_v1 *h, uint64_t accepted, size_t frame_len);

/* The longest frame, header included, that a driver must have room for: what segments are
 * joined to when it accepts that, or one of the MTU; 0: it was told none. */
size_t net_header_longest(uint64_t accepted, uint16_t mtu);

#endif
