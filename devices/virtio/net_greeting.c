/* net_greeting.c - one frame, made here.
 *
 * passt sends to everybody until it has seen a frame of the guest's, and a guest's kernel
 * takes no connection from a frame that is for everybody: one that only serves, and has its
 * address from its command line, would never be reached.
 */
#include <arpa/inet.h>
#include <net/if_arp.h>
#include <string.h>

#include "devices/virtio/net_greeting.h"

/* Up to the shortest frame that Ethernet has. */
enum { PADDING_BYTES = ETH_ZLEN - ETH_HLEN - (int)sizeof(struct arphdr) - ETH_ALEN - ETH_ALEN - 8 };

struct __attribute__((packed)) greeting {
	struct virtio_net_hdr_v1 header;
	struct ethhdr ethernet;
	struct arphdr arp;
	uint8_t sender[ETH_ALEN], sender_ip[4], target[ETH_ALEN], target_ip[4];
	uint8_t padding[PADDING_BYTES];
};

void net_greet(struct net_backend *b, const uint8_t mac[ETH_ALEN])
{
	struct greeting g = {
		.ethernet.h_proto = htons(ETH_P_RARP),
		.arp = { .ar_hrd = htons(ARPHRD_ETHER),
			 .ar_pro = htons(ETH_P_IP),
			 .ar_hln = ETH_ALEN,
			 .ar_pln = 4,
			 .ar_op = htons(ARPOP_RREQUEST) },
	};
	struct iovec vec = { &g, sizeof(g) };
	const struct iov frame = { &vec, 1, sizeof(g) };

	memset(g.ethernet.h_dest, 0xff, ETH_ALEN);
	memcpy(g.ethernet.h_source, mac, ETH_ALEN);
	memcpy(g.sender, mac, ETH_ALEN);
	memcpy(g.target, mac, ETH_ALEN);
	(void)b->ops->send(b, 0, &frame);
}
