/* devices.c - a machine's virtio devices: behind their transports, bound to KVM.
 *
 * A device's notifications reach it by ioeventfds and its interrupts leave it by
 * irqfds, so at speed a guest passes none of this code. Before the start both are
 * made in one go, after the memslots. Later a device that is plugged costs the
 * grace periods that machine.c avoids; that is the price of plugging.
 *
 * Notifications of a PCI device live in its BAR, which a guest may move. It does so
 * on a vCPU's thread with the bus's lock held, and that is where the ioeventfds are
 * bound anew. `bound` belongs to that lock while the device is on the bus. Where KVM
 * refuses one, the guest's write takes the way through the bus instead.
 *
 * A device leaves in three steps: the guest is asked, it ejects the slot (on a vCPU's
 * thread, which takes the device off the bus), and the main thread hears of it and
 * frees what is left. A guest that never answers keeps its device.
 */
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/life.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/pci.h"
#include "vmm/arch/arch.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/config.h"
#include "vmm/devices.h"
#include "vmm/snapshot/plugged.h"

enum {
	NOTIFY_LEN = 4, /* bytes of MMIO's QueueNotify */
	/* GSIs of a slot: a vector for each queue, one for the configuration. */
	SLOT_VECTORS = VIRTIO_MAX_QUEUES + 1,
};

struct place {
	struct devices *owner;
	unsigned index; /* of the window, or the slot */
	struct virtio_dev *dev;
	struct virtio_transport *transport; /* owns dev; NULL: the place is free */
	uint64_t bound; /* where the ioeventfds of a PCI device are; 0: nowhere */
};

struct devices {
	struct devices_config config;
	struct arch_pci pci;
	struct loop_source *ejected;
	struct place place[PCI_SLOTS];
};

_Static_assert((int)PCI_SLOTS >= (int)VM_MAX_DEVICES, "a place for each device");

/* --- PCI --- */

static uint32_t slot_gsi(const struct place *p)
{
	return p->owner->pci.first_gsi + (p->index - 1) * SLOT_VECTORS;
}

static int set_routes(void *ctx, const struct msix_route *routes, unsigned n)
{
	struct place *p = ctx;
	struct kvm_msi_route msi[SLOT_VECTORS];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!routes[i].used)
			continue;
		msi[count++] = (struct kvm_msi_route){
			.gsi = slot_gsi(p) + i,
			.address = routes[i].address,
			.data = routes[i].data,
		};
	}
	return gsi_table_replace(p->owner->config.gsi, slot_gsi(p), SLOT_VECTORS, msi, count);
}

static void unbind_notifications(struct place *p)
{
	for (unsigned q = 0; q < virtio_transport_nqueues(p->transport) && p->bound; q++)
		kvm_notify_unbind(p->owner->config.kvm, p->bound + virtio_pci_notify(q),
				  virtio_transport_kick_fd(p->transport, q));
	p->bound = 0;
}

static int bind_notifications(struct place *p, uint64_t base, struct error *err)
{
	int r = 0;

	p->bound = base;
	for (unsigned q = 0; q < virtio_transport_nqueues(p->transport) && r == 0; q++)
		r = kvm_notify_bind(p->owner->config.kvm, base + virtio_pci_notify(q),
				    virtio_transport_kick_fd(p->transport, q), err);
	return r;
}

/* On a vCPU's thread. */
static void on_moved(void *ctx, uint64_t base)
{
	struct place *p = ctx;
	struct error err = { 0 };

	unbind_notifications(p);
	if (bind_notifications(p, base, &err) < 0)
		log_guest("virtio-%s: notifications by way of the bus: %s",
			  virtio_transport_name(p->transport), err.text);
}

static const struct virtio_pci_ops pci_ops = { { set_routes }, on_moved };

static int connect_pci(struct place *p, struct error *err)
{
	const struct devices_config *c = &p->owner->config;
	int r = bind_notifications(p, pci_bus_bar(c->pci, p->index), err);

	for (unsigned v = 0; v < virtio_pci_vectors(p->transport) && r == 0; v++)
		r = kvm_irqfd(c->kvm, slot_gsi(p) + v, virtio_pci_vector_fd(p->transport, v), err);
	return r;
}

/* What KVM still holds of a device that is off the bus. */
static void disconnect_pci(struct place *p)
{
	const struct devices_config *c = &p->owner->config;

	unbind_notifications(p);
	for (unsigned v = 0; v < virtio_pci_vectors(p->transport); v++)
		kvm_irqfd_release(c->kvm, slot_gsi(p) + v, virtio_pci_vector_fd(p->transport, v));
	set_routes(p, NULL, 0);
}

static int create_pci(struct place *p, struct error *err)
{
	int r = virtio_pci_create(p->dev, p->owner->config.mem, &pci_ops, p, &p->transport);

	return r < 0 ? error_set(err, r, NULL, NULL, "cannot create a virtio device: %s",
				 strerror(-r))
		     : 0;
}

/* --- MMIO --- */

static int create_mmio(struct place *p, struct error *err)
{
	const struct devices_config *c = &p->owner->config;
	struct arch_virtio_window window;
	int r;

	if (!arch_virtio_window(p->index, &window))
		return error_set(err, -ENOSPC, NULL, "remove a device, or give --enable-pci",
				 "this machine has room for %u virtio devices", p->index);
	r = virtio_mmio_create(p->dev, c->mem, &p->transport);
	if (r == 0)
		r = bus_add(c->mmio, window.base, window.len, &virtio_mmio_bus_ops, p->transport);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot create a virtio device: %s",
				 strerror(-r))
		     : 0;
}

static int connect_mmio(struct place *p, struct error *err)
{
	const struct devices_config *c = &p->owner->config;
	struct arch_virtio_window window;
	int r = 0;

	arch_virtio_window(p->index, &window);
	for (unsigned q = 0; q < virtio_transport_nqueues(p->transport) && r == 0; q++)
		r = kvm_ioeventfd(c->kvm, window.base + VIRTIO_MMIO_QUEUE_NOTIFY, NOTIFY_LEN, q,
				  virtio_transport_kick_fd(p->transport, q), err);
	return r < 0 ? r : kvm_irqfd(c->kvm, window.gsi, virtio_mmio_irq_fd(p->transport), err);
}

/* --- both --- */

static bool is_pci(const struct devices *d)
{
	return d->config.pci;
}

/* The guest sees a PCI device from the end of this on, and not before all is bound: it
 * may look for one at any time. */
static int connect(struct place *p, struct error *err)
{
	const struct devices_config *c = &p->owner->config;
	int r = is_pci(p->owner) ? connect_pci(p, err) : connect_mmio(p, err);

	if (r < 0)
		return r;
	r = virtio_transport_attach_lanes(p->transport, c->lanes);
	if (r == 0 && is_pci(p->owner))
		r = pci_bus_plug(c->pci, p->index, virtio_pci_function(p->transport));
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot connect a virtio device: %s",
				 strerror(-r))
		     : 0;
}

/* The first place that is free; NULL: none is. */
static struct place *free_place(struct devices *d)
{
	for (unsigned i = is_pci(d) ? 1 : 0; i < PCI_SLOTS; i++) {
		if (!d->place[i].transport)
			return &d->place[i];
	}
	return NULL;
}

/* Empties a place: its device is off the bus and KVM has let go, or will not deliver
 * any more. */
static void clear(struct place *p)
{
	virtio_transport_destroy(p->transport);
	p->transport = NULL;
	p->dev = NULL;
}

/* A place for dev. Takes dev in any case; NULL: there is no room. */
static struct place *take_place(struct devices *d, struct virtio_dev *dev, struct error *err)
{
	struct place *p = free_place(d);

	if (p) {
		p->dev = dev;
		return p;
	}
	virtio_dev_destroy(dev);
	error_set(err, -ENOSPC, NULL, "remove a device",
		  "Could not find an available device slot on the PCI bus.");
	return NULL;
}

/* The transport of a place's device; on failure the place is free again. */
static int create(struct place *p, struct error *err)
{
	int r = is_pci(p->owner) ? create_pci(p, err) : create_mmio(p, err);

	if (r < 0 && !p->transport)
		virtio_dev_destroy(p->dev);
	if (r < 0)
		clear(p);
	return r;
}

int devices_add(struct devices *d, struct virtio_dev *dev, struct error *err)
{
	struct place *p = take_place(d, dev, err);

	return p ? create(p, err) : -ENOSPC;
}

int devices_add_at(struct devices *d, struct virtio_dev *dev, unsigned place, struct error *err)
{
	struct place *p = place < PCI_SLOTS ? &d->place[place] : NULL;

	if (!p || p->transport || (is_pci(d) && place == 0)) {
		virtio_dev_destroy(dev);
		return error_set(err, -EBADMSG, NULL, NULL, "The state puts a device into place %u",
				 place);
	}
	p->dev = dev;
	return create(p, err);
}

int devices_place(const struct devices *d, const struct virtio_dev *dev)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (d->place[i].transport && d->place[i].dev == dev)
			return (int)i;
	}
	return -ENODEV;
}

/* --- saved and loaded --- */

static void transport_state(struct place *p, struct state *s)
{
	struct pci_bus *pci = p->owner->config.pci;

	state_begin(s, STATE_TRANSPORT, p->index);
	if (pci)
		pci_bus_state(pci, p->index, s);
	if (p->transport && !state_failed(s))
		virtio_transport_state(p->transport, s);
	state_end(s);
}

void devices_save_blocks(const struct devices *d, struct state *s)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		const struct place *p = &d->place[i];

		if (p->transport && p->dev->ops->hand_over)
			plugged_save(p->dev->ops->hand_over(p->dev), s, i);
	}
}

static int check_savable(const struct devices *d, struct error *err)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		const struct place *p = &d->place[i];

		if (p->transport && p->dev->ops->section == STATE_NO_SECTION)
			return error_set(err, -EOPNOTSUPP, NULL, "do without it",
					 "A machine with a virtio-%s device cannot be saved",
					 p->dev->ops->name);
	}
	return 0;
}

/* All of one kind, since a state has its sections in the order of the kinds. */
static void kind_state(struct devices *d, unsigned section, struct state *s)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		struct place *p = &d->place[i];

		if (p->transport && p->dev->ops->section == section)
			virtio_transport_device_state(p->transport, s, i);
	}
}

int devices_state(struct devices *d, struct state *s, struct error *err)
{
	int r = check_savable(d, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (d->place[i].transport || (is_pci(d) && i == 0))
			transport_state(&d->place[i], s);
	}
	for (size_t k = 0; k < state_kinds_count; k++)
		kind_state(d, state_kinds[k].type, s);
	return state_error(s, err);
}

void devices_wake(struct devices *d)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (d->place[i].transport)
			virtio_transport_wake(d->place[i].transport);
	}
}

/* --- coming and going --- */

static void remove_device(struct place *p)
{
	struct devices *d = p->owner;

	disconnect_pci(p);
	if (p->dev->ops->hand_over)
		window_withdraw(p->dev->ops->hand_over(p->dev));
	d->config.gone.fn(d->config.gone.ctx, p->dev);
	clear(p);
}

static void on_ejected(void *arg, uint32_t events)
{
	struct devices *d = arg;
	uint32_t slots;

	(void)events;
	fd_event_drain(pci_hotplug_fd(d->config.hotplug));
	slots = pci_hotplug_take_ejected(d->config.hotplug);
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (slots >> i & 1)
			remove_device(&d->place[i]);
	}
}

/* While the guest runs. A thread that the device is the first to need is there before the
 * guest finds it. */
static int connect_at_once(struct place *p, struct error *err)
{
	struct lanes *lanes = p->owner->config.lanes;
	int r;

	lanes_hold(lanes);
	r = connect(p, err);
	if (r == 0)
		r = lanes_start(lanes);
	lanes_release(lanes);
	return r;
}

int devices_plug(struct devices *d, struct virtio_dev *dev, struct error *err)
{
	struct place *p = take_place(d, dev, err);
	int r = p ? create(p, err) : -ENOSPC;

	if (r < 0)
		return r;
	r = connect_at_once(p, err);
	if (r < 0) {
		disconnect_pci(p);
		clear(p);
		return r;
	}
	pci_hotplug_announce(d->config.hotplug, p->index);
	return 0;
}

int devices_ask_back(struct devices *d, const struct virtio_dev *dev)
{
	for (unsigned i = 0; i < PCI_SLOTS && is_pci(d); i++) {
		if (d->place[i].dev != dev)
			continue;
		pci_hotplug_ask_back(d->config.hotplug, i);
		return 0;
	}
	return -ENODEV;
}

/* --- all of them --- */

int devices_create(const struct devices_config *config, struct devices **ret)
{
	struct devices *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->config = *config;
	arch_pci(&d->pci);
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		d->place[i] = (struct place){ .owner = d, .index = i };
	*ret = d;
	return 0;
}

void devices_destroy(struct devices *d)
{
	if (!d)
		return;
	loop_source_remove(d->ejected);
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		clear(&d->place[i]);
	free(d);
}

int devices_connect(struct devices *d, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < PCI_SLOTS && r == 0; i++) {
		if (d->place[i].transport)
			r = connect(&d->place[i], err);
	}
	if (r < 0 || !is_pci(d))
		return r;
	r = loop_add(d->config.loop, pci_hotplug_fd(d->config.hotplug), EPOLLIN, on_ejected, d,
		     &d->ejected);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot watch for devices that go") : 0;
}

void devices_pause(struct devices *d)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (d->place[i].transport)
			virtio_transport_pause(d->place[i].transport);
	}
}

void devices_resume(struct devices *d)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (d->place[i].transport)
			virtio_transport_resume(d->place[i].transport);
	}
}
