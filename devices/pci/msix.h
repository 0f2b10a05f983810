/* msix.h - MSI-X: a table of messages, a mask for each, and what is pending (PCI
 * Local Bus 3.0, 6.8.2).
 *
 * Each vector is an eventfd that the VMM binds as an irqfd to an interrupt of KVM's,
 * and a message that KVM delivers for it. A masked vector is not signalled: it
 * waits in the pending bits, and the kernel never hears of it.
 *
 * Every call but create and destroy needs the lock of the device that owns it; any
 * thread.
 */
#ifndef DEVICES_PCI_MSIX_H
#define DEVICES_PCI_MSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/snapshot/state.h"

enum {
	MSIX_ENTRY_LEN = 16,   /* bytes of the table, a vector */
	MSIX_MAX_VECTORS = 64, /* so that the pending bits are one number */
};

/* What a vector delivers. */
struct msix_route {
	bool used; /* false: nothing, and the rest is 0 */
	uint64_t address;
	uint32_t data;
};

/* Told of the routes of all vectors, in order, when KVM must know of a change, and
 * otherwise not: one KVM_SET_GSI_ROUTING serves all that changed since the last
 * call. 0, or a negative errno, after which the next occasion tries again. */
struct msix_ops {
	int (*set_routes)(void *ctx, const struct msix_route *routes, unsigned n);
};

struct msix;

/* With 1 to MSIX_MAX_VECTORS vectors, all masked. remote: another process signals the
 * eventfds. ops must outlive it. 0 and *ret, -EINVAL, or another negative errno. */
int msix_create(unsigned vectors, bool remote, const struct msix_ops *ops, void *ctx,
		struct msix **ret);
void msix_destroy(struct msix *m); /* accepts NULL */

unsigned msix_vectors(const struct msix *m);

/* The eventfd of vector v < msix_vectors(). Owned by m. */
int msix_fd(const struct msix *m, unsigned v);

/* The Message Control register was written: PCI_MSIX_FLAGS_*. */
void msix_set_control(struct msix *m, uint16_t flags);
bool msix_enabled(const struct msix *m);

/* Whether interrupts may come. Until they do, changes are kept for the moment when
 * this becomes true; from then on each is told as it is made. */
void msix_set_live(struct msix *m, bool live);

/* Delivers vector v, or keeps it pending; nothing when v does not exist or MSI-X is
 * off. */
void msix_raise(struct msix *m, unsigned v);

/* The table and the pending bits, at offsets from their starts. Aligned accesses of 4
 * or 8 bytes: false for any other, which reads 0 or is lost. */
bool msix_table_read(const struct msix *m, uint64_t off, void *data, size_t len);
bool msix_table_write(struct msix *m, uint64_t off, const void *data, size_t len);
bool msix_pending_read(const struct msix *m, uint64_t off, void *data, size_t len);

/* Saves or loads table and pending bits. Loading: before msix_set_control() and
 * msix_set_live(). */
void msix_state(struct msix *m, struct state *s);

#endif
