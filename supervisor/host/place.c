/* place.c - the node that fits best, and the cores on it.
 *
 * Of the nodes that fit the fullest is taken, so that a large guest finds an empty one later.
 * The node of the guest's device comes before that. Who wants cores but no node gets them from several when no node has enough. Isolated cores
 * are taken first: nothing else can use them.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/host/place.h"

const char *const place_profile_names[] = { "shared", "dedicated", "latency", NULL };

/* --- cores --- */

static bool wants_cores(const struct place_request *q)
{
	return q->wish.profile != PLACE_SHARED;
}

/* The VMM's own threads have one, too, where nothing may come between. */
static int64_t cores_wanted(const struct place_request *q)
{
	if (!wants_cores(q))
		return 0;
	return q->vcpus + (q->wish.profile == PLACE_LATENCY);
}

static bool overlap(const cpu_set_t *a, const cpu_set_t *b)
{
	cpu_set_t both;

	CPU_AND(&both, a, b);
	return CPU_COUNT(&both) > 0;
}

static bool is_isolated(const struct topology *t, const struct topology_core *core)
{
	return CPU_ISSET(core->first, &t->isolated);
}

/* The host's own: the first that is not isolated. */
static const struct topology_core *host_core(const struct topology *t)
{
	for (unsigned i = 0; i < t->ncores; i++)
		if (!is_isolated(t, &t->core[i]))
			return &t->core[i];
	return NULL;
}

static bool is_free(const struct topology *t, const struct place_load *load,
		    const struct topology_core *core)
{
	return core != host_core(t) && !overlap(&core->cpus, &load->taken);
}

/* Of a node, by index; below 0: of all. */
static int64_t count_free(const struct topology *t, const struct place_load *load, int node)
{
	int64_t n = 0;

	for (unsigned i = 0; i < t->ncores; i++)
		if (node < 0 || t->core[i].node == (unsigned)node)
			n += is_free(t, load, &t->core[i]);
	return n;
}

/* The first free ones, isolated ones before the others. They are there. */
static void take_cores(const struct topology *t, const struct place_load *load, int node,
		       const struct place_request *q, struct place *ret)
{
	int64_t wanted = cores_wanted(q);

	for (int isolated = 1; isolated >= 0; isolated--) {
		for (unsigned i = 0; i < t->ncores && wanted > 0; i++) {
			const struct topology_core *core = &t->core[i];

			if ((node >= 0 && core->node != (unsigned)node) ||
			    is_isolated(t, core) != isolated || !is_free(t, load, core))
				continue;
			CPU_OR(&ret->cpus, &ret->cpus, &core->cpus);
			if (ret->nvcpus < q->vcpus)
				ret->vcpu[ret->nvcpus++] = (int)core->first;
			wanted--;
		}
	}
}

/* --- nodes --- */

__attribute__((format(printf, 3, 4))) static bool judge(struct place_option *o, bool fits,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(o->because, sizeof(o->because), format, args);
	va_end(args);
	o->fits = fits;
	return fits;
}

/* What is bound to a node, or of huge pages, comes from there. */
static bool has_memory(const struct topology *t, const struct place_load *load, unsigned node,
		       const struct place_request *q, struct place_option *o)
{
	const struct topology_node *n = &t->node[node];
	int64_t free_mib = q->wish.huge_pages ? n->huge_mib - load->huge_mib[node]
					      : n->memory_mib - load->memory_mib[node];

	if (q->mem_mib <= free_mib)
		return true;
	return judge(o, false, "%" PRId64 " MiB of %s are wanted, %" PRId64 " are nobody's",
		     q->mem_mib, q->wish.huge_pages ? "huge pages" : "memory", free_mib);
}

static void judge_node(const struct topology *t, const struct place_load *load, unsigned node,
		       const struct place_request *q, struct place_option *o)
{
	int64_t cores = count_free(t, load, (int)node), wanted = cores_wanted(q);
	cpu_set_t shared;

	o->node = t->node[node].number;
	place_shared(t, load, o->node, &shared);
	if (q->wish.has_node && q->wish.node != o->node)
		judge(o, false, "another is asked for");
	else if (!wants_cores(q) && CPU_COUNT(&shared) == 0)
		judge(o, false, "none of its processors is shared");
	else if (wanted > cores)
		judge(o, false, "%" PRId64 " cores are wanted, %" PRId64 " are free", wanted,
		      cores);
	else if (!has_memory(t, load, node, q, o))
		return;
	else if (wants_cores(q))
		judge(o, true, "%" PRId64 " cores are wanted, and %" PRId64 " are free", wanted,
		      cores);
	else
		judge(o, true, "it has the memory, and shared processors");
}

static bool is_near(const struct topology *t, unsigned node, const struct place_request *q)
{
	return q->has_near && t->node[node].number == q->near;
}

/* How full a node is after this: the larger, the better. */
static int64_t rank(const struct topology *t, const struct place_load *load, unsigned node,
		    const struct place_request *q)
{
	if (wants_cores(q))
		return -count_free(t, load, (int)node);
	if (q->wish.huge_pages)
		return load->huge_mib[node] - t->node[node].huge_mib;
	return load->memory_mib[node] - t->node[node].memory_mib;
}

static int best_node(const struct topology *t, const struct place_load *load,
		     const struct place_request *q, const struct place_decision *d)
{
	int best = -1;

	for (unsigned i = 0; i < t->nnodes; i++) {
		if (!d->option[i].fits)
			continue;
		if (is_near(t, i, q))
			return (int)i;
		if (best < 0 || rank(t, load, i, q) > rank(t, load, (unsigned)best, q))
			best = (int)i;
	}
	return best;
}

/* Only who asked for no more than cores can have them anywhere. */
static bool may_span(const struct place_request *q)
{
	return q->wish.profile == PLACE_DEDICATED && !q->wish.has_node && !q->wish.huge_pages;
}

static bool span_nodes(const struct topology *t, const struct place_load *load,
		       const struct place_request *q, struct place_decision *ret)
{
	struct place_option *o = &ret->option[ret->noptions];
	int64_t cores = count_free(t, load, -1), wanted = cores_wanted(q);

	if (!may_span(q) || t->nnodes < 2)
		return false;
	ret->noptions++;
	o->node = TOPOLOGY_ANY_NODE;
	if (!judge(o, wanted <= cores,
		   "%" PRId64 " cores are wanted, %" PRId64 " are free on all nodes", wanted,
		   cores))
		return false;
	take_cores(t, load, -1, q, &ret->place);
	return true;
}

/* --- the choice --- */

static void settle_on(const struct topology *t, const struct place_load *load, unsigned node,
		      const struct place_request *q, struct place_decision *ret)
{
	/* What only floats is bound where that was asked for, or where its pages are. */
	ret->place.node = t->node[node].number;
	if (wants_cores(q))
		take_cores(t, load, (int)node, q, &ret->place);
	snprintf(ret->because, sizeof(ret->because), "node %d is %s", ret->place.node,
		 is_near(t, node, q) ? "near its device" : "the fullest that fits");
}

void place_decide(const struct topology *t, const struct place_load *load,
		  const struct place_request *q, struct place_decision *ret)
{
	int best;

	*ret = (struct place_decision){ .place.node = TOPOLOGY_ANY_NODE };
	if (place_is_plain(&q->wish)) {
		ret->fits = true;
		snprintf(ret->because, sizeof(ret->because), "nothing is asked for: it floats");
		return;
	}
	if (q->vcpus > PLACE_VCPUS_MAX) {
		snprintf(ret->because, sizeof(ret->because), "at most %d processors can have cores",
			 PLACE_VCPUS_MAX);
		return;
	}
	for (; ret->noptions < t->nnodes; ret->noptions++)
		judge_node(t, load, ret->noptions, q, &ret->option[ret->noptions]);
	best = best_node(t, load, q, ret);
	ret->fits = best >= 0 || span_nodes(t, load, q, ret);
	if (best >= 0)
		settle_on(t, load, (unsigned)best, q, ret);
	else
		snprintf(ret->because, sizeof(ret->because), "%s",
			 ret->fits ? "no node fits alone: cores of several" : "no node fits");
}

void place_shared(const struct topology *t, const struct place_load *load, int node, cpu_set_t *ret)
{
	int index = node == TOPOLOGY_ANY_NODE ? -1 : topology_find_node(t, node);

	CPU_ZERO(ret);
	for (int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu++)
		if (CPU_ISSET(cpu, &t->online) && !CPU_ISSET(cpu, &t->isolated) &&
		    !CPU_ISSET(cpu, &load->taken) &&
		    (index < 0 || CPU_ISSET(cpu, &t->node[index].cpus)))
			CPU_SET(cpu, ret);
}

void place_rest(const cpu_set_t *cpus, const int vcpu[], unsigned nvcpus, cpu_set_t *ret)
{
	*ret = *cpus;
	for (unsigned k = 0; k < nvcpus; k++)
		CPU_CLR(vcpu[k], ret);
	if (CPU_COUNT(ret) == 0)
		*ret = *cpus;
}

/* --- showing --- */

static json_t *explain_options(const struct place_decision *d)
{
	json_t *options = json_array();

	for (unsigned i = 0; i < d->noptions; i++) {
		const struct place_option *o = &d->option[i];

		json_array_append_new(options, json_pack("{s:o, s:b, s:s}", "node",
							 o->node < 0 ? json_string("several")
								     : json_integer(o->node),
							 "fits", o->fits, "because", o->because));
	}
	return options;
}

json_t *place_explain(const struct place_wish *wish, const struct place_decision *d)
{
	char cpus[TOPOLOGY_LIST_BYTES];
	json_t *vcpus = json_array();

	for (unsigned i = 0; i < d->place.nvcpus; i++)
		json_array_append_new(vcpus, json_integer(d->place.vcpu[i]));
	return json_pack("{s:s, s:b, s:s, s:o, s:b, s:s, s:o, s:o}", "profile",
			 place_profile_names[wish->profile], "fits", d->fits, "because", d->because,
			 "node", d->place.node < 0 ? json_null() : json_integer(d->place.node),
			 "huge_pages", wish->huge_pages, "cpus",
			 topology_list(&d->place.cpus, cpus, sizeof(cpus)), "vcpus", vcpus,
			 "options", explain_options(d));
}
