/* identity.c - what a guest, and a clone, is told (guest-images/agent/protocol.h, identity). */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "guest-images/agent/caller.h"
#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/life/identity.h"
#include "supervisor/life/runtime.h"
#include "supervisor/network/names.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	RECONNECT_MS = 20,
	SEED_BYTES = 32,
	MACHINE_ID_BYTES = 16,
	OWN_MAX = 4, /* but for interfaces: clock, seed, machine id, name */
	TEXTS_MAX = OWN_MAX + LAUNCH_NETS_MAX + IDENTITY_ADDRESSES_MAX,
};

struct words {
	char texts[TEXTS_MAX][IDENTITY_TEXT_BYTES];
	const char *list[TEXTS_MAX + 1];
	unsigned count;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->texts[w->count], IDENTITY_TEXT_BYTES, format, args);
	va_end(args);
	w->list[w->count] = w->texts[w->count];
	w->list[++w->count] = NULL;
}

static int say_random(struct words *w, const char *name, size_t bytes, struct error *err)
{
	uint8_t random[SEED_BYTES];
	char text[2 * SEED_BYTES + 1];

	if (getrandom(random, bytes, 0) != (ssize_t)bytes)
		return error_errno(err, NULL, NULL, "There is no randomness");
	hex_encode(random, bytes, text);
	say(w, "%s=%s", name, text);
	return 0;
}

void identity_tell_kernel(struct launch *l, const char *name, const struct address *address,
			  const struct address *via, unsigned bits, const struct address *resolver)
{
	struct in_addr mask = { .s_addr = bits ? htonl(~0U << (32 - bits)) : 0 };
	char rest[sizeof(l->cmdline)], text[ADDRESS_TEXT], gateway[ADDRESS_TEXT];
	char netmask[INET_ADDRSTRLEN], names[ADDRESS_TEXT] = "";

	memcpy(rest, l->cmdline, sizeof(rest));
	inet_ntop(AF_INET, &mask, netmask, sizeof(netmask));
	if (resolver)
		address_print(resolver, names);
	snprintf(l->cmdline, sizeof(l->cmdline), "ip=%s::%s:%s:%s:eth0:off%s%s%s%.*s",
		 address_print(address, text), address_print(via, gateway), netmask, name,
		 names[0] ? ":" : "", names, rest[0] ? " " : "",
		 LAUNCH_CMDLINE_BYTES - LAUNCH_IP_BYTES, rest);
}

/* --- interfaces --- */

/* Of a namespace that it was given. */
static unsigned given_addresses(const struct launch *l,
				char texts[IDENTITY_ADDRESSES_MAX][IDENTITY_TEXT_BYTES])
{
	const struct netns_link *link = &l->given_link;
	char address[ADDRESS_TEXT];
	unsigned count = 0;

	for (unsigned n = 0; n < link->naddresses; n++)
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "address=%s %s/%u", l->nets[0].id,
			 address_print(&link->addresses[n].address, address),
			 link->addresses[n].bits);
	if (link->gateway4.family)
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "gateway=%s",
			 address_print(&link->gateway4, address));
	if (link->gateway6.family)
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "gateway=%s %s", l->nets[0].id,
			 address_print(&link->gateway6, address));
	return count;
}

/* A guest with a line of its own has no neighbours but the host. */
static unsigned bits_of(const struct network *n, const struct prefix *prefix)
{
	return n->mode == NETWORK_ROUTED && prefix->base.family == AF_INET6 ? 128 : prefix->bits;
}

/* Of the first one's network: its gateways, and who knows names there. */
static unsigned ways_out(const struct launch_net *net,
			 char texts[IDENTITY_WAYS_OUT_MAX][IDENTITY_TEXT_BYTES])
{
	const struct network *n = &net->lease.network;
	struct address via4 = prefix_address(&n->prefix4, NETWORK_GATEWAY);
	struct address via6 = prefix_address(&n->prefix6, NETWORK_GATEWAY);
	char address[ADDRESS_TEXT];
	unsigned count = 0;

	snprintf(texts[count++], IDENTITY_TEXT_BYTES, "gateway=%s", address_print(&via4, address));
	if (via6.family)
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "gateway=%s %s", net->id,
			 address_print(&via6, address));
	if (n->dns)
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "resolver=%s %s." NAMES_TOP,
			 address_print(&via4, address), n->name);
	return count;
}

unsigned identity_addresses(const struct launch *l, bool all,
			    char texts[IDENTITY_ADDRESSES_MAX][IDENTITY_TEXT_BYTES])
{
	char address[ADDRESS_TEXT];
	unsigned count = 0;

	if (l->given.path[0])
		return given_addresses(l, texts);
	for (unsigned i = 0; i < l->nnets; i++) {
		const struct lease *lease = &l->nets[i].lease;
		const struct network *net = &lease->network;

		if (!all && net->addressing == NETWORK_DHCP)
			continue;
		snprintf(texts[count++], IDENTITY_TEXT_BYTES, "address=%s %s/%u", l->nets[i].id,
			 address_print(&lease->address4, address), bits_of(net, &net->prefix4));
		if (lease->address6.family)
			snprintf(texts[count++], IDENTITY_TEXT_BYTES, "address=%s %s/%u",
				 l->nets[i].id, address_print(&lease->address6, address),
				 bits_of(net, &net->prefix6));
	}
	if (l->nnets && (all || l->nets[0].lease.network.addressing == NETWORK_TOLD))
		count += ways_out(&l->nets[0], texts + count);
	return count;
}

static void say_interfaces(const struct launch *l, struct words *w)
{
	char texts[IDENTITY_ADDRESSES_MAX][IDENTITY_TEXT_BYTES];
	unsigned count = identity_addresses(l, true, texts);

	for (unsigned i = 0; i < l->nnets; i++)
		say(w, "mac=%s %s", l->nets[i].id, l->nets[i].lease.mac);
	for (unsigned i = 0; i < count; i++)
		say(w, "%s", texts[i]);
}

static int connect_once(const struct launch *l, int limit_ms, struct error *err)
{
	int way = l->runtime->open_way(l, RUNTIME_VSOCK, 0, err), fd;
	char path[32];

	if (way < 0)
		return way;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", way);
	fd = caller_connect(path, AGENT_PORT, limit_ms, err);
	fd_close(way);
	return fd;
}

/* The VMM resets a connection that the guest does not take within seconds; a guest that has
 * just been loaded, on a busy host, may need more. */
int identity_connect(const struct launch *l, int limit_ms, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + (uint64_t)limit_ms * 1000;
	int fd = connect_once(l, limit_ms, err);

	while (fd == -ECONNRESET && clock_now_us() < deadline_us) {
		poll(NULL, 0, RECONNECT_MS);
		fd = connect_once(l, limit_ms, err);
	}
	return fd;
}

int identity_tell(const struct launch *l, struct error *err)
{
	int limit_ms = (int)l->config->agent_timeout_ms, fd = -1, r = -ENOMEM;
	struct words *w = calloc(1, sizeof(*w));

	if (w)
		r = say_random(w, "seed", SEED_BYTES, err);
	if (r == 0)
		r = say_random(w, "machine_id", MACHINE_ID_BYTES, err);
	if (r == 0) {
		say(w, "clock_ns=%" PRId64, ledger_wall_ns());
		say(w, "hostname=%s", l->name);
		say_interfaces(l, w);
		r = fd = identity_connect(l, limit_ms, err);
	}
	if (r >= 0)
		r = caller_ask(fd, "identity", w->list, limit_ms, NULL, err);
	fd_close(fd);
	free(w);
	return r;
}
