/* topology.h - the host's processors, as far as it matters where a guest runs.
 *
 * Processors are the kernel's numbers (of threads); a core is all threads that share one, and
 * is what a guest can have for itself. Nodes are those of NUMA, with the memory that is near
 * the processors. Only what is online and allowed to wispd is there. Any thread.
 */
#ifndef SUPERVISOR_HOST_TOPOLOGY_H
#define SUPERVISOR_HOST_TOPOLOGY_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

enum {
	TOPOLOGY_CPUS_MAX = CPU_SETSIZE,
	TOPOLOGY_NODES_MAX = 64,
	TOPOLOGY_CACHES_MAX = 5,
	TOPOLOGY_LIST_BYTES = 4096, /* "0-3,8": of any set */
	TOPOLOGY_ANY_NODE = -1,
};

struct topology_core {
	unsigned node;	/* index in node[] */
	unsigned first; /* the lowest of its processors */
	cpu_set_t cpus;
};

struct topology_node {
	int number; /* the kernel's */
	cpu_set_t cpus;
	int64_t memory_mib; /* without what is set aside as huge pages */
	int64_t huge_mib;   /* in huge pages of 2 MiB, whether free or not */
};

struct topology_cache {
	unsigned level;
	char type; /* 'd'ata, 'i'nstruction, or 'u'nified */
	int64_t kib;
	unsigned count; /* of such in the host */
};

struct topology {
	unsigned sockets, ncores, ncpus, nnodes, ncaches;
	cpu_set_t online, isolated; /* isolated: the kernel puts nothing there by itself */
	struct topology_node node[TOPOLOGY_NODES_MAX];
	struct topology_cache cache[TOPOLOGY_CACHES_MAX];
	struct topology_core core[TOPOLOGY_CPUS_MAX]; /* by their first processor */
};

/* made_up: a machine in hwloc's words ("node:2 core:4 pu:2"); NULL: this host. */
int topology_read(const char *made_up, struct topology *ret, struct error *err);

/* The index of a node by its number; -1: there is none. */
int topology_find_node(const struct topology *t, int number);

/* Sets of processors as the kernel writes them: "0-3,8". The second: -EINVAL. */
const char *topology_list(const cpu_set_t *set, char *buf, size_t size);
int topology_parse(const char *list, cpu_set_t *ret);

#endif
