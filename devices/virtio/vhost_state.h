/* vhost_state.h - the insides of a vhost-user device, for the files that make it up.
 *
 * vhost_user.c has the device's life, vhost_steps.c what is said to the back end,
 * vhost_talk.c how that goes on, and vhost_queue.c the queues. All fields are the lock's
 * once the device is bound.
 */
#ifndef DEVICES_VIRTIO_VHOST_STATE_H
#define DEVICES_VIRTIO_VHOST_STATE_H

#include <sys/un.h>

#include "devices/virtio/vhost_link.h"
#include "devices/virtio/vhost_relay.h"
#include "devices/virtio/vhost_user.h"

enum vhost_phase {
	VHOST_DOWN,	/* no connection */
	VHOST_GREETING, /* connected, agreeing on features */
	VHOST_READY,	/* agreed; the queues are ours */
	VHOST_STARTING, /* handing the queues over */
	VHOST_RUNNING,	/* the queues are the back end's */
	VHOST_CUT,	/* shut down, until the main thread closes it */
};

struct vhost_user;

/* One request of a talk. */
struct vhost_step {
	/* Whether it is to be said at all. NULL: always. */
	bool (*due)(const struct vhost_user *v);
	int (*say)(struct vhost_user *v);
	/* Takes the answer. NULL: an acknowledgement, if any. */
	int (*hear)(struct vhost_user *v);
};

/* Requests to be made in order, each after the answer to the one before. */
struct vhost_talk {
	const struct vhost_step *steps;
	unsigned count;
	enum vhost_phase during, after;
};

extern const struct vhost_talk vhost_greet;  /* after connecting */
extern const struct vhost_talk vhost_start;  /* hands the queues over */
extern const struct vhost_talk vhost_reread; /* the configuration space */

struct vhost_queue {
	struct vhost_user *device;
	unsigned index;
	bool stopped;		    /* base is where the back end stopped */
	uint16_t base;		    /* index of the available ring */
	struct virtio_watch *calls; /* of the relay's eventfd */
};

struct vhost_user {
	struct virtio_dev dev;
	struct virtio_ops ops; /* dev.ops: the number of queues is the device's own */
	const struct vhost_user_kind *kind;
	char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	struct vhost_link link;
	enum vhost_phase phase;
	const struct vhost_talk *talk; /* going on, or NULL */
	unsigned step;
	bool said; /* the step's request; its answer is due */
	uint64_t deadline_us;
	const char *fault; /* what was wrong in the last talk, for a person, or NULL */

	/* Agreed on. offered: what the driver saw, from the first connection on. */
	uint64_t masked, has_features, protocol, offered;
	uint64_t back_queues; /* that the back end has */
	bool agreed;	      /* there was a first connection */
	bool keeps_notes;     /* and that back end kept track of its requests */

	bool has_config; /* the configuration space is the back end's */
	bool config_stale;
	uint8_t config[VHOST_USER_MAX_CONFIG], told_config[VHOST_USER_MAX_CONFIG];

	struct vhost_queue queue[VIRTIO_MAX_QUEUES];
	struct vhost_relay *relay; /* NULL: the back end has the driver's own rings */
	int inflight_fd;	   /* the back end's notes for this driver, or -1 */
	struct vhost_inflight inflight;

	int back_fd; /* our end of the channel for its requests, or -1 */
	struct vhost_inbox back_inbox;

	int timer;
	unsigned backoff_ms;
	uint64_t started_us; /* when the queues were handed over; 0: never since connecting */
	struct virtio_watch *link_watch, *back_watch, *timer_watch;
};

static inline bool vhost_speaks(const struct vhost_user *v, enum vhost_protocol_feature f)
{
	return (v->protocol >> f) & 1;
}

/* Takes what the driver has offered to the back end, where the queues are relayed. */
void vhost_queue_offer(struct vhost_user *v, unsigned q);

/* Notes what is wrong with an answer: -EPROTO. */
int vhost_fault(struct vhost_user *v, const char *why);

/* A queue of a new driver. */
void vhost_queue_reset(struct vhost_user *v, unsigned q);

/* Gives the driver what the back end has finished, where the queues are relayed. 0, or
 * -EPROTO. */
int vhost_queue_collect(struct vhost_user *v, unsigned q);

/* The device's state op (device.h). */
void vhost_saved_state(struct virtio_dev *d, struct state *s);

/* Begins a talk, with a time limit for all of it. */
void vhost_talk_begin(struct vhost_user *v, const struct vhost_talk *talk);

/* Goes on with it as far as that is possible without waiting. 1 when it is over, 0 when
 * an answer is due, or a negative errno: v->fault may say more. */
int vhost_talk_advance(struct vhost_user *v);

/* The rest of it, waiting for answers. 0 or a negative errno. */
int vhost_talk_finish(struct vhost_user *v);

/* Takes the queues back, waiting until the back end has finished what it had. 0 or a
 * negative errno. No talk may be going on. */
int vhost_talk_stop(struct vhost_user *v);

/* Passes on what the driver wrote. 0 or a negative errno. */
int vhost_talk_write_config(struct vhost_user *v, size_t off, const void *src, size_t len);

/* Answers requests of the back end. 1 when there may be more, 0, or a negative errno
 * when the channel is of no use any more. */
int vhost_back_serve(struct vhost_user *v);

#endif
