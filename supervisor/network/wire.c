/* wire.c - links and rules of networks, in the order in which they may come and go. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/books/store.h"
#include "supervisor/network/classes.h"
#include "supervisor/network/dnsmasq.h"
#include "supervisor/network/firewall.h"
#include "supervisor/network/link.h"
#include "supervisor/network/ovs.h"
#include "supervisor/network/rules.h"
#include "supervisor/network/wire.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { HOST_BITS_4 = 32, HOST_BITS_6 = 128, OPTION_BYTES = 64 };

/* --- rules --- */

static int add_lease(struct firewall *f, const char *tag, const struct lease *l, bool classes,
		     struct error *err)
{
	struct firewall_text text;
	int r = 0;

	firewall_begin(&text);
	if (text.out) {
		rules_print_network(tag, &l->network, text.out);
		r = rules_print_lease(tag, l, text.out, err);
	}
	if (text.out && classes) {
		classes_print_base(tag, text.out);
		classes_print_network(tag, &l->network, text.out);
		classes_print_lease(tag, l, text.out);
	}
	if (r == 0)
		return firewall_apply(f, &text, err);
	firewall_drop(&text);
	return r;
}

/* Of a guest with a tap that can be counted. */
static int add_counted_lease(struct firewall *f, const char *tag, const struct lease *l,
			     struct error *err)
{
	int r = add_lease(f, tag, l, true, err);

	if (r == 0)
		return 0;
	log_warn("Traffic of %s is not counted by class: %s", l->instance, err->text);
	return add_lease(f, tag, l, false, err);
}

static int change_lease(struct firewall *f, const char *tag, const struct lease *l,
			struct error *err)
{
	struct firewall_text text;
	int r = 0;

	firewall_begin(&text);
	if (text.out)
		r = rules_change_lease(tag, l, text.out, err);
	if (r == 0)
		return firewall_apply(f, &text, err);
	firewall_drop(&text);
	return r;
}

/* For itself, since it is refused where counting was. */
static int stop_counting(struct firewall *f, const char *tag, const struct lease *l,
			 struct error *err)
{
	struct firewall_text text;

	firewall_begin(&text);
	if (text.out) {
		classes_print_base(tag, text.out);
		classes_remove_lease(tag, l, text.out);
	}
	return firewall_apply_later(f, &text, err);
}

/* Nobody waits for it: where there is no link, its rules are for nobody. */
static int remove_lease(struct firewall *f, const char *tag, const struct lease *l,
			struct error *err)
{
	struct firewall_text text;
	int r = 0;

	firewall_begin(&text);
	if (text.out)
		r = rules_remove_lease(tag, l, text.out, err);
	if (r == 0)
		r = firewall_apply_later(f, &text, err);
	else
		firewall_drop(&text);
	return r < 0 || !network_is_classed(&l->network) ? r : stop_counting(f, tag, l, err);
}

static int remove_rules(struct firewall *f, const char *tag, const struct network *n,
			struct error *err)
{
	struct firewall_text text;

	firewall_begin(&text);
	if (n->last)
		text.tables = FIREWALL_AWAY;
	else if (text.out)
		rules_remove_network(tag, n, text.out);
	return firewall_apply(f, &text, err);
}

static void remove_classes(struct firewall *f, const char *tag, const struct network *n)
{
	struct firewall_text text;
	struct error err;

	firewall_begin(&text);
	if (n->last)
		text.tables = FIREWALL_AWAY;
	if (text.out && n->last)
		classes_remove_all(tag, text.out);
	if (text.out && !n->last) {
		classes_print_base(tag, text.out);
		classes_remove_network(tag, n, text.out);
	}
	if (firewall_apply(f, &text, &err) < 0)
		log_warn("%s", err.text);
}

/* --- links --- */

static int set_option(const char *folder, const char *link, const char *option, const char *value,
		      struct error *err)
{
	char file[OPTION_BYTES];

	snprintf(file, sizeof(file), "%s/%s/%s", folder, link, option);
	return link_set_option(file, value, err);
}

static int let_forward(const struct network *n, struct error *err)
{
	int r = link_set_option("ipv4/ip_forward", "1", err);

	if (r == 0 && n->prefix6.base.family)
		r = set_option("ipv6/conf", "all", "forwarding", "1", err);
	return r;
}

/* The host's own addresses there; of a routed network they are those of each line. */
static int add_gateways(const struct network *n, const char *link, struct error *err)
{
	struct address gateway4 = prefix_address(&n->prefix4, NETWORK_GATEWAY);
	struct address gateway6 = prefix_address(&n->prefix6, NETWORK_GATEWAY);
	bool bridge = network_has_bridge(n);
	int r = link_add_address(link, &gateway4, bridge ? n->prefix4.bits : HOST_BITS_4, err);

	if (r == 0 && gateway6.family)
		r = link_add_address(link, &gateway6, bridge ? n->prefix6.bits : HOST_BITS_6, err);
	return r;
}

/* A bridge's MAC address stays, whoever comes and goes. */
static void mac_of_bridge(const struct network *n, char mac[MAC_BYTES])
{
	struct address gateway = prefix_address(&n->prefix4, NETWORK_GATEWAY);

	lease_mac(&gateway, mac);
}

static int dress_bridge(const struct network *n, const char *name, struct error *err)
{
	int r = 0;

	if (n->prefix6.base.family)
		r = set_option("ipv6/conf", name, "accept_ra", "0", err);
	return r < 0 ? r : add_gateways(n, name, err);
}

static int join_bridge(const char *tag, const struct lease *l, struct error *err)
{
	char bridge[LINK_BYTES], mac[MAC_BYTES];
	int r;

	network_link(tag, l->network.n, bridge);
	mac_of_bridge(&l->network, mac);
	r = link_make_bridge(bridge, mac, err);
	if (r == 0)
		r = dress_bridge(&l->network, bridge, err);
	if (r == 0)
		r = link_join(l->link, bridge, err);
	return r < 0 ? r : link_set_up(l->link, err);
}

/* The host's stack, which may see what a guest sends there (ovs.h), says nothing. */
static int join_switch(const struct config *c, const char *tag, const struct lease *l,
		       struct error *err)
{
	char bridge[LINK_BYTES], mac[MAC_BYTES];
	int r = 0;

	network_link(tag, l->network.n, bridge);
	mac_of_bridge(&l->network, mac);
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		r = set_option("ipv6/conf", l->link, "disable_ipv6", "1", err);
	if (r == 0)
		r = ovs_add_port(c, tag, l, mac, err);
	if (r == 0 && network_has_bridge(&l->network))
		r = link_set_up(bridge, err);
	if (r == 0 && network_has_bridge(&l->network))
		r = dress_bridge(&l->network, bridge, err);
	return r < 0 ? r : link_set_up_silent(l->link, err);
}

/* The host answers for all guests of the network: they think that they are neighbours. */
static int make_line(const struct lease *l, struct error *err)
{
	int r = set_option("ipv4/conf", l->link, "proxy_arp", "1", err);

	if (r == 0)
		r = set_option("ipv4/neigh", l->link, "proxy_delay", "0", err);
	if (r == 0)
		r = link_set_up(l->link, err);
	if (r == 0)
		r = add_gateways(&l->network, l->link, err);
	if (r == 0)
		r = link_add_route(l->link, &l->address4, err);
	if (r == 0 && l->address6.family)
		r = link_add_route(l->link, &l->address6, err);
	return r;
}

static int join(const struct config *c, const char *tag, const struct lease *l, struct error *err)
{
	if (l->network.mode == NETWORK_ROUTED)
		return make_line(l, err);
	if (l->network.mode == NETWORK_OVS)
		return join_switch(c, tag, l, err);
	return join_bridge(tag, l, err);
}

int wire_attach(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		uid_t owner, bool queues, struct error *err)
{
	bool classes = network_is_classed(&l->network);
	int r = l->network.mode == NETWORK_OVS ? ovs_remove_port(c, tag, l, err) : 0;

	if (!network_has_links(&l->network))
		return add_lease(f, tag, l, false, err);
	if (r == 0)
		r = link_make_tap(l->link, owner, queues, err);
	if (r == 0)
		r = classes ? add_counted_lease(f, tag, l, err) : add_lease(f, tag, l, false, err);
	if (r == 0 && network_is_routed(&l->network))
		r = let_forward(&l->network, err);
	return r < 0 ? r : join(c, tag, l, err);
}

int wire_change(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		struct error *err)
{
	int r = l->network.mode == NETWORK_OVS ? ovs_change_port(c, tag, l, err) : 0;

	return r < 0 || !network_has_links(&l->network) ? r : change_lease(f, tag, l, err);
}

int wire_detach(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		struct error *err)
{
	int r = l->network.mode == NETWORK_OVS ? ovs_remove_port(c, tag, l, err) : 0;

	if (r == 0)
		r = link_remove(l->link, err);
	return r < 0 ? r : remove_lease(f, tag, l, err);
}

int wire_remove(const struct config *c, struct firewall *f, const char *tag,
		const struct network *n, struct error *err)
{
	char bridge[LINK_BYTES];
	int r = 0;

	network_link(tag, n->n, bridge);
	if (n->mode == NETWORK_OVS && network_has_bridge(n))
		r = ovs_remove_bridge(c, bridge, err);
	else if (n->mode == NETWORK_BRIDGE)
		r = link_remove(bridge, err);
	if (r == 0)
		r = remove_rules(f, tag, n, err);
	if (r == 0)
		remove_classes(f, tag, n);
	return r;
}

/* --- after a start --- */

struct restoring {
	struct wispd *d;
	struct error *err;
	char tag[NETWORK_TAG_BYTES];
	FILE *out;
	int networks, removed;
};

static int restore_network(void *ctx, const struct network *n)
{
	struct restoring *s = ctx;

	s->networks++;
	if (!n->leaving)
		rules_print_network(s->tag, n, s->out);
	return 0;
}

static int restore_lease(void *ctx, const struct lease *l)
{
	struct restoring *s = ctx;

	return rules_print_lease(s->tag, l, s->out, s->err);
}

static int print_all(struct restoring *s)
{
	struct truth *t = &s->d->truth;
	int r = network_each(t, NULL, restore_network, s, s->err);

	return r < 0 ? r : lease_each_alive(t, restore_lease, s, s->err);
}

/* The whole table anew, in one step: whatever was done to it meanwhile is undone. */
static int restore_rules(struct restoring *s)
{
	struct firewall_text text;
	int r = -1;

	firewall_begin(&text);
	s->out = text.out;
	text.tables = FIREWALL_ANEW;
	if (s->out)
		r = print_all(s);
	if (r == 0 && s->networks)
		return firewall_apply(s->d->firewall, &text, s->err);
	firewall_drop(&text);
	return r < 0 && !s->out ? error_set(s->err, -ENOMEM, NULL, NULL, "out of memory") : r;
}

static int restore_network_class(void *ctx, const struct network *n)
{
	struct restoring *s = ctx;

	if (!n->leaving)
		classes_print_network(s->tag, n, s->out);
	return 0;
}

static int restore_lease_class(void *ctx, const struct lease *l)
{
	struct restoring *s = ctx;

	if (network_is_classed(&l->network) && if_nametoindex(l->link))
		classes_print_lease(s->tag, l, s->out);
	return 0;
}

/* What was counted while no wispd was there stays. Of taps that are not counted their samples
 * tell (meter.h). */
static void restore_classes(struct restoring *s)
{
	struct truth *t = &s->d->truth;
	struct firewall_text text;
	struct error err = { .text = "out of memory" };
	int r = -ENOMEM;

	firewall_begin(&text);
	s->out = text.out;
	if (s->out) {
		classes_print_base(s->tag, s->out);
		classes_forget_networks(s->tag, s->out);
		r = network_each(t, NULL, restore_network_class, s, &err);
	}
	if (r == 0)
		r = lease_each_alive(t, restore_lease_class, s, &err);
	if (r == 0)
		r = firewall_apply(s->d->firewall, &text, &err);
	else
		firewall_drop(&text);
	if (r < 0)
		log_warn("Traffic is not counted by class: %s", err.text);
}

/* The rest of its name is its lease's number. */
static int remove_tap(void *ctx, const char *name)
{
	struct restoring *s = ctx;
	int64_t n = strtoll(name + strlen("wt") + strlen(s->tag), NULL, 16);

	if (lease_may_live(&s->d->truth, n))
		return 0;
	s->removed++;
	return link_remove(name, s->err);
}

static int find_leaving(void *ctx, const struct network *n)
{
	struct network *leaving = ctx;

	if (n->leaving)
		*leaving = *n;
	return 0;
}

/* One that was being removed when wispd ended: there is at most one. */
static int finish_leaving(struct restoring *s)
{
	struct truth *t = &s->d->truth;
	struct network n = { 0 };
	int r = network_each(t, NULL, find_leaving, &n, s->err);

	if (r < 0 || !n.leaving)
		return r;
	r = dnsmasq_remove(&s->d->config, &n, s->err);
	if (r == 0)
		r = wire_remove(&s->d->config, s->d->firewall, s->tag, &n, s->err);
	if (r == 0)
		r = store_begin(t->store, s->err);
	if (r == 0)
		r = network_forget(t, n.n, s->err);
	if (r == 0)
		r = wispd_commit(s->d, s->err);
	if (r < 0)
		store_rollback(t->store);
	s->removed++;
	return r;
}

int wire_restore(struct wispd *d, struct error *err)
{
	struct restoring s = { .d = d, .err = err };
	char begin[LINK_BYTES];
	int r;

	network_tag(&d->truth, s.tag);
	r = restore_rules(&s);
	if (r < 0 || !s.networks)
		return r;
	restore_classes(&s);
	snprintf(begin, sizeof(begin), "wt%s", s.tag);
	r = link_each(begin, remove_tap, &s, err);
	if (r == 0)
		r = finish_leaving(&s);
	return r < 0 ? r : s.removed;
}
