/* flows.c - the text of flows (ovs-fields(7), ovs-actions(7)).
 *
 * "goto_table" is not in OpenFlow 1.0, which a bridge may be limited to: resubmit() is, as
 * an extension.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/network/flows.h"

enum {
	TABLE_LIST = 200,
	TABLE_OUT = 201,
	TABLE_JUDGED = 202,
	ZONES = 65535, /* of connections; number 0 is the host's own */
	PORTS_END = 65536,
	COOKIE_BYTES = 20,
	MATCH_BYTES = 96,
	PRIORITY_ADDED = 100, /* to the others of table 0: above what is usual on bridges */
};

/* Of one lease. */
struct printing {
	FILE *out;
	const struct lease *l;
	char cookie[COOKIE_BYTES];
	unsigned zone;
};

/* Three digits that say wispd, six of the tag, seven of the lease. */
static void cookie_of(const char *tag, const struct lease *l, char cookie[COOKIE_BYTES])
{
	snprintf(cookie, COOKIE_BYTES, "0x571%.6s%07x", tag, (unsigned)l->n & 0xfffffffU);
}

static struct printing begin(const char *tag, const struct lease *l, FILE *out)
{
	struct printing p = { .out = out, .l = l };

	cookie_of(tag, l, p.cookie);
	p.zone = (unsigned)(l->network.n % ZONES) + 1;
	return p;
}

__attribute__((format(printf, 4, 5))) static void add(const struct printing *p, int table,
						      int priority, const char *fmt, ...)
{
	va_list args;

	fprintf(p->out, "add table=%d,priority=%d,cookie=%s,", table, priority, p->cookie);
	va_start(args, fmt);
	vfprintf(p->out, fmt, args);
	va_end(args);
	fputc('\n', p->out);
}

/* --- what it may send --- */

/* For itself alone it says that it is a neighbour; it asks as nobody, too. */
static void print_neighbour(const struct printing *p, const char *from, const char *address)
{
	add(p, 0, PRIORITY_ADDED + 3, "%s,icmp6,ipv6_src=%s,icmp_type=135,actions=resubmit(,%d)",
	    from, address, TABLE_OUT);
	add(p, 0, PRIORITY_ADDED + 3,
	    "%s,icmp6,ipv6_src=%s,icmp_type=136,icmp_code=0,nd_target=%s,actions=resubmit(,%d)",
	    from, address, address, TABLE_OUT);
	add(p, 0, PRIORITY_ADDED + 1, "%s,ipv6,ipv6_src=%s,actions=resubmit(,%d)", from, address,
	    TABLE_LIST);
}

static void print_sources6(const struct printing *p, const char *from)
{
	static const char *const never[] = { "udp6,tp_src=547", "icmp6,icmp_type=134",
					     "icmp6,icmp_type=136", "icmp6,icmp_type=137" };
	char address[ADDRESS_TEXT];

	for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		add(p, 0, PRIORITY_ADDED + 2, "in_port=%s,%s,actions=drop", p->l->link, never[i]);
	add(p, 0, PRIORITY_ADDED + 3, "%s,icmp6,ipv6_src=::,icmp_type=135,actions=resubmit(,%d)",
	    from, TABLE_OUT);
	print_neighbour(p, from, address_print(&p->l->address6, address));
	lease_link_local(p->l, address);
	print_neighbour(p, from, address);
}

static void print_sources(const struct printing *p)
{
	const struct lease *l = p->l;
	char address[ADDRESS_TEXT], from[MATCH_BYTES];

	snprintf(from, sizeof(from), "in_port=%s,vlan_tci=0/0x1000,dl_src=%s", l->link, l->mac);
	address_print(&l->address4, address);
	add(p, 0, PRIORITY_ADDED, "in_port=%s,actions=drop", l->link);
	add(p, 0, PRIORITY_ADDED + 1, "%s,arp,arp_sha=%s,arp_spa=%s,actions=resubmit(,%d)", from,
	    l->mac, address, TABLE_OUT);
	add(p, 0, PRIORITY_ADDED + 2, "in_port=%s,udp,tp_src=67,actions=drop", l->link);
	add(p, 0, PRIORITY_ADDED + 1, "%s,ip,nw_src=%s,actions=resubmit(,%d)", from, address,
	    TABLE_LIST);
	if (l->address6.family)
		print_sources6(p, from);
}

/* --- its allow list --- */

static void allow(const struct printing *p, const char *match)
{
	add(p, TABLE_JUDGED, 1,
	    "in_port=%s,ct_state=+trk+new,%s,actions=ct(commit,zone=%u),resubmit(,%d)", p->l->link,
	    match, p->zone, TABLE_OUT);
}

/* A match is of ports that have some bits in common: the fewest such. */
static void allow_ports(const struct printing *p, const char *match, const struct policy_rule *rule)
{
	unsigned at = rule->first, end = rule->last + 1U;

	while (at < end) {
		char one[2 * MATCH_BYTES];
		unsigned size = 1;

		while (at % (2 * size) == 0 && at + 2 * size <= end)
			size *= 2;
		snprintf(one, sizeof(one), "%s,tp_dst=%#x/%#x", match, at,
			 (unsigned)(PORTS_END - size));
		allow(p, one);
		at += size;
	}
}

static const char *protocol_name(int protocol, int family)
{
	bool six = family == AF_INET6;

	switch (protocol) {
	case IPPROTO_TCP:
		return six ? "tcp6" : "tcp";
	case IPPROTO_UDP:
		return six ? "udp6" : "udp";
	case IPPROTO_ICMP:
		return six ? "icmp6" : "icmp";
	default:
		return six ? "ipv6" : "ip";
	}
}

static void allow_family(const struct printing *p, const struct policy_rule *rule, int family)
{
	char to[PREFIX_TEXT], match[MATCH_BYTES];

	if (rule->protocol < 0 || (rule->to.base.family && rule->to.base.family != family))
		return;
	snprintf(match, sizeof(match), "%s%s%s", protocol_name(rule->protocol, family),
		 !rule->to.base.family ? ""
		 : family == AF_INET6  ? ",ipv6_dst="
				       : ",nw_dst=",
		 prefix_print(&rule->to, to));
	if (rule->first)
		allow_ports(p, match, rule);
	else
		allow(p, match);
}

/* Packets of this family go by the table of connections, and to it: an answer is known there,
 * whoever of the two has the list. */
static void print_judged(const struct printing *p, const char *family)
{
	add(p, TABLE_LIST, 1, "in_port=%s,%s,actions=ct(table=%d,zone=%u)", p->l->link, family,
	    TABLE_JUDGED, p->zone);
	add(p, 0, PRIORITY_ADDED - 1, "%s,dl_dst=%s,actions=resubmit(,%d)", family, p->l->mac,
	    TABLE_OUT);
	add(p, TABLE_OUT, 2, "%s,dl_dst=%s,actions=ct(commit,zone=%u),NORMAL", family, p->l->mac,
	    p->zone);
	add(p, TABLE_JUDGED, 2, "in_port=%s,%s,ct_state=+trk+est,actions=resubmit(,%d)", p->l->link,
	    family, TABLE_OUT);
	add(p, TABLE_JUDGED, 2, "in_port=%s,%s,ct_state=+trk+rel,actions=resubmit(,%d)", p->l->link,
	    family, TABLE_OUT);
}

static void print_list(const struct printing *p, const struct policy *policy)
{
	bool six = p->l->address6.family != 0;

	print_judged(p, "ip");
	if (six)
		print_judged(p, "ipv6");
	for (unsigned i = 0; i < policy->count; i++) {
		allow_family(p, &policy->rules[i], AF_INET);
		if (six)
			allow_family(p, &policy->rules[i], AF_INET6);
	}
}

/* --- all of it --- */

void flows_print_bridge(FILE *out)
{
	fputs("add table=0,priority=1,in_port=LOCAL,actions=NORMAL\n", out);
}

void flows_remove_lease(const char *tag, const struct lease *l, FILE *out)
{
	char cookie[COOKIE_BYTES];

	cookie_of(tag, l, cookie);
	fprintf(out, "delete cookie=%s/-1\n", cookie);
}

int flows_print_lease(const char *tag, const struct lease *l, FILE *out, struct error *err)
{
	struct printing p = begin(tag, l, out);
	struct policy policy;
	int r = policy_parse(l->egress, &policy, err);

	if (r < 0)
		return r;
	flows_remove_lease(tag, l, out);
	print_sources(&p);
	add(&p, TABLE_OUT, 1, "in_port=%s,actions=NORMAL", l->link);
	if (policy.count)
		print_list(&p, &policy);
	else
		add(&p, TABLE_LIST, 1, "in_port=%s,actions=resubmit(,%d)", l->link, TABLE_OUT);
	return 0;
}
