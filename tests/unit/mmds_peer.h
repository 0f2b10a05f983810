/* mmds_peer.h - a guest's network stack in host memory, for an endpoint of the metadata
 * service: it builds any frame, well-formed or not, and takes apart and checks what comes
 * back, checksums included.
 */
#ifndef TESTS_UNIT_MMDS_PEER_H
#define TESTS_UNIT_MMDS_PEER_H

#include "devices/mmds/endpoint.h"
#include "devices/mmds/mmds.h"

#define PEER_SERVICE 0xa9fea9feu /* 169.254.169.254 */
#define PEER_GUEST   0x0a000002u

/* One connection as the guest sees it. */
struct peer_side {
	uint16_t port;
	uint32_t seq; /* of the next byte that it sends */
	uint32_t ack; /* of the next byte that it wants */
	uint16_t window;
};

struct mmds_peer {
	struct mmds *mmds;
	struct endpoint *endpoint;
	uint64_t now_us;
};

extern const uint8_t peer_mac[ETH_ALEN];

void peer_create(struct mmds_peer *p, const char *document);
void peer_destroy(struct mmds_peer *p);

/* Sends what s says, to the service's port where it names none; of one that is cut the
 * packet says that it has more bytes. */
void peer_send(struct mmds_peer *p, const struct segment *s);

/* Fetches the next frame. False: there is none. The fields of *ret are borrowed from
 * storage that the next call uses again. */
bool peer_receive(struct mmds_peer *p, struct segment *ret);

/* SYN, SYN and ACK, ACK: *side is connected then. */
void peer_connect(struct mmds_peer *p, uint16_t port, struct peer_side *side);

/* A segment of this side with these flags and bytes; its sequence goes on. */
void peer_say(struct mmds_peer *p, struct peer_side *side, uint8_t flags, const void *data,
	      size_t len);

/* Fetches and acknowledges all there is, in order, into text; its length. */
size_t peer_read(struct mmds_peer *p, struct peer_side *side, char *text, size_t room);

#endif
