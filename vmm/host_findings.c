/* host_findings.c - what on this host weakens the walls between microVMs. */
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host_findings.h"

enum { VALUE_BYTES = 256 };

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"

/* The first line of a file; "" when there is none. */
static void read_line(const char *root, const char *path, char value[VALUE_BYTES])
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "re");
	if (!f || !fgets(value, VALUE_BYTES, f))
		value[0] = '\0';
	if (f)
		fclose(f);
	value[strcspn(value, "\n")] = '\0';
}

/* One line of output; remedy NULL: all is well. Returns how many remedies it has. */
static unsigned tell(FILE *out, const char *name, const char *state, const char *remedy)
{
	fprintf(out, "%s: %s%s%s\n", name, state, remedy ? " -> " : "", remedy ? remedy : "");
	return remedy != NULL;
}

/* --- files of one value --- */

struct switch_file {
	const char *name, *path;
	const char *bad;       /* the value that calls for the remedy */
	const char *is, *isnt; /* what to print */
	const char *remedy;
};

static const struct switch_file switches[] = {
	{ "ksm", "/sys/kernel/mm/ksm/run", "1", "pages of equal content are shared",
	  "pages are not shared",
	  "echo 2 > /sys/kernel/mm/ksm/run: sharing tells one guest what another one holds" },
	{ "smt", "/sys/devices/system/cpu/smt/active", "1", "two threads share a core",
	  "a core has one thread",
	  "boot with nosmt, or give each tenant whole cores: threads can spy on each other" },
};

static unsigned tell_switch(FILE *out, const char *root, const struct switch_file *s)
{
	char value[VALUE_BYTES];

	read_line(root, s->path, value);
	if (!value[0])
		return tell(out, s->name, "this kernel has none", NULL);
	if (strcmp(value, s->bad) == 0)
		return tell(out, s->name, s->is, s->remedy);
	return tell(out, s->name, s->isnt, NULL);
}

/* --- the processor's faults --- */

static unsigned tell_vulnerability(FILE *out, const char *root, const char *name)
{
	char path[PATH_MAX], value[VALUE_BYTES], label[sizeof("cpu ") + NAME_MAX];

	snprintf(path, sizeof(path), VULNERABILITIES "/%s", name);
	read_line(root, path, value);
	snprintf(label, sizeof(label), "cpu %s", name);
	if (strncmp(value, "Vulnerable", strlen("Vulnerable")) == 0)
		return tell(out, label, value,
			    "update kernel and microcode, and boot without mitigations=off");
	return tell(out, label, value, NULL);
}

static int is_fault(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static unsigned tell_vulnerabilities(FILE *out, const char *root)
{
	char path[PATH_MAX];
	struct dirent **entries;
	unsigned remedies = 0;
	int n;

	snprintf(path, sizeof(path), "%s" VULNERABILITIES, root);
	n = scandir(path, &entries, is_fault, alphasort);
	if (n < 0)
		return tell(out, "cpu", "the kernel does not tell the processor's faults",
			    "use Linux 4.15 or later");
	for (int i = 0; i < n; i++) {
		remedies += tell_vulnerability(out, root, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return remedies;
}

/* --- the rest --- */

/* The file has a heading. */
static unsigned tell_swap(FILE *out, const char *root)
{
	char path[PATH_MAX], line[VALUE_BYTES];
	unsigned lines = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/swaps", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	if (lines > 1)
		return tell(out, "swap", "on",
			    "swapoff -a: guests' memory would outlive them on the disk");
	return tell(out, "swap", "off", NULL);
}

/* The remedy against a fault of the processor costs a thread for each VM, and its start. */
static unsigned tell_nx_huge_pages(FILE *out, const char *root)
{
	char value[VALUE_BYTES], fault[VALUE_BYTES];
	bool on, affected;

	read_line(root, "/sys/module/kvm/parameters/nx_huge_pages", value);
	read_line(root, VULNERABILITIES "/itlb_multihit", fault);
	if (!value[0])
		return tell(out, "nx_huge_pages", "this kernel has none", NULL);
	on = value[0] == 'Y';
	affected = strncmp(fault, "Not affected", strlen("Not affected")) != 0;
	if (!on && affected)
		return tell(out, "nx_huge_pages", "off, on a processor that needs it",
			    "kvm.nx_huge_pages=auto: a guest could stop the host");
	if (on && !affected)
		return tell(out, "nx_huge_pages", "on, on a processor that does not need it",
			    "kvm.nx_huge_pages=never: it makes every VM start later");
	return tell(out, "nx_huge_pages", on ? "on, as needed" : "off", NULL);
}

/* Of /proc/self/mounts: where control groups of version 2 are, and their options. */
static unsigned tell_cgroup(FILE *out, const char *root)
{
	char path[PATH_MAX], line[PATH_MAX], options[PATH_MAX] = "", type[64], at[64];
	bool v1 = false, v2 = false, root_is_v2 = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/mounts", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char this[PATH_MAX];

		if (sscanf(line, "%*s %63s %63s %4095s", at, type, this) != 3)
			continue;
		v1 = v1 || strcmp(type, "cgroup") == 0;
		if (strcmp(type, "cgroup2") != 0)
			continue;
		v2 = true;
		root_is_v2 = strcmp(at, "/sys/fs/cgroup") == 0;
		memcpy(options, this, sizeof(options));
	}
	if (f)
		fclose(f);
	if (!v2 || v1 || !root_is_v2)
		return tell(out, "cgroup", v2 ? "version 1, with version 2 beside it" : "version 1",
			    "boot with systemd.unified_cgroup_hierarchy=1: version 1 makes a "
			    "restore slow and cannot be cloned into");
	if (!strstr(options, "favordynmods"))
		return tell(out, "cgroup", "version 2",
			    "mount -o remount,favordynmods /sys/fs/cgroup: processes join "
			    "their groups sooner (Linux 6.0)");
	return tell(out, "cgroup", "version 2, favordynmods", NULL);
}

static unsigned tell_seccomp(FILE *out, const char *root)
{
	char value[VALUE_BYTES];

	read_line(root, "/proc/sys/kernel/seccomp/actions_avail", value);
	if (!strstr(value, "trap"))
		return tell(out, "seccomp", "missing",
			    "use a kernel with CONFIG_SECCOMP_FILTER, or wisp --no-seccomp");
	return tell(out, "seccomp", "filters", NULL);
}

unsigned host_findings_print(FILE *out, const char *root)
{
	unsigned remedies = 0;

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		remedies += tell_switch(out, root, &switches[i]);
	remedies += tell_swap(out, root);
	remedies += tell_nx_huge_pages(out, root);
	remedies += tell_cgroup(out, root);
	remedies += tell_seccomp(out, root);
	return remedies + tell_vulnerabilities(out, root);
}
