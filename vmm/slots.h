/* slots.h - the virtio devices that a machine was configured with.
 *
 * A slot is one device of a kind, under an id: what its user asked for, and the
 * device made from it. The device is made when the slot is filled, so that a
 * wrong path is refused by the request that names it; a start takes it, and a
 * start that failed leaves the slot to make it anew. The slot still knows the device
 * that it gave away, for what is changed while the guest runs. Main thread.
 */
#ifndef VMM_SLOTS_H
#define VMM_SLOTS_H

#include "devices/virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/config.h"

/* A kind of device. slots.c has the registry: one line a kind. */
enum slot_kind {
	SLOT_DRIVE,
	SLOT_NET,
	SLOT_PMEM,
	SLOT_ENTROPY,
	SLOT_BALLOON,
	SLOT_VSOCK,
	SLOT_MEMORY,
	SLOT_CONSOLE,
	SLOT_SHARED_DIRECTORY,
	SLOT_KINDS
};

struct slots;

int slots_create(struct slots **ret);
void slots_destroy(struct slots *s); /* accepts NULL */

/* Fills or replaces the slot of this kind and id. config is the kind's own
 * (struct drive_config ...), copied. A failure keeps the old
 * configuration, whose device is then made anew by slots_take(). */
int slots_put(struct slots *s, enum slot_kind kind, const char *id, const void *config,
	      struct error *err);

/* The configuration of the n-th slot of a kind, in the guest's order, or NULL. */
const void *slots_config(const struct slots *s, enum slot_kind kind, unsigned n);

/* The configuration of the slot of this kind and id, to be kept in step with its
 * device: *dev, the machine's, or NULL while none runs. NULL: no such slot. */
void *slots_find(struct slots *s, enum slot_kind kind, const char *id, struct virtio_dev **dev);

/* Hands over all devices, for a machine of this many vCPUs and in the guest's order,
 * making again those that an earlier start took. On failure nothing is handed over. */
int slots_take(struct slots *s, unsigned vcpus, struct virtio_dev *devices[VM_MAX_DEVICES],
	       unsigned *count, struct error *err);

struct slot_device {
	enum slot_kind kind;
	const char *collection, *id; /* in the API; the slots' own */
	struct virtio_dev *dev;
};

/* The n-th device of the running machine, in the guest's order. False past the last. */
bool slots_running(const struct slots *s, unsigned n, struct slot_device *ret);

/* The device of the running machine that dev is. False: it has none such. */
bool slots_find_running(const struct slots *s, const struct virtio_dev *dev,
			struct slot_device *ret);

/* A slot more for the machine that runs, of a kind that can be plugged: *ret is the
 * device, handed over. -EEXIST when the id is taken. */
int slots_plug(struct slots *s, enum slot_kind kind, const char *id, const void *config,
	       unsigned vcpus, struct virtio_dev **ret, struct error *err);

/* The n-th device in the guest's order: its kind's name in the API, its id, and the
 * machine's device, NULL while none runs. False past the last one. */
struct slot_name {
	const char *kind, *id;
	const struct virtio_dev *dev;
};
bool slots_name(const struct slots *s, unsigned n, struct slot_name *ret);

/* The running machine is without this device now, and so is its slot. */
void slots_remove(struct slots *s, const struct virtio_dev *dev);

/* Before a machine is destroyed whose devices another one is to have: those of kinds that
 * outlive it (drives, whose locks stay, and the console) are only let go. After that, takes
 * them back; the others are made anew by slots_take(). */
void slots_keep(struct slots *s);
void slots_take_back(struct slots *s);

/* The machine that took the devices is gone, and they with it. */
void slots_forget(struct slots *s);

#endif
