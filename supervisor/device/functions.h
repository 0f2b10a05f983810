/* functions.h - virtual functions of a device (SR-IOV): made, set up and taken away.
 *
 * An admin says how many a physical function is to have, and of a network device what each is
 * on the wire: its MAC address, its VLAN, whether it is trusted. That is a row, which is made
 * true at once and after each boot of the host. The host's own drivers leave them alone:
 * they are for guests. Nothing is changed while a guest has one.
 */
#ifndef SUPERVISOR_DEVICE_FUNCTIONS_H
#define SUPERVISOR_DEVICE_FUNCTIONS_H

#include "supervisor/device/inventory.h"
#include "supervisor/network/link.h"
#include "vmm/base/error.h"

enum { FUNCTIONS_LINKS_MAX = 64 };

struct wispd;

struct functions {
	char address[PCI_ADDRESS_BYTES]; /* of the physical one */
	unsigned count;			 /* 0: they are taken away */
	unsigned nlinks;		 /* of the first of them; only of a network device */
	struct link_function link[FUNCTIONS_LINKS_MAX];
};

/* Makes it so; bears to be repeated. Any thread. -ENOTSUP: its driver can make none. */
int functions_apply(const char *root, const struct functions *f, struct error *err);

/* Loop thread, within a transaction: the row, and an event. -ENOENT: no such device; -ERANGE:
 * it cannot have so many; -EBUSY: a guest has one, or the device itself. */
int functions_write(struct wispd *d, const struct functions *f, const char *actor,
		    struct error *err);
/* It could not be made so. */
int functions_forget(struct wispd *d, const char *address, struct error *err);

/* Loop thread, when wispd starts: makes what the host's boot has forgotten. How many devices
 * were set up, or a negative errno; one that cannot be is only told of. */
int functions_sweep(struct wispd *d, struct error *err);

#endif
