/* arp.h - who has the metadata service's address (RFC 826).
 *
 * Any thread; nothing is kept. Addresses are in network order.
 */
#ifndef DEVICES_MMDS_ARP_H
#define DEVICES_MMDS_ARP_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARP_BYTES = 28 };

struct arp_host {
	uint8_t mac[ETH_ALEN];
	in_addr_t ip;
};

/* Whom a message of at least ARP_BYTES is about. */
in_addr_t arp_target(const uint8_t *data);

/* A request of IPv4 over Ethernet: who asks, to be answered. False: it is something else. */
bool arp_parse_request(const uint8_t *data, size_t len, struct arp_host *asker);

/* Writes the answer, ARP_BYTES. */
void arp_write_reply(uint8_t *to, const struct arp_host *self, const struct arp_host *asker);

#endif
