/* kind_place.c - where an instance runs, as its cell and its runtime are told.
 *
 * The place is chosen and held with processors and memory (books/seats.h); here it is only
 * read. One that floats is confined to what is shared from the beginning, where anything is
 * not; pin.c keeps that up to date.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/books/seats.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/wispd.h"

static int load_shared(struct truth *t, int node, struct launch_place *ret, struct error *err)
{
	cpu_set_t shared;
	int r = seats_shared(t, node, &shared, err);

	if (r < 0)
		return r;
	topology_list(&shared, ret->cpus, sizeof(ret->cpus));
	ret->anywhere = CPU_EQUAL(&shared, &t->topology->online);
	return 0;
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct launch_place *p = &l->place;
	struct place place;
	int r = d->truth.topology ? seats_find(&d->truth, i->id, &place, err) : 0;

	if (r < 0 || !d->truth.topology)
		return r;
	p->huge_pages = i->wish.huge_pages;
	if (place.node >= 0)
		snprintf(p->mems, sizeof(p->mems), "%d", place.node);
	if (!place.nvcpus)
		return load_shared(&d->truth, place.node, p, err);
	topology_list(&place.cpus, p->cpus, sizeof(p->cpus));
	p->nvcpus = place.nvcpus;
	memcpy(p->vcpu, place.vcpu, sizeof(p->vcpu));
	return 0;
}

const struct kind kind_place = {
	.name = "place",
	.load = load,
};
