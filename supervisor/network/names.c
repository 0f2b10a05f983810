/* names.c - the text of a configuration, and of leases. */
#include <arpa/inet.h>
#include <string.h>

#include "supervisor/network/names.h"

enum { LABEL_MAX = 63 };

/* A lease says when a guest asks again, and no more: the address is its own while it lives. */
#define LEASE_TIME "1h"

bool names_usable(const char *name)
{
	for (const char *label = name;; label++) {
		size_t len = strcspn(label, ".");

		if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
			return false;
		label += len;
		if (!*label)
			return instance_name_ok(name);
	}
}

static void print_dns(const struct network *n, const char *at, FILE *out)
{
	const char *rest = n->resolvers;
	char text[ADDRESS_TEXT];
	struct address a;

	fprintf(out,
		"local=/" NAMES_TOP "/\n"
		"domain-needed\n"
		"bogus-priv\n"
		"hostsdir=%s/" NAMES_HOSTS "\n",
		at);
	while (network_next_resolver(&rest, &a))
		fprintf(out, "server=%s\n", address_print(&a, text));
}

/* Guests ask the resolvers themselves where nobody answers for the network. */
static void print_resolvers(const struct network *n, int family, FILE *out)
{
	const char *rest = n->resolvers, *between = "";
	char text[ADDRESS_TEXT];
	struct address a;

	while (network_next_resolver(&rest, &a)) {
		if (a.family != family)
			continue;
		if (!*between)
			fprintf(out, "dhcp-option=option%s:dns-server",
				family == AF_INET ? "" : "6");
		between = ",";
		fprintf(out, family == AF_INET ? ",%s" : ",[%s]", address_print(&a, text));
	}
	if (*between)
		fputc('\n', out);
}

static void print_ranges(const struct network *n, FILE *out)
{
	struct in_addr mask = { .s_addr = htonl(~0U << (32 - n->prefix4.bits)) };
	char base[ADDRESS_TEXT], netmask[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &mask, netmask, sizeof(netmask));
	fprintf(out, "dhcp-range=%s,static,%s," LEASE_TIME "\n",
		address_print(&n->prefix4.base, base), netmask);
	if (n->prefix6.base.family)
		fprintf(out, "dhcp-range=%s,static,%u," LEASE_TIME "\nenable-ra\n",
			address_print(&n->prefix6.base, base), n->prefix6.bits);
}

/* By options, not by "domain": with that, names would be answered for as long as what was
 * said of an address holds, and not as long as its instance has it. */
static void print_domain(const struct network *n, FILE *out)
{
	fprintf(out, "dhcp-option=option:domain-name,%s." NAMES_TOP "\n", n->name);
	fprintf(out, "dhcp-option=option:domain-search,%s." NAMES_TOP "\n", n->name);
	if (n->prefix6.base.family)
		fprintf(out, "dhcp-option=option6:domain-search,%s." NAMES_TOP "\n", n->name);
}

static void print_addressing(const struct network *n, const char *at, FILE *out)
{
	print_ranges(n, out);
	fprintf(out,
		"dhcp-hostsdir=%s/" NAMES_DHCP "\n"
		"dhcp-ignore=tag:!known\n"
		"dhcp-ignore-names\n"
		"dhcp-authoritative\n"
		"leasefile-ro\n"
		"no-ping\n",
		at);
	if (n->dns) {
		print_domain(n, out);
		return;
	}
	print_resolvers(n, AF_INET, out);
	if (n->prefix6.base.family)
		print_resolvers(n, AF_INET6, out);
}

/* A guest can make it say as much as it likes: so it says nothing once it serves. It is its
 * user already, whose name nobody knows. */
void names_print_config(const char *tag, const struct network *n, const char *at, FILE *out)
{
	char link[LINK_BYTES];

	network_link(tag, n->n, link);
	fprintf(out,
		"user=root\n"
		"group=root\n"
		"pid-file\n"
		"log-facility=/dev/null\n"
		"interface=%s\n"
		"except-interface=lo\n"
		"bind-dynamic\n"
		"no-hosts\n"
		"no-resolv\n",
		link);
	if (n->dns)
		print_dns(n, at, out);
	else
		fputs("port=0\n", out);
	if (n->addressing == NETWORK_DHCP)
		print_addressing(n, at, out);
}

void names_print_dhcp(const struct lease *l, FILE *out)
{
	char address[ADDRESS_TEXT];

	fprintf(out, "%s,%s", l->mac, address_print(&l->address4, address));
	if (l->address6.family)
		fprintf(out, ",[%s]", address_print(&l->address6, address));
	fputc('\n', out);
}

void names_print_hosts(const struct lease *l, const char *name, FILE *out)
{
	char address[ADDRESS_TEXT];

	if (!names_usable(name))
		return;
	fprintf(out, "%s %s.%s." NAMES_TOP "\n", address_print(&l->address4, address), name,
		l->network.name);
	if (l->address6.family)
		fprintf(out, "%s %s.%s." NAMES_TOP "\n", address_print(&l->address6, address), name,
			l->network.name);
}
