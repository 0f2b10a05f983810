/* gsi.h - the messages behind KVM's interrupts (GSIs), all in one table.
 *
 * KVM takes a machine's whole table at once, so whoever owns some of the interrupts
 * (the I/O APIC its pins, a PCI device its vectors) replaces its part here, and
 * each replacement is one KVM_SET_GSI_ROUTING. Any thread.
 */
#ifndef VMM_GSI_H
#define VMM_GSI_H

#include "vmm/kvm.h"

struct gsi_table;

/* kvm must outlive it. 0 and *ret, or -ENOMEM. */
int gsi_table_create(const struct kvm *kvm, struct gsi_table **ret);
void gsi_table_destroy(struct gsi_table *t); /* accepts NULL */

/* The interrupts from `first` on, `span` of them, deliver these routes and nothing
 * else. 0, -EINVAL for interrupts past KVM_MAX_ROUTES, or what KVM answers: the next
 * replacement then offers these routes, too. */
int gsi_table_replace(struct gsi_table *t, uint32_t first, unsigned span,
		      const struct kvm_msi_route *routes, unsigned count);

/* Between the two, replacements are only noted; the second tells KVM of all at once. */
void gsi_table_hold(struct gsi_table *t);
int gsi_table_release(struct gsi_table *t);

#endif
