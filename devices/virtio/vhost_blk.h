/* vhost_blk.h - a block device that another process serves (vhost-user-blk).
 *
 * qemu-storage-daemon with its formats and protocols, SPDK, and others. Whether it can be
 * written, its size and its queues are the back end's.
 */
#ifndef DEVICES_VIRTIO_VHOST_BLK_H
#define DEVICES_VIRTIO_VHOST_BLK_H

#include "devices/virtio/vhost_user.h"

/* As vhost_user_create(). writeback: the driver may flush; without it nothing is offered
 * and nothing promised. */
int vhost_blk_create(const char *socket, bool writeback, struct virtio_dev **ret,
		     struct error *err);

#endif
