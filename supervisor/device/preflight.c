/* preflight.c - the table of checks, one function a row.
 *
 * What a device can reach by DMA is for the IOMMU to say, and it says so by groups: what
 * shares a group can reach each other, so a group goes to one guest or to none. A device that
 * cannot be reset carries what one guest left in it to the next. A guest whose memory a
 * device may write to at any time must have all of it, at fixed places, from its start.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/device/preflight.h"

enum {
	SLACK_MIB = 1024, /* beside the guest's memory: BARs and QEMU's own */
	PAGES_PER_MIB = 256,
};

const char *const preflight_numa_names[] = { "preferred", "required", "any", NULL };

typedef enum preflight_verdict verdict_t;

#define SAY(...) snprintf(text, PREFLIGHT_TEXT_BYTES, __VA_ARGS__)

int64_t preflight_memlock_mib(int64_t mem_mib)
{
	return mem_mib + SLACK_MIB;
}

static bool is_chosen(const struct preflight *p, const struct pci_function *f)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->device[i] == f)
			return true;
	return false;
}

/* --- the IOMMU --- */

static verdict_t check_iommu(const struct preflight *p, char *text)
{
	const struct host_facts *h = &p->inventory->host;

	SAY("%u IOMMUs, %u groups", h->iommus, h->groups);
	return h->iommus && h->groups ? PREFLIGHT_PASS : PREFLIGHT_REFUSE;
}

static verdict_t check_interrupts(const struct preflight *p, char *text)
{
	const struct host_facts *h = &p->inventory->host;

	if (!h->remaps_interrupts) {
		SAY("a device could send any interrupt to the host%s",
		    h->allows_unsafe_interrupts ? ", which vfio_iommu_type1 is told to allow" : "");
		return PREFLIGHT_REFUSE;
	}
	SAY("interrupts are remapped%s",
	    h->allows_unsafe_interrupts ? ", though unsafe ones are allowed" : "");
	return h->allows_unsafe_interrupts ? PREFLIGHT_WARN : PREFLIGHT_PASS;
}

/* Another member may stay where it is if no driver has it, or one that hands on itself. */
static bool is_harmless(const struct pci_function *f)
{
	return pci_is_bridge(f) || !f->driver[0] || strcmp(f->driver, "vfio-pci") == 0 ||
	       strcmp(f->driver, "pci-stub") == 0;
}

static const struct pci_function *find_foreign(const struct preflight *p,
					       const struct pci_function *f)
{
	for (unsigned i = 0; i < p->inventory->count; i++) {
		const struct pci_function *g = &p->inventory->functions[i];

		if (g->group == f->group && !is_chosen(p, g) && !pci_is_bridge(g))
			return g;
	}
	return NULL;
}

static verdict_t check_group(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i], *other;

		if (f->group < 0) {
			SAY("%s is in no IOMMU group", f->address);
			return PREFLIGHT_REFUSE;
		}
		other = find_foreign(p, f);
		if (!other)
			continue;
		SAY("%s shares group %d with %s%s%s", f->address, f->group, other->address,
		    is_harmless(other) ? "" : ", which the host drives by ",
		    is_harmless(other) ? "" : other->driver);
		return PREFLIGHT_REFUSE;
	}
	SAY("every group goes to this guest as a whole");
	return PREFLIGHT_PASS;
}

static verdict_t check_acs(const struct preflight *p, char *text)
{
	SAY(p->inventory->host.overrides_acs
		    ? "pcie_acs_override splits groups that the hardware does not keep apart"
		    : "groups are as the hardware keeps devices apart");
	return p->inventory->host.overrides_acs ? PREFLIGHT_REFUSE : PREFLIGHT_PASS;
}

/* --- the device --- */

/* The bus of an address: all before its slot. */
static bool same_bus(const struct pci_function *f, const struct pci_function *g)
{
	size_t len = (size_t)(strrchr(f->address, ':') - f->address);

	return strncmp(f->address, g->address, len + 1) == 0;
}

static const struct pci_function *find_on_bus(const struct preflight *p,
					      const struct pci_function *f)
{
	for (unsigned i = 0; i < p->inventory->count; i++) {
		const struct pci_function *g = &p->inventory->functions[i];

		if (g != f && same_bus(f, g) && !is_chosen(p, g))
			return g;
	}
	return NULL;
}

/* Several that have a bus for themselves are reset with it, if not by themselves. */
static bool shares_bus(const struct preflight *p, const struct pci_function *f)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->device[i] != f && same_bus(f, p->device[i]))
			return true;
	return false;
}

static verdict_t check_reset(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i], *other = NULL;
		bool alone = f->reset[0] && strcmp(f->reset, "bus") != 0;

		if (alone)
			continue;
		other = find_on_bus(p, f);
		if (!other && (f->reset[0] || shares_bus(p, f)))
			continue;
		if (other && f->reset[0])
			SAY("%s is reset with its whole bus, and with %s, which stays", f->address,
			    other->address);
		else
			SAY("%s cannot be reset", f->address);
		return PREFLIGHT_REFUSE;
	}
	SAY("%s: %s", p->device[0]->address,
	    p->device[0]->reset[0] ? p->device[0]->reset : "with its bus");
	return PREFLIGHT_PASS;
}

static verdict_t check_use(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i];

		if (!f->use[0])
			continue;
		SAY("%s: %s", f->address, f->use);
		return PREFLIGHT_REFUSE;
	}
	SAY("the host does not use it");
	return PREFLIGHT_PASS;
}

static verdict_t check_driver(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i];

		if (pci_is_bridge(f)) {
			SAY("%s is a bridge", f->address);
			return PREFLIGHT_REFUSE;
		}
		if (!f->driver_override[0] || strcmp(f->driver_override, "vfio-pci") == 0)
			continue;
		SAY("%s is kept for the driver %s", f->address, f->driver_override);
		return PREFLIGHT_REFUSE;
	}
	if (!p->inventory->host.has_vfio) {
		SAY("vfio-pci or vfio_iommu_type1 is not there");
		return PREFLIGHT_REFUSE;
	}
	SAY("%s: driver %s", p->device[0]->address,
	    p->device[0]->driver[0] ? p->device[0]->driver : "none");
	return PREFLIGHT_PASS;
}

/* --- memory --- */

static verdict_t check_memlock(const struct preflight *p, char *text)
{
	int64_t needed = preflight_memlock_mib(p->request.mem_mib);
	uint64_t most = p->inventory->host.memlock_mib;

	if (most == UINT64_MAX) {
		SAY("%lld MiB will be allowed to be locked", (long long)needed);
		return PREFLIGHT_PASS;
	}
	SAY("%lld MiB are to be locked, %llu may be", (long long)needed, (unsigned long long)most);
	return most >= (uint64_t)needed ? PREFLIGHT_PASS : PREFLIGHT_REFUSE;
}

static verdict_t check_entries(const struct preflight *p, char *text)
{
	uint64_t worst = (uint64_t)p->request.mem_mib * PAGES_PER_MIB;
	uint64_t most = p->inventory->host.dma_entries;

	if (p->request.huge_pages || worst <= most) {
		SAY("at most %llu pieces of memory, of %llu",
		    (unsigned long long)(p->request.huge_pages ? worst / 512 + 1 : worst),
		    (unsigned long long)most);
		return PREFLIGHT_PASS;
	}
	/* QEMU maps its regions whole; only a guest with an IOMMU of its own adds many more. */
	SAY("in small pieces its memory could take %llu of %llu mappings",
	    (unsigned long long)worst, (unsigned long long)most);
	return PREFLIGHT_WARN;
}

static verdict_t check_huge_pages(const struct preflight *p, char *text)
{
	const struct host_facts *h = &p->inventory->host;
	int node = p->request.node >= 0 ? p->request.node : p->device[0]->node;
	uint64_t free_mib = 0;

	for (unsigned i = 0; i < h->nodes; i++)
		if (node < 0 || h->node[i].number == node)
			free_mib += h->node[i].huge_free_mib;
	SAY("%s; node %d has %llu MiB of them free",
	    p->request.huge_pages ? "huge pages are wanted" : "no huge pages are wanted", node,
	    (unsigned long long)free_mib);
	return p->request.huge_pages && free_mib < (uint64_t)p->request.mem_mib ? PREFLIGHT_REFUSE
										: PREFLIGHT_PASS;
}

static verdict_t check_numa(const struct preflight *p, char *text)
{
	bool required = p->request.numa == PREFLIGHT_NUMA_REQUIRED;

	for (unsigned i = 0; i < p->count && p->request.numa != PREFLIGHT_NUMA_ANY; i++) {
		const struct pci_function *f = p->device[i];
		int wanted = p->request.node >= 0 ? p->request.node : p->device[0]->node;

		if (f->node >= 0 && f->node == wanted)
			continue;
		/* With one node there is no other to be on. */
		if (f->node < 0 && p->inventory->host.nodes <= 1)
			continue;
		SAY("%s is on node %d, the guest's memory on %d", f->address, f->node, wanted);
		return required ? PREFLIGHT_REFUSE : PREFLIGHT_WARN;
	}
	SAY("%s is near CPUs %s", p->device[0]->address, p->device[0]->cpus);
	return PREFLIGHT_PASS;
}

static verdict_t check_memory(const struct preflight *p, char *text)
{
	const struct host_facts *h = &p->inventory->host;

	if ((uint64_t)p->request.mem_mib > h->available_mib && !p->request.huge_pages) {
		SAY("%lld MiB are to be there from the start, %llu are",
		    (long long)p->request.mem_mib, (unsigned long long)h->available_mib);
		return PREFLIGHT_REFUSE;
	}
	if (h->merges_pages) {
		SAY("the host merges equal pages (KSM)");
		return PREFLIGHT_REFUSE;
	}
	SAY("all of its memory is taken at the start and stays");
	return PREFLIGHT_PASS;
}

/* What needs the guest's memory to move, to come later or to be known unchanged. */
static verdict_t check_features(const struct preflight *p, char *text)
{
	static const char *const impossible[] = { "snapshot",	"fork",	      "migration",
						  "post-copy",	"balloon",    "resize",
						  "hot-unplug", "overcommit", "reporting" };
	const char *at = p->request.features ? p->request.features : "";

	while (*at) {
		size_t len = strcspn(at, ",");

		for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
			if (strlen(impossible[i]) != len || strncmp(at, impossible[i], len) != 0)
				continue;
			SAY("with a device there is no %s", impossible[i]);
			return PREFLIGHT_REFUSE;
		}
		at += len + (at[len] == ',');
	}
	SAY("nothing is asked for that a device forbids");
	return PREFLIGHT_PASS;
}

/* --- its state --- */

static verdict_t check_health(const struct preflight *p, char *text)
{
	verdict_t verdict = PREFLIGHT_PASS;

	SAY("%s answers", p->device[0]->address);
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i];

		if (!f->answers || f->errors_fatal || strcmp(f->power, "D3cold") == 0) {
			SAY("%s: %s", f->address,
			    !f->answers	      ? "its configuration space reads as all ones"
			    : f->errors_fatal ? "fatal errors were counted"
					      : "it has no power");
			return PREFLIGHT_REFUSE;
		}
		if (!f->errors_nonfatal && f->link_width >= f->link_width_most)
			continue;
		SAY("%s: its link has %u of %u lanes, %llu errors were counted", f->address,
		    f->link_width, f->link_width_most, (unsigned long long)f->errors_nonfatal);
		verdict = PREFLIGHT_WARN;
	}
	return verdict;
}

static verdict_t check_sriov(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct pci_function *f = p->device[i];

		if (f->virtuals) {
			SAY("%s has %u virtual functions, which would go with it", f->address,
			    f->virtuals);
			return PREFLIGHT_REFUSE;
		}
		if (f->virtuals_most) {
			SAY("%s could have %u virtual functions", f->address, f->virtuals_most);
			return PREFLIGHT_WARN;
		}
	}
	SAY(p->device[0]->physical[0] ? "a virtual function of %s" : "%s has no virtual functions",
	    p->device[0]->physical[0] ? p->device[0]->physical : p->device[0]->address);
	return PREFLIGHT_PASS;
}

static verdict_t check_rom(const struct preflight *p, char *text)
{
	SAY("the guest is not shown the option ROM (%llu bytes)",
	    (unsigned long long)p->device[0]->rom_bytes);
	return PREFLIGHT_PASS;
}

static verdict_t check_descriptor(const struct preflight *p, char *text)
{
	SAY(p->inventory->host.has_vfio
		    ? "the VMM's user gets /dev/vfio/%d, for the time that it has it"
		    : "/dev/vfio/vfio is not there, so /dev/vfio/%d cannot be",
	    p->device[0]->group);
	return p->inventory->host.has_vfio ? PREFLIGHT_PASS : PREFLIGHT_REFUSE;
}

static verdict_t check_placement(const struct preflight *p, char *text)
{
	if (p->request.latency && p->request.node < 0) {
		SAY("nothing may be left to chance, and no node is given");
		return PREFLIGHT_REFUSE;
	}
	SAY("its interrupts go to %s",
	    p->request.latency ? "the guest's own processors" : "processors near it");
	return PREFLIGHT_PASS;
}

/* clang-format off */
const struct preflight_check preflight_checks[] = {
	{ "iommu",                check_iommu,
	  "switch VT-d or AMD-Vi on in the firmware; on Intel add intel_iommu=on to the kernel's command line", true },
	{ "interrupt_remapping",  check_interrupts,
	  "switch interrupt remapping on in the firmware; never set allow_unsafe_interrupts", true },
	{ "group",                check_group,
	  "name all devices of the group for the same guest, or put the device into another slot", true },
	{ "acs",                  check_acs,
	  "take pcie_acs_override off the kernel's command line: what it separates can still talk", true },
	{ "reset",                check_reset,
	  "use a device with FLR, or give all functions on its bus to the same guest", true },
	{ "host_use",             check_use,
	  "unmount it, take the interface down, or choose a device that the host can do without", false },
	{ "driver",               check_driver,
	  "modprobe -a vfio-pci vfio_iommu_type1, and clear the device's driver_override", false },
	{ "memlock",              check_memlock,
	  "run wispd as root, or raise its LimitMEMLOCK", false },
	{ "dma_entries",          check_entries,
	  "use huge pages, or raise dma_entry_limit of vfio_iommu_type1", false },
	{ "huge_pages",           check_huge_pages,
	  "reserve huge pages on the device's node: /sys/devices/system/node/nodeN/hugepages", false },
	{ "numa",                 check_numa,
	  "put the guest's memory on the device's node, or ask for numa=preferred", false },
	{ "memory",               check_memory,
	  "free memory, or take a smaller shape; echo 0 > /sys/kernel/mm/ksm/run", false },
	{ "features",             check_features,
	  "do without it, or without the device", false },
	{ "health",               check_health,
	  "reseat or replace it; wispctl device prove looks again", false },
	{ "sriov",                check_sriov,
	  "pass on a virtual function; the physical one only when it has none", false },
	{ "option_rom",           check_rom,        "", false },
	{ "descriptor",           check_descriptor, "modprobe -a vfio-pci vfio_iommu_type1", false },
	{ "interrupt_placement",  check_placement,
	  "say on which node the guest is to be", false },
};
/* clang-format on */
const unsigned preflight_checks_count = sizeof(preflight_checks) / sizeof(preflight_checks[0]);

enum preflight_verdict preflight_run(const struct preflight *p,
				     const struct preflight_check **first,
				     char text[PREFLIGHT_TEXT_BYTES])
{
	verdict_t worst = PREFLIGHT_PASS;
	char seen[PREFLIGHT_TEXT_BYTES];

	if (first)
		*first = NULL;
	for (unsigned i = 0; i < preflight_checks_count; i++) {
		verdict_t v = preflight_checks[i].check(p, seen);

		if (v == PREFLIGHT_REFUSE && worst != PREFLIGHT_REFUSE && first) {
			*first = &preflight_checks[i];
			memcpy(text, seen, sizeof(seen));
		}
		worst = v > worst ? v : worst;
	}
	return worst;
}

/* --- showing --- */

static const char *const verdict_names[] = { "pass", "warn", "refuse" };

json_t *preflight_describe(const struct preflight *p)
{
	json_t *findings = json_array();
	verdict_t worst = PREFLIGHT_PASS;

	for (unsigned i = 0; i < preflight_checks_count; i++) {
		char text[PREFLIGHT_TEXT_BYTES];
		verdict_t v = preflight_checks[i].check(p, text);

		worst = v > worst ? v : worst;
		json_array_append_new(
			findings,
			json_pack("{s:s, s:s, s:s, s:s}", "check", preflight_checks[i].code,
				  "verdict", verdict_names[v], "text", text, "remedy",
				  v == PREFLIGHT_PASS ? "" : preflight_checks[i].remedy));
	}
	return json_pack("{s:s, s:o}", "verdict", verdict_names[worst], "findings", findings);
}

/* A reason that lies in the machine: what would be mended by having no hypervisor. */
static bool wants_bare_metal(const struct preflight *p, char *text)
{
	for (unsigned i = 0; i < preflight_checks_count; i++)
		if (preflight_checks[i].bare_metal &&
		    preflight_checks[i].check(p, text) == PREFLIGHT_REFUSE)
			return true;
	return false;
}

static json_t *option(const char *runtime, bool fits, const char *because)
{
	return json_pack("{s:s, s:b, s:s}", "runtime", runtime, "fits", fits, "because", because);
}

static const char *explain_qemu(const struct preflight *p, bool fits)
{
	if (p->count)
		return fits ? "QEMU with VFIO: every check of the host passes"
			    : "the host does not pass every check";
	if (p->needs)
		return "QEMU without a device: it has what a microVM has not";
	return p->qemu ? "it was asked for, and would not be needed"
		       : "not needed without a device";
}

json_t *preflight_explain(const struct preflight *p)
{
	bool device = p->count > 0, bare = false, fits = true, qemu = device || p->needs || p->qemu;
	char text[PREFLIGHT_TEXT_BYTES] = "", metal[PREFLIGHT_TEXT_BYTES + 32] = "";
	const struct preflight_check *first = NULL;
	const char *chosen;

	if (device) {
		fits = preflight_run(p, &first, text) != PREFLIGHT_REFUSE;
		bare = wants_bare_metal(p, text);
	}
	if (bare)
		snprintf(metal, sizeof(metal), "recommended: %s", text);
	chosen = !qemu ? "wisp" : fits ? "qemu" : bare ? "bare-metal" : "none";
	return json_pack(
		"{s:s, s:[o, o, o, o], s:o}", "chosen", chosen, "options",
		option("wisp", !device && !p->needs,
		       device	  ? "UNSUPPORTED_DEVICE: a microVM has no PCI device of the host's"
		       : p->needs ? p->needs
				  : "no device of the host's is wanted: the smallest and fastest"),
		option("qemu", qemu && fits, explain_qemu(p, fits)),
		option("bare-metal", bare,
		       bare ? metal : "nothing that is asked for needs the machine itself"),
		option("scheduler-first", false,
		       "the device is on this host; Slurm or Kubernetes choose between hosts"),
		"preflight", device ? preflight_describe(p) : json_null());
}
