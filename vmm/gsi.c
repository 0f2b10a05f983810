/* gsi.c - the messages behind KVM's interrupts.
 *
 * The lock is held across the call to KVM: two owners that change their parts at
 * once must not overtake each other with a table that lacks the other's change.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/gsi.h"

struct gsi_table {
	const struct kvm *kvm;
	pthread_mutex_t lock;
	bool held; /* KVM is told later */
	bool used[KVM_MAX_ROUTES];
	struct kvm_msi_route route[KVM_MAX_ROUTES]; /* by GSI; of those that are used */
};

int gsi_table_create(const struct kvm *kvm, struct gsi_table **ret)
{
	struct gsi_table *t = malloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	/* The routes' pages are touched when there are routes. */
	memset(t, 0, offsetof(struct gsi_table, route));
	t->kvm = kvm;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void gsi_table_destroy(struct gsi_table *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int tell_kvm(const struct gsi_table *t)
{
	struct kvm_msi_route routes[KVM_MAX_ROUTES];
	unsigned count = 0;

	for (unsigned i = 0; i < KVM_MAX_ROUTES; i++) {
		if (t->used[i])
			routes[count++] = t->route[i];
	}
	return kvm_set_routes(t->kvm, routes, count);
}

int gsi_table_replace(struct gsi_table *t, uint32_t first, unsigned span,
		      const struct kvm_msi_route *routes, unsigned count)
{
	int r;

	if (first > KVM_MAX_ROUTES || span > KVM_MAX_ROUTES - first)
		return -EINVAL;
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < span; i++)
		t->used[first + i] = false;
	for (unsigned i = 0; i < count; i++) {
		t->used[routes[i].gsi] = true;
		t->route[routes[i].gsi] = routes[i];
	}
	r = t->held ? 0 : tell_kvm(t);
	pthread_mutex_unlock(&t->lock);
	return r;
}

void gsi_table_hold(struct gsi_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->held = true;
	pthread_mutex_unlock(&t->lock);
}

int gsi_table_release(struct gsi_table *t)
{
	int r;

	pthread_mutex_lock(&t->lock);
	t->held = false;
	r = tell_kvm(t);
	pthread_mutex_unlock(&t->lock);
	return r;
}
