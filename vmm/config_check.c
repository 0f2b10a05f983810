/* config_check.c - what several fields of a configuration, or the host, decide.
 *
 * The messages begin as Firecracker's, which clients match on; so is the order in which
 * faults are found.
 */
#include <errno.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <unistd.h>

#include "devices/virtio/net_mac.h"
#include "vmm/config_check.h"

static uint64_t host_memory_mib(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
}

#define BAD_VCPUS                                                                       \
	"The number of vCPUs must be greater than 0, less than 32 and must be 1 or an " \
	"even number if SMT is enabled."
#define BAD_MEMORY \
	"The memory size (MiB) is either 0, or not a multiple of the configured page size."

static int check_vcpus(const struct machine_config *c, struct error *err)
{
	if (c->vcpu_count < 1 || c->vcpu_count > VM_MAX_VCPUS)
		return error_set(err, -EINVAL, "vcpu_count", "give 1 to 32",
				 BAD_VCPUS " vcpu_count is %" PRIu64, c->vcpu_count);
	if (c->smt && c->vcpu_count != 1 && c->vcpu_count % 2 != 0)
		return error_set(err, -EINVAL, "vcpu_count",
				 "give 1 or an even number, or smt false",
				 BAD_VCPUS " vcpu_count is %" PRIu64, c->vcpu_count);
	return 0;
}

static int check_memory(const struct machine_config *c, struct error *err)
{
	uint64_t host_mib = host_memory_mib();

	if (c->mem_size_mib == 0)
		return error_set(err, -EINVAL, "mem_size_mib", "give at least 1",
				 BAD_MEMORY " mem_size_mib is 0");
	if (c->huge_pages != HUGE_PAGES_NONE && c->mem_size_mib % 2 != 0)
		return error_set(err, -EINVAL, "mem_size_mib",
				 "give an even number, or huge_pages None",
				 BAD_MEMORY " mem_size_mib is %" PRIu64 " with huge_pages of 2 MiB",
				 c->mem_size_mib);
	if (c->mem_size_mib > host_mib)
		return error_set(err, -EINVAL, "mem_size_mib", "give less than the host has",
				 "The memory size (MiB) is more than this host has: mem_size_mib "
				 "is %" PRIu64 " and the host has %" PRIu64,
				 c->mem_size_mib, host_mib);
	return 0;
}

int config_check_machine(const struct machine_config *c, struct error *err)
{
	int r = check_vcpus(c, err);

	return r < 0 ? r : check_memory(c, err);
}

/* Without one, the device gets a random address, which cannot be wrong. */
static int check_mac(const struct net_config *c, struct error *err)
{
	uint8_t mac[ETH_ALEN];

	if (!c->guest_mac[0])
		return 0;
	if (!net_mac_parse(c->guest_mac, mac))
		return error_set(err, -EINVAL, "guest_mac", "give six pairs of hexadecimal digits",
				 "The provided MAC address is invalid: \"%s\"", c->guest_mac);
	if (!net_mac_is_usable(mac))
		return error_set(err, -EINVAL, "guest_mac",
				 "give one whose first number is even, as 06:00:00:00:00:01",
				 "The provided MAC address is not of one station: \"%s\"",
				 c->guest_mac);
	return 0;
}

static int check_one_backend(const struct net_config *c, struct error *err)
{
	if (!c->host_dev_name[0] == !c->passt_socket[0])
		return error_set(err, -EINVAL, "host_dev_name",
				 "give host_dev_name, a tap, or passt_socket",
				 c->passt_socket[0] ? "An interface has one back end, not both"
						    : "missing field `host_dev_name`");
	return 0;
}

int config_check_net(const struct net_config *c, struct error *err)
{
	int r = check_mac(c, err);

	return r < 0 ? r : check_one_backend(c, err);
}

enum { LEAST_BLOCK_MIB = 2, LEAST_SLOT_MIB = 128 };

static int check_block(const struct memory_hotplug_config *c, struct error *err)
{
	static const char field[] = "block_size_mib", hint[] = "give 2, 4, 8 ...";

	if (c->block_size_mib < LEAST_BLOCK_MIB)
		return error_set(err, -EINVAL, field, hint,
				 "Block size must not be lower than %d MiB", LEAST_BLOCK_MIB);
	if ((c->block_size_mib & (c->block_size_mib - 1)) != 0)
		return error_set(err, -EINVAL, field, hint, "Block size must be a power of 2");
	return 0;
}

static int check_slot(const struct memory_hotplug_config *c, struct error *err)
{
	static const char field[] = "slot_size_mib";
	static const char hint[] = "give 128 or more, and a multiple of block_size_mib";

	if (c->slot_size_mib < LEAST_SLOT_MIB)
		return error_set(err, -EINVAL, field, hint,
				 "Slot size must not be lower than %d MiB", LEAST_SLOT_MIB);
	if (c->slot_size_mib % c->block_size_mib != 0)
		return error_set(err, -EINVAL, field, hint,
				 "Slot size must be a multiple of block size (%" PRIu64 " MiB)",
				 c->block_size_mib);
	return 0;
}

static int check_total(const struct memory_hotplug_config *c, struct error *err)
{
	static const char field[] = "total_size_mib", hint[] = "give a multiple of slot_size_mib";

	if (c->total_size_mib < c->slot_size_mib)
		return error_set(err, -EINVAL, field, hint,
				 "Total size must not be lower than slot size (%" PRIu64 " MiB)",
				 c->slot_size_mib);
	if (c->total_size_mib % c->slot_size_mib != 0)
		return error_set(err, -EINVAL, field, hint,
				 "Total size must be a multiple of slot size (%" PRIu64 " MiB)",
				 c->slot_size_mib);
	return 0;
}

int config_check_memory_hotplug(const struct memory_hotplug_config *c, struct error *err)
{
	int r = check_block(c, err);

	if (r == 0)
		r = check_slot(c, err);
	return r < 0 ? r : check_total(c, err);
}
