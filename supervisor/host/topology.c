/* topology.c - hwloc's tree of the host, flattened to what placement asks for. */
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/device/tree.h"
#include "supervisor/host/topology.h"

enum { HUGE_PAGE_BYTES = 2 << 20, KIB = 1024, MIB = 1 << 20 };

/* --- lists --- */

const char *topology_list(const cpu_set_t *set, char *buf, size_t size)
{
	hwloc_bitmap_t bits = hwloc_bitmap_alloc();

	buf[0] = '\0';
	for (unsigned cpu = 0; bits && cpu < TOPOLOGY_CPUS_MAX; cpu++)
		if (CPU_ISSET(cpu, set))
			hwloc_bitmap_set(bits, cpu);
	if (bits)
		hwloc_bitmap_list_snprintf(buf, size, bits);
	hwloc_bitmap_free(bits);
	return buf;
}

int topology_parse(const char *list, cpu_set_t *ret)
{
	hwloc_bitmap_t bits = hwloc_bitmap_alloc();
	int last, r = -EINVAL;

	CPU_ZERO(ret);
	/* Only what is finite, and was all read. */
	if (bits && list[strspn(list, "0123456789,-")] == '\0' &&
	    hwloc_bitmap_list_sscanf(bits, list) == 0) {
		last = hwloc_bitmap_last(bits);
		if (last >= 0 && last < TOPOLOGY_CPUS_MAX)
			r = 0;
	}
	for (int cpu = r == 0 ? hwloc_bitmap_first(bits) : -1; cpu >= 0;
	     cpu = hwloc_bitmap_next(bits, cpu))
		CPU_SET(cpu, ret);
	hwloc_bitmap_free(bits);
	return r;
}

/* --- the tree --- */

static void add_to(cpu_set_t *set, hwloc_const_bitmap_t bits)
{
	for (int cpu = hwloc_bitmap_first(bits); cpu >= 0 && cpu < TOPOLOGY_CPUS_MAX;
	     cpu = hwloc_bitmap_next(bits, cpu))
		CPU_SET(cpu, set);
}

static void read_nodes(hwloc_topology_t tree, struct topology *t)
{
	hwloc_obj_t o = NULL;

	while (t->nnodes < TOPOLOGY_NODES_MAX &&
	       (o = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_NUMANODE, o))) {
		struct topology_node *node = &t->node[t->nnodes++];
		uint64_t huge = 0;

		node->number = (int)o->os_index;
		add_to(&node->cpus, o->cpuset);
		for (unsigned k = 0; k < o->attr->numanode.page_types_len; k++)
			if (o->attr->numanode.page_types[k].size == HUGE_PAGE_BYTES)
				huge = o->attr->numanode.page_types[k].count * HUGE_PAGE_BYTES;
		node->huge_mib = (int64_t)(huge / MIB);
		node->memory_mib = (int64_t)(o->attr->numanode.local_memory / MIB);
		node->memory_mib -= node->memory_mib > node->huge_mib ? node->huge_mib : 0;
	}
}

static unsigned node_of(const struct topology *t, int cpu)
{
	for (unsigned i = 0; i < t->nnodes; i++)
		if (CPU_ISSET(cpu, &t->node[i].cpus))
			return i;
	return 0;
}

/* A host whose cores nobody knows has threads that are cores. */
static void read_cores(hwloc_topology_t tree, struct topology *t)
{
	hwloc_obj_type_t type =
		hwloc_get_nbobjs_by_type(tree, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
	hwloc_obj_t o = NULL;

	while (t->ncores < TOPOLOGY_CPUS_MAX && (o = hwloc_get_next_obj_by_type(tree, type, o))) {
		struct topology_core *core = &t->core[t->ncores];
		int first = hwloc_bitmap_first(o->cpuset);

		if (first < 0 || first >= TOPOLOGY_CPUS_MAX)
			continue;
		add_to(&core->cpus, o->cpuset);
		core->first = (unsigned)first;
		core->node = node_of(t, first);
		t->ncores++;
	}
}

static int compare(const void *a, const void *b)
{
	const struct topology_core *c = a, *d = b;

	return (c->first > d->first) - (c->first < d->first);
}

static void read_caches(hwloc_topology_t tree, struct topology *t)
{
	static const hwloc_obj_type_t types[TOPOLOGY_CACHES_MAX] = {
		HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L1ICACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE,
		HWLOC_OBJ_L4CACHE
	};
	static const char letters[] = { [HWLOC_OBJ_CACHE_UNIFIED] = 'u',
					[HWLOC_OBJ_CACHE_DATA] = 'd',
					[HWLOC_OBJ_CACHE_INSTRUCTION] = 'i' };

	for (unsigned i = 0; i < TOPOLOGY_CACHES_MAX; i++) {
		int n = hwloc_get_nbobjs_by_type(tree, types[i]);
		hwloc_obj_t o = n > 0 ? hwloc_get_obj_by_type(tree, types[i], 0) : NULL;

		if (o)
			t->cache[t->ncaches++] = (struct topology_cache){
				.level = o->attr->cache.depth,
				.type = letters[o->attr->cache.type],
				.kib = (int64_t)(o->attr->cache.size / KIB),
				.count = (unsigned)n,
			};
	}
}

/* hwloc does not tell them. */
static void read_isolated(struct topology *t)
{
	char list[TOPOLOGY_LIST_BYTES];

	if (tree_text(AT_FDCWD, "/sys/devices/system/cpu/isolated", list, sizeof(list)) && list[0])
		(void)topology_parse(list, &t->isolated);
	CPU_AND(&t->isolated, &t->isolated, &t->online);
}

/* The kernel's word is enough: what asks processors or graphics cards takes its time. */
static int load(hwloc_topology_t tree, const char *made_up)
{
	static const char *const others[] = {
		"x86", "pci", "opencl", "cuda", "nvml", "rsmi", "gl"
	};

	if (made_up && hwloc_topology_set_synthetic(tree, made_up) < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		hwloc_topology_set_components(tree, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
					      others[i]);
	hwloc_topology_set_icache_types_filter(tree, HWLOC_TYPE_FILTER_KEEP_ALL);
	return hwloc_topology_load(tree) < 0 ? -EIO : 0;
}

int topology_read(const char *made_up, struct topology *ret, struct error *err)
{
	hwloc_topology_t tree;
	int r;

	*ret = (struct topology){ 0 };
	if (hwloc_topology_init(&tree) < 0)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = load(tree, made_up);
	if (r == 0) {
		add_to(&ret->online, hwloc_topology_get_topology_cpuset(tree));
		ret->ncpus = (unsigned)CPU_COUNT(&ret->online);
		ret->sockets = (unsigned)hwloc_get_nbobjs_by_type(tree, HWLOC_OBJ_PACKAGE);
		read_nodes(tree, ret);
		read_cores(tree, ret);
		read_caches(tree, ret);
		qsort(ret->core, ret->ncores, sizeof(ret->core[0]), compare);
		if (!made_up)
			read_isolated(ret);
	}
	hwloc_topology_destroy(tree);
	return r < 0 ? error_set(err, r, NULL, NULL, "hwloc cannot read the processors") : 0;
}

int topology_find_node(const struct topology *t, int number)
{
	for (unsigned i = 0; i < t->nnodes; i++)
		if (t->node[i].number == number)
			return (int)i;
	return -1;
}
