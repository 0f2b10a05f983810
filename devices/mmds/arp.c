/* arp.c - who has the metadata service's address. */
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <string.h>

#include "devices/mmds/arp.h"

_Static_assert(sizeof(struct ether_arp) == ARP_BYTES, "as on the wire");

in_addr_t arp_target(const uint8_t *data)
{
	in_addr_t address;

	memcpy(&address, data + offsetof(struct ether_arp, arp_tpa), sizeof(address));
	return address;
}

bool arp_parse_request(const uint8_t *data, size_t len, struct arp_host *asker)
{
	struct ether_arp m;

	if (len < sizeof(m))
		return false;
	memcpy(&m, data, sizeof(m));
	if (m.arp_hrd != htons(ARPHRD_ETHER) || m.arp_pro != htons(ETH_P_IP) ||
	    m.arp_hln != ETH_ALEN || m.arp_pln != sizeof(in_addr_t) ||
	    m.arp_op != htons(ARPOP_REQUEST))
		return false;
	memcpy(asker->mac, m.arp_sha, sizeof(asker->mac));
	memcpy(&asker->ip, m.arp_spa, sizeof(asker->ip));
	return true;
}

void arp_write_reply(uint8_t *to, const struct arp_host *self, const struct arp_host *asker)
{
	struct ether_arp m = {
		.arp_hrd = htons(ARPHRD_ETHER),
		.arp_pro = htons(ETH_P_IP),
		.arp_hln = ETH_ALEN,
		.arp_pln = sizeof(in_addr_t),
		.arp_op = htons(ARPOP_REPLY),
	};

	memcpy(m.arp_sha, self->mac, sizeof(self->mac));
	memcpy(m.arp_spa, &self->ip, sizeof(self->ip));
	memcpy(m.arp_tha, asker->mac, sizeof(asker->mac));
	memcpy(m.arp_tpa, &asker->ip, sizeof(asker->ip));
	memcpy(to, &m, sizeof(m));
}
