/* vhost_peer.h - a vhost-user back end for tests: a real peer on a thread of its own.
 *
 * It listens at a path, maps the memory it is given, and serves a block device's
 * requests by filling what is writable with PEER_FILL. What it says and does wrong is
 * up to its rules, which may be changed at any time with peer_lock() held.
 */
#ifndef TESTS_UNIT_VHOST_PEER_H
#define TESTS_UNIT_VHOST_PEER_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/virtio/vhost_wire.h"

enum { PEER_FILL = 0xb7, PEER_QUEUES = 4, PEER_REQUESTS = 64, PEER_TAKEN = 64 };

/* What is done to the answer to rules.spoil_request. */
enum peer_spoil {
	SPOIL_NOTHING,
	SPOIL_SILENCE,
	SPOIL_REQUEST, /* answers another one */
	SPOIL_VERSION,
	SPOIL_NO_REPLY_FLAG,
	SPOIL_LONG,  /* more payload than is told of */
	SPOIL_HUGE,  /* tells of a payload of 4 GiB */
	SPOIL_SHORT, /* no payload */
	SPOIL_FD,    /* a descriptor too many, or too few */
	SPOIL_HANG_UP,
	SPOIL_VALUE, /* all bits of the payload are set */
};

struct peer_rules {
	uint64_t features, protocol, queues;
	uint8_t config[VHOST_USER_MAX_CONFIG];
	bool hold; /* requests are taken, and finished by peer_finish() only */
	uint32_t spoil_request;
	enum peer_spoil spoil;
};

struct peer_ring {
	uint32_t size;
	uint16_t base, used; /* next entries of the available and the used ring */
	struct vhost_vring_addr addr;
	int kick, call;
	bool enabled;
	unsigned taken_count;
	uint16_t taken[PEER_TAKEN]; /* heads, oldest first */
};

struct peer {
	char path[64];
	int listener, wake;
	pthread_t thread;
	pthread_mutex_t lock;

	/* The lock's. */
	bool ending;
	struct peer_rules rules;
	int fd, back;		      /* connection and back channel, or -1 */
	unsigned connections;	      /* accepted so far */
	unsigned seen[PEER_REQUESTS]; /* requests so far, by number */
	uint64_t set_features, finished;
	uint16_t started_at[PEER_QUEUES]; /* bases as told last */
	uint64_t inflight_file;		  /* inode of the area last given back to us */
	uint8_t written_config;		  /* first byte that the driver wrote */
	struct vhost_region region[VHOST_USER_MAX_REGIONS];
	void *map[VHOST_USER_MAX_REGIONS];
	unsigned regions;
	struct peer_ring ring[PEER_QUEUES];
};

/* A back end with all features that it can have, in a directory that is removed with it. */
void peer_create(struct peer *p);
void peer_destroy(struct peer *p);

void peer_lock(struct peer *p);
void peer_unlock(struct peer *p);

/* Finishes request n of those that it has taken from queue q. With the lock held. */
void peer_finish(struct peer *p, unsigned q, unsigned n);

/* Closes the connection and forgets everything, as if killed. With the lock held. */
void peer_die(struct peer *p);

/* Sends a request on the back channel. With the lock held. */
void peer_ask_back(struct peer *p, uint32_t request, uint32_t flags, uint32_t size);

#endif
