/* kind_network.c - the interfaces of an instance: leased for its life, wired for each run.
 *
 * The first one's address is told to the guest's kernel by its command line (ip=), if that is
 * built to configure itself; the initrds of some distributions read it, too. An agent is told
 * all (identity.h); without one the others' are the guest's own matter: the API tells them. In a
 * network that gives addresses when guests ask, nobody is told.
 */
#include <stdio.h>

#include "supervisor/life/identity.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/network/dnsmasq.h"
#include "supervisor/network/lease.h"
#include "supervisor/network/ovs.h"
#include "supervisor/network/passt.h"
#include "supervisor/network/wire.h"
#include "supervisor/wispd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	return lease_drop(&d->truth, i, err);
}

/* Who knows names is told with it. */
static void tell_address(const struct instance *i, const struct lease *lease, struct launch *l)
{
	const struct prefix *prefix = &lease->network.prefix4;
	struct address gateway = prefix_address(prefix, NETWORK_GATEWAY);

	identity_tell_kernel(l, i->name, &lease->address4, &gateway, prefix->bits,
			     lease->network.dns ? &gateway : NULL);
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct lease leases[LEASES_MAX];
	int count = lease_load(&d->truth, i->id, leases, err);

	if (count <= 0)
		return count;
	network_tag(&d->truth, l->tag);
	l->firewall = d->firewall;
	for (int n = 0; n < count && l->nnets < LAUNCH_NETS_MAX; n++) {
		struct launch_net *net = &l->nets[l->nnets];

		snprintf(net->id, sizeof(net->id), "eth%u", l->nnets++);
		net->lease = leases[n];
	}
	if (leases[0].network.addressing == NETWORK_TOLD)
		tell_address(i, &leases[0], l);
	return 0;
}

static int attach_one(const struct launch *l, const struct launch_net *n, struct error *err)
{
	int r = wire_attach(l->config, l->firewall, l->tag, &n->lease, l->uid, l->vcpus > 1, err);

	if (r == 0)
		r = dnsmasq_attach(l->config, l->tag, &n->lease, l->name, err);
	return r == 0 && n->lease.network.mode == NETWORK_PASST ? passt_begin(l, n, err) : r;
}

static int attach(struct launch *l, struct error *err)
{
	int r = 0;

	/* Its one interface is another's (kind_netns.c). */
	if (l->given.path[0])
		return 0;
	for (unsigned i = 0; i < l->nnets && r == 0; i++)
		r = attach_one(l, &l->nets[i], err);
	return r;
}

int kind_network_change(const struct launch *l, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->nnets && r == 0 && !l->given.path[0]; i++)
		if (lease_is_special(&l->nets[i].lease))
			r = wire_change(l->config, l->firewall, l->tag, &l->nets[i].lease, err);
	return r;
}

static int detach_one(const struct launch *l, const struct launch_net *n, struct error *err)
{
	int r = n->lease.network.mode == NETWORK_PASST ? passt_end(l, n, err) : 0;

	if (r == 0)
		r = dnsmasq_detach(l->config, &n->lease, err);
	return r < 0 ? r : wire_detach(l->config, l->firewall, l->tag, &n->lease, err);
}

static int detach(struct launch *l, struct error *err)
{
	struct error later;
	int first = 0;

	for (unsigned i = 0; i < l->nnets && !l->given.path[0]; i++) {
		int r = detach_one(l, &l->nets[i], first ? &later : err);

		first = first ? first : r;
	}
	return first;
}

int kind_network_rename(struct wispd *d, const char *instance, struct error *err)
{
	struct lease leases[LEASES_MAX];
	struct instance i;
	int count = lease_load(&d->truth, instance, leases, err);
	int r = count <= 0 ? count : instance_load(&d->truth, instance, &i, err);

	for (int n = 0; n < count && r == 0; n++)
		r = dnsmasq_rename(&d->config, &leases[n], i.name, err);
	return r;
}

/* It may have got another name meanwhile, and what was a blank got one at all. */
static int report(struct wispd *d, const struct launch *l, struct error *err)
{
	for (unsigned i = 0; i < l->nnets; i++)
		if (l->nets[i].lease.network.dns)
			return kind_network_rename(d, l->id, err);
	return 0;
}

static int sweep(struct wispd *d, struct error *err)
{
	int links = wire_restore(d, err), ports = links < 0 ? links : ovs_restore(d, err);
	int files = ports < 0 ? ports : dnsmasq_restore(d, err);

	return files < 0 ? files : links + ports + files;
}

const struct kind kind_network = {
	.name = "network",
	.release = release,
	.load = load,
	.attach = attach,
	.detach = detach,
	.report = report,
	.sweep = sweep,
};
