/* inventory.c - functions, groups and facts of the host, as sysfs and procfs tell them.
 *
 * A function is a folder of attributes; what the kernel cannot say is not there. Its health
 * is seen by its configuration space: a device that has fallen off the bus, or hangs, reads
 * as all ones.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "supervisor/device/inventory.h"
#include "supervisor/device/tree.h"
#include "supervisor/device/use.h"
#include "vmm/base/fd.h"

enum {
	RESOURCE_IO = 0x100, /* flags in the file "resource" */
	RESOURCE_PREFETCHABLE = 0x2000,
	DMA_ENTRIES_USUAL = 65535, /* of vfio_iommu_type1, until it is loaded */
	HEADER_TYPE_MASK = 0x7f,
	RESOURCE_FILE_BYTES = 2048,
	COUNTERS_BYTES = 1024,
	WIDTH_UNKNOWN = 0xff,
};

/* --- a function --- */

static void read_bars(int dir, struct pci_function *f)
{
	char text[RESOURCE_FILE_BYTES];
	const char *line = text;

	tree_text(dir, "resource", text, sizeof(text));
	for (unsigned i = 0; i <= PCI_BARS && *line; i++) {
		char *end;
		uint64_t first = strtoull(line, &end, 16), last = strtoull(end, &end, 16);
		uint64_t flags = strtoull(end, &end, 16), bytes;

		bytes = flags && last > first ? last - first + 1 : 0;
		if (i == PCI_BARS)
			f->rom_bytes = bytes;
		else
			f->bars[i] =
				(struct pci_bar){ .bytes = bytes,
						  .io = flags & RESOURCE_IO,
						  .prefetchable = flags & RESOURCE_PREFETCHABLE };
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

static void read_config(int dir, struct pci_function *f)
{
	uint8_t space[PCI_STD_HEADER_SIZEOF];
	int fd = openat(dir, "config", O_RDONLY | O_CLOEXEC);

	f->answers = fd >= 0 && fd_pread_all(fd, space, sizeof(space), 0) == 0 &&
		     (space[PCI_VENDOR_ID] != 0xff || space[PCI_VENDOR_ID + 1] != 0xff ||
		      f->physical[0]);
	f->header = f->answers ? space[PCI_HEADER_TYPE] & HEADER_TYPE_MASK : HEADER_TYPE_MASK;
	/* A virtual function has no identity of its own there; its header type is 0. */
	f->answers = f->answers && f->header != HEADER_TYPE_MASK;
	fd_close(fd);
}

static void read_link(int dir, struct pci_function *f)
{
	tree_text(dir, "current_link_speed", f->link_speed, sizeof(f->link_speed));
	tree_text(dir, "max_link_speed", f->link_speed_most, sizeof(f->link_speed_most));
	f->link_width = (unsigned)tree_number(dir, "current_link_width", 0);
	f->link_width_most = (unsigned)tree_number(dir, "max_link_width", 0);
	if (f->link_width_most == WIDTH_UNKNOWN)
		f->link_width_most = f->link_width;
}

/* The sum at the end of a file of counters. */
static uint64_t read_errors(int dir, const char *name, const char *sum)
{
	char text[COUNTERS_BYTES];
	const char *at;

	tree_text(dir, name, text, sizeof(text));
	at = strstr(text, sum);
	return at ? strtoull(at + strlen(sum), NULL, 10) : 0;
}

static void read_names(int dir, struct pci_function *f)
{
	char name[PCI_NAME_BYTES];

	tree_link_name(dir, "driver", f->driver, sizeof(f->driver));
	tree_text(dir, "driver_override", f->driver_override, sizeof(f->driver_override));
	if (strcmp(f->driver_override, "(null)") == 0)
		f->driver_override[0] = '\0';
	f->group = tree_link_name(dir, "iommu_group", name, sizeof(name))
			   ? (int)strtol(name, NULL, 10)
			   : -1;
	tree_link_name(dir, "physfn", f->physical, sizeof(f->physical));
	tree_text(dir, "reset_method", f->reset, sizeof(f->reset));
	tree_text(dir, "power_state", f->power, sizeof(f->power));
	tree_text(dir, "local_cpulist", f->cpus, sizeof(f->cpus));
}

static void read_function(int dir, const char *address, struct pci_function *f)
{
	*f = (struct pci_function){
		.class_code = (uint32_t)tree_number(dir, "class", 0),
		.vendor = (uint16_t)tree_number(dir, "vendor", 0),
		.device = (uint16_t)tree_number(dir, "device", 0),
		.subsystem_vendor = (uint16_t)tree_number(dir, "subsystem_vendor", 0),
		.subsystem_device = (uint16_t)tree_number(dir, "subsystem_device", 0),
		.node = (int)tree_number(dir, "numa_node", -1),
		.virtuals_most = (unsigned)tree_number(dir, "sriov_totalvfs", 0),
		.virtuals = (unsigned)tree_number(dir, "sriov_numvfs", 0),
	};
	snprintf(f->address, sizeof(f->address), "%s", address);
	read_names(dir, f);
	read_bars(dir, f);
	read_config(dir, f);
	read_link(dir, f);
	f->errors_fatal = read_errors(dir, "aer_dev_fatal", "TOTAL_ERR_FATAL ");
	f->errors_nonfatal = read_errors(dir, "aer_dev_nonfatal", "TOTAL_ERR_NONFATAL ");
	if (tree_number(dir, "boot_vga", 0))
		snprintf(f->use, sizeof(f->use), "the host's screen is on it");
}

static int compare(const void *a, const void *b)
{
	const struct pci_function *f = a, *g = b;

	return strcmp(f->address, g->address);
}

static int add_function(struct inventory *v, unsigned *room, int devices, const char *address)
{
	int dir = tree_open(devices, address);

	/* It may just have gone. */
	if (dir < 0)
		return 0;
	if (v->count == *room) {
		unsigned more = *room ? 2 * *room : 64;
		struct pci_function *grown = realloc(v->functions, more * sizeof(*grown));

		if (!grown) {
			fd_close(dir);
			return -ENOMEM;
		}
		v->functions = grown;
		*room = more;
	}
	read_function(dir, address, &v->functions[v->count++]);
	fd_close(dir);
	return 0;
}

static int read_functions(int root, struct inventory *v)
{
	DIR *dir = tree_list(root, "sys/bus/pci/devices");
	struct dirent *entry;
	unsigned room = 0;
	int r = 0;

	while (dir && r == 0 && v->count < INVENTORY_FUNCTIONS_MAX &&
	       (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < PCI_ADDRESS_BYTES)
			r = add_function(v, &room, dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	if (v->count)
		qsort(v->functions, v->count, sizeof(*v->functions), compare);
	return r;
}

/* --- the host --- */

static unsigned count_entries(int root, const char *folder)
{
	DIR *dir = tree_list(root, folder);
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static bool file_has(int root, const char *name, const char *word)
{
	char *text = tree_file(root, name);
	bool found = text && strstr(text, word);

	free(text);
	return found;
}

/* x86 names the interrupts that an IOMMU remaps so; elsewhere the controller isolates them. */
static bool remaps_interrupts(int root)
{
	return file_has(root, "proc/interrupts", "IR-") ||
	       file_has(root, "proc/interrupts", "ITS-");
}

static uint64_t available_mib(int root)
{
	char *text = tree_file(root, "proc/meminfo");
	const char *at = text ? strstr(text, "MemAvailable:") : NULL;
	uint64_t kib = at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) : 0;

	free(text);
	return kib >> 10;
}

/* Root gives its processes any limit, unless that was taken from it. */
uint64_t inventory_memlock_mib(void)
{
	bool any = geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1;
	struct rlimit limit;

	if (any || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_max >> 20;
}

static uint64_t huge_free_mib(int node)
{
	DIR *dir = tree_list(node, "hugepages");
	struct dirent *entry;
	uint64_t mib = 0;

	while (dir && (entry = readdir(dir)) != NULL) {
		static const char prefix[] = "hugepages-";
		char path[300];
		uint64_t kib;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		kib = strtoull(entry->d_name + strlen(prefix), NULL, 10);
		snprintf(path, sizeof(path), "%s/free_hugepages", entry->d_name);
		mib += (uint64_t)tree_number(dirfd(dir), path, 0) * kib >> 10;
	}
	if (dir)
		closedir(dir);
	return mib;
}

static void read_nodes(int root, struct host_facts *h)
{
	DIR *dir = tree_list(root, "sys/devices/system/node");
	struct dirent *entry;

	while (dir && h->nodes < INVENTORY_NODES_MAX && (entry = readdir(dir)) != NULL) {
		struct host_node *n = &h->node[h->nodes];
		const char *digits = entry->d_name + strlen("node");
		int fd;

		if (strncmp(entry->d_name, "node", 4) != 0 || !isdigit((unsigned char)*digits))
			continue;
		n->number = (int)strtol(digits, NULL, 10);
		fd = tree_open(dirfd(dir), entry->d_name);
		n->huge_free_mib = fd < 0 ? 0 : huge_free_mib(fd);
		fd_close(fd);
		h->nodes++;
	}
	if (dir)
		closedir(dir);
}

static void read_host(int root, struct host_facts *h)
{
	static const char unsafe[] = "sys/module/vfio_iommu_type1/parameters/"
				     "allow_unsafe_interrupts";
	char answer[8];

	h->iommus = count_entries(root, "sys/class/iommu");
	h->groups = count_entries(root, "sys/kernel/iommu_groups");
	h->remaps_interrupts = remaps_interrupts(root);
	h->allows_unsafe_interrupts =
		tree_text(root, unsafe, answer, sizeof(answer)) && answer[0] == 'Y';
	h->overrides_acs = file_has(root, "proc/cmdline", "pcie_acs_override");
	h->has_vfio = tree_has(root, "sys/bus/pci/drivers/vfio-pci") &&
		      tree_has(root, "sys/module/vfio_iommu_type1") &&
		      tree_has(root, "dev/vfio/vfio");
	h->dma_entries = (uint64_t)tree_number(
		root, "sys/module/vfio_iommu_type1/parameters/dma_entry_limit", DMA_ENTRIES_USUAL);
	h->merges_pages = tree_number(root, "sys/kernel/mm/ksm/run", 0) == 1;
	h->available_mib = available_mib(root);
	h->memlock_mib = inventory_memlock_mib();
	read_nodes(root, h);
}

int inventory_read(const char *root, struct inventory *ret, struct error *err)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	*ret = (struct inventory){ 0 };
	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot open %s", root);
	r = read_functions(fd, ret);
	if (r < 0)
		error_set(err, r, NULL, NULL, "out of memory");
	else
		use_find(fd, ret);
	read_host(fd, &ret->host);
	/* A tree that a test made has no processes of ours. */
	if (strcmp(root, "/") != 0)
		ret->host.memlock_mib = UINT64_MAX;
	fd_close(fd);
	return r;
}

void inventory_clear(struct inventory *v)
{
	free(v->functions);
	*v = (struct inventory){ 0 };
}

const struct pci_function *inventory_find(const struct inventory *v, const char *address)
{
	struct pci_function key = { 0 };

	if (!v->count || strlen(address) >= sizeof(key.address))
		return NULL;
	snprintf(key.address, sizeof(key.address), "%s", address);
	return bsearch(&key, v->functions, v->count, sizeof(key), compare);
}

/* --- showing --- */

static json_t *describe_bars(const struct pci_function *f)
{
	json_t *bars = json_array();

	for (unsigned i = 0; i < PCI_BARS; i++)
		if (f->bars[i].bytes)
			json_array_append_new(bars, json_pack("{s:i, s:I, s:b, s:b}", "bar", (int)i,
							      "bytes", (json_int_t)f->bars[i].bytes,
							      "io", f->bars[i].io, "prefetchable",
							      f->bars[i].prefetchable));
	return bars;
}

static json_t *describe_group(const struct inventory *v, const struct pci_function *f)
{
	json_t *members = json_array();

	for (unsigned i = 0; f->group >= 0 && i < v->count; i++)
		if (v->functions[i].group == f->group)
			json_array_append_new(members, json_string(v->functions[i].address));
	return members;
}

json_t *pci_describe(const struct inventory *v, const struct pci_function *f)
{
	char ids[10], subsystem[10], code[8];

	snprintf(ids, sizeof(ids), "%04x:%04x", f->vendor, f->device);
	snprintf(subsystem, sizeof(subsystem), "%04x:%04x", f->subsystem_vendor,
		 f->subsystem_device);
	snprintf(code, sizeof(code), "%06x", f->class_code & 0xffffff);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:i, s:s, s:s, s:b, s:s, s:s,"
			 " s:i, s:i, s:o, s:I, s:s, s:i, s:i, s:I, s:I, s:s}",
			 "address", f->address, "class", pci_class_name(f->class_code),
			 "class_code", code, "id", ids, "subsystem", subsystem, "driver", f->driver,
			 "group", f->group, "group_members", describe_group(v, f), "node", f->node,
			 "cpus", f->cpus, "reset", f->reset, "answers", f->answers, "power",
			 f->power, "physical", f->physical, "virtuals", (int)f->virtuals,
			 "virtuals_most", (int)f->virtuals_most, "bars", describe_bars(f),
			 "rom_bytes", (json_int_t)f->rom_bytes, "link_speed", f->link_speed,
			 "link_width", (int)f->link_width, "link_width_most",
			 (int)f->link_width_most, "errors_fatal", (json_int_t)f->errors_fatal,
			 "errors_nonfatal", (json_int_t)f->errors_nonfatal, "use", f->use);
}
