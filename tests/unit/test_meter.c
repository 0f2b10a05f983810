/* test_meter.c - counters: read from files, kept in rows, told in events, replayed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/billing/exists.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/quota.h"
#include "supervisor/metering/meter.h"
#include "tests/unit/past.h"

/* --- files --- */

static void write_file(struct past *p, const char *name, const char *text)
{
	FILE *f = fopen(scratch_path(p->books.dir, name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void make_folder(struct past *p, const char *name)
{
	assert_int_equal(mkdir(scratch_path(p->books.dir, name), 0755), 0);
}

/* A line for each folder of a version's mounts. */
static void write_mount(struct past *p, const char *version, const char *folder,
			const char *options)
{
	char text[256];
	FILE *f;

	snprintf(text, sizeof(text), "none %s/%s %s rw%s 0 0\n",
		 ((struct scratch *)p->books.dir)->dir, folder, version, options);
	f = fopen(scratch_path(p->books.dir, "mounts"), "ae");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int64_t reading(const struct sample *s, enum counter c)
{
	return s->counter[c].reading == READING_DONE   ? s->counter[c].value
	       : s->counter[c].reading == READING_LOST ? -1
						       : -2;
}

static struct sample read_groups(struct past *p, const char *id)
{
	struct sample s = { 0 };

	sample_read_groups(scratch_path(p->books.dir, "mounts"), "wisp", id, &s);
	return s;
}

static void test_groups_of_version_1(void **state)
{
	static const char *const folders[] = { "cpu", "cpu/wisp", "cpu/wisp/vm",
					       "mem", "mem/wisp", "mem/wisp/vm" };
	struct past *p = *state;
	struct sample s;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		make_folder(p, folders[i]);
	write_mount(p, "cgroup", "cpu", ",cpu,cpuacct");
	write_mount(p, "cgroup", "mem", ",memory");
	write_file(p, "cpu/wisp/vm/cpuacct.usage", "1234567890\n");
	write_file(p, "mem/wisp/vm/memory.usage_in_bytes", "4096\n");
	s = read_groups(p, "vm");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), 1234567);
	assert_int_equal(reading(&s, COUNTER_MEMORY_NOW), 4096);
	assert_int_equal(reading(&s, COUNTER_MEMORY_PEAK), -1);
	assert_int_equal(reading(&s, COUNTER_NET_IN), -2);
	/* What serves it works for it. */
	make_folder(p, "cpu/wisp/vm.aside");
	write_file(p, "cpu/wisp/vm.aside/cpuacct.usage", "1000000000\n");
	s = read_groups(p, "vm");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), 2234567);
	write_file(p, "cpu/wisp/vm/cpuacct.usage", "a number\n");
	s = read_groups(p, "vm");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), -1);
}

static void test_groups_of_version_2(void **state)
{
	struct past *p = *state;
	struct sample s;

	make_folder(p, "wisp");
	make_folder(p, "wisp/vm");
	write_mount(p, "cgroup2", "", "");
	write_file(p, "wisp/vm/cpu.stat", "nr_periods 0\nusage_usec 4711\nuser_usec 4000\n");
	write_file(p, "wisp/vm/memory.peak", "8192\n");
	write_file(p, "wisp/vm/memory.current", "0\n");
	s = read_groups(p, "vm");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), 4711);
	assert_int_equal(reading(&s, COUNTER_MEMORY_PEAK), 8192);
	assert_int_equal(reading(&s, COUNTER_MEMORY_NOW), 0);
	make_folder(p, "wisp/vm.aside");
	write_file(p, "wisp/vm.aside/cpu.stat", "usage_usec 300\n");
	write_file(p, "wisp/vm.aside/memory.current", "4096\n");
	s = read_groups(p, "vm");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), 5011);
	assert_int_equal(reading(&s, COUNTER_MEMORY_NOW), 0);
	s = read_groups(p, "another");
	assert_int_equal(reading(&s, COUNTER_CPU_USED), -1);
}

static struct sample read_lines(struct past *p, const char *text, int64_t from)
{
	struct sample s = { 0 };
	int fd;

	write_file(p, "lines", text);
	fd = open(scratch_path(p->books.dir, "lines"), O_RDONLY | O_CLOEXEC);
	sample_read_lines(fd, from, &s);
	close(fd);
	return s;
}

#define LINE_1 "{\"block\":{\"read_bytes\":512,\"requests_count\":2},\"vcpu\":{}}\n"
#define LINE_2 "{\"block\":{\"read_bytes\":1,\"write_bytes\":7,\"requests_count\":1}}\n"

static void test_lines(void **state)
{
	struct past *p = *state;
	struct sample s = read_lines(p, LINE_1 LINE_2 "{\"block\":", 0);

	assert_int_equal(reading(&s, COUNTER_DISK_READ), 513);
	assert_int_equal(reading(&s, COUNTER_DISK_WRITTEN), 7);
	assert_int_equal(reading(&s, COUNTER_DISK_OPERATIONS), 3);
	assert_int_equal(reading(&s, COUNTER_NET_IN), 0);
	assert_int_equal(s.lines_to, strlen(LINE_1 LINE_2));
	/* The rest, once it is whole. */
	s = read_lines(p, LINE_1 LINE_2 LINE_1, s.lines_to);
	assert_int_equal(reading(&s, COUNTER_DISK_READ), 512);
	assert_int_equal(s.lines_to, strlen(LINE_1 LINE_2 LINE_1));
}

/* What a VMM writes that is not its own master any more. */
static void test_hostile_lines(void **state)
{
	static const char *const cases[] = {
		"{\"block\":{\"read_bytes\":-1}}\n",
		"{\"block\":{\"read_bytes\":1.5}}\n",
		"{\"block\":{\"read_bytes\":\"1\"}}\n",
		"{\"block\":{\"read_bytes\":9223372036854775807}}\n",
		"{\"net\":{\"tx_bytes_count\":1125899906842625}}\n",
		"[]\n",
		"nonsense\n",
		"{}\n{}}\n{}\n",
	};
	struct past *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample s = read_lines(p, cases[i], 0);

		assert_int_equal(reading(&s, COUNTER_DISK_READ), -1);
		assert_int_equal(reading(&s, COUNTER_NET_OUT), -1);
		assert_int_equal(s.lines_to, strlen(cases[i]));
	}
}

/* --- rows and events --- */

static struct instance live_instance(struct past *p)
{
	const struct move move = { .actor = "test" };
	struct truth *t = &p->books.truth;
	struct instance i = { .tenant = "default",
			      .owner_engine = "wispd",
			      .runtime = "wisp",
			      .name = "vm",
			      .vcpus = 1,
			      .mem_mib = 32,
			      .labels = "{}" };
	struct error err;

	for (unsigned r = 0; r < RESOURCES_COUNT; r++)
		t->capacity[r] = 100;
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_create(t, &i, "test", &err), 0);
	assert_int_equal(instance_move(t, &i, STATE_CREATED, &move, &err), 0);
	assert_int_equal(instance_move(t, &i, STATE_STARTING, &move, &err), 0);
	assert_int_equal(instance_spawned(t, &i, 1, 1, "test", &err), 0);
	assert_int_equal(instance_move(t, &i, STATE_RUNNING, &move, &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	return i;
}

/* A sample with all readings; cpu and read below 0: lost. */
static struct sample sample_of(int64_t cpu, int64_t peak, int64_t read, int64_t disk_mib)
{
	struct sample s = { .disk_mib = disk_mib };
	const int64_t value[COUNTERS_COUNT] = {
		[COUNTER_CPU_USED] = cpu,
		[COUNTER_MEMORY_PEAK] = peak,
		[COUNTER_DISK_READ] = read,
	};

	for (unsigned c = 0; c < COUNTERS_COUNT; c++) {
		s.counter[c].reading = value[c] < 0 ? READING_LOST : READING_DONE;
		s.counter[c].value = value[c];
	}
	return s;
}

static void note(struct past *p, const struct instance *i, struct sample s, bool tell)
{
	struct store *store = p->books.truth.store;
	struct error err;

	assert_int_equal(store_begin(store, &err), 0);
	if (meter_note(&p->books.truth, i, &s, tell, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(store, &err), 0);
}

static void finish(struct past *p, struct instance *i, struct sample s, bool whole)
{
	const struct move end = { .actor = "test", .exit_kind = "exit" };
	struct truth *t = &p->books.truth;
	struct error err;

	assert_int_equal(store_begin(t->store, &err), 0);
	if (meter_finish(t, i, &s, whole, &err) < 0 ||
	    instance_move(t, i, STATE_STOPPED, &end, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(t->store, &err), 0);
}

static int64_t events(struct past *p, const char *type)
{
	struct error err;
	int64_t n;

	assert_int_equal(store_number(p->books.truth.store, &n, &err,
				      "SELECT count(*) FROM event WHERE type = ?", "s", type),
			 0);
	return n;
}

struct sum {
	enum meter meter;
	int64_t quantity;
};

static int add_up(void *ctx, const struct usage_row *row)
{
	struct sum *s = ctx;

	s->quantity += row->meter == s->meter ? row->quantity : 0;
	return 0;
}

static int64_t used_now(struct past *p, enum meter meter)
{
	struct sum s = { meter, 0 };
	struct usage *u;
	struct error err;

	if (usage_replay(p->books.truth.store, 0, &u, &err) < 0)
		fail_msg("%s", err.text);
	usage_each(u, "default", period_of(ledger_wall_ns()), add_up, &s);
	usage_free(u);
	return s.quantity;
}

static int count_gap(void *ctx, const struct usage_gap *gap)
{
	(void)gap;
	++*(int *)ctx;
	return 0;
}

static int gaps_now(struct past *p)
{
	struct usage *u;
	struct error err;
	int n = 0;

	assert_int_equal(usage_replay(p->books.truth.store, 0, &u, &err), 0);
	usage_gaps(u, "default", period_of(ledger_wall_ns()), count_gap, &n);
	usage_free(u);
	return n;
}

static const char *json_text(const json_t *j, const char *member)
{
	return json_string_value(json_object_get(j, member));
}

static json_t *records(struct past *p, int period)
{
	struct error err;
	json_t *j = exists_describe(&p->books.truth, "default", period, &err);

	if (!j)
		fail_msg("%s", err.text);
	return j;
}

/* A month has a record of what was there, with what it used; the month before has none. */
static void test_audit_record(void **state)
{
	struct past *p = *state;
	const int now = period_of(ledger_wall_ns());
	struct instance i = live_instance(p);
	json_t *all, *payload;

	note(p, &i, sample_of(150, 4000, 20, 3), true);
	all = records(p, now);
	assert_int_equal(json_array_size(all), 1);
	assert_non_null(strstr(json_text(json_array_get(all, 0), "message_id"), i.id));
	payload = json_object_get(json_array_get(all, 0), "payload");
	assert_string_equal(json_text(payload, "instance_id"), i.id);
	assert_string_equal(json_text(payload, "state"), "running");
	assert_int_equal(past_figure(json_object_get(payload, "usage"), "cpu_used"), 150);
	assert_true(json_is_string(json_object_get(payload, "launched_at")));
	assert_true(json_is_null(json_object_get(payload, "deleted_at")));
	json_decref(all);
	all = records(p, now - 1);
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
}

static void test_a_life(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);

	note(p, &i, sample_of(100, 5000, 10, 3), false);
	assert_int_equal(used_now(p, METER_CPU_USED), 0); /* kept, but not told yet */
	note(p, &i, sample_of(150, 4000, 20, 3), true);
	assert_int_equal(used_now(p, METER_CPU_USED), 150);
	assert_int_equal(used_now(p, METER_DISK_READ), 30);
	note(p, &i, sample_of(150, 5000, 0, 3), true); /* nothing new is nothing to tell */
	assert_int_equal(events(p, "meter.counted"), 1);
	finish(p, &i, sample_of(175, 7000, 5, 4), true);
	assert_int_equal(used_now(p, METER_CPU_USED), 175);
	assert_int_equal(used_now(p, METER_MEMORY_PEAK), 7000);
	assert_int_equal(used_now(p, METER_DISK_READ), 35);
	assert_int_equal(events(p, "meter.held"), 2);
	assert_int_equal(gaps_now(p), 0);
}

/* It is added up, not put in the last one's place. */
static void test_two_lives(void **state)
{
	const struct move again = { .actor = "test" };
	struct past *p = *state;
	struct truth *t = &p->books.truth;
	struct instance i = live_instance(p);
	struct error err;

	finish(p, &i, sample_of(100, 5000, 10, -1), true);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_move(t, &i, STATE_STARTING, &again, &err), 0);
	assert_int_equal(instance_spawned(t, &i, 2, 2, "test", &err), 0);
	assert_int_equal(instance_move(t, &i, STATE_RUNNING, &again, &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	finish(p, &i, sample_of(60, 4000, 1, -1), true);
	assert_int_equal(used_now(p, METER_CPU_USED), 160);
	assert_int_equal(used_now(p, METER_MEMORY_PEAK), 5000);
	assert_int_equal(used_now(p, METER_DISK_READ), 11);
}

/* A counter that began anew, and one that went away and came back. */
static void test_gaps(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);

	note(p, &i, sample_of(100, 1, 10, -1), true);
	note(p, &i, sample_of(30, 1, -1, -1), true);
	assert_int_equal(used_now(p, METER_CPU_USED), 130);
	assert_int_equal(used_now(p, METER_DISK_READ), 10);
	assert_int_equal(gaps_now(p), 2);
	note(p, &i, sample_of(30, 1, -1, -1), true); /* told once */
	assert_int_equal(gaps_now(p), 2);
	note(p, &i, sample_of(31, 1, 5, -1), true);
	assert_int_equal(used_now(p, METER_DISK_READ), 15);
	/* Killed: what its last line would have said is not known, for five counters. */
	finish(p, &i, sample_of(40, 1, 1, -1), false);
	assert_int_equal(used_now(p, METER_CPU_USED), 140);
	assert_int_equal(gaps_now(p), 7);
}

/* --- links --- */

/* A sample of up to two links, each {index, in, out}; index 0: it cannot be found. */
static struct sample links_of(struct sample_link a, struct sample_link b)
{
	const struct sample_link both[] = { a, b };
	struct sample s = sample_of(0, 1, 0, -1);

	s.by_links = true;
	for (unsigned n = 0; n < 2; n++) {
		if (both[n].index)
			s.link[s.nlinks++] = both[n];
		else
			for (unsigned v = 0; v < LINK_VALUES; v++)
				s.counter[link_sums[v]].reading = READING_LOST;
	}
	return s;
}

static void expect_net(struct past *p, int64_t in, int64_t out, unsigned gaps)
{
	assert_int_equal(used_now(p, METER_NET_IN), in);
	assert_int_equal(used_now(p, METER_NET_OUT), out);
	assert_int_equal(gaps_now(p), gaps);
}

/* Each is counted for itself: one that begins anew, is deleted, or is another by the same
 * name costs the other one nothing, and no byte is counted twice. */
static void test_links(void **state)
{
	static const struct {
		struct sample_link a, b;
		int64_t in, out;
		unsigned gaps; /* of both directions, and of four classes */
	} cases[] = {
		{ { 7, { 100, 10 } }, { 8, { 1000, 0 } }, 1100, 10, 0 },
		{ { 7, { 150, 20 } }, { 8, { 1000, 1 } }, 1150, 21, 0 },
		{ { 7, { 5, 1 } }, { 8, { 1001, 1 } }, 1156, 22, 2 }, /* began anew */
		{ { 7, { 6, 1 } }, { 0, { 0, 0 } }, 1157, 22, 8 },    /* deleted */
		{ { 7, { 9, 1 } }, { 0, { 0, 0 } }, 1160, 22, 8 },    /* told once */
		{ { 7, { 9, 1 } }, { 9, { 40, 30 } }, 1200, 52, 14 }, /* made again */
		{ { 7, { 10, 2 } }, { 9, { 41, 30 } }, 1202, 53, 14 },
		{ { 7, { 10, 2 } },
		  { 10, { 0, 0 } },
		  1202,
		  53,
		  20 }, /* another, between two looks */
	};
	struct past *p = *state;
	struct instance i = live_instance(p);

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		note(p, &i, links_of(cases[n].a, cases[n].b), true);
		expect_net(p, cases[n].in, cases[n].out, cases[n].gaps);
	}
	/* Killed: three counters of disks have lost their end, links have not. */
	finish(p, &i,
	       links_of((struct sample_link){ 7, { 20, 2 } }, (struct sample_link){ 10, { 0, 5 } }),
	       false);
	expect_net(p, 1212, 58, 20 + 3);
}

/* A tap with so much in and out, and of it with the world; world below 0: not known. */
static struct sample classes_of(int64_t in, int64_t out, int64_t in_world, int64_t out_world)
{
	const bool known = in_world >= 0;
	const struct sample_link link = { 7,
					  { [LINK_IN] = in,
					    [LINK_OUT] = out,
					    [LINK_IN_WORLD] = in_world,
					    [LINK_OUT_WORLD] = out_world,
					    [LINK_IN_INTERNAL] = known ? in - in_world : -1,
					    [LINK_OUT_INTERNAL] = known ? out - out_world : -1 } };
	struct sample s = links_of(link, link);

	s.nlinks = 1;
	for (unsigned v = LINK_IN_WORLD; v < LINK_VALUES && !known; v++)
		s.counter[link_sums[v]].reading = READING_LOST;
	return s;
}

static void expect_classes(struct past *p, int64_t in_world, int64_t out_world, int64_t in_internal,
			   int64_t out_internal, int gaps)
{
	assert_int_equal(used_now(p, METER_NET_IN_WORLD), in_world);
	assert_int_equal(used_now(p, METER_NET_OUT_WORLD), out_world);
	assert_int_equal(used_now(p, METER_NET_IN_INTERNAL), in_internal);
	assert_int_equal(used_now(p, METER_NET_OUT_INTERNAL), out_internal);
	assert_int_equal(gaps_now(p), gaps);
}

static int64_t classed(struct past *p)
{
	struct error err;
	int64_t n;

	assert_int_equal(store_number(p->books.truth.store, &n, &err,
				      "SELECT count(*) FROM sample WHERE counters ->> '$.classed'",
				      ""),
			 0);
	return n;
}

/* Classes that cannot be read, and come back, and begin anew, while their tap is counted on. */
static void test_classes(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);

	note(p, &i, classes_of(100, 50, 70, 20), true);
	expect_classes(p, 70, 20, 30, 30, 0);
	assert_int_equal(classed(p), 1);
	note(p, &i, classes_of(110, 60, -1, -1), true);
	expect_classes(p, 70, 20, 30, 30, 4);
	assert_int_equal(used_now(p, METER_NET_IN), 110);
	assert_int_equal(classed(p), 0);
	note(p, &i, classes_of(120, 70, 75, 40), true);
	expect_classes(p, 75, 40, 45, 30, 4);
	note(p, &i, classes_of(121, 71, 1, 1), true); /* all but the internal ones, which go on */
	expect_classes(p, 76, 41, 45 + 120, 30 + 70, 8);
	assert_int_equal(used_now(p, METER_NET_IN), 121);
	assert_int_equal(classed(p), 0);
	/* A VMM that was killed takes nothing with it that its tap has counted. */
	finish(p, &i, classes_of(122, 72, 2, 2), false);
	expect_classes(p, 77, 42, 165, 100, 8 + 3);
}

/* Of a guest that passt serves: no class has a quantity, and each has a gap. */
static void test_dark_classes(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);
	struct sample s = sample_of(0, 1, 0, -1);

	s.counter[COUNTER_NET_OUT].value = 10;
	for (unsigned v = LINK_IN_WORLD; v < LINK_VALUES; v++)
		s.counter[link_sums[v]].reading = READING_DARK;
	note(p, &i, s, true);
	note(p, &i, s, true);
	assert_int_equal(used_now(p, METER_NET_OUT), 20);
	expect_classes(p, 0, 0, 0, 0, 4);
	assert_int_equal(classed(p), 0);
}

/* A row of a wispd that counted no classes: what passed before is not known. */
static void test_older_row(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);
	struct error err;

	note(p, &i, classes_of(100, 50, 70, 20), false);
	assert_true(store_run(p->books.truth.store, &err,
			      "UPDATE sample SET counters ="
			      " '{\"net_in\": [0, 100, 0, 1], \"net_out\": [0, 50, 0, 1],"
			      " \"cpu_used\": [0, 0, 0, 1], \"memory_peak\": [0, 1, 0, 1],"
			      " \"disk_read\": [0, 0, 0, 1], \"disk_written\": [0, 0, 0, 1],"
			      " \"disk_operations\": [0, 0, 0, 1], \"links\": [[7, 100, 50]]}'",
			      "") > 0);
	note(p, &i, classes_of(110, 52, 4, 2), true);
	assert_int_equal(used_now(p, METER_NET_IN), 110);
	expect_classes(p, 4, 2, 106, 50, 4);
	assert_int_equal(classed(p), 0);
}

/* A row of a time when the VMM's word was taken; and what the VMM says now is no meter. */
static void test_links_after_lines(void **state)
{
	struct sample said = sample_of(0, 1, 0, -1);
	struct past *p = *state;
	struct instance i = live_instance(p);

	said.counter[COUNTER_NET_IN].value = 90;
	said.counter[COUNTER_NET_OUT].value = 12;
	note(p, &i, said, true);
	expect_net(p, 90, 12, 0);
	said = links_of((struct sample_link){ 7, { 100, 10 } },
			(struct sample_link){ 8, { 0, 0 } });
	said.counter[COUNTER_SAID_IN].value = 1000000;
	note(p, &i, said, true);
	expect_net(p, 100, 12, 0);
}

/* Never seen: a gap from the beginning, and no zero. */
static void test_never_known(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);

	note(p, &i, sample_of(-1, 1, -1, -1), true);
	assert_int_equal(gaps_now(p), 2);
	assert_int_equal(events(p, "meter.counted"), 1);
	assert_int_equal(used_now(p, METER_CPU_USED), 0);
}

/* --- holdings --- */

static int hold(struct past *p, const char *thing, const char *instance, int64_t amount)
{
	struct truth *t = &p->books.truth;
	struct error err;
	int r;

	assert_int_equal(store_begin(t->store, &err), 0);
	r = meter_hold(t, METER_ADDRESS_TIME, "default", thing, instance, amount, "test", &err);
	assert_int_equal(store_commit(t->store, &err), 0);
	return r;
}

static void test_hold(void **state)
{
	struct past *p = *state;
	struct instance i = live_instance(p);
	char long_name[200] = "";
	struct error err;

	assert_int_equal(hold(p, "192.0.2.1", i.id, 1), 0);
	assert_int_equal(hold(p, "192.0.2.1", i.id, 1), 0);
	assert_int_equal(hold(p, "192.0.2.2", NULL, 1), 0);
	assert_int_equal(events(p, "meter.held"), 2);
	memset(long_name, 'x', sizeof(long_name) - 1);
	assert_int_equal(hold(p, long_name, NULL, 1), -EINVAL);
	assert_int_equal(hold(p, "192.0.2.3", NULL, -1), -EINVAL);
	assert_int_equal(store_begin(p->books.truth.store, &err), 0);
	assert_int_equal(meter_release(&p->books.truth, &i, &err), 0);
	assert_int_equal(store_commit(p->books.truth.store, &err), 0);
	assert_int_equal(events(p, "meter.held"), 3);
}

/* Two ports of the host, of a network's only lease. */
static void publish(struct truth *t, const char *instance)
{
	struct error err;

	assert_int_equal(store_run(t->store, &err,
				   "INSERT INTO network (n, tenant, name, mode, prefix4, prefix6,"
				   " nat, leaving, egress, created_seq)"
				   " VALUES (1, 'default', 'net', 'routed',"
				   " '10.0.0.0/24', '', 0, 0, '', 1)",
				   ""),
			 1);
	assert_int_equal(store_run(t->store, &err,
				   "INSERT INTO lease VALUES (1, ?, 0, 1, 2, 0, 0, '')", "s",
				   instance),
			 1);
	assert_int_equal(store_run(t->store, &err,
				   "INSERT INTO publication VALUES (6, 80, 1, 80), (6, 81, 1, 81)",
				   ""),
			 2);
}

/* What others have written down, and has a meter. */
static void test_follow(void **state)
{
	struct past *p = *state;
	struct truth *t = &p->books.truth;
	struct instance i = live_instance(p);
	struct error err;
	int64_t amount;

	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(quota_hold(t, i.id, i.tenant, RESOURCE_ADDRESSES, 2, &err), 0);
	assert_int_equal(meter_follow(t, &i, &err), 0);
	assert_int_equal(meter_follow(t, &i, &err), 0);
	assert_int_equal(events(p, "meter.held"), 1);
	assert_int_equal(store_number(t->store, &amount, &err,
				      "SELECT amount FROM held WHERE meter = 'address_time'", ""),
			 0);
	assert_int_equal(amount, 2);
	assert_int_equal(quota_hold(t, i.id, i.tenant, RESOURCE_ADDRESSES, 0, &err), 0);
	assert_int_equal(meter_follow(t, &i, &err), 0);
	assert_int_equal(events(p, "meter.held"), 2);
	publish(t, i.id);
	assert_int_equal(meter_follow(t, &i, &err), 0);
	assert_int_equal(store_number(t->store, &amount, &err,
				      "SELECT amount FROM held WHERE meter = 'port_time'", ""),
			 0);
	assert_int_equal(amount, 2);
	assert_int_equal(meter_release(t, &i, &err), 0);
	assert_int_equal(events(p, "meter.held"), 4);
	assert_int_equal(store_commit(t->store, &err), 0);
}

/* Who has it is not told by who lets it go. */
static void test_let_go(void **state)
{
	struct past *p = *state;
	struct truth *t = &p->books.truth;
	struct error err;

	assert_int_equal(hold(p, "192.0.2.1", NULL, 1), 0);
	assert_int_equal(hold(p, "192.0.2.2", NULL, 1), 0);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(meter_let_go(t, METER_ADDRESS_TIME, "192.0.2.1", "test", &err), 0);
	assert_int_equal(meter_let_go(t, METER_ADDRESS_TIME, "192.0.2.1", "test", &err), 0);
	assert_int_equal(meter_let_go(t, METER_DEVICE_TIME, "192.0.2.2", "test", &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	assert_int_equal(events(p, "meter.held"), 3);
}

static void held(struct past *p, int amount)
{
	char body[128];

	snprintf(body, sizeof(body),
		 "{\"meter\": \"disk_space\", \"thing\": \"vol\", \"amount\": %d}", amount);
	past_event(p, "meter.held", "acme", "", body);
}

/* Over the end of a month, a change of the amount, and a host that was away. */
static void test_holding_takes_time(void **state)
{
	struct past *p = *state;

	p->wall_ns = period_start_ns(period_parse("2025-04")) - 10 * S - 300;
	held(p, 4);
	past_pass(p, 30 * S);
	held(p, 10);
	past_pass(p, 7 * S);
	past_confirmed(p);
	past_pass(p, 100 * S);
	p->boot++;
	p->boot_ns = 2 * S;
	past_event(p, "host.recovered", "", "", "{}");
	past_pass(p, 1 * S);
	held(p, 0);
	past_pass(p, 100 * S);
	past_confirmed(p);
	assert_int_equal(past_used(p, "2025-03", METER_DISK_SPACE), 4 * 10000);
	assert_int_equal(past_used(p, "2025-04", METER_DISK_SPACE),
			 4 * 20000 + 10 * 7000 + 10 * 1000);
}

static void test_sleep_is_not_billed(void **state)
{
	struct past *p = *state;

	past_moves(p, "vm-1", "running");
	past_pass(p, 10 * S);
	past_pass(p, 3600 * S);
	past_event(p, "host.suspended", "", "", "{\"suspended_ns\": 3600000000000}");
	past_pass(p, 5 * S);
	past_moves(p, "vm-1", "stopped");
	assert_int_equal(past_used(p, "2025-03", METER_VCPU_TIME), 15 * 1000000 * 2);
}

/* Somebody goes into a guest that runs: that is no move, and it is billed on. */
static void test_entering_is_no_move(void **state)
{
	struct past *p = *state;

	past_moves(p, "vm-1", "running");
	past_pass(p, 10 * S);
	past_event(p, "instance.entered", "acme", "vm-1", "{\"to\": \"agent\", \"port\": 1024}");
	past_pass(p, 5 * S);
	past_moves(p, "vm-1", "stopped");
	assert_int_equal(past_used(p, "2025-03", METER_VCPU_TIME), 15 * 1000000 * 2);
}

#define PAST_TEST(f) cmocka_unit_test_setup_teardown(f, past_open, past_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAST_TEST(test_groups_of_version_1),
		PAST_TEST(test_groups_of_version_2),
		PAST_TEST(test_lines),
		PAST_TEST(test_hostile_lines),
		PAST_TEST(test_audit_record),
		PAST_TEST(test_a_life),
		PAST_TEST(test_two_lives),
		PAST_TEST(test_gaps),
		PAST_TEST(test_links),
		PAST_TEST(test_links_after_lines),
		PAST_TEST(test_classes),
		PAST_TEST(test_dark_classes),
		PAST_TEST(test_older_row),
		PAST_TEST(test_never_known),
		PAST_TEST(test_hold),
		PAST_TEST(test_follow),
		PAST_TEST(test_let_go),
		PAST_TEST(test_holding_takes_time),
		PAST_TEST(test_sleep_is_not_billed),
		PAST_TEST(test_entering_is_no_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
