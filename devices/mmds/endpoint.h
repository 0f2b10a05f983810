/* endpoint.h - the metadata service on one network interface: frames in, frames out.
 *
 * A host of its own on the guest's wire: it answers ARP for one IPv4 address and TCP on
 * its port 80, and takes nothing else. Whoever owns it (net_mmds.h) brings the guest's
 * frames, fetches ours when there is room for one, and calls when time has passed. It
 * makes no system call but for a token's randomness.
 *
 * Main thread, but for endpoint_forget(). now_us: one clock that never goes back.
 */
#ifndef DEVICES_MMDS_ENDPOINT_H
#define DEVICES_MMDS_ENDPOINT_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/mmds/arp.h"
#include "devices/mmds/ipv4.h"
#include "devices/mmds/tcp.h"

enum {
	ENDPOINT_CONNECTIONS = 30,
	ENDPOINT_PORT = 80,

	/* What is looked at to see whose a frame is. */
	ENDPOINT_HEAD_BYTES = ETH_HLEN + ARP_BYTES,
	/* What is looked at of one that is ours: headers and as much as a window takes. */
	ENDPOINT_IN_BYTES =
		ETH_HLEN + IPV4_HEADER_MAX_BYTES + SEGMENT_HEADER_MAX_BYTES + TCP_REQUEST_BYTES,
	ENDPOINT_OUT_BYTES =
		ETH_HLEN + IPV4_HEADER_BYTES + SEGMENT_HEADER_BYTES + SEGMENT_MSS_BYTES + TCP_MSS,
};

struct endpoint;
struct mmds;

/* At this address, in network order. first_seq: where sequence numbers begin, random.
 * 0 and *ret, or -ENOMEM. The service must outlive the endpoint. */
int endpoint_create(struct mmds *m, in_addr_t address, uint32_t first_seq, struct endpoint **ret);
void endpoint_destroy(struct endpoint *e); /* accepts NULL */

/* Whether a frame is for the service, by its first bytes: ENDPOINT_HEAD_BYTES, or the
 * whole of a shorter one. */
bool endpoint_owns(const struct endpoint *e, const uint8_t *frame, size_t len);

/* A frame that is. What is behind ENDPOINT_IN_BYTES may be left out. */
void endpoint_input(struct endpoint *e, const uint8_t *frame, size_t len, uint64_t now_us);

/* Writes the next frame for the guest, at most ENDPOINT_OUT_BYTES; its length, 0: there
 * is none. */
size_t endpoint_output(struct endpoint *e, uint8_t *frame, uint64_t now_us);

/* When there will be one: 0 is now, UINT64_MAX not before the guest sends something. */
uint64_t endpoint_due_us(const struct endpoint *e);

/* The driver is gone, and so are the guest's connections: before the next frame. Any
 * thread, while no other is in a call for this endpoint. */
void endpoint_forget(struct endpoint *e);

#endif
