/* console.h - a terminal line for the guest, hvc0 in Linux (virtio 1.2, section 5.3). */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio/device.h"
#include "devices/virtio/limiter.h"
#include "vmm/base/error.h"

struct virtio_console_options {
	/* Where clients find it; one of them is "" (console_host.h). */
	const char *uds_path, *pty_path;
	size_t history_bytes;	   /* not 0: what a client that attaches is shown */
	struct token_bucket limit; /* bytes of output beyond it are lost; size 0: none */
};

/* Clients may attach from here on, and are served while a guest runs. 0 and *ret, for a
 * transport to own; or a negative errno and *err. */
int virtio_console_create(const struct virtio_console_options *options, struct virtio_dev **ret,
			  struct error *err);

#endif
