/* vhost_wire.h - messages of the vhost-user protocol on a Unix socket.
 *
 * The protocol is QEMU's docs/interop/vhost-user.rst; no kernel header has its numbers.
 * A message is a header, a payload of a length that the header tells, and perhaps
 * descriptors. Both ends run on this host: all numbers are in host order. Nothing here
 * blocks.
 */
#ifndef DEVICES_VIRTIO_VHOST_WIRE_H
#define DEVICES_VIRTIO_VHOST_WIRE_H

#include <linux/vhost_types.h>
#include <stddef.h>
#include <stdint.h>

/* Requests of the front end (us). */
enum vhost_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
};

/* Requests of the back end, on a channel of their own. */
enum vhost_back_request { VHOST_USER_BACKEND_CONFIG_CHANGE = 2 };

/* A feature bit that drivers never see: the protocol has features of its own. */
enum { VHOST_USER_F_PROTOCOL_FEATURES = 30 };

enum vhost_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
};

/* Header flags. */
enum {
	VHOST_USER_VERSION = 1,
	VHOST_USER_VERSION_MASK = 3,
	VHOST_USER_REPLY = 1 << 2,
	VHOST_USER_NEED_REPLY = 1 << 3,
};

enum {
	VHOST_USER_MAX_REGIONS = 8, /* of a memory table */
	VHOST_USER_MAX_CONFIG = 256,
	VHOST_USER_CONFIG_HEAD = 12, /* of struct vhost_config, before the data */
};

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload, in bytes */
};

struct vhost_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t user_address; /* in our address space: ring addresses refer to it */
	uint64_t file_offset;
};

struct vhost_memory_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_region region[VHOST_USER_MAX_REGIONS];
};

struct vhost_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_MAX_CONFIG];
};

/* Where a back end notes the requests that it has in hand. */
struct vhost_inflight {
	uint64_t file_size;
	uint64_t file_offset;
	uint16_t queues;
	uint16_t queue_size;
};

union vhost_payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct vhost_memory_table memory;
	struct vhost_config config;
	struct vhost_inflight inflight;
};

/* A message on its way in. Zero-initialise, with fd -1. */
struct vhost_inbox {
	struct vhost_header header;
	union vhost_payload payload;
	size_t got; /* bytes so far, of header and payload */
	int fd;	    /* that came with it, or -1; the inbox's */
};

/* Sends all of it, or fails: -EAGAIN when the other end does not read, -EPIPE when it is
 * gone, or another negative errno. payload_len is taken from the header. */
int vhost_send(int sock, const struct vhost_header *header, const void *payload, const int *fds,
	       unsigned nfds);

/* Takes what has come. 1 when the message is whole; 0 when more must come; -EPIPE at the
 * end of the stream, -EPROTO for a wrong version, a payload of more than max_len bytes or
 * more than one descriptor, or another negative errno. */
int vhost_receive(int sock, struct vhost_inbox *in, uint32_t max_len);

/* Closes its descriptor and makes room for the next message. */
void vhost_inbox_clear(struct vhost_inbox *in);

#endif
