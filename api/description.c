/* description.c - a whole machine as one JSON object, out of one and into one. */
#include <stdlib.h>
#include <string.h>

#include "api/description.h"
#include "vmm/metrics.h"

static bool has_net(const struct machine_description *d, const char *id)
{
	for (uint32_t i = 0; i < d->nnets; i++)
		if (strcmp(d->nets[i].iface_id, id) == 0)
			return true;
	return false;
}

/* Behind the interfaces: those that were unplugged are not named, and a service that none
 * would have is none. */
static void describe_mmds(const struct mmds_config *c, struct machine_description *d)
{
	d->mmds = *c;
	d->mmds.ninterfaces = 0;
	for (uint32_t i = 0; i < c->ninterfaces; i++)
		if (has_net(d, c->network_interfaces[i]))
			strcpy(d->mmds.network_interfaces[d->mmds.ninterfaces++],
			       c->network_interfaces[i]);
	d->has_mmds = d->mmds.ninterfaces > 0;
}

static void describe(const struct vm *vm, struct machine_description *d)
{
	const struct metrics_config *metrics = metrics_config(vm_metrics(vm));
	const struct boot_source_config *boot = vm_boot_source(vm);
	const struct entropy_config *entropy = vm_entropy(vm);
	const struct balloon_config *balloon = vm_balloon(vm);
	const struct vsock_config *vsock = vm_vsock(vm);
	const struct console_config *console = vm_console(vm);
	const struct memory_hotplug_config *memory = vm_memory(vm);
	const struct mmds_config *mmds = vm_mmds(vm);
	const struct drive_config *drive;
	const struct net_config *net;
	const struct pmem_config *pmem;
	const struct shared_directory_config *directory;

	if (boot)
		d->boot_source = *boot;
	d->has_boot_source = boot != NULL;
	d->logger = *vm_logger(vm);
	d->has_logger = true;
	if (metrics)
		d->metrics = *metrics;
	d->has_metrics = metrics != NULL;
	d->machine = *vm_machine(vm);
	d->has_machine = true;
	if (entropy)
		d->entropy = *entropy;
	d->has_entropy = entropy != NULL;
	if (balloon)
		d->balloon = *balloon;
	d->has_balloon = balloon != NULL;
	if (vsock)
		d->vsock = *vsock;
	d->has_vsock = vsock != NULL;
	if (console)
		d->console = *console;
	d->has_console = console != NULL;
	if (memory)
		d->memory = *memory;
	d->has_memory = memory != NULL;
	while (d->ndrives < VM_MAX_DRIVES && (drive = vm_drive(vm, d->ndrives)) != NULL)
		d->drives[d->ndrives++] = *drive;
	while (d->nnets < VM_MAX_NETS && (net = vm_net(vm, d->nnets)) != NULL)
		d->nets[d->nnets++] = *net;
	if (mmds)
		describe_mmds(mmds, d);
	while (d->npmem < VM_MAX_PMEM && (pmem = vm_pmem(vm, d->npmem)) != NULL)
		d->pmem[d->npmem++] = *pmem;
	while (d->nshared_directories < VM_MAX_SHARED_DIRECTORIES &&
	       (directory = vm_shared_directory(vm, d->nshared_directories)) != NULL)
		d->shared_directories[d->nshared_directories++] = *directory;
}

json_t *description_of(const struct vm *vm)
{
	struct machine_description *d = calloc(1, sizeof(*d));
	json_t *j;

	if (!d)
		return NULL;
	describe(vm, d);
	j = body_write(&body_description, d);
	free(d);
	return j;
}

/* Passes r on; after an error, puts the section before the field at fault. */
static int in_section(int r, const char *section, int index, struct error *err)
{
	if (r < 0)
		body_prefix_field(err, section, index);
	return r;
}

int description_apply(struct vm *vm, const struct machine_description *d, struct error *err)
{
	int r = 0;

	if (d->has_logger)
		r = in_section(vm_put_logger(vm, &d->logger, err), "logger", -1, err);
	if (r == 0 && d->has_metrics)
		r = in_section(vm_put_metrics(vm, &d->metrics, err), "metrics", -1, err);
	if (r == 0 && d->has_machine)
		r = in_section(vm_put_machine(vm, &d->machine, err), "machine-config", -1, err);
	if (r == 0 && d->has_boot_source)
		r = in_section(vm_put_boot_source(vm, &d->boot_source, err), "boot-source", -1,
			       err);
	for (uint32_t i = 0; r == 0 && i < d->ndrives; i++)
		r = in_section(vm_put_drive(vm, &d->drives[i], err), "drives", (int)i, err);
	for (uint32_t i = 0; r == 0 && i < d->nnets; i++)
		r = in_section(vm_put_net(vm, &d->nets[i], err), "network-interfaces", (int)i, err);
	if (r == 0 && d->has_mmds)
		r = in_section(vm_put_mmds(vm, &d->mmds, err), "mmds-config", -1, err);
	for (uint32_t i = 0; r == 0 && i < d->npmem; i++)
		r = in_section(vm_put_pmem(vm, &d->pmem[i], err), "pmem", (int)i, err);
	if (r == 0 && d->has_entropy)
		r = in_section(vm_put_entropy(vm, &d->entropy, err), "entropy", -1, err);
	if (r == 0 && d->has_balloon)
		r = in_section(vm_put_balloon(vm, &d->balloon, err), "balloon", -1, err);
	if (r == 0 && d->has_memory)
		r = in_section(vm_put_memory(vm, &d->memory, err), "memory-hotplug", -1, err);
	if (r == 0 && d->has_console)
		r = in_section(vm_put_console(vm, &d->console, err), "console", -1, err);
	if (r == 0 && d->has_vsock)
		r = in_section(vm_put_vsock(vm, &d->vsock, err), "vsock", -1, err);
	for (uint32_t i = 0; r == 0 && i < d->nshared_directories; i++)
		r = in_section(vm_put_shared_directory(vm, &d->shared_directories[i], err),
			       "shared-directories", (int)i, err);
	return r;
}
