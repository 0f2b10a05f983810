/* seats.c - rows of places, and how much of the host they leave. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"

/* --- what others have --- */

static int load_cpus(struct truth *t, struct place_load *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err, "SELECT cpu FROM seat", "");

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0)
		CPU_SET((size_t)rows_int(&rows, 0), &ret->taken);
	rows_end(&rows);
	return r;
}

/* What is bound to a node, by instances and by slices. */
static int load_memory(struct truth *t, struct place_load *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(
		t->store, &rows, err,
		"SELECT node, iif(huge_pages, 0, mem_mib), iif(huge_pages, mem_mib, 0)"
		" FROM placement UNION ALL SELECT node, memory_mib, huge_mib FROM slice",
		"");

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		int node = topology_find_node(t->topology, (int)rows_int(&rows, 0));

		if (node < 0)
			continue;
		ret->memory_mib[node] += rows_int(&rows, 1);
		ret->huge_mib[node] += rows_int(&rows, 2);
	}
	rows_end(&rows);
	return r;
}

static int load_all(struct truth *t, struct place_load *ret, struct error *err)
{
	int r;

	*ret = (struct place_load){ 0 };
	r = load_cpus(t, ret, err);
	return r < 0 ? r : load_memory(t, ret, err);
}

/* --- an instance's place --- */

/* Near the first of its devices whose node is known. */
static int describe_request(struct truth *t, const struct instance *i, struct place_request *ret,
			    struct error *err)
{
	int64_t node = TOPOLOGY_ANY_NODE;
	int r = store_number(t->store, &node, err,
			     "SELECT ifnull((SELECT node FROM device_claim WHERE instance = ?1"
			     " AND node >= 0 ORDER BY address LIMIT 1), -1)",
			     "s", i->id);

	*ret = (struct place_request){
		.wish = i->wish,
		.vcpus = i->vcpus,
		.mem_mib = i->mem_mib,
		.has_near = node >= 0,
		.near = (int)node,
	};
	return r;
}

static int decide(struct truth *t, const struct instance *i, struct place_decision *ret,
		  struct error *err)
{
	struct place_request q;
	struct place_load load;
	int r = t->topology ? load_all(t, &load, err)
			    : error_set(err, -ENOTSUP, "placement", NULL,
					"The host's processors are not known");

	if (r == 0)
		r = describe_request(t, i, &q, err);
	if (r == 0)
		place_decide(t->topology, &load, &q, ret);
	return r;
}

/* The judgement that says most: of the node that was asked for, or of the last. */
static int refuse(const struct place_decision *d, const struct instance *i, struct error *err)
{
	const struct place_option *best = NULL;

	for (unsigned k = 0; k < d->noptions; k++)
		if (!i->wish.has_node || d->option[k].node == i->wish.node)
			best = &d->option[k];
	return error_set(err, -EUSERS, "placement",
			 "wispctl host and wispctl slice ls show what there is",
			 "The host has no place for profile %s: %s%s%s",
			 place_profile_names[i->wish.profile], d->because, best ? "; " : "",
			 best ? best->because : "");
}

static int write_place(struct truth *t, const struct instance *i, const struct place_decision *d,
		       struct error *err)
{
	json_t *record = place_explain(&i->wish, d);
	char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
	int r = text ? store_run(t->store, err, "INSERT INTO placement VALUES (?, ?, ?, ?, ?)",
				 "siiis", i->id, (int64_t)d->place.node, i->mem_mib,
				 (int64_t)i->wish.huge_pages, text)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	free(text);
	json_decref(record);
	return r < 0 ? r : 0;
}

/* vcpu is NULL for the other threads of a core, and for the VMM's own. */
static int write_seats(struct truth *t, const char *instance, const struct place *p,
		       struct error *err)
{
	int r = 0;

	for (int cpu = 0; cpu < TOPOLOGY_CPUS_MAX && r >= 0; cpu++)
		if (CPU_ISSET(cpu, &p->cpus))
			r = store_run(t->store, err, "INSERT INTO seat VALUES (?, ?, NULL, NULL)",
				      "is", (int64_t)cpu, instance);
	for (unsigned k = 0; k < p->nvcpus && r >= 0; k++)
		r = store_run(t->store, err, "UPDATE seat SET vcpu = ? WHERE cpu = ?", "ii",
			      (int64_t)k, (int64_t)p->vcpu[k]);
	return r < 0 ? r : 0;
}

static int has_place(struct truth *t, const char *instance, int64_t *ret, struct error *err)
{
	return store_number(t->store, ret, err, "SELECT count(*) FROM placement WHERE instance = ?",
			    "s", instance);
}

static int take(struct truth *t, const struct instance *i, struct error *err)
{
	struct place_decision *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = decide(t, i, d, err);
	if (r == 0 && !d->fits)
		r = refuse(d, i, err);
	if (r == 0)
		r = write_place(t, i, d, err);
	if (r == 0)
		r = write_seats(t, i->id, &d->place, err);
	free(d);
	return r;
}

static int give_back(struct truth *t, const char *instance, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM seat WHERE instance = ?", "s", instance);

	if (r >= 0)
		r = store_run(t->store, err, "DELETE FROM placement WHERE instance = ?", "s",
			      instance);
	return r < 0 ? r : 0;
}

int seats_hold(struct truth *t, const struct instance *i, bool wanted, struct error *err)
{
	int64_t has = 0;
	int r;

	if (place_is_plain(&i->wish))
		return 0;
	r = has_place(t, i->id, &has, err);
	if (r < 0 || (has != 0) == wanted)
		return r;
	return wanted ? take(t, i, err) : give_back(t, i->id, err);
}

/* What its cores take from those that float, in processors as they are over-committed. */
static int64_t equivalent(const struct truth *t, int64_t cpus)
{
	return t->topology && t->topology->ncpus
		       ? t->capacity[RESOURCE_VCPUS] * cpus / t->topology->ncpus
		       : 0;
}

int seats_check(struct truth *t, const struct instance *i, struct error *err)
{
	struct place_decision *d;
	int r;

	if (place_is_plain(&i->wish))
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = decide(t, i, d, err);
	if (r == 0 && !d->fits)
		r = refuse(d, i, err);
	if (r == 0)
		r = quota_check(
			t, NULL, RESOURCE_VCPUS,
			d->place.nvcpus ? equivalent(t, CPU_COUNT(&d->place.cpus)) : i->vcpus, err);
	if (r == 0 && !i->wish.huge_pages)
		r = quota_check(t, NULL, RESOURCE_MEMORY_MIB, i->mem_mib, err);
	free(d);
	return r;
}

/* --- what is left --- */

/* Processors that are not shared, as they are over-committed; but those who have them hold
 * processors, too, and are not counted twice. */
static int set_aside_vcpus(struct truth *t, int64_t *ret, struct error *err)
{
	struct place_load load = { 0 };
	int64_t theirs = 0;
	cpu_set_t closed;
	int r = load_cpus(t, &load, err);

	if (r == 0)
		r = store_number(t->store, &theirs, err, "SELECT count(vcpu) FROM seat", "");
	if (r < 0)
		return r;
	CPU_OR(&closed, &load.taken, &t->topology->isolated);
	*ret = equivalent(t, CPU_COUNT(&closed)) - theirs;
	return 0;
}

int seats_set_aside(struct truth *t, enum resource resource, int64_t *ret, struct error *err)
{
	*ret = 0;
	if (!t->topology)
		return 0;
	if (resource == RESOURCE_VCPUS)
		return set_aside_vcpus(t, ret, err);
	/* Huge pages are no part of the capacity, but whoever has them holds memory. */
	if (resource == RESOURCE_MEMORY_MIB)
		return store_number(t->store, ret, err,
				    "SELECT (SELECT ifnull(sum(memory_mib), 0) FROM slice)"
				    " - (SELECT ifnull(sum(mem_mib), 0) FROM placement"
				    "    WHERE huge_pages)",
				    "");
	return 0;
}

int seats_shared(struct truth *t, int node, cpu_set_t *ret, struct error *err)
{
	struct place_load load = { 0 };
	int r = load_cpus(t, &load, err);

	if (r == 0)
		place_shared(t->topology, &load, node, ret);
	/* Others have got all cores of that node since. */
	if (r == 0 && CPU_COUNT(ret) == 0)
		place_shared(t->topology, &load, TOPOLOGY_ANY_NODE, ret);
	return r;
}

/* --- looking --- */

static int find_cpus(struct truth *t, const char *instance, struct place *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT cpu, vcpu FROM seat WHERE instance = ? ORDER BY vcpu", "s",
			     instance);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		CPU_SET((size_t)rows_int(&rows, 0), &ret->cpus);
		if (!rows_is_null(&rows, 1) && ret->nvcpus < PLACE_VCPUS_MAX)
			ret->vcpu[ret->nvcpus++] = (int)rows_int(&rows, 0);
	}
	rows_end(&rows);
	return r;
}

int seats_find(struct truth *t, const char *instance, struct place *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err, "SELECT node FROM placement WHERE instance = ?",
			     "s", instance);

	*ret = (struct place){ .node = TOPOLOGY_ANY_NODE };
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		ret->node = (int)rows_int(&rows, 0);
	rows_end(&rows);
	if (r <= 0)
		return r;
	r = find_cpus(t, instance, ret, err);
	return r < 0 ? r : 1;
}

static json_t *explain_anew(struct truth *t, const struct instance *i, struct error *err)
{
	struct place_decision *d = calloc(1, sizeof(*d));
	json_t *record = NULL;

	if (!d)
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	else if (decide(t, i, d, err) == 0)
		record = place_explain(&i->wish, d);
	free(d);
	if (record)
		json_object_set_new(record, "held", json_false());
	return record;
}

json_t *seats_explain(struct truth *t, const struct instance *i, struct error *err)
{
	json_t *record = NULL;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT record FROM placement WHERE instance = ?", "s", i->id);

	if (r < 0)
		return NULL;
	r = rows_next(&rows, err);
	if (r > 0)
		record = json_loads(rows_string(&rows, 0), 0, NULL);
	rows_end(&rows);
	if (r == 0)
		return explain_anew(t, i, err);
	if (record)
		json_object_set_new(record, "held", json_true());
	else if (r > 0)
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	return record;
}
