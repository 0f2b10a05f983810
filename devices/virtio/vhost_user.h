/* vhost_user.h - a virtio device whose queues another process serves (vhost-user).
 *
 * The device keeps the transport's side (status, features, configuration) and hands the
 * queues, the guest's memory and the eventfds to the back end at the other end of a Unix
 * socket. A kind of device (vhost_blk.h, vhost_fs.h) says what it is; the rest is the
 * same for all. A back end that goes away is waited for, and the device with it: the
 * driver sees requests that take long.
 *
 * Main thread, except for the ops, which follow device.h.
 */
#ifndef DEVICES_VIRTIO_VHOST_USER_H
#define DEVICES_VIRTIO_VHOST_USER_H

#include "devices/virtio/device.h"
#include "vmm/base/error.h"

struct vhost_user_kind {
	const char *name;
	uint32_t id;	     /* VIRTIO_ID_* */
	uint64_t features;   /* that may be offered, of those that the back end has */
	unsigned min_queues; /* that a back end must have */
	size_t config_len;   /* at most VHOST_USER_MAX_CONFIG */
	bool in_order;	     /* its back ends finish requests in the order of the ring */
	/* Makes the back end's configuration space what the driver may see, for a device
	 * of this many queues. NULL: as it is. */
	void (*fit_config)(void *config, unsigned queues);
	/* Of a saved machine, when its back ends keep nothing but what is in the queues, so
	 * that any other one can go on; then also how much of the configuration space it
	 * must have alike. STATE_NO_SECTION: a machine with one cannot be saved. */
	enum state_section section;
	size_t same_config_len;
};

struct vhost_user_options {
	const struct vhost_user_kind *kind; /* static storage */
	const char *socket;		    /* where the back end listens; copied */
	uint64_t masked_features;	    /* not to be offered, whoever has them */
	const void *config;		    /* NULL: the back end has it */
};

/* Connects and agrees on what can be had, waiting some seconds at most. 0 and *ret, or a
 * negative errno and *err, with field "socket". */
int vhost_user_create(const struct vhost_user_options *options, struct virtio_dev **ret,
		      struct error *err);

/* How many queues the driver sees, between the least of the kind and what the back end
 * has. Before the device is given to a transport. */
void vhost_user_set_queues(struct virtio_dev *d, unsigned queues);

/* Asks the back end for its configuration space again and tells the driver when it has
 * changed. Takes the device's lock. -ENODEV before the device is attached. */
int vhost_user_refresh(struct virtio_dev *d);

#endif
