/* live.c - devices of a running machine, changed as its user asks.
 *
 * Each change goes to the device, which takes its own lock, and then to the slot's
 * configuration, so that what is reported is what is in force.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/net.h"
#include "devices/virtio/pmem.h"
#include "devices/virtio/vhost_user.h"
#include "vmm/live.h"

/* Everything that keeps a drive from being changed begins as Firecracker's. */
static int drive_error(int r, struct error *err)
{
	char text[sizeof(err->text)];

	if (r < 0 && err) {
		memcpy(text, err->text, sizeof(text));
		snprintf(err->text, sizeof(err->text), "Unable to patch the block device: %.440s",
			 text);
	}
	return r;
}

static void merge_limiter(struct limiter_config *to, const struct limiter_config *c)
{
	if (c->has_bandwidth)
		to->bandwidth = c->bandwidth;
	if (c->has_ops)
		to->ops = c->ops;
	to->has_bandwidth |= c->has_bandwidth;
	to->has_ops |= c->has_ops;
}

/* A file's device takes a file or limits, a back end's its new configuration. */
static int wrong_backend(struct error *err, const char *hint)
{
	return error_set(err, -EINVAL, NULL, hint,
			 "Device manager error: Running method expected different backend. "
			 "Please verify the request arguments.");
}

static int update_drive(struct slots *s, const struct drive_update *c, struct error *err)
{
	struct virtio_dev *dev;
	struct drive_config *drive = slots_find(s, SLOT_DRIVE, c->drive_id, &dev);
	bool refresh = !c->path_on_host[0] && !c->has_rate_limiter;
	int r = 0;

	if (!drive)
		return error_set(err, -ENODEV, "drive_id", "name a drive of this machine",
				 "there is no drive \"%s\"", c->drive_id);
	if (refresh && !dev->ops->remote)
		return wrong_backend(err, "give path_on_host, rate_limiter or both");
	if (!refresh && dev->ops->remote)
		return wrong_backend(err, "leave them out: the drive has a back end, and is asked "
					  "for its configuration again");
	if (refresh)
		return vhost_user_refresh(dev);
	if (c->path_on_host[0]) {
		r = virtio_blk_set_path(dev, c->path_on_host, err);
		if (r == 0)
			strcpy(drive->path_on_host, c->path_on_host);
	}
	if (r == 0 && c->has_rate_limiter) {
		virtio_blk_set_limiter(dev, &c->rate_limiter);
		merge_limiter(&drive->rate_limiter, &c->rate_limiter);
		drive->has_rate_limiter = true;
	}
	return r;
}

int live_patch_drive(struct slots *s, const struct drive_update *c, struct error *err)
{
	return drive_error(update_drive(s, c, err), err);
}

int live_patch_net(struct slots *s, const struct net_update *c, struct error *err)
{
	struct virtio_dev *dev;
	struct net_config *net = slots_find(s, SLOT_NET, c->iface_id, &dev);

	if (!net)
		return error_set(
			err, -ENODEV, "iface_id", "name an interface of this machine",
			"Unable to update the network device: there is no interface \"%s\"",
			c->iface_id);
	virtio_net_set_limiters(dev, &c->rx_rate_limiter, &c->tx_rate_limiter);
	merge_limiter(&net->rx_rate_limiter, &c->rx_rate_limiter);
	merge_limiter(&net->tx_rate_limiter, &c->tx_rate_limiter);
	net->has_rx_rate_limiter |= c->has_rx_rate_limiter;
	net->has_tx_rate_limiter |= c->has_tx_rate_limiter;
	return 0;
}

int live_patch_pmem(struct slots *s, const struct pmem_update *c, struct error *err)
{
	struct virtio_dev *dev;
	struct pmem_config *pmem = slots_find(s, SLOT_PMEM, c->id, &dev);

	if (!pmem)
		return error_set(err, -ENODEV, "id", "name a pmem device of this machine",
				 "there is no pmem device \"%s\"", c->id);
	if (c->has_rate_limiter) {
		virtio_pmem_set_limiter(dev, &c->rate_limiter);
		merge_limiter(&pmem->rate_limiter, &c->rate_limiter);
		pmem->has_rate_limiter = true;
	}
	return 0;
}

static struct balloon_config *find_balloon(struct slots *s, struct virtio_dev **dev,
					   struct error *err)
{
	struct balloon_config *c = slots_find(s, SLOT_BALLOON, "balloon", dev);

	if (!c)
		error_set(err, -ENODEV, NULL, "PUT /balloon before the start",
			  "No balloon device found.");
	return c;
}

/* What the device refused, as Firecracker says it. */
static int balloon_error(int r, const char *not_enabled, struct error *err)
{
	if (r == -ENODEV)
		return error_set(err, r, NULL, NULL,
				 "Device is inactive, check if balloon driver is enabled in guest "
				 "kernel.");
	if (r == -ENODATA)
		return error_set(err, r, NULL, "PUT /balloon with it before the start", "%s",
				 not_enabled);
	return r < 0 ? error_set(err, r, NULL, NULL, "the balloon: %s", strerror(-r)) : 0;
}

int live_patch_balloon(struct slots *s, uint64_t amount_mib, struct error *err)
{
	struct virtio_dev *dev;
	struct balloon_config *c = find_balloon(s, &dev, err);
	int r;

	if (!c)
		return -ENODEV;
	r = virtio_balloon_set_target(dev, (uint32_t)(amount_mib * VIRTIO_BALLOON_MIB));
	if (r == 0)
		c->amount_mib = amount_mib;
	return balloon_error(r, "", err);
}

int live_patch_balloon_statistics(struct slots *s, uint64_t interval_s, struct error *err)
{
	struct virtio_dev *dev;
	struct balloon_config *c = find_balloon(s, &dev, err);
	int r;

	if (!c)
		return -ENODEV;
	r = virtio_balloon_set_interval(dev, (uint32_t)interval_s);
	if (r == 0)
		c->stats_polling_interval_s = interval_s;
	return balloon_error(r, "Cannot enable/disable the statistics after boot.", err);
}

int live_balloon_statistics(struct slots *s, struct virtio_balloon_statistics *ret,
			    struct error *err)
{
	struct virtio_dev *dev;

	if (!find_balloon(s, &dev, err))
		return -ENODEV;
	return balloon_error(virtio_balloon_statistics(dev, ret),
			     "Statistics for the balloon device are not enabled", err);
}

static const char no_hinting[] = "Free page hinting of the balloon device is not enabled";

int live_start_hinting(struct slots *s, bool acknowledge, struct error *err)
{
	struct virtio_dev *dev;

	if (!find_balloon(s, &dev, err))
		return -ENODEV;
	return balloon_error(virtio_balloon_hint_start(dev, acknowledge), no_hinting, err);
}

int live_stop_hinting(struct slots *s, struct error *err)
{
	struct virtio_dev *dev;

	if (!find_balloon(s, &dev, err))
		return -ENODEV;
	return balloon_error(virtio_balloon_hint_stop(dev), no_hinting, err);
}

int live_hinting(struct slots *s, struct virtio_balloon_hinting *ret, struct error *err)
{
	struct virtio_dev *dev;

	if (!find_balloon(s, &dev, err))
		return -ENODEV;
	return balloon_error(virtio_balloon_hint_status(dev, ret), no_hinting, err);
}

static const struct memory_hotplug_config *find_memory(struct slots *s, struct virtio_dev **dev,
						       struct error *err)
{
	const struct memory_hotplug_config *c = slots_find(s, SLOT_MEMORY, "memory", dev);

	if (!c)
		error_set(err, -ENODEV, NULL, "PUT /hotplug/memory before the start",
			  "This machine has no hot-pluggable memory.");
	return c;
}

int live_patch_memory(struct slots *s, uint64_t requested_mib, struct error *err)
{
	struct virtio_dev *dev;
	const struct memory_hotplug_config *c = find_memory(s, &dev, err);
	int r;

	if (!c)
		return -ENODEV;
	r = virtio_mem_request(dev, requested_mib);
	if (r == -ENODEV)
		return error_set(err, r, NULL, "does the guest's kernel have virtio_mem?",
				 "Device is not active");
	if (r < 0)
		return error_set(err, r, "requested_size_mib", "give a multiple of block_size_mib",
				 "Size %" PRIu64 " is invalid: it must be a multiple of block size "
				 "and less than the total size (MiB; they are %" PRIu64
				 " and %" PRIu64 ")",
				 requested_mib, c->block_size_mib, c->total_size_mib);
	return 0;
}

int live_memory_status(struct slots *s, struct virtio_mem_status *ret, struct error *err)
{
	struct virtio_dev *dev;

	if (!find_memory(s, &dev, err))
		return -ENODEV;
	virtio_mem_status(dev, ret);
	return 0;
}
