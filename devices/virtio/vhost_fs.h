/* vhost_fs.h - a directory of the host that the guest shares (virtio-fs, 5.11).
 *
 * The back end, virtiofsd, has the directory, and decides what may be done in it.
 */
#ifndef DEVICES_VIRTIO_VHOST_FS_H
#define DEVICES_VIRTIO_VHOST_FS_H

#include "devices/virtio/vhost_user.h"

enum { VHOST_FS_TAG_LEN = 36 };

/* As vhost_user_create(). tag: by which the guest mounts it, 1 to VHOST_FS_TAG_LEN
 * bytes. */
int vhost_fs_create(const char *tag, const char *socket, struct virtio_dev **ret,
		    struct error *err);

#endif
