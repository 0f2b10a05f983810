/* net_greeting.h - a guest's MAC address, made known before the guest has sent anything. */
#ifndef DEVICES_VIRTIO_NET_GREETING_H
#define DEVICES_VIRTIO_NET_GREETING_H

#include "devices/virtio/net_backend.h"

/* Sends one frame from this address: a request of reverse ARP (RFC 903), which bridges and
 * passt learn from, and nobody answers. What the back end does not take is lost. With the
 * device's lock held, or before the machine runs. */
void net_greet(struct net_backend *b, const uint8_t mac[ETH_ALEN]);

#endif
