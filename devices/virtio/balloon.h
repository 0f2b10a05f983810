/* balloon.h - memory that the guest lends to the host (virtio 1.2, section 5.5). */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "devices/virtio/device.h"

enum { VIRTIO_BALLOON_MIB = 256 }; /* pages in a MiB, on every host */

struct virtio_balloon_options {
	uint32_t target_pages;	  /* of 4 KiB, from the start on */
	bool deflate_on_oom;	  /* the guest may take pages back when it runs out */
	bool free_page_reporting; /* the guest tells of pages that it does not use */
	bool free_page_hinting;	  /* the same, when the host asks for it */
	uint32_t interval_s;	  /* between statistics; 0: none are asked for, ever */
};

/* 0 and *ret, for a transport to own; or a negative errno. Main thread. */
int virtio_balloon_create(const struct virtio_balloon_options *options, struct virtio_dev **ret);

/* The rest needs a device that virtio_balloon_create() made and a loop has. Main
 * thread, without the device's lock, which they take. */

/* Tells the driver how many pages the host wants. 0, or -ENODEV while no driver is
 * up: nothing has changed then. */
int virtio_balloon_set_target(struct virtio_dev *d, uint32_t pages);

/* 0; -ENODATA when that would turn statistics on or off, for which it is too late;
 * or what the host said. */
int virtio_balloon_set_interval(struct virtio_dev *d, uint32_t interval_s);

/* A run of free page hinting: the driver names pages that it does not use until it has
 * no more, and their memory goes back to the host. acknowledge: end the run when it
 * says so; otherwise virtio_balloon_hint_stop() does, and until then the guest cannot
 * use those pages. 0; -ENODATA without the option; -ENODEV while no driver that can do
 * it is up. */
int virtio_balloon_hint_start(struct virtio_dev *d, bool acknowledge);
int virtio_balloon_hint_stop(struct virtio_dev *d);

/* The commands last given, as the driver sees them: 0 no run, 1 the run is over, else
 * a run's number. 0 and *ret, or as above. */
struct virtio_balloon_hinting {
	uint32_t host_cmd;
	bool guest_told; /* guest_cmd means something */
	uint32_t guest_cmd;
};
int virtio_balloon_hint_status(struct virtio_dev *d, struct virtio_balloon_hinting *ret);

/* Statistics by their tags (5.5.6.4, and six that Linux has added). */
enum { VIRTIO_BALLOON_STATS = 16 };

struct virtio_balloon_statistics {
	uint32_t target_pages;
	uint32_t actual_pages; /* what the driver says; only a number */
	uint32_t known;	       /* bit n: the driver has told value[n] */
	uint64_t value[VIRTIO_BALLOON_STATS];
};

/* 0 and *ret; -ENODATA when statistics are off, -ENODEV while no driver is up. The two
 * numbers of pages are there in any case. */
int virtio_balloon_statistics(struct virtio_dev *d, struct virtio_balloon_statistics *ret);

#endif
