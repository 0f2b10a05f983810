/* slices.c - what is set aside for other engines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"

static int tell(struct truth *t, const char *type, const char *actor, json_t *body,
		struct error *err)
{
	const struct ledger_event e = { .type = type, .actor = actor, .body = body };
	int r = body ? ledger_append(t->ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

/* It may be what a slice of this name has: that is given back first. */
static int remove_rows(struct truth *t, const char *name, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM seat WHERE slice = ?", "s", name);

	return r < 0 ? r : store_run(t->store, err, "DELETE FROM slice WHERE name = ?", "s", name);
}

/* The first processor that is not the host's own is left for those that float. */
static int check_cpus(const struct topology *t, const struct slice *s, struct error *err)
{
	char list[TOPOLOGY_LIST_BYTES];
	cpu_set_t outside, shared;

	CPU_XOR(&outside, &s->cpus, &t->online);
	CPU_AND(&outside, &outside, &s->cpus);
	if (CPU_COUNT(&outside) > 0)
		return error_set(err, -EINVAL, "cpus", "wispctl host lists what is online",
				 "This host has no processors %s",
				 topology_list(&outside, list, sizeof(list)));
	for (unsigned i = 0; i < t->ncores; i++) {
		CPU_AND(&shared, &t->core[i].cpus, &s->cpus);
		if (CPU_COUNT(&shared) > 0 && !CPU_EQUAL(&shared, &t->core[i].cpus))
			return error_set(err, -EINVAL, "cpus", "give whole cores",
					 "Only some threads of the core %s are in it",
					 topology_list(&t->core[i].cpus, list, sizeof(list)));
	}
	if (CPU_ISSET(t->core[0].first, &s->cpus))
		return error_set(err, -EINVAL, "cpus", "leave out the first core",
				 "The host itself needs processor %u", t->core[0].first);
	return 0;
}

static int check_memory(const struct topology *t, const struct slice *s, struct error *err)
{
	int node = topology_find_node(t, s->node);

	if (s->node != TOPOLOGY_ANY_NODE && node < 0)
		return error_set(err, -EINVAL, "node", "wispctl host lists them",
				 "This host has no node %d", s->node);
	if (s->huge_mib && node < 0)
		return error_set(err, -EINVAL, "node", "say of which node",
				 "Huge pages are those of a node");
	if (s->huge_mib && s->huge_mib > t->node[node].huge_mib)
		return error_set(err, -EINVAL, "huge_mib", "wispctl host lists them",
				 "Node %d has huge pages of %lld MiB", s->node,
				 (long long)t->node[node].huge_mib);
	return 0;
}

static int write_seats(struct truth *t, const struct slice *s, struct error *err)
{
	int r = 0;

	for (int cpu = 0; cpu < TOPOLOGY_CPUS_MAX && r >= 0; cpu++) {
		if (!CPU_ISSET(cpu, &s->cpus))
			continue;
		r = store_run(t->store, err, "INSERT INTO seat VALUES (?, NULL, ?, NULL)", "is",
			      (int64_t)cpu, s->name);
		if (r == -EEXIST)
			r = error_set(err, -EBUSY, "cpus", "wispctl slice ls and ps tell who",
				      "Processor %d is taken", cpu);
	}
	return r < 0 ? r : 0;
}

int slice_set(struct truth *t, const struct slice *s, const char *actor, struct error *err)
{
	char cpus[TOPOLOGY_LIST_BYTES];
	int r = check_cpus(t->topology, s, err);

	topology_list(&s->cpus, cpus, sizeof(cpus));
	if (r == 0)
		r = check_memory(t->topology, s, err);
	if (r == 0)
		r = remove_rows(t, s->name, err);
	if (r >= 0)
		r = store_run(t->store, err, "INSERT INTO slice VALUES (?, ?, ?, ?, ?)", "ssiii",
			      s->name, cpus, s->memory_mib, s->huge_mib, (int64_t)s->node);
	if (r >= 0)
		r = write_seats(t, s, err);
	if (r < 0)
		return r;
	return tell(t, "slice.set", actor,
		    json_pack("{s:s, s:s, s:I, s:I, s:i}", "name", s->name, "cpus", cpus,
			      "memory_mib", (json_int_t)s->memory_mib, "huge_mib",
			      (json_int_t)s->huge_mib, "node", s->node),
		    err);
}

int slice_remove(struct truth *t, const char *name, const char *actor, struct error *err)
{
	int r = remove_rows(t, name, err);

	if (r == 0)
		return error_set(err, -ENOENT, "name", "wispctl slice ls lists them",
				 "There is no slice %.64s", name);
	return r < 0 ? r : tell(t, "slice.removed", actor, json_pack("{s:s}", "name", name), err);
}

json_t *slice_list(struct truth *t, struct error *err)
{
	json_t *all = json_array();
	struct rows rows;
	int r = store_select(
		t->store, &rows, err,
		"SELECT name, cpus, memory_mib, huge_mib, node FROM slice ORDER BY name", "");

	if (r < 0) {
		json_decref(all);
		return NULL;
	}
	while ((r = rows_next(&rows, err)) > 0)
		json_array_append_new(
			all, json_pack("{s:s, s:s, s:I, s:I, s:o}", "name", rows_string(&rows, 0),
				       "cpus", rows_string(&rows, 1), "memory_mib",
				       (json_int_t)rows_int(&rows, 2), "huge_mib",
				       (json_int_t)rows_int(&rows, 3), "node",
				       rows_int(&rows, 4) < 0 ? json_null()
							      : json_integer(rows_int(&rows, 4))));
	rows_end(&rows);
	if (r == 0)
		return all;
	json_decref(all);
	return NULL;
}
