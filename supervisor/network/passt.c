/* passt.c - the command line of passt (passt(1)), for a companion. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "supervisor/life/companion.h"
#include "supervisor/network/passt.h"

enum { PORTS_BYTES = LEASE_PORTS_MAX * LEASE_PORT_BYTES, ARGS_MAX = 32 };

static void name_of(const struct launch_net *n, char name[COMPANION_NAME_BYTES])
{
	snprintf(name, COMPANION_NAME_BYTES, "passt-%.20s", n->id);
}

void passt_socket(const struct launch_net *n, char path[LAUNCH_FILE_BYTES])
{
	char name[COMPANION_NAME_BYTES];

	name_of(n, name);
	snprintf(path, LAUNCH_FILE_BYTES, "/%s.sock", name);
}

/* "8080:80,8081:81", or "none". */
static void list_ports(const struct lease *l, int protocol, char text[PORTS_BYTES])
{
	size_t len = 0;

	snprintf(text, PORTS_BYTES, "none");
	for (unsigned i = 0; i < l->nports; i++)
		if (l->ports[i].protocol == protocol)
			len += (size_t)snprintf(text + len, PORTS_BYTES - len, "%s%u:%u",
						len ? "," : "", l->ports[i].port,
						l->ports[i].guest_port);
}

int passt_begin(const struct launch *l, const struct launch_net *n, struct error *err)
{
	const struct lease *lease = &n->lease;
	const struct network *net = &lease->network;
	struct address gateway4 = prefix_address(&net->prefix4, NETWORK_GATEWAY);
	struct address gateway6 = prefix_address(&net->prefix6, NETWORK_GATEWAY);
	char address4[ADDRESS_TEXT], via4[ADDRESS_TEXT], bits[16], mac[MAC_BYTES];
	char address6[ADDRESS_TEXT], via6[ADDRESS_TEXT], tcp[PORTS_BYTES], udp[PORTS_BYTES];
	char socket[LAUNCH_FILE_BYTES];
	const char *argv[ARGS_MAX] = {
		l->config->passt, "--quiet",
		"--socket",	  socket + 1,
		"--address",	  address_print(&lease->address4, address4),
		"--netmask",	  bits,
		"--gateway",	  address_print(&gateway4, via4),
		"--mac-addr",	  mac,
		"--tcp-ports",	  tcp,
		"--udp-ports",	  udp,
	};
	unsigned count = 16;
	struct companion c = { .user = l->uid, .argv = argv };

	if (lease->address6.family) {
		argv[count++] = "--address";
		argv[count++] = address_print(&lease->address6, address6);
		argv[count++] = "--gateway";
		argv[count++] = address_print(&gateway6, via6);
	} else {
		argv[count++] = "--ipv4-only";
	}
	argv[count] = NULL;
	passt_socket(n, socket);
	name_of(n, c.name);
	lease_mac(&gateway4, mac);
	snprintf(bits, sizeof(bits), "%u", net->prefix4.bits);
	list_ports(lease, IPPROTO_TCP, tcp);
	list_ports(lease, IPPROTO_UDP, udp);
	return companion_begin(l, &c, err);
}

int passt_end(const struct launch *l, const struct launch_net *n, struct error *err)
{
	char name[COMPANION_NAME_BYTES];

	name_of(n, name);
	return companion_end(l, name, err);
}
