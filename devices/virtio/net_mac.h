/* net_mac.h - MAC addresses, as text and as bytes. Any thread. */
#ifndef DEVICES_VIRTIO_NET_MAC_H
#define DEVICES_VIRTIO_NET_MAC_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdint.h>

enum { NET_MAC_TEXT = 17 }; /* characters of "06:00:ac:10:00:02" */

/* Six pairs of hexadecimal digits, colons between them. False, and nothing happens, for
 * anything else. */
bool net_mac_parse(const char *text, uint8_t mac[ETH_ALEN]);

/* An address that an interface may have: of one station, and not all zeroes. */
bool net_mac_is_usable(const uint8_t mac[ETH_ALEN]);

/* A random one of those that anybody may give (locally administered). 0 or a negative
 * errno. */
int net_mac_random(uint8_t mac[ETH_ALEN]);

#endif
