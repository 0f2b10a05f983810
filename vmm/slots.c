/* slots.c - the virtio devices that a machine was configured with.
 *
 * One list in the order of the requests. The guest's order is: the root drive
 * first, so that it is /dev/vda, then by kind as the registry stands, then as
 * they were asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/life.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/net.h"
#include "devices/virtio/net_mac.h"
#include "devices/virtio/net_passt.h"
#include "devices/virtio/net_tap.h"
#include "devices/virtio/pmem.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vhost_blk.h"
#include "devices/virtio/vhost_fs.h"
#include "devices/virtio/vsock.h"
#include "vmm/slots.h"

struct kind {
	const char *name; /* the collection in the API */
	unsigned max;	  /* of one machine */
	size_t config_len;
	int (*create)(const void *config, struct virtio_dev **ret, struct error *err);
	void (*set_vcpus)(struct virtio_dev *dev, unsigned vcpus); /* NULL: no matter */
	/* Its device serves machine after machine: it is bound to something outside that
	 * must not be let go in between. A drive to the lock on its file, a console to its
	 * clients, a back end's device to the connection, with which virtiofsd ends. */
	bool outlives;
};

struct slot {
	enum slot_kind kind;
	char id[VM_ID_LEN + 1];
	void *config;		    /* owned */
	struct virtio_dev *dev;	    /* owned; NULL once a start took it */
	struct virtio_dev *running; /* the machine's; NULL while there is none */
};

struct slots {
	struct slot slot[VM_MAX_DEVICES];
	unsigned count;
};

static int create_drive(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct drive_config *c = config;
	struct virtio_blk_drive drive = {
		.path = c->path_on_host,
		.serial = c->drive_id,
		.read_only = c->is_read_only,
		.writeback = c->cache_type == CACHE_WRITEBACK,
		.async = c->io_engine != IO_ENGINE_SYNC,
		.direct = c->io_engine == IO_ENGINE_DIRECT,
		.limiter = c->rate_limiter,
	};

	if (c->socket[0])
		return vhost_blk_create(c->socket, drive.writeback, ret, err);
	return virtio_blk_create(&drive, ret, err);
}

static void set_drive_vcpus(struct virtio_dev *dev, unsigned vcpus)
{
	if (dev->ops->remote)
		vhost_user_set_queues(dev, vcpus);
	else
		virtio_blk_set_vcpus(dev, vcpus);
}

static int open_backend(const struct net_config *c, struct net_backend **ret, struct error *err)
{
	int r;

	if (c->passt_socket[0])
		return net_passt_connect(c->passt_socket, ret, err);
	r = net_tap_open(c->host_dev_name, ret, err);
	if (r == 0 && c->whole_frames)
		(*ret)->offloads = 0;
	return r;
}

static int create_net(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct net_config *c = config;
	struct virtio_net_options options = {
		.id = c->iface_id,
		.mtu = (uint16_t)c->mtu,
		.rx = c->rx_rate_limiter,
		.tx = c->tx_rate_limiter,
	};
	struct net_backend *backend;
	int r = 0;

	options.mac_is_made_up = !net_mac_parse(c->guest_mac, options.mac);
	if (options.mac_is_made_up)
		r = net_mac_random(options.mac);
	if (r < 0)
		return error_set(err, r, "guest_mac", "give one", "cannot make a MAC address");
	r = open_backend(c, &backend, err);
	if (r < 0)
		return r;
	r = virtio_net_create(&options, backend, ret);
	if (r < 0) {
		net_backend_destroy(backend);
		return error_set(err, r, NULL, NULL, "out of memory");
	}
	return 0;
}

static int create_pmem(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct pmem_config *c = config;
	struct virtio_pmem_options options = {
		.path = c->path_on_host,
		.read_only = c->read_only,
		.limits = c->rate_limiter,
	};

	return virtio_pmem_create(&options, ret, err);
}

static int create_entropy(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct entropy_config *c = config;
	int r = virtio_rng_create(&c->rate_limiter, ret);

	return r < 0 ? error_set(err, r, "entropy", NULL, "cannot create the entropy device") : 0;
}

static int create_balloon(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct balloon_config *c = config;
	struct virtio_balloon_options options = {
		.target_pages = (uint32_t)(c->amount_mib * VIRTIO_BALLOON_MIB),
		.deflate_on_oom = c->deflate_on_oom,
		.free_page_reporting = c->free_page_reporting,
		.free_page_hinting = c->free_page_hinting,
		.interval_s = (uint32_t)c->stats_polling_interval_s,
	};
	int r = virtio_balloon_create(&options, ret);

	return r < 0 ? error_set(err, r, "balloon", NULL, "cannot create the balloon") : 0;
}

static int create_vsock(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct vsock_config *c = config;

	return virtio_vsock_create((uint32_t)c->guest_cid, c->uds_path, ret, err);
}

static int create_shared_directory(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct shared_directory_config *c = config;

	return vhost_fs_create(c->tag, c->socket, ret, err);
}

static int create_memory(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct memory_hotplug_config *c = config;
	struct virtio_mem_options options = {
		.total_mib = c->total_size_mib,
		.block_mib = c->block_size_mib,
		.slot_mib = c->slot_size_mib,
	};
	int r = virtio_mem_create(&options, ret);

	return r < 0 ? error_set(err, r, "total_size_mib", "give less",
				 "cannot reserve address space for hot-plugged memory: %s",
				 strerror(-r))
		     : 0;
}

static int create_console(const void *config, struct virtio_dev **ret, struct error *err)
{
	const struct console_config *c = config;
	struct virtio_console_options options = {
		.uds_path = c->uds_path,
		.pty_path = c->pty_path,
		.history_bytes = (size_t)c->history_bytes,
		.limit = c->rate_limiter,
	};

	return virtio_console_create(&options, ret, err);
}

static const struct kind kinds[SLOT_KINDS] = {
	[SLOT_DRIVE] = { "drives", VM_MAX_DRIVES, sizeof(struct drive_config), create_drive,
			 set_drive_vcpus, true },
	[SLOT_NET] = { "network-interfaces", VM_MAX_NETS, sizeof(struct net_config), create_net,
		       virtio_net_set_vcpus },
	[SLOT_PMEM] = { "pmem", VM_MAX_PMEM, sizeof(struct pmem_config), create_pmem, NULL },
	[SLOT_ENTROPY] = { "entropy", 1, sizeof(struct entropy_config), create_entropy, NULL },
	[SLOT_BALLOON] = { "balloon", 1, sizeof(struct balloon_config), create_balloon, NULL },
	[SLOT_MEMORY] = { "hotplug/memory", 1, sizeof(struct memory_hotplug_config), create_memory,
			  NULL },
	[SLOT_VSOCK] = { "vsock", 1, sizeof(struct vsock_config), create_vsock, NULL },
	[SLOT_CONSOLE] = { "console", 1, sizeof(struct console_config), create_console, NULL,
			   true },
	[SLOT_SHARED_DIRECTORY] = { "shared-directories", VM_MAX_SHARED_DIRECTORIES,
				    sizeof(struct shared_directory_config), create_shared_directory,
				    NULL, true },
};

int slots_create(struct slots **ret)
{
	struct slots *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

static void slot_clear(struct slot *slot)
{
	virtio_dev_destroy(slot->dev);
	free(slot->config);
	*slot = (struct slot){ 0 };
}

void slots_destroy(struct slots *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->count; i++)
		slot_clear(&s->slot[i]);
	free(s);
}

static struct slot *find_slot(struct slots *s, enum slot_kind kind, const char *id)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (s->slot[i].kind == kind && strcmp(s->slot[i].id, id) == 0)
			return &s->slot[i];
	}
	return NULL;
}

static unsigned count_kind(const struct slots *s, enum slot_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->count; i++)
		n += s->slot[i].kind == kind;
	return n;
}

static int check_room(const struct slots *s, enum slot_kind kind, struct error *err)
{
	if (count_kind(s, kind) >= kinds[kind].max || s->count == VM_MAX_DEVICES)
		return error_set(err, -ENOSPC, kinds[kind].name, "remove or replace one",
				 "%s: a machine can have %u", kinds[kind].name, kinds[kind].max);
	return 0;
}

static int slot_fill(struct slot *slot, enum slot_kind kind, const char *id, const void *config,
		     struct error *err)
{
	int r;

	slot->kind = kind;
	strncpy(slot->id, id, VM_ID_LEN);
	slot->config = malloc(kinds[kind].config_len);
	if (!slot->config)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	memcpy(slot->config, config, kinds[kind].config_len);
	r = kinds[kind].create(slot->config, &slot->dev, err);
	if (r < 0)
		slot_clear(slot);
	return r;
}

int slots_put(struct slots *s, enum slot_kind kind, const char *id, const void *config,
	      struct error *err)
{
	struct slot *old = find_slot(s, kind, id);
	struct slot fresh = { 0 };
	int r = old ? 0 : check_room(s, kind, err);

	if (r < 0)
		return r;
	/* The old device holds its file or its socket, which may be the new one's too. */
	if (old) {
		virtio_dev_destroy(old->dev);
		old->dev = NULL;
	}
	r = slot_fill(&fresh, kind, id, config, err);
	if (r < 0)
		return r;
	if (old)
		slot_clear(old);
	else
		old = &s->slot[s->count++];
	*old = fresh;
	return 0;
}

static bool is_root(const struct slot *slot)
{
	const struct drive_config *c = slot->config;

	return slot->kind == SLOT_DRIVE && c->is_root_device;
}

/* Its place in the guest's order. */
static unsigned rank(const struct slot *slot)
{
	return is_root(slot) ? 0 : 1 + (unsigned)slot->kind;
}

/* The slots in the guest's order: a stable sort by rank of a few pointers. */
static void sort_slots(const struct slots *s, const struct slot *sorted[VM_MAX_DEVICES])
{
	for (unsigned i = 0; i < s->count; i++) {
		unsigned at = i;

		while (at > 0 && rank(sorted[at - 1]) > rank(&s->slot[i])) {
			sorted[at] = sorted[at - 1];
			at--;
		}
		sorted[at] = &s->slot[i];
	}
}

const void *slots_config(const struct slots *s, enum slot_kind kind, unsigned n)
{
	const struct slot *sorted[VM_MAX_DEVICES];

	sort_slots(s, sorted);
	for (unsigned i = 0; i < s->count; i++) {
		if (sorted[i]->kind == kind && n-- == 0)
			return sorted[i]->config;
	}
	return NULL;
}

void *slots_find(struct slots *s, enum slot_kind kind, const char *id, struct virtio_dev **dev)
{
	struct slot *slot = find_slot(s, kind, id);

	if (!slot)
		return NULL;
	*dev = slot->running;
	return slot->config;
}

static int make_missing(struct slots *s, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < s->count && r == 0; i++) {
		struct slot *slot = &s->slot[i];

		if (!slot->dev)
			r = kinds[slot->kind].create(slot->config, &slot->dev, err);
	}
	return r;
}

int slots_take(struct slots *s, unsigned vcpus, struct virtio_dev *devices[VM_MAX_DEVICES],
	       unsigned *count, struct error *err)
{
	const struct slot *sorted[VM_MAX_DEVICES];
	int r = make_missing(s, err);

	if (r < 0)
		return r;
	sort_slots(s, sorted);
	for (unsigned i = 0; i < s->count; i++) {
		devices[i] = sorted[i]->dev;
		if (kinds[sorted[i]->kind].set_vcpus)
			kinds[sorted[i]->kind].set_vcpus(devices[i], vcpus);
	}
	for (unsigned i = 0; i < s->count; i++) {
		s->slot[i].running = s->slot[i].dev;
		s->slot[i].dev = NULL;
	}
	*count = s->count;
	return 0;
}

static struct slot_device slot_device(const struct slot *slot)
{
	return (struct slot_device){ slot->kind, kinds[slot->kind].name, slot->id, slot->running };
}

bool slots_running(const struct slots *s, unsigned n, struct slot_device *ret)
{
	const struct slot *sorted[VM_MAX_DEVICES];

	sort_slots(s, sorted);
	if (n >= s->count || !sorted[n]->running)
		return false;
	*ret = slot_device(sorted[n]);
	return true;
}

bool slots_name(const struct slots *s, unsigned n, struct slot_name *ret)
{
	const struct slot *sorted[VM_MAX_DEVICES];

	if (n >= s->count)
		return false;
	sort_slots(s, sorted);
	*ret = (struct slot_name){
		.kind = kinds[sorted[n]->kind].name,
		.id = sorted[n]->id,
		.dev = sorted[n]->running,
	};
	return true;
}

int slots_plug(struct slots *s, enum slot_kind kind, const char *id, const void *config,
	       unsigned vcpus, struct virtio_dev **ret, struct error *err)
{
	struct slot *slot;
	int r;

	if (find_slot(s, kind, id))
		return error_set(err, -EEXIST, NULL, "DELETE it first, or PATCH it",
				 "%s \"%s\" is in use by the guest", kinds[kind].name, id);
	r = slots_put(s, kind, id, config, err);
	if (r < 0)
		return r;
	slot = find_slot(s, kind, id);
	if (kinds[kind].set_vcpus)
		kinds[kind].set_vcpus(slot->dev, vcpus);
	*ret = slot->running = slot->dev;
	slot->dev = NULL;
	return 0;
}

/* The place of a running device in the list; s->count: it is not there. */
static unsigned find_running(const struct slots *s, const struct virtio_dev *dev)
{
	unsigned i = 0;

	while (i < s->count && s->slot[i].running != dev)
		i++;
	return i;
}

void slots_remove(struct slots *s, const struct virtio_dev *dev)
{
	unsigned i = find_running(s, dev);

	if (i == s->count)
		return;
	slot_clear(&s->slot[i]);
	s->count--;
	memmove(&s->slot[i], &s->slot[i + 1], (s->count - i) * sizeof(s->slot[0]));
	s->slot[s->count] = (struct slot){ 0 };
}

bool slots_find_running(const struct slots *s, const struct virtio_dev *dev,
			struct slot_device *ret)
{
	unsigned i = find_running(s, dev);

	if (i < s->count)
		*ret = slot_device(&s->slot[i]);
	return i < s->count;
}

void slots_keep(struct slots *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct slot *slot = &s->slot[i];
		const struct kind *kind = &kinds[slot->kind];

		if (!slot->running || !kind->outlives)
			continue;
		slot->dev = slot->running;
		slot->dev->kept = true;
	}
}

void slots_take_back(struct slots *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct slot *slot = &s->slot[i];

		if (slot->dev)
			slot->dev->kept = false;
		slot->running = NULL;
	}
}

void slots_forget(struct slots *s)
{
	for (unsigned i = 0; i < s->count; i++)
		s->slot[i].running = NULL;
}
