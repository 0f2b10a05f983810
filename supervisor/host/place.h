/* place.h - where on the host a guest runs: the choice, and nothing but that.
 *
 * | profile     | processors                                   | memory                        |
 * |-------------|----------------------------------------------|-------------------------------|
 * | `shared`    | float in what nobody has for himself         | anywhere, or on a node        |
 * | `dedicated` | each of the guest's a core of its own        | on their node, if it is one   |
 * | `latency`   | that, and a core for the VMM's own threads   | the same node, in huge pages  |
 *
 * A core goes to one guest with all its threads: a sibling that somebody else has would be
 * felt, and could be measured. Isolated processors are for those who have cores; the first core that
 * is not isolated is for nobody alone, since the host itself needs one. The same answer for
 * the same question; any thread, no side effects.
 */
#ifndef SUPERVISOR_HOST_PLACE_H
#define SUPERVISOR_HOST_PLACE_H

#include <jansson.h>

#include "supervisor/host/topology.h"

enum {
	PLACE_VCPUS_MAX = 256,
	PLACE_REASON_BYTES = 112,
};

/* The numbers are in the database: they never change. */
enum place_profile { PLACE_SHARED, PLACE_DEDICATED, PLACE_LATENCY };
extern const char *const place_profile_names[]; /* NULL-ended */

/* What is wanted; all zero: nothing. */
struct place_wish {
	enum place_profile profile;
	bool has_node;
	int node;	 /* where its memory is to be */
	bool huge_pages; /* its memory is of pages of 2 MiB; they come from one node */
};

/* Nothing is wanted that others could lack. */
static inline bool place_is_plain(const struct place_wish *w)
{
	return w->profile == PLACE_SHARED && !w->has_node && !w->huge_pages;
}

static inline int place_wished_node(const struct place_wish *w)
{
	return w->has_node ? w->node : TOPOLOGY_ANY_NODE;
}

struct place_request {
	struct place_wish wish;
	int64_t vcpus, mem_mib;
	bool has_near; /* it has a device near this node's memory */
	int near;
};

/* What others have. By the index of a node: what is bound to it. */
struct place_load {
	cpu_set_t taken; /* by guests that have cores, and slices */
	int64_t memory_mib[TOPOLOGY_NODES_MAX], huge_mib[TOPOLOGY_NODES_MAX];
};

struct place {
	int node;		   /* to which its memory is bound; or TOPOLOGY_ANY_NODE */
	unsigned nvcpus;	   /* 0: they float */
	int vcpu[PLACE_VCPUS_MAX]; /* the processor that each has */
	cpu_set_t cpus;		   /* its cores, whole; none: they float */
};

/* How each node was judged; one more, of number TOPOLOGY_ANY_NODE: cores of several. */
struct place_option {
	int node;
	bool fits;
	char because[PLACE_REASON_BYTES];
};

struct place_decision {
	bool fits;
	struct place place;
	unsigned noptions;
	struct place_option option[TOPOLOGY_NODES_MAX + 1];
	char because[PLACE_REASON_BYTES]; /* it was this place, or none */
};

void place_decide(const struct topology *t, const struct place_load *load,
		  const struct place_request *q, struct place_decision *ret);

/* Of processors that a guest has, those that none of its own is on: they are for the VMM's
 * threads and for interrupts. All, where there are none. */
void place_rest(const cpu_set_t *cpus, const int vcpu[], unsigned nvcpus, cpu_set_t *ret);

/* The decision as a record; the caller owns it. */
json_t *place_explain(const struct place_wish *wish, const struct place_decision *d);

/* Where those float that have no cores: on this node, by number, or (TOPOLOGY_ANY_NODE)
 * anywhere. */
void place_shared(const struct topology *t, const struct place_load *load, int node,
		  cpu_set_t *ret);

#endif
