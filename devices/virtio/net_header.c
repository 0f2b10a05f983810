/* net_header.c - what a guest asks of its frames by the virtio header (5.1.6.2).
 *
 * The kernel behind a tap makes checksums and segments by these numbers and checks them
 * again; this check is ours, so that a fault there is not the guest's to find.
 */
#include "devices/virtio/net_header.h"

_Static_assert(sizeof(struct net_head) == NET_HEADER_BYTES + ETH_HLEN, "no gap between the two");

enum { DEFAULT_MTU = 1500, VLAN_BYTES = 4 };

static bool has(uint64_t accepted, unsigned feature)
{
	return (accepted >> feature) & 1;
}

static bool segments_valid(const struct virtio_net_hdr_v1 *h, uint64_t accepted)
{
	const uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	const bool ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN;

	if (h->gso_size == 0 || !h->flags)
		return false;
	switch (type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(accepted, VIRTIO_NET_F_HOST_TSO4) &&
		       (!ecn || has(accepted, VIRTIO_NET_F_HOST_ECN));
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(accepted, VIRTIO_NET_F_HOST_TSO6) &&
		       (!ecn || has(accepted, VIRTIO_NET_F_HOST_ECN));
	case NET_HDR_GSO_UDP_L4:
		return has(accepted, NET_F_HOST_USO) && !ecn;
	default:
		return false;
	}
}

bool net_header_clean(struct virtio_net_hdr_v1 *h, uint64_t accepted, size_t frame_len)
{
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->num_buffers = 0;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		h->gso_size = h->hdr_len = 0;
	else if (!segments_valid(h, accepted))
		return false;
	if (h->hdr_len > frame_len) /* a hint, which may be left out */
		h->hdr_len = 0;
	if (!h->flags) {
		h->csum_start = h->csum_offset = 0;
		return true;
	}
	return has(accepted, VIRTIO_NET_F_CSUM) &&
	       (size_t)h->csum_start + h->csum_offset + sizeof(uint16_t) <= frame_len;
}

size_t net_header_longest(uint64_t accepted, uint16_t mtu)
{
	static const unsigned joined[] = { VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
					   NET_F_GUEST_USO4, NET_F_GUEST_USO6 };

	for (unsigned i = 0; i < sizeof(joined) / sizeof(joined[0]); i++)
		if (has(accepted, joined[i]))
			return NET_FRAME_MAX;
	return NET_HEADER_BYTES + ETH_HLEN + VLAN_BYTES + (mtu ? mtu : (size_t)DEFAULT_MTU);
}
