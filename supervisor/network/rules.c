/* rules.c - the text of the tables.
 *
 * The chains of the base are constant but for the tag: "@" in them stands for it. They are
 * emptied and filled again in one transaction each time, which no packet notices.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "supervisor/network/rules.h"

/* Frames of guests on a bridge. What goes on to the host's own stack meets the rules of
 * inet there; what goes from guest to guest meets its sender's allow list here. */
static const char bridge_base[] =
	"add table bridge wispd_@\n"
	"add set bridge wispd_@ macs { type ifname . ether_addr; }\n"
	"add set bridge wispd_@ sources4 { type ifname . ether_addr . ipv4_addr; }\n"
	"add set bridge wispd_@ sources6 { type ifname . ether_addr . ipv6_addr; }\n"
	"add set bridge wispd_@ askers { type ifname; }\n"
	"add map bridge wispd_@ policies { type ifname : verdict; }\n"
	"add chain bridge wispd_@ prerouting { type filter hook prerouting priority -300; }\n"
	"add chain bridge wispd_@ guest\n"
	"add chain bridge wispd_@ answers\n"
	"add chain bridge wispd_@ forward { type filter hook forward priority 0; }\n"
	"flush chain bridge wispd_@ prerouting\n"
	"flush chain bridge wispd_@ guest\n"
	"flush chain bridge wispd_@ answers\n"
	"flush chain bridge wispd_@ forward\n"
	"table bridge wispd_@ {\n"
	"	chain prerouting {\n"
	"		iifname \"wt@*\" jump guest\n"
	"	}\n"
	"	chain guest {\n"
	"		iifname . ether saddr != @macs drop\n"
	"		ether type arp iifname . arp saddr ether . arp saddr ip @sources4 accept\n"
	"		iifname @askers ip saddr 0.0.0.0 ip daddr 255.255.255.255 "
	"udp sport 68 udp dport 67 accept\n"
	"		iifname @askers ip6 saddr :: icmpv6 type nd-router-solicit accept\n"
	"		udp sport { 67, 547 } drop\n"
	"		icmpv6 type { nd-router-advert, nd-redirect } drop\n"
	"		iifname . ether saddr . ip saddr @sources4 accept\n"
	"		iifname . ether saddr . ip6 saddr @sources6 accept\n"
	"		ip6 saddr :: icmpv6 type nd-neighbor-solicit accept\n"
	"		drop\n"
	"	}\n"
	"	chain forward {\n"
	"		iifname != \"wt@*\" accept\n"
	"		ether type arp accept\n"
	"		iifname @askers udp dport { 67, 547 } drop\n"
	"		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	"		jump answers\n"
	"		iifname vmap @policies\n"
	"		drop\n"
	"	}\n"
	"}\n";

/* Not every kernel tracks connections on bridges. */
static const char bridge_tracked[] =
	"add table bridge wispd_@\n"
	"add chain bridge wispd_@ answers\n"
	"add rule bridge wispd_@ answers ct state established,related accept\n";

/* Packets that the host routes, and those for itself. What a passt sends is the host's own:
 * its user tells whose. The mark is the number of the user's network while that is looked at. */
static const char inet_base[] =
	"add table inet wispd_@\n"
	"add set inet wispd_@ sources4 { type ifname . ether_addr . ipv4_addr; }\n"
	"add set inet wispd_@ sources6 { type ifname . ether_addr . ipv6_addr; }\n"
	"add set inet wispd_@ within4 { type ipv4_addr . ipv4_addr; flags interval; }\n"
	"add set inet wispd_@ within6 { type ipv6_addr . ipv6_addr; flags interval; }\n"
	"add set inet wispd_@ nat4 { type ipv4_addr; flags interval; }\n"
	"add set inet wispd_@ nat6 { type ipv6_addr; flags interval; }\n"
	"add set inet wispd_@ services { type ifname . inet_proto . inet_service; }\n"
	"add set inet wispd_@ advertised { type ifname; }\n"
	"add map inet wispd_@ policies4 { type ipv4_addr : verdict; }\n"
	"add map inet wispd_@ policies6 { type ipv6_addr : verdict; }\n"
	"add map inet wispd_@ published { type inet_proto . inet_service : ipv4_addr . "
	"inet_service; }\n"
	"add map inet wispd_@ users { type uid : mark; }\n"
	"add map inet wispd_@ policies_of_users { type uid : verdict; }\n"
	"add set inet wispd_@ ports_of_users { type mark . inet_proto . inet_service; }\n"
	"add chain inet wispd_@ prerouting { type filter hook prerouting priority -300; }\n"
	"add chain inet wispd_@ guest\n"
	"add chain inet wispd_@ forward { type filter hook forward priority 0; }\n"
	"add chain inet wispd_@ outward\n"
	"add chain inet wispd_@ inward\n"
	"add chain inet wispd_@ input { type filter hook input priority 0; }\n"
	"add chain inet wispd_@ host\n"
	"add chain inet wispd_@ output { type filter hook output priority 0; }\n"
	"add chain inet wispd_@ user\n"
	"add chain inet wispd_@ sibling\n"
	"add chain inet wispd_@ publish { type nat hook prerouting priority -100; }\n"
	"add chain inet wispd_@ publish_here { type nat hook output priority -100; }\n"
	"add chain inet wispd_@ translate { type nat hook postrouting priority 100; }\n"
	"flush chain inet wispd_@ prerouting\n"
	"flush chain inet wispd_@ guest\n"
	"flush chain inet wispd_@ forward\n"
	"flush chain inet wispd_@ outward\n"
	"flush chain inet wispd_@ inward\n"
	"flush chain inet wispd_@ input\n"
	"flush chain inet wispd_@ host\n"
	"flush chain inet wispd_@ output\n"
	"flush chain inet wispd_@ user\n"
	"flush chain inet wispd_@ sibling\n"
	"flush chain inet wispd_@ publish\n"
	"flush chain inet wispd_@ publish_here\n"
	"flush chain inet wispd_@ translate\n"
	"table inet wispd_@ {\n"
	"	chain prerouting {\n"
	"		iifname \"wt@*\" jump guest\n"
	"	}\n"
	"	chain guest {\n"
	"		iifname . ether saddr . ip saddr @sources4 accept\n"
	"		iifname . ether saddr . ip6 saddr @sources6 accept\n"
	"		ip6 saddr :: icmpv6 type nd-neighbor-solicit accept\n"
	"		drop\n"
	"	}\n"
	"	chain forward {\n"
	"		ct state established,related accept\n"
	"		iifname { \"wb@*\", \"wt@*\" } jump outward\n"
	"		oifname { \"wb@*\", \"wt@*\" } jump inward\n"
	"	}\n"
	"	chain outward {\n"
	"		oifname { \"wb@*\", \"wt@*\" } ip saddr . ip daddr != @within4 drop\n"
	"		oifname { \"wb@*\", \"wt@*\" } ip6 saddr . ip6 daddr != @within6 drop\n"
	"		ip saddr vmap @policies4\n"
	"		ip6 saddr vmap @policies6\n"
	"		drop\n"
	"	}\n"
	"	chain inward {\n"
	"		ct status dnat accept\n"
	"		drop\n"
	"	}\n"
	"	chain input {\n"
	"		iifname { \"wb@*\", \"wt@*\" } jump host\n"
	"	}\n"
	"	chain host {\n"
	"		ct state established,related accept\n"
	"		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	"		icmp type echo-request fib daddr . iif type local accept\n"
	"		icmpv6 type echo-request fib daddr . iif type local accept\n"
	"		iifname . meta l4proto . th dport @services "
	"fib daddr . iif type { local, broadcast, multicast } accept\n"
	"		iifname @advertised icmpv6 type nd-router-solicit accept\n"
	"		drop\n"
	"	}\n"
	"	chain output {\n"
	"		meta mark set meta skuid map @users jump user\n"
	"	}\n"
	"	chain user {\n"
	"		ct state established,related meta mark set 0 accept\n"
	"		oifname { \"wb@*\", \"wt@*\" } drop\n"
	"		fib daddr type local goto sibling\n"
	"		meta mark set 0 meta skuid vmap @policies_of_users\n"
	"		drop\n"
	"	}\n"
	"	chain sibling {\n"
	"		meta mark . meta l4proto . th dport @ports_of_users meta mark set 0 accept\n"
	"		drop\n"
	"	}\n"
	"	chain publish {\n"
	"		iifname { \"wb@*\", \"wt@*\" } return\n"
	"		fib daddr type local dnat ip to meta l4proto . th dport map @published\n"
	"	}\n"
	"	chain publish_here {\n"
	"		fib daddr type local dnat ip to meta l4proto . th dport map @published\n"
	"	}\n"
	"	chain translate {\n"
	"		oifname { \"wb@*\", \"wt@*\" } return\n"
	"		ip saddr @nat4 masquerade\n"
	"		ip6 saddr @nat6 masquerade\n"
	"	}\n"
	"}\n";

/* The names of sets begin with "@", too: only one after a "wispd_", "wb" or "wt" is the tag. */
static void print_tagged(const char *text, const char *tag, FILE *out)
{
	for (const char *at; (at = strchr(text, '@')) != NULL; text = at + 1) {
		bool name = at[-1] == ' ';

		fprintf(out, "%.*s%s", (int)(at - text), text, name ? "@" : tag);
	}
	fputs(text, out);
}

void rules_print_base(const char *tag, bool tracked, FILE *out)
{
	print_tagged(bridge_base, tag, out);
	if (tracked)
		rules_print_tracked(tag, out);
	print_tagged(inet_base, tag, out);
}

void rules_print_tracked(const char *tag, FILE *out)
{
	print_tagged(bridge_tracked, tag, out);
}

/* --- elements --- */

/* One element of a set, or of a map with what it maps to; verb: add or delete. */
struct element {
	const char *family, *set, *key, *value;
};

static void print_element(const char *verb, const char *tag, const struct element *e, FILE *out)
{
	fprintf(out, "%s element %s wispd_%s %s { %s%s%s }\n", verb, e->family, tag, e->set, e->key,
		e->value ? " : " : "", e->value ? e->value : "");
}

/* What its bridge answers to, beside echoes. */
static void print_services(const char *verb, const char *tag, const struct network *n, FILE *out)
{
	const bool dhcp = n->addressing == NETWORK_DHCP, dhcp6 = dhcp && n->prefix6.base.family;
	const struct {
		bool there;
		const char *service;
	} all[] = { { n->dns, "udp . 53" },
		    { n->dns, "tcp . 53" },
		    { dhcp, "udp . 67" },
		    { dhcp6, "udp . 547" } };
	char link[LINK_BYTES], key[64];

	network_link(tag, n->n, link);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(key, sizeof(key), "\"%s\" . %s", link, all[i].service);
		if (all[i].there)
			print_element(verb, tag, &(struct element){ "inet", "services", key, NULL },
				      out);
	}
	snprintf(key, sizeof(key), "\"%s\"", link);
	if (dhcp6)
		print_element(verb, tag, &(struct element){ "inet", "advertised", key, NULL }, out);
}

static void print_network(const char *verb, const char *tag, const struct network *n, FILE *out)
{
	char prefix4[PREFIX_TEXT], prefix6[PREFIX_TEXT], key[2 * PREFIX_TEXT + 4];

	prefix_print(&n->prefix4, prefix4);
	prefix_print(&n->prefix6, prefix6);
	snprintf(key, sizeof(key), "%s . %s", prefix4, prefix4);
	print_element(verb, tag, &(struct element){ "inet", "within4", key, NULL }, out);
	if (n->nat)
		print_element(verb, tag, &(struct element){ "inet", "nat4", prefix4, NULL }, out);
	print_services(verb, tag, n, out);
	if (!prefix6[0])
		return;
	snprintf(key, sizeof(key), "%s . %s", prefix6, prefix6);
	print_element(verb, tag, &(struct element){ "inet", "within6", key, NULL }, out);
	if (n->nat)
		print_element(verb, tag, &(struct element){ "inet", "nat6", prefix6, NULL }, out);
}

void rules_print_network(const char *tag, const struct network *n, FILE *out)
{
	print_network("add", tag, n, out);
}

void rules_remove_network(const char *tag, const struct network *n, FILE *out)
{
	print_network("add", tag, n, out);
	print_network("delete", tag, n, out);
}

/* --- leases --- */

/* Who sends from this link. On a bridge that is judged before the host's stack sees it. */
static void print_sources(const char *verb, const char *tag, const struct lease *l, FILE *out)
{
	const char *family = l->network.mode == NETWORK_BRIDGE ? "bridge" : "inet";
	char address[ADDRESS_TEXT], mac[64], key[128];

	snprintf(mac, sizeof(mac), "\"%s\" . %s", l->link, l->mac);
	if (l->network.mode == NETWORK_BRIDGE)
		print_element(verb, tag, &(struct element){ family, "macs", mac, NULL }, out);
	snprintf(key, sizeof(key), "\"%s\"", l->link);
	if (l->network.addressing == NETWORK_DHCP)
		print_element(verb, tag, &(struct element){ family, "askers", key, NULL }, out);
	snprintf(key, sizeof(key), "%s . %s", mac, address_print(&l->address4, address));
	print_element(verb, tag, &(struct element){ family, "sources4", key, NULL }, out);
	if (!l->address6.family)
		return;
	snprintf(key, sizeof(key), "%s . %s", mac, address_print(&l->address6, address));
	print_element(verb, tag, &(struct element){ family, "sources6", key, NULL }, out);
	lease_link_local(l, address);
	snprintf(key, sizeof(key), "%s . %s", mac, address);
	print_element(verb, tag, &(struct element){ family, "sources6", key, NULL }, out);
}

static void print_policies(const char *verb, const char *tag, const struct lease *l,
			   const char *verdict, FILE *out)
{
	char address[ADDRESS_TEXT], link[LINK_BYTES + 2];

	if (l->network.mode == NETWORK_BRIDGE) {
		snprintf(link, sizeof(link), "\"%s\"", l->link);
		print_element(verb, tag, &(struct element){ "bridge", "policies", link, verdict },
			      out);
	}
	address_print(&l->address4, address);
	print_element(verb, tag, &(struct element){ "inet", "policies4", address, verdict }, out);
	if (!l->address6.family)
		return;
	address_print(&l->address6, address);
	print_element(verb, tag, &(struct element){ "inet", "policies6", address, verdict }, out);
}

static void print_ports(const char *verb, const char *tag, const struct lease *l, FILE *out)
{
	char address[ADDRESS_TEXT], key[32], value[ADDRESS_TEXT + 16];

	address_print(&l->address4, address);
	for (unsigned i = 0; i < l->nports; i++) {
		const struct lease_port *p = &l->ports[i];

		snprintf(key, sizeof(key), "%s . %u", p->protocol == IPPROTO_UDP ? "udp" : "tcp",
			 p->port);
		snprintf(value, sizeof(value), "%s . %u", address, p->guest_port);
		print_element(verb, tag, &(struct element){ "inet", "published", key, value }, out);
	}
}

/* What a user's programs send: to whom it may, and of the host's own addresses to what guests
 * of the same network publish. */
static void print_user(const char *verb, const char *tag, const struct lease *l,
		       const char *verdict, FILE *out)
{
	char user[16], network[16], key[48];

	snprintf(user, sizeof(user), "%u", (unsigned)l->user);
	snprintf(network, sizeof(network), "%u", (unsigned)l->network.n);
	print_element(verb, tag, &(struct element){ "inet", "users", user, network }, out);
	print_element(verb, tag, &(struct element){ "inet", "policies_of_users", user, verdict },
		      out);
	for (unsigned i = 0; i < l->nports; i++) {
		snprintf(key, sizeof(key), "%s . %s . %u", network,
			 l->ports[i].protocol == IPPROTO_UDP ? "udp" : "tcp", l->ports[i].port);
		print_element(verb, tag, &(struct element){ "inet", "ports_of_users", key, NULL },
			      out);
	}
}

static void print_elements(const char *verb, const char *tag, const struct lease *l,
			   const char *verdict, FILE *out)
{
	if (l->network.mode == NETWORK_PASST) {
		print_user(verb, tag, l, verdict, out);
		return;
	}
	if (l->network.mode != NETWORK_OVS)
		print_sources(verb, tag, l, out);
	print_policies(verb, tag, l, verdict, out);
	print_ports(verb, tag, l, out);
}

/* The families that have a chain for this lease. */
static const char *const *chain_families(const struct lease *l)
{
	static const char *const both[] = { "bridge", "inet", NULL };

	return l->network.mode == NETWORK_BRIDGE ? both : both + 1;
}

/* On another's bridge of Open vSwitch's flows say it all. */
static bool has_rules(const struct lease *l)
{
	return l->network.mode == NETWORK_PASST || network_is_routed(&l->network);
}

static void print_chains(const char *tag, const struct lease *l, const struct policy *p, FILE *out)
{
	for (const char *const *family = chain_families(l); *family; family++) {
		fprintf(out, "add chain %s wispd_%s egress_%lld\n", *family, tag, (long long)l->n);
		fprintf(out, "flush chain %s wispd_%s egress_%lld\n", *family, tag,
			(long long)l->n);
		fprintf(out, "table %s wispd_%s {\n\tchain egress_%lld {\n", *family, tag,
			(long long)l->n);
		policy_print(p, "\t\t", out);
		fputs("\t}\n}\n", out);
	}
}

static const char *verdict_of(const struct lease *l, const struct policy *p, char *buf, size_t size)
{
	if (!p->count)
		return "accept";
	snprintf(buf, size, "goto egress_%lld", (long long)l->n);
	return buf;
}

int rules_print_lease(const char *tag, const struct lease *l, FILE *out, struct error *err)
{
	struct policy policy;
	char verdict[48];
	int r = policy_parse(l->egress, &policy, err);

	if (r < 0)
		return r;
	if (l->network.mode == NETWORK_PASST && !l->user)
		return error_set(err, -EINVAL, "network", NULL, "%s has no user", l->instance);
	if (!has_rules(l))
		return 0;
	if (policy.count)
		print_chains(tag, l, &policy, out);
	print_elements("add", tag, l, verdict_of(l, &policy, verdict, sizeof(verdict)), out);
	return 0;
}

/* A map's element is deleted by its key, whatever it maps to. */
int rules_change_lease(const char *tag, const struct lease *l, FILE *out, struct error *err)
{
	struct policy policy;
	char verdict[48];
	int r = policy_parse(l->egress, &policy, err);

	if (r < 0 || !has_rules(l))
		return r;
	if (policy.count)
		print_chains(tag, l, &policy, out);
	print_policies("delete", tag, l, NULL, out);
	print_policies("add", tag, l, verdict_of(l, &policy, verdict, sizeof(verdict)), out);
	print_ports("add", tag, l, out);
	return 0;
}

int rules_remove_lease(const char *tag, const struct lease *l, FILE *out, struct error *err)
{
	struct policy policy = { 0 };
	char verdict[48];
	int r = rules_print_lease(tag, l, out, err);

	if (r == 0)
		r = policy_parse(l->egress, &policy, err);
	if (r < 0 || !has_rules(l))
		return r;
	print_elements("delete", tag, l, verdict_of(l, &policy, verdict, sizeof(verdict)), out);
	for (const char *const *family = chain_families(l); policy.count && *family; family++)
		fprintf(out, "delete chain %s wispd_%s egress_%lld\n", *family, tag,
			(long long)l->n);
	return 0;
}

void rules_remove_all(const char *tag, FILE *out)
{
	static const char *const families[] = { "bridge", "inet" };

	for (unsigned i = 0; i < 2; i++)
		fprintf(out, "add table %s wispd_%s\ndelete table %s wispd_%s\n", families[i], tag,
			families[i], tag);
}
