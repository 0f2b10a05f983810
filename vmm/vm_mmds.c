/* vm_mmds.c - the metadata service of a microVM: its configuration, and what it knows.
 *
 * The service is made when it is first needed and lives as long as the microVM. Its
 * interfaces get it when their devices go into a machine: at the start, at a restart, or
 * when one is plugged.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "devices/mmds/mmds.h"
#include "devices/virtio/net.h"
#include "vmm/metrics.h"
#include "vmm/vm_parts.h"

/* As Firecracker's messages begin, the three Ms included. */
#define BAD_CONFIG "MMMDS config error: "

/* RFC 3927, 2.1: the first and the last 256 addresses of 169.254/16 are reserved. */
#define LINK_LOCAL     0xa9fe0000u
#define LINK_LOCAL_MIN (LINK_LOCAL + 0x100u)
#define LINK_LOCAL_MAX (LINK_LOCAL + 0xfeffu)

static int make_service(struct vm *vm, struct error *err)
{
	int r = vm->mmds ? 0 : mmds_create(vm->options.mmds_limit_bytes, &vm->mmds);

	return r < 0 ? error_set(err, r, NULL, NULL, "out of memory") : 0;
}

static int check_address(const struct mmds_config *c, struct error *err)
{
	struct in_addr address;

	if (inet_pton(AF_INET, c->ipv4_address, &address) == 1 &&
	    ntohl(address.s_addr) >= LINK_LOCAL_MIN && ntohl(address.s_addr) <= LINK_LOCAL_MAX)
		return 0;
	return error_set(err, -EINVAL, "ipv4_address",
			 "give one from 169.254.1.0 to 169.254.254.255",
			 BAD_CONFIG "The MMDS IPv4 address is not link local.");
}

static bool has_interface(const struct vm *vm, const char *id)
{
	const struct net_config *net;

	for (unsigned i = 0; (net = vm_net(vm, i)) != NULL; i++)
		if (strcmp(net->iface_id, id) == 0)
			return true;
	return false;
}

static int check_interfaces(const struct vm *vm, const struct mmds_config *c, struct error *err)
{
	if (c->ninterfaces == 0)
		return error_set(err, -EINVAL, "network_interfaces", "name at least one",
				 BAD_CONFIG "The list of network interface IDs that allow "
					    "forwarding MMDS requests is empty.");
	for (uint32_t i = 0; i < c->ninterfaces; i++) {
		if (!has_interface(vm, c->network_interfaces[i]))
			return error_set(
				err, -EINVAL, "network_interfaces", "PUT the interface first",
				BAD_CONFIG "The list of network interface IDs provided contains at "
					   "least one ID that does not correspond to any existing "
					   "network interface. There is no \"%s\"",
				c->network_interfaces[i]);
	}
	return 0;
}

int vm_put_mmds(struct vm *vm, const struct mmds_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	if (r == 0)
		r = check_address(c, err);
	if (r == 0)
		r = check_interfaces(vm, c, err);
	if (r == 0)
		r = make_service(vm, err);
	if (r < 0)
		return r;
	vm->mmds_config = *c;
	vm->has_mmds = true;
	mmds_configure(vm->mmds, (enum mmds_version)c->version, c->imds_compat);
	return 0;
}

const struct mmds_config *vm_mmds(const struct vm *vm)
{
	return vm->has_mmds ? &vm->mmds_config : NULL;
}

/* As Firecracker says it. */
static int data_error(int r, const struct vm *vm, struct error *err)
{
	if (r == -EFBIG)
		return error_set(err, r, NULL, "start wisp with a larger --mmds-size-limit",
				 "MMDS limit exceeded error: The MMDS patch request doesn't fit. "
				 "The limit is %zu bytes",
				 vm->options.mmds_limit_bytes);
	if (r == -ENOENT)
		return error_set(err, r, NULL, "PUT /mmds first",
				 "MMDS error: The MMDS data store is not initialized.");
	return r < 0 ? error_set(err, r, NULL, NULL, "out of memory") : 0;
}

int vm_put_metadata(struct vm *vm, struct json_t *data, struct error *err)
{
	int r = make_service(vm, err);

	return r < 0 ? r : data_error(mmds_put(vm->mmds, data), vm, err);
}

int vm_patch_metadata(struct vm *vm, const struct json_t *patch, struct error *err)
{
	return data_error(vm->mmds ? mmds_patch(vm->mmds, patch) : -ENOENT, vm, err);
}

const struct json_t *vm_metadata(const struct vm *vm)
{
	return vm->mmds ? mmds_data(vm->mmds) : NULL;
}

/* --- on the devices --- */

static bool is_served(const struct vm *vm, const char *id)
{
	for (uint32_t i = 0; vm->has_mmds && i < vm->mmds_config.ninterfaces; i++)
		if (strcmp(vm->mmds_config.network_interfaces[i], id) == 0)
			return true;
	return false;
}

int vm_mmds_serve(struct vm *vm, const char *iface_id, struct error *err)
{
	struct virtio_dev *dev;
	struct in_addr address;
	int r;

	if (!is_served(vm, iface_id) || !slots_find(vm->slots, SLOT_NET, iface_id, &dev))
		return 0;
	inet_pton(AF_INET, vm->mmds_config.ipv4_address, &address);
	r = virtio_net_set_mmds(dev, vm->mmds, address.s_addr);
	return r < 0 ? error_set(err, r, NULL, NULL, "the metadata service on \"%s\": %s", iface_id,
				 strerror(-r))
		     : 0;
}

int vm_mmds_serve_all(struct vm *vm, struct error *err)
{
	const struct net_config *net;
	int r = 0;

	for (unsigned i = 0; r == 0 && (net = vm_net(vm, i)) != NULL; i++)
		r = vm_mmds_serve(vm, net->iface_id, err);
	return r;
}

void vm_mmds_add_metrics(const struct vm *vm, struct json_t *totals)
{
	const struct mmds_counters *c = vm->mmds ? mmds_counters(vm->mmds) : NULL;

	if (!c)
		return;

	const struct {
		const char *name;
		uint64_t count;
	} rows[] = {
		{ "rx_count", c->rx_count },
		{ "rx_accepted", c->rx_accepted },
		{ "rx_accepted_err", c->rx_accepted_err },
		{ "rx_accepted_unusual", c->rx_accepted_unusual },
		{ "rx_bad_eth", c->rx_bad_eth },
		{ "rx_no_token", c->rx_no_token },
		{ "rx_invalid_token", c->rx_invalid_token },
		{ "tx_count", c->tx_count },
		{ "tx_frames", c->tx_frames },
		{ "tx_bytes", c->tx_bytes },
		{ "tx_errors", c->tx_errors },
		{ "connections_created", c->connections_created },
		{ "connections_destroyed", c->connections_destroyed },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		metrics_add(totals, "mmds", rows[i].name, rows[i].count);
}
