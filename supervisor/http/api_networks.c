/* api_networks.c - routes about networks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/users.h"
#include "supervisor/life/workers.h"
#include "supervisor/network/dnsmasq.h"
#include "supervisor/network/lease.h"
#include "supervisor/network/names.h"
#include "supervisor/network/wire.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { BITS4_MIN = 8, BITS4_MAX = 30, BITS6_MIN = 16, BITS6_MAX = 126 };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct network_body {
	char name[NAME_BYTES], prefix4[PREFIX_TEXT], prefix6[PREFIX_TEXT];
	char bridge[LINK_BYTES];
	uint32_t mode, datapath;
	uint64_t vlan;
	bool nat;
	uint32_t negress;
	char egress[POLICY_RULES_MAX][POLICY_RULE_BYTES];
	uint32_t addressing, nresolvers;
	bool dns;
	char resolvers[NETWORK_RESOLVERS_MAX][ADDRESS_TEXT];
};

/* Not "this host", loopback, a link's own, or many at once. */
static bool is_usable(const struct prefix *p)
{
	const uint8_t *b = p->base.bytes;

	if (p->base.family == AF_INET)
		return b[0] != 0 && b[0] != 127 && b[0] < 224 && !(b[0] == 169 && b[1] == 254);
	return b[0] != 0 && b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static int check_prefix(const char *text, int family, unsigned least, unsigned most,
			const char *field, struct error *err)
{
	struct prefix p;

	if (prefix_parse(text, &p) == 0 && p.base.family == family && p.bits >= least &&
	    p.bits <= most && is_usable(&p))
		return 0;
	return error_set(err, -EINVAL, field,
			 family == AF_INET ? "as 10.1.0.0/24: 8 to 30 bits, the others zero"
					   : "as fd00:1::/64: 16 to 126 bits, the others zero",
			 "The prefix cannot be used");
}

static int check_resolvers(const struct network_body *b, struct error *err)
{
	struct address a;

	for (uint32_t i = 0; i < b->nresolvers; i++)
		if (address_parse(b->resolvers[i], &a) < 0)
			return error_set(err, -EINVAL, "resolvers", "addresses: 192.0.2.53",
					 "%s is no address", b->resolvers[i]);
	if (!b->nresolvers || b->dns || b->addressing == NETWORK_DHCP)
		return 0;
	return error_set(err, -EINVAL, "resolvers", "say dns, or addressing: dhcp",
			 "Nobody would tell the guests of them");
}

/* What its guests are to be served with. */
static int check_services(const struct network_body *b, struct error *err)
{
	struct prefix p6 = { 0 };
	int r = check_resolvers(b, err);

	if (r < 0 || (!b->dns && b->addressing == NETWORK_TOLD))
		return r;
	if (b->mode != NETWORK_BRIDGE)
		return error_set(err, -EINVAL, "mode",
				 "make it a bridge, or leave out dns, and addressing: dhcp",
				 "Only guests on a bridge are served with names and addresses");
	if (b->dns && !names_usable(b->name))
		return error_set(err, -EINVAL, "name",
				 "letters, digits, and hyphens and dots between them",
				 "The name cannot be a domain's");
	if (b->addressing == NETWORK_DHCP && prefix_parse(b->prefix6, &p6) == 0 &&
	    p6.bits < NAMES_PREFIX6_LEAST)
		return error_set(err, -EINVAL, "prefix6", "64 bits or more",
				 "No addresses are given in a prefix as short as that");
	return 0;
}

/* The name of a link, which no program takes for an option. */
static bool bridge_name_ok(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(name) &&
	       name[0] != '-' && name[0] != '.';
}

/* What only bridges of Open vSwitch have; on another's the host is not the router. */
static int check_switch(const struct network_body *b, struct error *err)
{
	if (b->mode != NETWORK_OVS && (b->bridge[0] || b->datapath || b->vlan))
		return error_set(err, -EINVAL, "mode", "ovs",
				 "bridge, datapath and vlan are for networks of mode ovs");
	if (!bridge_name_ok(b->bridge))
		return error_set(err, -EINVAL, "bridge",
				 "the name of a bridge of Open vSwitch's: letters, digits, - . _",
				 "The bridge cannot be used");
	if (b->vlan && !b->bridge[0])
		return error_set(err, -EINVAL, "vlan", "name the bridge, or leave this out",
				 "A VLAN is one of a bridge that there is already");
	if (b->nat && b->bridge[0])
		return error_set(err, -EINVAL, "nat", "ask whoever has the bridge",
				 "The host is not the router of bridge %s", b->bridge);
	return 0;
}

static int check_network(void *config, struct error *err)
{
	struct network_body *b = config;
	struct prefix p4 = { 0 }, p6 = { 0 };
	struct policy_rule rule;
	int r;

	if (!instance_name_ok(b->name))
		return error_set(err, -EINVAL, "name",
				 "lower-case letters, digits, dots and hyphens",
				 "The name cannot be used");
	r = check_switch(b, err);
	if (r == 0)
		r = check_prefix(b->prefix4, AF_INET, BITS4_MIN, BITS4_MAX, "prefix4", err);
	if (r == 0 && b->prefix6[0])
		r = check_prefix(b->prefix6, AF_INET6, BITS6_MIN, BITS6_MAX, "prefix6", err);
	for (uint32_t i = 0; i < b->negress && r == 0; i++)
		r = policy_rule_parse(b->egress[i], &rule, err);
	if (r == 0)
		r = check_services(b, err);
	if (r < 0 || !b->prefix6[0])
		return r;
	if (prefix_parse(b->prefix4, &p4) == 0 && prefix_parse(b->prefix6, &p6) == 0 &&
	    prefix_size(&p4) <= prefix_size(&p6))
		return 0;
	return error_set(err, -EINVAL, "prefix6", "make it shorter",
			 "There are fewer addresses than in prefix4");
}

static const struct body_field network_fields[] = {
	{ .name = "name",
	  .type = BODY_STRING,
	  PLACE(network_body, name),
	  .min = 1,
	  .required = true },
	{ .name = "prefix4",
	  .type = BODY_STRING,
	  PLACE(network_body, prefix4),
	  .min = 1,
	  .required = true },
	{ .name = "prefix6", .type = BODY_STRING, PLACE(network_body, prefix6) },
	{ .name = "mode",
	  .type = BODY_ENUM,
	  PLACE(network_body, mode),
	  .names = network_mode_names },
	{ .name = "nat", .type = BODY_BOOL, PLACE(network_body, nat) },
	{ .name = "bridge", .type = BODY_STRING, PLACE(network_body, bridge) },
	{ .name = "datapath",
	  .type = BODY_ENUM,
	  PLACE(network_body, datapath),
	  .names = network_datapath_names },
	{ .name = "vlan", .type = BODY_U64, PLACE(network_body, vlan), .max = NETWORK_VLAN_MAX },
	{ .name = "egress",
	  .type = BODY_STRINGS,
	  PLACE(network_body, egress),
	  .mark = offsetof(struct network_body, negress),
	  .max = POLICY_RULES_MAX },
	{ .name = "addressing",
	  .type = BODY_ENUM,
	  PLACE(network_body, addressing),
	  .names = network_addressing_names },
	{ .name = "dns", .type = BODY_BOOL, PLACE(network_body, dns) },
	{ .name = "resolvers",
	  .type = BODY_STRINGS,
	  PLACE(network_body, resolvers),
	  .mark = offsetof(struct network_body, nresolvers),
	  .max = NETWORK_RESOLVERS_MAX },
};

static const struct body_table network_table = {
	.size = sizeof(struct network_body),
	.fields = network_fields,
	.nfields = sizeof(network_fields) / sizeof(network_fields[0]),
	.check = check_network,
};

/* --- reading --- */

struct listing {
	json_t *list;
	char tag[NETWORK_TAG_BYTES];
};

static int add_one(void *ctx, const struct network *n)
{
	struct listing *l = ctx;

	return json_array_append_new(l->list, network_describe(n, l->tag));
}

static int list(struct api_call *call)
{
	struct listing l = { .list = json_array() };
	int r;

	network_tag(&call->d->truth, l.tag);
	r = network_each(&call->d->truth, call->tenant, add_one, &l, &call->err);
	if (r < 0) {
		json_decref(l.list);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "networks", l.list));
}

static int get(struct api_call *call)
{
	char tag[NETWORK_TAG_BYTES];
	struct network n;
	json_t *reply, *leases;
	int r = network_find(&call->d->truth, call->tenant, call->id, &n, &call->err);

	if (r < 0)
		return r;
	leases = lease_list(&call->d->truth, NULL, n.n, &call->err);
	if (!leases)
		return call->err.code;
	network_tag(&call->d->truth, tag);
	reply = network_describe(&n, tag);
	json_object_set_new(reply, "leases", leases);
	return api_reply(call, reply);
}

/* --- making --- */

static void join_resolvers(const struct network_body *b, struct network *n)
{
	size_t used = 0;

	for (uint32_t i = 0; i < b->nresolvers; i++)
		used += (size_t)snprintf(n->resolvers + used, sizeof(n->resolvers) - used, "%s%s",
					 i ? " " : "", b->resolvers[i]);
}

/* What serves it has a user of its own. */
static int add_owner(struct api_call *call, const struct network *n)
{
	char owner[NAME_BYTES];

	if (!network_is_served(n))
		return 0;
	network_owner(n, owner);
	return users_lease(call->d, owner, &call->err);
}

/* wispd's own are other networks'. */
static int check_owner(const char *bridge, const char *tag, struct error *err)
{
	if (strncmp(bridge, "wb", 2) != 0 || strncmp(bridge + 2, tag, strlen(tag)) != 0)
		return 0;
	return error_set(err, -EINVAL, "bridge", "choose another",
			 "%s is the bridge of another network", bridge);
}

static int create(struct api_call *call)
{
	const struct network_body *b = call->config;
	struct network n = { .mode = (enum network_mode)b->mode,
			     .nat = b->nat,
			     .vlan = (unsigned)b->vlan,
			     .netdev = b->datapath != 0,
			     .addressing = (enum network_addressing)b->addressing,
			     .dns = b->dns };
	char tag[NETWORK_TAG_BYTES];
	int r = api_check_tenant(call);

	network_tag(&call->d->truth, tag);
	if (r == 0)
		r = check_owner(b->bridge, tag, &call->err);
	if (r < 0)
		return r;
	memcpy(n.bridge, b->bridge, sizeof(n.bridge));
	memcpy(n.name, b->name, sizeof(n.name));
	snprintf(n.tenant, sizeof(n.tenant), "%s", call->tenant);
	(void)prefix_parse(b->prefix4, &n.prefix4);
	(void)prefix_parse(b->prefix6, &n.prefix6);
	policy_join(b->egress, b->negress, n.egress);
	join_resolvers(b, &n);
	r = network_add(&call->d->truth, &n, call->caller->actor, &call->err);
	if (r == 0)
		r = add_owner(call, &n);
	return r < 0 ? r : api_reply(call, network_describe(&n, tag));
}

/* --- removing --- */

/* The row stays until the links and rules are gone. */
struct removal {
	struct work work;
	struct wispd *d;
	char operation[OPERATION_ID_BYTES], tag[NETWORK_TAG_BYTES];
	struct network network;
	int result;
	struct error err;
};

static void removal_run(struct work *work)
{
	struct removal *m = (struct removal *)work;

	m->result = dnsmasq_remove(&m->d->config, &m->network, &m->err);
	if (m->result == 0)
		m->result =
			wire_remove(&m->d->config, m->d->firewall, m->tag, &m->network, &m->err);
}

/* One that failed is tried again by the next wispd. */
static int removal_write(struct removal *m, struct error *err)
{
	struct truth *t = &m->d->truth;
	const char *code = NULL;
	int r = 0;

	if (m->result == 0)
		r = network_forget(t, m->network.n, err);
	else
		api_status_of(m->result, &code);
	return r < 0 ? r : operation_end(t, m->operation, code, m->err.text, m->network.name, err);
}

static void removal_done(struct work *work)
{
	struct removal *m = (struct removal *)work;
	struct truth *t = &m->d->truth;
	struct error err = { 0 };
	int r = store_begin(t->store, &err);

	if (r == 0)
		r = removal_write(m, &err);
	if (r == 0)
		r = wispd_commit(m->d, &err);
	if (r < 0) {
		store_rollback(t->store);
		log_error("removing network %s: %s", m->network.name, err.text);
	}
	free(m);
}

static void removal_begin(struct wispd *d, void *ctx)
{
	struct removal *m = malloc(sizeof(*m));

	if (!m) {
		log_error("removing a network: out of memory");
		return;
	}
	memcpy(m, ctx, sizeof(*m));
	workers_add(d->workers, &m->work);
}

static int remove_network(struct api_call *call)
{
	struct truth *t = &call->d->truth;
	struct removal *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	call->after_ctx = m;
	m->work = (struct work){ .run = removal_run, .done = removal_done };
	m->d = call->d;
	m->result = -ECANCELED;
	network_tag(t, m->tag);
	r = network_find(t, call->tenant, call->id, &m->network, &call->err);
	if (r == 0)
		r = network_leave(t, &m->network, call->caller->actor, &call->err);
	if (r == 0)
		r = operation_begin(t, m->network.tenant, m->network.name, "remove",
				    OPERATION_NO_GOAL, m->operation, &call->err);
	if (r < 0)
		return r;
	call->after = removal_begin;
	return api_reply(call, json_pack("{s:s}", "operation", m->operation));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/networks",      ROLE_VIEWER, false, 200, NULL,           list,
	  .what = "All networks of the tenant." },
	{ "POST",   "/networks",      ROLE_ADMIN,  true,  200, &network_table, create,
	  .what = "Makes a network for a tenant. `egress`: what its guests may send to, unless they "
		  "have a list of their own; none: everything but other networks. `addressing`: `dhcp`, "
		  "guests ask for their addresses; `dns`: they can ask for names, `INSTANCE.NETWORK.internal`, "
		  "and others that `resolvers` know. `bridge`: of mode ovs, one that somebody else has "
		  "made; `vlan`: its guests are in that one there. `datapath`: of that bridge, or of the "
		  "one that is made." },
	{ "GET",    "/networks/{id}", ROLE_VIEWER, false, 200, NULL,           get,
	  .what = "One network, and who has which of its addresses." },
	{ "DELETE", "/networks/{id}", ROLE_ADMIN,  true,  202, NULL,           remove_network,
	  .what = "Removes a network in which nobody is." },
};
/* clang-format on */

const struct api_area api_networks = { "Networks", routes, sizeof(routes) / sizeof(routes[0]) };
