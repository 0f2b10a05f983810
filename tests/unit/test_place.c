/* test_place.c - where guests run, on machines that are made up, and in real books. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"
#include "supervisor/life/pin.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/meter.h"
#include "tests/unit/wispd_stage.h"

/* Two nodes, of four cores of two threads each: 0-7 and 8-15; 4 GiB each. */
#define MACHINE "pack:2 [numa(memory=4294967296)] core:4 pu:2"

enum { NODES = 2, HUGE_MIB = 1024, VCPUS = 16 };

static struct topology machine;

static void set(cpu_set_t *cpus, const char *list)
{
	assert_int_equal(topology_parse(list, cpus), 0);
}

/* As made up, with huge pages, and these isolated or not online. */
static struct topology *make_machine(const char *isolated, const char *offline)
{
	struct error err;
	cpu_set_t gone;

	assert_int_equal(topology_read(MACHINE, &machine, &err), 0);
	assert_int_equal(machine.nnodes, NODES);
	for (unsigned i = 0; i < NODES; i++)
		machine.node[i].huge_mib = HUGE_MIB;
	if (isolated)
		set(&machine.isolated, isolated);
	if (!offline)
		return &machine;
	set(&gone, offline);
	for (unsigned i = 0; i < machine.ncores; i++)
		if (CPU_ISSET(machine.core[i].first, &gone))
			machine.core[i--] = machine.core[--machine.ncores];
	CPU_XOR(&machine.online, &machine.online, &gone);
	return &machine;
}

/* --- the choice --- */

/* clang-format off */
static const struct row {
	const char *what;
	struct place_wish wish;
	int64_t vcpus, mem_mib;
	const char *taken, *isolated, *offline;
	int64_t bound_mib; /* of node 0's memory, and of its huge pages */
	bool fits;
	int node;
	const char *cpus, *vcpu; /* processors in all, and those of the guest's */
} rows[] = {
	{ "nothing is asked for",
	  { 0 }, 4, 512, NULL, NULL, NULL, 0, true, -1, "", "" },
	{ "cores",
	  { .profile = PLACE_DEDICATED }, 2, 512, NULL, NULL, NULL, 0, true, 0, "2-5", "2,4" },
	{ "the fuller node first",
	  { .profile = PLACE_DEDICATED }, 2, 512, "8-11", NULL, NULL, 0, true, 1, "12-15", "12,14" },
	{ "the host's core is kept",
	  { .profile = PLACE_DEDICATED }, 4, 512, NULL, NULL, NULL, 0, true, 1, "8-15", "8,10,12,14" },
	{ "cores of both nodes",
	  { .profile = PLACE_DEDICATED }, 5, 512, NULL, NULL, NULL, 0, true, -1, "2-11", "2,4,6,8,10" },
	{ "all but the host's",
	  { .profile = PLACE_DEDICATED }, 7, 512, NULL, NULL, NULL, 0, true, -1, "2-15", "2,4,6,8,10,12,14" },
	{ "one too many",
	  { .profile = PLACE_DEDICATED }, 8, 512, NULL, NULL, NULL, 0, false, -1, "", "" },
	{ "a sibling is taken",
	  { .profile = PLACE_DEDICATED }, 3, 512, "3,9", NULL, NULL, 0, true, 1, "10-15", "10,12,14" },
	{ "a node by its number",
	  { PLACE_DEDICATED, true, 1, false }, 1, 512, NULL, NULL, NULL, 0, true, 1, "8-9", "8" },
	{ "never another node",
	  { PLACE_DEDICATED, true, 0, false }, 4, 512, NULL, NULL, NULL, 0, false, -1, "", "" },
	{ "no such node",
	  { PLACE_DEDICATED, true, 7, false }, 1, 512, NULL, NULL, NULL, 0, false, -1, "", "" },
	{ "isolated ones first",
	  { PLACE_DEDICATED, true, 0, false }, 2, 512, NULL, "6-7", NULL, 0, true, 0, "2-3,6-7", "2,6" },
	{ "the first that is not isolated is the host's",
	  { PLACE_DEDICATED, true, 0, false }, 1, 512, "4-7", "0-1", NULL, 0, true, 0, "0-1", "0" },
	{ "what is offline is not there",
	  { PLACE_DEDICATED, true, 1, false }, 4, 512, NULL, NULL, "8-9", 0, false, -1, "", "" },
	{ "a core for the VMM",
	  { PLACE_LATENCY, true, 1, true }, 2, 512, NULL, NULL, NULL, 0, true, 1, "8-13", "8,10" },
	{ "and none is left for it",
	  { PLACE_LATENCY, true, 1, true }, 4, 512, NULL, NULL, NULL, 0, false, -1, "", "" },
	{ "huge pages of one node",
	  { PLACE_SHARED, false, 0, true }, 1, 768, NULL, NULL, NULL, 512, true, 1, "", "" },
	{ "too few huge pages",
	  { PLACE_SHARED, false, 0, true }, 1, 1025, NULL, NULL, NULL, 0, false, -1, "", "" },
	{ "memory of a node",
	  { PLACE_SHARED, true, 0, false }, 1, 1024, NULL, NULL, NULL, 512, true, 0, "", "" },
	{ "that others have",
	  { PLACE_SHARED, true, 0, false }, 1, 1024, NULL, NULL, NULL, 3500, false, -1, "", "" },
	{ "a node that is all taken",
	  { PLACE_SHARED, true, 1, false }, 1, 64, "8-15", NULL, NULL, 0, false, -1, "", "" },
	{ "more than anybody can have",
	  { .profile = PLACE_DEDICATED }, 257, 512, NULL, NULL, NULL, 0, false, -1, "", "" },
};
/* clang-format on */

static const char *vcpus_of(const struct place *p, char *buf, size_t size)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (unsigned i = 0; i < p->nvcpus; i++)
		CPU_SET(p->vcpu[i], &cpus);
	assert_int_equal(CPU_COUNT(&cpus), p->nvcpus);
	return topology_list(&cpus, buf, size);
}

static void check(const struct row *row)
{
	const struct topology *t = make_machine(row->isolated, row->offline);
	const struct place_request q = { .wish = row->wish,
					 .vcpus = row->vcpus,
					 .mem_mib = row->mem_mib };
	struct place_load load = { .memory_mib = { row->bound_mib },
				   .huge_mib = { row->bound_mib } };
	char list[TOPOLOGY_LIST_BYTES];
	struct place_decision d;

	if (row->taken)
		set(&load.taken, row->taken);
	place_decide(t, &load, &q, &d);
	if (d.fits != row->fits || d.place.node != row->node)
		fail_msg("%s: fits %d, node %d: %s", row->what, d.fits, d.place.node, d.because);
	assert_string_equal(topology_list(&d.place.cpus, list, sizeof(list)), row->cpus);
	assert_string_equal(vcpus_of(&d.place, list, sizeof(list)), row->vcpu);
	assert_true(d.because[0]);
}

static void test_choice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&rows[i]);
}

/* It is where its device is, fuller nodes or not; where that is full, elsewhere. */
static void test_near(void **state)
{
	struct place_request q = { .wish = { .profile = PLACE_DEDICATED },
				   .vcpus = 2,
				   .mem_mib = 64 };
	struct place_load load = { 0 };
	struct place_decision d;

	(void)state;
	for (q.near = 0; q.near < NODES; q.near++) {
		q.has_near = true;
		place_decide(make_machine(NULL, NULL), &load, &q, &d);
		assert_int_equal(d.place.node, q.near);
		assert_non_null(strstr(d.because, "near its device"));
	}
	q.near = 1;
	set(&load.taken, "8-15");
	place_decide(make_machine(NULL, NULL), &load, &q, &d);
	assert_int_equal(d.place.node, 0);
	assert_non_null(strstr(d.because, "fullest"));
}

static void test_rest(void **state)
{
	static const int two[] = { 2, 6 }, all[] = { 2, 3 };
	char list[TOPOLOGY_LIST_BYTES];
	cpu_set_t cpus, rest;

	(void)state;
	assert_int_equal(topology_parse("2-3,6-7", &cpus), 0);
	place_rest(&cpus, two, 2, &rest);
	assert_string_equal(topology_list(&rest, list, sizeof(list)), "3,7");
	assert_int_equal(topology_parse("2-3", &cpus), 0);
	place_rest(&cpus, all, 2, &rest);
	assert_string_equal(topology_list(&rest, list, sizeof(list)), "2-3");
}

static void test_record(void **state)
{
	const struct place_request q = { .wish = { PLACE_DEDICATED, true, 1, false },
					 .vcpus = 5,
					 .mem_mib = 64 };
	const struct place_load load = { 0 };
	struct place_decision d;
	json_t *record, *options;

	(void)state;
	place_decide(make_machine(NULL, NULL), &load, &q, &d);
	record = place_explain(&q.wish, &d);
	options = json_object_get(record, "options");
	assert_int_equal(json_array_size(options), NODES);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(options, 1), "because")),
		"5 cores are wanted, 4 are free");
	assert_true(json_is_false(json_object_get(record, "fits")));
	json_decref(record);
}

static void test_shared(void **state)
{
	struct place_load load = { 0 };
	char list[TOPOLOGY_LIST_BYTES];
	cpu_set_t shared;

	(void)state;
	set(&load.taken, "2-5,15");
	place_shared(make_machine("6-7", NULL), &load, TOPOLOGY_ANY_NODE, &shared);
	assert_string_equal(topology_list(&shared, list, sizeof(list)), "0-1,8-14");
	place_shared(&machine, &load, 1, &shared);
	assert_string_equal(topology_list(&shared, list, sizeof(list)), "8-14");
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(pin_vcpu_of("vcpu#", "vcpu12"), 12);
	assert_int_equal(pin_vcpu_of("CPU #/KVM", "CPU 0/KVM"), 0);
	assert_int_equal(pin_vcpu_of("CPU #/KVM", "CPU 0"), -1);
	assert_int_equal(pin_vcpu_of("vcpu#", "vcpu-1"), -1);
	assert_int_equal(pin_vcpu_of("vcpu#", "vcpu1x"), -1);
	assert_int_equal(pin_vcpu_of("vcpu#", "vcpu99999999999999999999"), -1);
	assert_int_equal(pin_vcpu_of("vcpu#", "wisp"), -1);
}

/* --- the books --- */

static int set_up(void **state)
{
	int r = stage_set_up(state);
	struct stage *s = *state;

	s->d.truth.topology = make_machine(NULL, NULL);
	s->d.truth.capacity[RESOURCE_VCPUS] = VCPUS;
	return r;
}

#define CREATE(name, placement)                                                                   \
	"{\"name\": \"" name "\", \"image\": \"image\", \"shape\": \"medium\", \"start\": true, " \
	"\"runtime\": \"wisp\", \"placement\": " placement "}"
#define CORES "{\"profile\": \"dedicated\"}"

static struct instance look(struct stage *s, const char *name)
{
	struct instance i;
	struct error err;

	assert_int_equal(instance_find(&s->d.truth, NULL, name, &i, &err), 0);
	return i;
}

static struct place place_of(struct stage *s, const char *name, int has)
{
	struct instance i = look(s, name);
	struct place p;
	struct error err;

	assert_int_equal(seats_find(&s->d.truth, i.id, &p, &err), has);
	return p;
}

static int64_t room(struct stage *s, enum resource resource)
{
	int64_t used = 0, most = 0;
	struct error err;

	assert_int_equal(quota_get(&s->d.truth, NULL, resource, &used, &most, &err), 0);
	return most - used;
}

static void move_to(struct stage *s, const char *name, enum state to)
{
	const struct move move = { .actor = "test" };
	struct instance i = look(s, name);
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, to, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static int create(struct stage *s, const char *body)
{
	return stage_ask(s, &stage_admin, "POST", "/instances", body);
}

/* medium: two processors, 2 GiB. Of seven cores that can be had three guests take six. */
static void test_cores_are_one_guests(void **state)
{
	struct stage *s = *state;
	struct place one, two, both;

	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(create(s, CREATE("two", CORES)), 202);
	assert_int_equal(create(s, CREATE("three", CORES)), 202);
	assert_int_equal(create(s, CREATE("four", CORES)), 503);
	assert_string_equal(stage_said(s, "code"), "no_capacity");
	assert_non_null(strstr(stage_said(s, "fault_message"), "2 cores are wanted, 1 are free"));
	one = place_of(s, "one", 1);
	two = place_of(s, "two", 1);
	assert_int_equal(one.nvcpus, 2);
	assert_int_equal(CPU_COUNT(&one.cpus), 4);
	CPU_AND(&both.cpus, &one.cpus, &two.cpus);
	assert_int_equal(CPU_COUNT(&both.cpus), 0);
	/* What is left for those that float: four of sixteen, and not twice over. */
	assert_int_equal(room(s, RESOURCE_VCPUS), 4);
	/* It has them no longer than it could run. */
	move_to(s, "one", STATE_FAILED);
	place_of(s, "one", 0);
	assert_int_equal(room(s, RESOURCE_VCPUS), 8);
	assert_int_equal(create(s, CREATE("four", CORES)), 202);
}

/* The database itself refuses, whoever forgets to ask. */
static void test_a_processor_is_one_row(void **state)
{
	struct stage *s = *state;
	struct error err;

	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(store_run(s->d.truth.store, &err,
				   "INSERT INTO seat VALUES (2, 'other', NULL, 0)", ""),
			 -EEXIST);
}

/* Those that float cannot be so many that the cores of others would be theirs. */
static void test_cores_need_room(void **state)
{
	struct stage *s = *state;

	s->d.truth.capacity[RESOURCE_VCPUS] = 4;
	assert_int_equal(create(s, CREATE("one", "{}")), 202);
	assert_int_equal(create(s, CREATE("two", CORES)), 202);
	assert_int_equal(room(s, RESOURCE_VCPUS), 1);
	assert_int_equal(create(s, CREATE("three", "{}")), 503);
	assert_int_equal(create(s, CREATE("four", CORES)), 202);
	assert_int_equal(create(s, CREATE("five", CORES)), 503);
	assert_non_null(strstr(stage_said(s, "fault_message"), "The host is full"));
}

static void test_huge_pages(void **state)
{
	static const char wish[] = CREATE("one", "{\"node\": 1, \"huge_pages\": true}");
	struct stage *s = *state;
	int64_t memory = room(s, RESOURCE_MEMORY_MIB);

	/* Two GiB of one. */
	assert_int_equal(create(s, wish), 503);
	assert_non_null(strstr(stage_said(s, "fault_message"), "MiB of huge pages are wanted"));
	machine.node[1].huge_mib = 2 * HUGE_MIB;
	assert_int_equal(create(s, wish), 202);
	assert_int_equal(place_of(s, "one", 1).node, 1);
	/* They are no part of what others have. */
	assert_int_equal(room(s, RESOURCE_MEMORY_MIB), memory);
	assert_int_equal(create(s, CREATE("two", "{\"huge_pages\": true}")), 503);
}

static void test_waits_for_cores(void **state)
{
	struct stage *s = *state;
	struct instance i = { .id = "vm-x",
			      .tenant = "a",
			      .vcpus = 6,
			      .mem_mib = 64,
			      .wait_ms = 1000,
			      .wish = { .profile = PLACE_DEDICATED } };
	struct error err;

	assert_int_equal(queue_decide(s->d.queue, &i, &err), STATE_STARTING);
	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(queue_decide(s->d.queue, &i, &err), STATE_QUEUED);
	assert_non_null(strstr(err.text, "6 cores are wanted, 5 are free"));
}

static void test_explained(void **state)
{
	struct stage *s = *state;
	json_t *record;

	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/instances/one/explain", NULL), 200);
	record = json_object_get(s->reply, "placement");
	assert_true(json_is_true(json_object_get(record, "held")));
	assert_string_equal(json_string_value(json_object_get(record, "cpus")), "2-5");
	move_to(s, "one", STATE_FAILED);
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/instances/one/explain", NULL), 200);
	record = json_object_get(s->reply, "placement");
	assert_true(json_is_false(json_object_get(record, "held")));
}

/* Cores are billed for as long as nobody else can have them. */
static void test_metered(void **state)
{
	struct stage *s = *state;
	struct instance i;
	int64_t held = 0;
	struct error err;

	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	i = look(s, "one");
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(meter_follow(&s->d.truth, &i, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	assert_int_equal(store_number(s->d.truth.store, &held, &err,
				      "SELECT amount FROM held WHERE meter = 'processor_time'", ""),
			 0);
	assert_int_equal(held, 4);
	move_to(s, "one", STATE_FAILED);
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(meter_follow(&s->d.truth, &i, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	assert_int_equal(store_number(s->d.truth.store, &held, &err,
				      "SELECT count(*) FROM held WHERE meter = 'processor_time'",
				      ""),
			 0);
	assert_int_equal(held, 0);
}

/* Of one without a VMM: what is known, and what was not asked for. */
static void test_topology(void **state)
{
	struct stage *s = *state;
	json_t *defaults;

	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/instances/one/topology", NULL), 200);
	assert_string_equal(stage_said(s, "profile"), "dedicated");
	assert_string_equal(stage_said(s, "cpus"), "2-5");
	assert_int_equal(json_array_size(json_object_get(s->reply, "vcpus")), 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(s->reply, "memory"), "bound_to")),
		"0");
	defaults = json_object_get(s->reply, "defaults");
	assert_int_equal(json_array_size(defaults), 2);
	assert_string_equal(json_string_value(json_array_get(defaults, 0)), "node");
	assert_int_equal(stage_ask(s, &stage_bob, "GET", "/instances/one/topology", NULL), 404);
}

/* --- requests --- */

static void test_bad_wishes(void **state)
{
	static const struct {
		const char *placement, *field;
		int status;
	} bad[] = {
		{ "{\"profile\": \"latency\"}", "placement.node", 400 },
		{ "{\"profile\": \"latency\", \"node\": 0}", "placement.huge_pages", 400 },
		{ "{\"profile\": \"latency\", \"node\": 0, \"huge_pages\": false}",
		  "placement.huge_pages", 400 },
		{ "{\"profile\": \"fast\"}", "placement.profile", 400 },
		{ "{\"node\": -1}", "placement.node", 400 },
		{ "{\"nodes\": 1}", "placement.nodes", 400 },
		{ "{\"profile\": \"dedicated\", \"node\": 9}", "placement", 503 },
	};
	struct stage *s = *state;
	char body[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"image\": \"image\", \"start\": true, \"runtime\": \"wisp\","
			 " \"placement\": %s}",
			 bad[i].placement);
		assert_int_equal(create(s, body), bad[i].status);
		assert_string_equal(stage_said(s, "field"), bad[i].field);
	}
	assert_int_equal(create(s,
				"{\"image\": \"image\", \"placement\": {\"profile\": \"latency\","
				" \"node\": 0, \"huge_pages\": true}}"),
			 400);
	assert_string_equal(stage_said(s, "field"), "runtime");
	s->d.config.cgroup[0] = '\0';
	assert_int_equal(create(s, CREATE("one", CORES)), 400);
	assert_string_equal(stage_said(s, "code"), "unsupported");
}

static void test_slices(void **state)
{
	struct stage *s = *state;
	int64_t memory = room(s, RESOURCE_MEMORY_MIB);

	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/slices/slurm",
				   "{\"cpus\": \"8-15\", \"memory_mib\": 100, \"huge_mib\": 1000,"
				   " \"node\": 1}"),
			 200);
	assert_int_equal(room(s, RESOURCE_VCPUS), 8);
	assert_int_equal(room(s, RESOURCE_MEMORY_MIB), memory - 100);
	assert_int_equal(create(s, CREATE("one", "{\"profile\": \"dedicated\", \"node\": 1}")),
			 503);
	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	assert_int_equal(place_of(s, "one", 1).node, 0);
	assert_int_equal(stage_ask(s, &stage_watcher, "GET", "/slices", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(s->reply, "slices")), 1);
	/* Smaller, by the same name. */
	assert_int_equal(
		stage_ask(s, &stage_admin, "PUT", "/slices/slurm", "{\"cpus\": \"14-15\"}"), 200);
	assert_int_equal(stage_ask(s, &stage_admin, "DELETE", "/slices/slurm", NULL), 200);
	assert_int_equal(room(s, RESOURCE_MEMORY_MIB), memory - 2048);
	assert_int_equal(stage_ask(s, &stage_admin, "DELETE", "/slices/slurm", NULL), 404);
}

static void test_bad_slices(void **state)
{
	static const struct {
		const struct caller *who;
		const char *path, *body, *code;
	} bad[] = {
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"9\"}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"0-3\"}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"16-17\"}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"many\"}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"14-15\"}", "in_use" },
		{ &stage_admin, "/slices/k8s", "{\"cpus\": \"2-3\"}", "in_use" },
		{ &stage_admin, "/slices/k8s", "{\"huge_mib\": 1}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"huge_mib\": 9999, \"node\": 0}", "bad_request" },
		{ &stage_admin, "/slices/k8s", "{\"node\": 5}", "bad_request" },
		{ &stage_admin, "/slices/K8s", "{}", "bad_request" },
		{ &stage_alice, "/slices/k8s", "{}", "forbidden" },
	};
	struct stage *s = *state;

	assert_int_equal(
		stage_ask(s, &stage_admin, "PUT", "/slices/slurm", "{\"cpus\": \"14-15\"}"), 200);
	assert_int_equal(create(s, CREATE("one", CORES)), 202);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stage_ask(s, bad[i].who, "PUT", bad[i].path, bad[i].body);
		if (strcmp(stage_said(s, "code"), bad[i].code) != 0)
			fail_msg("%s: %s", bad[i].body, stage_said(s, "fault_message"));
	}
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/slices", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(s->reply, "slices")), 1);
}

#define ON_BOOKS(test) cmocka_unit_test_setup_teardown(test, set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_names),
		ON_BOOKS(test_cores_are_one_guests),
		ON_BOOKS(test_a_processor_is_one_row),
		ON_BOOKS(test_cores_need_room),
		ON_BOOKS(test_huge_pages),
		ON_BOOKS(test_waits_for_cores),
		ON_BOOKS(test_explained),
		ON_BOOKS(test_metered),
		ON_BOOKS(test_topology),
		ON_BOOKS(test_bad_wishes),
		ON_BOOKS(test_slices),
		ON_BOOKS(test_bad_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
