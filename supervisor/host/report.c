/* report.c - the inventory: a function for each section, and the difference of two. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "supervisor/device/inventory.h"
#include "supervisor/device/tree.h"
#include "supervisor/host/report.h"
#include "vmm/base/fd.h"

enum { TEXT_BYTES = 256, LINE_BYTES = 4096, KIB_PER_MIB = 1024, SECTORS_PER_MIB = 2048 };

/* Where a section is read from. */
struct source {
	int root;
	const char *path; /* of root */
	const char *labels;
	const struct topology *topology;
};

/* --- small things --- */

/* A member that is the text of a file; none without the file. */
static void add_text(json_t *to, const char *member, int dir, const char *file)
{
	char text[TEXT_BYTES];

	if (tree_text(dir, file, text, sizeof(text)) && text[0])
		json_object_set_new(to, member, json_string(text));
}

static void add_number(json_t *to, const char *member, int dir, const char *file)
{
	int64_t n = tree_number(dir, file, -1);

	if (n >= 0)
		json_object_set_new(to, member, json_integer(n));
}

static void add_link(json_t *to, const char *member, int dir, const char *link)
{
	char name[TEXT_BYTES];

	if (tree_link_name(dir, link, name, sizeof(name)))
		json_object_set_new(to, member, json_string(name));
}

/* Calls fn for each entry of a folder, with a descriptor of it, and puts what that gives
 * into an object by the entry's name; NULL: it is left out. */
static json_t *each(int root, const char *folder, json_t *(*fn)(int dir, const char *name))
{
	DIR *list = tree_list(root, folder);
	json_t *all = json_object();
	struct dirent *entry;

	while (list && (entry = readdir(list)) != NULL) {
		int dir = entry->d_name[0] == '.' ? -1 : tree_open(dirfd(list), entry->d_name);
		json_t *one = dir < 0 ? NULL : fn(dir, entry->d_name);

		if (one)
			json_object_set_new(all, entry->d_name, one);
		fd_close(dir);
	}
	if (list)
		closedir(list);
	return all;
}

/* "name : value" in a text of such lines; the first. */
static bool find_line(const char *text, const char *name, char *value, size_t size)
{
	size_t len = strlen(name);

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL) {
		const char *v = at + len;

		if (strncmp(at, name, len) != 0)
			continue;
		v += strspn(v, " \t");
		if (*v++ != ':')
			continue;
		v += strspn(v, " \t");
		snprintf(value, size, "%.*s", (int)strcspn(v, "\n"), v);
		return true;
	}
	value[0] = '\0';
	return false;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len)
		if ((at == text || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

/* --- processors --- */

/* Those that decide what a guest can be given, or how fast it is. */
static const char *const flags_that_matter[] = {
	"vmx",	      "svm",	      "ept",	     "npt",
	"hypervisor", "avx",	      "avx2",	     "avx512f",
	"amx_tile",   "aes",	      "sha_ni",	     "gfni",
	"rdrand",     "rdseed",	      "pdpe1gb",     "la57",
	"nx",	      "smep",	      "smap",	     "umip",
	"pku",	      "invpcid",      "x2apic",	     "erms",
	"fsrm",	      "constant_tsc", "nonstop_tsc", "tsc_deadline_timer",
	"sev",	      "sev_es",	      "sev_snp",     "waitpkg",
	"movdiri",
};

static void add_flags(json_t *cpu, const char *text)
{
	char flags[LINE_BYTES];
	json_t *list = json_array();

	find_line(text, "flags", flags, sizeof(flags));
	for (size_t i = 0; i < sizeof(flags_that_matter) / sizeof(flags_that_matter[0]); i++)
		if (has_word(flags, flags_that_matter[i]))
			json_array_append_new(list, json_string(flags_that_matter[i]));
	json_object_set_new(cpu, "flags", list);
}

static void add_caches(json_t *cpu, const struct topology *t)
{
	json_t *caches = json_object();

	for (unsigned i = 0; i < t->ncaches; i++) {
		const struct topology_cache *c = &t->cache[i];
		char name[16];

		snprintf(name, sizeof(name), "L%u%s", c->level,
			 c->type == 'd'	  ? "d"
			 : c->type == 'i' ? "i"
					  : "");
		json_object_set_new(
			caches, name,
			json_pack("{s:I, s:i}", "kib", (json_int_t)c->kib, "count", (int)c->count));
	}
	json_object_set_new(cpu, "caches", caches);
}

static json_t *describe_cpu(const struct source *s)
{
	static const struct {
		const char *line, *member;
	} lines[] = {
		{ "model name", "model" },  { "vendor_id", "vendor" },
		{ "cpu family", "family" }, { "model", "model_number" },
		{ "stepping", "stepping" }, { "microcode", "microcode" },
	};
	char *text = tree_file(s->root, "proc/cpuinfo"), value[TEXT_BYTES];
	char online[TOPOLOGY_LIST_BYTES], isolated[TOPOLOGY_LIST_BYTES];
	const struct topology *t = s->topology;
	json_t *cpu = json_pack("{s:i, s:i, s:i, s:s, s:s}", "sockets", (int)t->sockets, "cores",
				(int)t->ncores, "threads", (int)t->ncpus, "online",
				topology_list(&t->online, online, sizeof(online)), "isolated",
				topology_list(&t->isolated, isolated, sizeof(isolated)));

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (find_line(text, lines[i].line, value, sizeof(value)))
			json_object_set_new(cpu, lines[i].member, json_string(value));
	add_text(cpu, "offline", s->root, "sys/devices/system/cpu/offline");
	add_flags(cpu, text);
	add_caches(cpu, t);
	free(text);
	return cpu;
}

/* --- memory --- */

static json_t *describe_huge_pages(int dir, const char *name)
{
	json_t *pages = strncmp(name, "hugepages-", 10) == 0 ? json_object() : NULL;

	if (pages)
		add_number(pages, "total", dir, "nr_hugepages");
	return pages;
}

static json_t *describe_nodes(const struct source *s)
{
	const struct topology *t = s->topology;
	json_t *nodes = json_object();

	for (unsigned i = 0; i < t->nnodes; i++) {
		const struct topology_node *n = &t->node[i];
		const json_int_t memory_mib = n->memory_mib + n->huge_mib;
		char name[16], folder[96], list[TOPOLOGY_LIST_BYTES];

		snprintf(name, sizeof(name), "%d", n->number);
		snprintf(folder, sizeof(folder), "sys/devices/system/node/node%d/hugepages",
			 n->number);
		json_object_set_new(nodes, name,
				    json_pack("{s:s, s:I, s:o}", "cpus",
					      topology_list(&n->cpus, list, sizeof(list)),
					      "memory_mib", memory_mib, "huge_pages",
					      each(s->root, folder, describe_huge_pages)));
	}
	return nodes;
}

static int64_t meminfo_mib(const char *text, const char *line)
{
	char value[TEXT_BYTES];

	find_line(text, line, value, sizeof(value));
	return strtoll(value, NULL, 10) / KIB_PER_MIB;
}

static json_t *describe_memory(const struct source *s)
{
	char *text = tree_file(s->root, "proc/meminfo");
	json_t *memory =
		json_pack("{s:I, s:I}", "total_mib", (json_int_t)meminfo_mib(text, "MemTotal"),
			  "swap_mib", (json_int_t)meminfo_mib(text, "SwapTotal"));

	add_text(memory, "transparent_huge_pages", s->root,
		 "sys/kernel/mm/transparent_hugepage/enabled");
	add_number(memory, "ksm", s->root, "sys/kernel/mm/ksm/run");
	free(text);
	return memory;
}

/* --- devices --- */

/* What no hardware is behind comes and goes with guests. */
static json_t *describe_nic(int dir, const char *name)
{
	json_t *nic = tree_has(dir, "device") ? json_object() : NULL;

	(void)name;
	if (!nic)
		return NULL;
	add_link(nic, "driver", dir, "device/driver");
	add_link(nic, "device", dir, "device");
	add_text(nic, "address", dir, "address");
	add_number(nic, "speed_mbps", dir, "speed");
	add_number(nic, "mtu", dir, "mtu");
	add_number(nic, "node", dir, "device/numa_node");
	return nic;
}

static json_t *describe_nics(const struct source *s)
{
	return each(s->root, "sys/class/net", describe_nic);
}

static json_t *describe_disk(int dir, const char *name)
{
	json_t *disk = tree_has(dir, "device") ? json_object() : NULL;

	(void)name;
	if (!disk)
		return NULL;
	json_object_set_new(disk, "size_mib",
			    json_integer(tree_number(dir, "size", 0) / SECTORS_PER_MIB));
	add_number(disk, "rotational", dir, "queue/rotational");
	add_number(disk, "logical_block_bytes", dir, "queue/logical_block_size");
	add_text(disk, "model", dir, "device/model");
	add_text(disk, "serial", dir, "device/serial");
	add_link(disk, "driver", dir, "device/driver");
	add_number(disk, "node", dir, "device/numa_node");
	return disk;
}

static json_t *describe_disks(const struct source *s)
{
	return each(s->root, "sys/block", describe_disk);
}

/* Not its driver, which changes with each guest that gets it; GET /devices has all. */
static json_t *describe_function(const struct pci_function *f)
{
	char id[10];

	snprintf(id, sizeof(id), "%04x:%04x", f->vendor, f->device);
	return json_pack("{s:s, s:s, s:i, s:i, s:s}", "id", id, "class",
			 pci_class_name(f->class_code), "group", f->group, "node", f->node, "reset",
			 f->reset);
}

static json_t *describe_pci(const struct source *s)
{
	json_t *all = json_object();
	struct inventory v;
	struct error err;

	if (inventory_read(s->path, &v, &err) == 0)
		for (unsigned i = 0; i < v.count; i++)
			json_object_set_new(all, v.functions[i].address,
					    describe_function(&v.functions[i]));
	inventory_clear(&v);
	return all;
}

/* --- the rest --- */

static json_t *describe_kvm(const struct source *s)
{
	static const struct {
		const char *module, *flavour;
	} modules[] = { { "sys/module/kvm_pvm", "pvm" },
			{ "sys/module/kvm_intel", "vmx" },
			{ "sys/module/kvm_amd", "svm" } };
	char *text = tree_file(s->root, "proc/cpuinfo"), flags[LINE_BYTES], path[64];
	const char *flavour = "none";
	json_t *kvm = json_object();

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (!tree_has(s->root, modules[i].module))
			continue;
		flavour = modules[i].flavour;
		snprintf(path, sizeof(path), "%s/parameters/nested", modules[i].module);
		add_text(kvm, "offers_nesting", s->root, path);
		break;
	}
	if (tree_has(s->root, "dev/kvm") && strcmp(flavour, "none") == 0)
		flavour = "unknown";
	find_line(text, "flags", flags, sizeof(flags));
	json_object_set_new(kvm, "flavour", json_string(flavour));
	json_object_set_new(kvm, "device", json_boolean(tree_has(s->root, "dev/kvm")));
	json_object_set_new(kvm, "is_nested", json_boolean(has_word(flags, "hypervisor")));
	free(text);
	return kvm;
}

static json_t *describe_kernel(const struct source *s)
{
	json_t *kernel = json_object();

	add_text(kernel, "release", s->root, "proc/sys/kernel/osrelease");
	add_text(kernel, "version", s->root, "proc/sys/kernel/version");
	add_text(kernel, "cmdline", s->root, "proc/cmdline");
	return kernel;
}

static json_t *describe_firmware(const struct source *s)
{
	static const char *const files[] = { "sys_vendor",   "product_name", "product_version",
					     "board_vendor", "board_name",   "bios_vendor",
					     "bios_version", "bios_date" };
	json_t *firmware = json_object();
	int dmi = tree_open(s->root, "sys/class/dmi/id");

	for (size_t i = 0; dmi >= 0 && i < sizeof(files) / sizeof(files[0]); i++)
		add_text(firmware, files[i], dmi, files[i]);
	fd_close(dmi);
	json_object_set_new(firmware, "uefi", json_boolean(tree_has(s->root, "sys/firmware/efi")));
	return firmware;
}

static json_t *describe_mitigations(const struct source *s)
{
	DIR *list = tree_list(s->root, "sys/devices/system/cpu/vulnerabilities");
	json_t *all = json_object();
	struct dirent *entry;

	while (list && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.')
			add_text(all, entry->d_name, dirfd(list), entry->d_name);
	if (list)
		closedir(list);
	return all;
}

static json_t *describe_labels(const struct source *s)
{
	char *text = s->labels[0] ? tree_file(AT_FDCWD, s->labels) : NULL;
	json_t *labels = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL, *value;
	bool right = json_is_object(labels);
	const char *name;

	free(text);
	json_object_foreach(labels, name, value) right = right && json_is_string(value);
	if (right)
		return labels;
	json_decref(labels);
	return s->labels[0] ? json_pack("{s:s}", "fault", "no file with one JSON object of texts")
			    : json_object();
}

static const struct {
	const char *name;
	json_t *(*describe)(const struct source *s);
} sections[] = {
	{ "cpu", describe_cpu },	   { "nodes", describe_nodes },
	{ "memory", describe_memory },	   { "nics", describe_nics },
	{ "disks", describe_disks },	   { "pci", describe_pci },
	{ "kvm", describe_kvm },	   { "kernel", describe_kernel },
	{ "firmware", describe_firmware }, { "mitigations", describe_mitigations },
	{ "labels", describe_labels },
};

json_t *report_make(const char *root, const char *labels, const struct topology *t)
{
	struct source s = { .path = root, .labels = labels, .topology = t };
	json_t *report = json_object();
	int r = 0;

	s.root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s.root < 0)
		r = -1;
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && r == 0; i++)
		r = json_object_set_new(report, sections[i].name, sections[i].describe(&s));
	fd_close(s.root);
	if (r == 0)
		return report;
	json_decref(report);
	return NULL;
}

json_t *report_now(const char *root)
{
	struct inventory v = { 0 };
	json_t *huge = json_object(), *now;
	struct error err;

	(void)inventory_read(root, &v, &err);
	for (unsigned i = 0; i < v.host.nodes; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", v.host.node[i].number);
		json_object_set_new(huge, name,
				    json_integer((json_int_t)v.host.node[i].huge_free_mib));
	}
	now = json_pack("{s:I, s:o}", "available_mib", (json_int_t)v.host.available_mib,
			"huge_free_mib", huge);
	inventory_clear(&v);
	return now;
}

/* --- differences --- */

struct differences {
	char *text;
	size_t size, used;
	unsigned count;
};

__attribute__((format(printf, 2, 3))) static void note(struct differences *d, const char *format,
						       ...)
{
	va_list args;
	int n;

	if (d->count++ > 0 && d->used + 2 < d->size) {
		memcpy(d->text + d->used, ", ", 3);
		d->used += 2;
	}
	va_start(args, format);
	n = vsnprintf(d->text + d->used, d->size - d->used, format, args);
	va_end(args);
	d->used += n < 0 ? 0 : (size_t)n;
	if (d->used >= d->size)
		d->used = d->size - 1;
}

/* Members of two objects; within, the name that stands before theirs. */
static void compare(struct differences *d, const char *within, const json_t *before,
		    const json_t *after)
{
	const char *dot = within[0] ? "." : "", *name;
	json_t *value;

	json_object_foreach((json_t *)before, name, value)
	{
		const json_t *now = json_object_get(after, name);

		if (!now)
			note(d, "%s%s%s removed", within, dot, name);
		else if (json_is_object(value) && json_is_object(now))
			compare(d, name, value, now);
		else if (json_is_string(value) && json_is_string(now) && !json_equal(value, now))
			note(d, "%s%s%s: %s -> %s", within, dot, name, json_string_value(value),
			     json_string_value(now));
		else if (json_is_integer(value) && json_is_integer(now) && !json_equal(value, now))
			note(d, "%s%s%s: %lld -> %lld", within, dot, name,
			     (long long)json_integer_value(value),
			     (long long)json_integer_value(now));
		else if (!json_equal(value, now))
			note(d, "%s%s%s changed", within, dot, name);
	}
	json_object_foreach((json_t *)after, name, value)
	{
		if (!json_object_get(before, name))
			note(d, "%s%s%s added", within, dot, name);
	}
}

unsigned report_compare(const json_t *before, const json_t *after, char *what, size_t size)
{
	struct differences d = { .text = what, .size = size };

	what[0] = '\0';
	compare(&d, "", before, after);
	/* Cut anywhere, it is text still. */
	for (char *c = what; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return d.count;
}
