/* ovs.c - runs of ovs-vsctl and ovs-ofctl. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/life/process.h"
#include "supervisor/network/firewall.h"
#include "supervisor/network/flows.h"
#include "supervisor/network/ovs.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum {
	TIMEOUT_MS = 60000,
	WORDS_MAX = 40,
	WORD_BYTES = 96,
	ANSWER_BYTES = 200,
	PORTS_BYTES = 1 << 20,
};

/* Of the programs themselves: less than TIMEOUT_MS, after which they are killed. */
#define TIMEOUT "--timeout=30"

/* --- command lines --- */

struct words {
	const char *list[WORDS_MAX];
	char room[8][WORD_BYTES];
	unsigned count, used;
};

static void say(struct words *w, const char *const *list)
{
	while (*list && w->count < WORDS_MAX - 1)
		w->list[w->count++] = *list++;
}

#define SAY(w, ...) say(w, (const char *const[]){ __VA_ARGS__, NULL })

__attribute__((format(printf, 2, 3))) static void say_text(struct words *w, const char *fmt, ...)
{
	char *text = w->room[w->used++];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, WORD_BYTES, fmt, args);
	va_end(args);
	SAY(w, text);
}

static struct words begin(const struct config *c)
{
	struct words w = { .count = 0 };

	SAY(&w, c->ovs_vsctl, TIMEOUT);
	return w;
}

static void bridge_of(const char *tag, const struct network *n, char name[LINK_BYTES])
{
	if (n->bridge[0])
		memcpy(name, n->bridge, LINK_BYTES);
	else
		network_link(tag, n->n, name);
}

/* --- flows --- */

/* The text is dropped. */
static int tell_flows(const struct config *c, const char *bridge, struct firewall_text *t,
		      struct error *err)
{
	const char *const argv[] = { c->ovs_ofctl, TIMEOUT, "--bundle", "add-flows",
				     bridge,	   "-",	    NULL };
	int r = t->out && fflush(t->out) == 0
			? 0
			: error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	if (r == 0)
		r = process_run_with(argv, t->text, t->len, TIMEOUT_MS, err);
	firewall_drop(t);
	return r;
}

static int add_flows(const struct config *c, const char *tag, const struct lease *l,
		     const char *bridge, struct error *err)
{
	struct firewall_text text;
	int r = 0;

	firewall_begin(&text);
	if (text.out && !l->network.bridge[0])
		flows_print_bridge(text.out);
	if (text.out)
		r = flows_print_lease(tag, l, text.out, err);
	if (r == 0)
		return tell_flows(c, bridge, &text, err);
	firewall_drop(&text);
	return r;
}

/* With a bridge its flows have gone. */
static int remove_flows(const struct config *c, const char *tag, const struct lease *l,
			const char *bridge, struct error *err)
{
	struct firewall_text text;
	int r;

	if (!if_nametoindex(bridge))
		return 0;
	firewall_begin(&text);
	if (text.out)
		flows_remove_lease(tag, l, text.out);
	r = tell_flows(c, bridge, &text, err);
	return r < 0 && if_nametoindex(bridge) ? r : 0;
}

/* --- ports --- */

static void say_bridge(struct words *w, const char *tag, const struct network *n,
		       const char *bridge, const char *mac)
{
	SAY(w, "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge, "fail_mode=secure");
	say_text(w, "datapath_type=%s", network_datapath_names[n->netdev]);
	say_text(w, "other_config:hwaddr=\"%s\"", mac);
	say_text(w, "external_ids:wispd=%s", tag);
	SAY(w, "--");
}

static void say_port(struct words *w, const char *tag, const struct lease *l, const char *bridge)
{
	/* Without a VLAN the port is of none, and not one for all. */
	SAY(w, "add-port", bridge, l->link, "vlan_mode=access");
	if (l->network.vlan)
		say_text(w, "tag=%u", l->network.vlan);
	SAY(w, "--", "set", "Port", l->link);
	say_text(w, "external_ids:wispd=%s", tag);
	say_text(w, "external_ids:wispd-instance=%s", l->instance);
}

/* What frames have to be like is told to the VMM by what the network says. */
static int check_data_path(const struct config *c, const struct network *n, struct error *err)
{
	const char *const argv[] = { c->ovs_vsctl, TIMEOUT,	    "get", "Bridge",
				     n->bridge,	   "datapath_type", NULL };
	char answer[ANSWER_BYTES];
	int r = process_ask(argv, TIMEOUT_MS, answer, sizeof(answer), err);

	if (r < 0 || (strncmp(answer, "netdev", strlen("netdev")) == 0) == n->netdev)
		return r;
	return error_set(err, -EINVAL, "datapath", network_datapath_names[!n->netdev],
			 "Bridge %s is not of the data path of network %s", n->bridge, n->name);
}

static int check_bridge(const char *bridge, struct error *err)
{
	if (if_nametoindex(bridge))
		return 0;
	return error_set(err, -ENODEV, "datapath",
			 "modprobe openvswitch, or make the network with --datapath netdev",
			 "Open vSwitch could not make bridge %s: its log says why", bridge);
}

int ovs_add_port(const struct config *c, const char *tag, const struct lease *l, const char *mac,
		 struct error *err)
{
	const struct network *n = &l->network;
	struct words w = begin(c);
	char bridge[LINK_BYTES];
	int r = n->bridge[0] ? check_data_path(c, n, err) : 0;

	bridge_of(tag, n, bridge);
	if (!n->bridge[0])
		say_bridge(&w, tag, n, bridge, mac);
	say_port(&w, tag, l, bridge);
	if (r == 0)
		r = process_run(w.list, TIMEOUT_MS, err);
	if (r == 0)
		r = check_bridge(bridge, err);
	return r < 0 ? r : add_flows(c, tag, l, bridge, err);
}

int ovs_change_port(const struct config *c, const char *tag, const struct lease *l,
		    struct error *err)
{
	char bridge[LINK_BYTES];

	bridge_of(tag, &l->network, bridge);
	return add_flows(c, tag, l, bridge, err);
}

static int remove_named(const struct config *c, const char *link, struct error *err)
{
	const char *const argv[] = { c->ovs_vsctl, TIMEOUT, "--if-exists", "del-port", link, NULL };

	return process_run(argv, TIMEOUT_MS, err);
}

int ovs_remove_port(const struct config *c, const char *tag, const struct lease *l,
		    struct error *err)
{
	char bridge[LINK_BYTES];
	int r;

	bridge_of(tag, &l->network, bridge);
	r = remove_flows(c, tag, l, bridge, err);
	return r < 0 ? r : remove_named(c, l->link, err);
}

int ovs_remove_bridge(const struct config *c, const char *name, struct error *err)
{
	const char *const argv[] = { c->ovs_vsctl, TIMEOUT, "--if-exists", "del-br", name, NULL };

	return process_run(argv, TIMEOUT_MS, err);
}

/* --- after a start --- */

struct restoring {
	struct wispd *d;
	struct error *err;
	char tag[NETWORK_TAG_BYTES];
	int removed;
};

/* The rest of its name is its lease's number. */
static int judge_port(struct restoring *s, const char *name)
{
	const size_t begin = strlen("wt") + strlen(s->tag);

	if (strncmp(name, "wt", 2) != 0 || strlen(name) <= begin ||
	    lease_may_live(&s->d->truth, strtoll(name + begin, NULL, 16)))
		return 0;
	s->removed++;
	return remove_named(&s->d->config, name, s->err);
}

static int judge_ports(struct restoring *s)
{
	char mark[WORD_BYTES], *rest = NULL, *list = malloc(PORTS_BYTES);
	const char *const argv[] = { s->d->config.ovs_vsctl,
				     TIMEOUT,
				     "--bare",
				     "--columns=name",
				     "find",
				     "Port",
				     mark,
				     NULL };
	int r;

	if (!list)
		return error_set(s->err, -ENOMEM, NULL, NULL, "out of memory");
	snprintf(mark, sizeof(mark), "external_ids:wispd=%s", s->tag);
	r = process_ask(argv, TIMEOUT_MS, list, PORTS_BYTES, s->err);
	for (char *name = r < 0 ? NULL : strtok_r(list, " \n", &rest); name && r == 0;
	     name = strtok_r(NULL, " \n", &rest))
		r = judge_port(s, name);
	free(list);
	return r;
}

/* One that vswitchd has lost since is as it should be. */
static int restore_flows(void *ctx, const struct lease *l)
{
	struct restoring *s = ctx;
	char bridge[LINK_BYTES];

	if (l->network.mode != NETWORK_OVS || !if_nametoindex(l->link))
		return 0;
	bridge_of(s->tag, &l->network, bridge);
	return add_flows(&s->d->config, s->tag, l, bridge, s->err);
}

int ovs_restore(struct wispd *d, struct error *err)
{
	struct restoring s = { .d = d, .err = err };
	int64_t networks = 0;
	int r = store_number(d->truth.store, &networks, err,
			     "SELECT count(*) FROM network WHERE mode = ?", "s",
			     network_mode_names[NETWORK_OVS]);

	if (r < 0 || !networks)
		return r;
	network_tag(&d->truth, s.tag);
	r = judge_ports(&s);
	if (r == 0)
		r = lease_each_alive(&d->truth, restore_flows, &s, err);
	if (r < 0)
		log_error("Networks of Open vSwitch are not as they should be: %s", err->text);
	return s.removed;
}
