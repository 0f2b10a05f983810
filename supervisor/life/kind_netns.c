/* kind_netns.c - a network namespace that an instance was given (network/netns.h): its VMM is in
 * there, with the one interface that it has.
 *
 * What that is like is read anew each time: it is its owner's. If it cannot be read the start
 * says so; what goes on without, does.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "supervisor/life/identity.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/network/given.h"
#include "supervisor/wispd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	return given_drop(&d->truth, i, err);
}

/* The first of IPv4. */
static void tell_address(const struct instance *i, struct launch *l)
{
	const struct netns_link *link = &l->given_link;
	unsigned n = 0;

	while (n < link->naddresses && link->addresses[n].address.family != AF_INET)
		n++;
	if (n < link->naddresses)
		identity_tell_kernel(l, i->name, &link->addresses[n].address, &link->gateway4,
				     link->addresses[n].bits, NULL);
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct launch_net *net = &l->nets[0];
	struct error ignored;
	int r = given_load(&d->truth, i->id, &l->given, err);

	if (r < 0 || !l->given.path[0])
		return r;
	snprintf(l->netns, sizeof(l->netns), "%s", l->given.path);
	(void)netns_read(&l->given, &l->given_link, &ignored);
	l->nnets = 1;
	snprintf(net->id, sizeof(net->id), "eth0");
	snprintf(net->lease.link, sizeof(net->lease.link), "%s", l->given.tap);
	snprintf(net->lease.mac, sizeof(net->lease.mac), "%s", l->given_link.mac);
	net->mtu = l->given_link.mtu;
	tell_address(i, l);
	return 0;
}

static int attach(struct launch *l, struct error *err)
{
	struct netns_link link;
	int r;

	if (!l->given.path[0])
		return 0;
	/* What the guest is told was read before: now it must be there. */
	r = netns_read(&l->given, &link, err);
	if (r == 0 && !l->given_link.found)
		r = error_set(err, -EAGAIN, "netns", "start it again", "%.200s has just been made",
			      l->given.path);
	return r < 0 ? r : netns_attach(&l->given, l->uid, l->vcpus > 1, err);
}

static int detach(struct launch *l, struct error *err)
{
	return l->given.path[0] ? netns_detach(&l->given, err) : 0;
}

const struct kind kind_netns = {
	.name = "netns",
	.release = release,
	.load = load,
	.attach = attach,
	.detach = detach,
};
