/* test_claims.c - devices in the books: who has one, who may, and what nobody may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/device/claims.h"
#include "tests/unit/fake_devices.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

#define WITH(name, device) \
	"{\"image\": \"image\", \"name\": \"" name "\", \"devices\": [\"" device "\"]}"

/* A made-up host beside the database. */
static int set_up(void **state)
{
	struct stage *s;
	int r = stage_set_up(state);

	if (r < 0)
		return r;
	s = *state;
	snprintf(s->d.config.device_root, sizeof(s->d.config.device_root), "%s",
		 scratch_path(s->dir, "host"));
	mkdir(s->d.config.device_root, 0755);
	return fake_host(s->d.config.device_root);
}

static const char *member_of(struct stage *s, const struct caller *who, const char *address,
			     const char *member)
{
	char path[64];

	snprintf(path, sizeof(path), "/devices/%s", address);
	assert_int_equal(stage_ask(s, who, "GET", path, NULL), 200);
	return json_string_value(
		json_object_get(json_array_get(json_object_get(s->reply, "devices"), 0), member));
}

static struct instance find(struct stage *s, const char *name)
{
	struct instance i;
	struct error err;

	assert_int_equal(instance_find(&s->d.truth, NULL, name, &i, &err), 0);
	return i;
}

/* How many devices the tenant pays for from now on. */
static int64_t billed(struct stage *s)
{
	struct error err;
	int64_t sum;

	assert_int_equal(store_number(s->d.truth.store, &sum, &err,
				      "SELECT ifnull(sum(amount), 0) FROM held"
				      " WHERE meter = 'device_time' AND tenant = 'a'",
				      ""),
			 0);
	return sum;
}

/* What a worker would have found. */
static void report(struct stage *s, const struct instance *i, enum device_outcome outcome)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct error err;

	memcpy(l->id, i->id, sizeof(l->id));
	assert_int_equal(claims_load(&s->d, i->id, l, &err), 0);
	assert_int_equal(l->ndevices, 1);
	l->devices[0].outcome = outcome;
	snprintf(l->devices[0].why, sizeof(l->devices[0].why), "it smokes");
	assert_int_equal(claims_report(&s->d, l, &err), 0);
	free(l);
}

static void drop(struct stage *s, const struct instance *i)
{
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(claims_drop(&s->d, i, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

/* One has it, and another tenant does not see who. */
static void test_claim(void **state)
{
	struct stage *s = *state;

	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", WITH("one", "network")),
			 202);
	assert_string_equal(find(s, "one").runtime, "qemu");
	assert_int_equal(billed(s), 1);
	assert_string_equal(member_of(s, &stage_alice, FAKE_NIC, "state"), "claimed");
	assert_string_equal(member_of(s, &stage_alice, FAKE_NIC, "instance"), find(s, "one").id);
	assert_string_equal(member_of(s, &stage_bob, FAKE_NIC, "instance"), "");
	assert_int_equal(stage_ask(s, &stage_bob, "POST", "/instances", WITH("two", "network")),
			 409);
	assert_string_equal(stage_said(s, "code"), "in_use");
	assert_int_equal(stage_ask(s, &stage_alice, "GET", "/instances/one/explain", NULL), 200);
	assert_string_equal(stage_said(s, "chosen"), "qemu");
	drop(s, &(struct instance){ .id = "nobody" });
	assert_string_equal(member_of(s, &stage_alice, FAKE_NIC, "state"), "claimed");
}

/* Refused, it leaves nothing. */
static void test_refused(void **state)
{
	struct stage *s = *state;

	fake_file(s->d.config.device_root, "proc/interrupts", "none\n");
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", WITH("one", "network")),
			 409);
	assert_string_equal(stage_said(s, "code"), "device_refused");
	assert_string_equal(member_of(s, &stage_alice, FAKE_NIC, "state"), "free");
	assert_int_equal(billed(s), 0);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", "/instances/one", NULL), 404);
}

static const struct {
	enum device_outcome outcomes[3];
	const char *state;
} ends[] = {
	{ { DEVICE_UNTOUCHED }, "free" },
	{ { DEVICE_READY, DEVICE_CLEAN }, "free" },
	{ { DEVICE_READY }, "quarantined" },
	{ { DEVICE_READY, DEVICE_UNFIT }, "quarantined" },
	{ { DEVICE_UNFIT }, "quarantined" },
	{ { DEVICE_READY, DEVICE_CLEAN, DEVICE_READY }, "quarantined" },
};

/* What was used is somebody else's only after a proof. */
static void test_ends(void **state)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct instance one;
		struct stage *s;
		void *stage;

		assert_int_equal(set_up(&stage), 0);
		s = stage;
		stage_ask(s, &stage_alice, "POST", "/instances", WITH("one", "network"));
		one = find(s, "one");
		for (unsigned k = 0; k < 3; k++)
			if (ends[i].outcomes[k] != DEVICE_UNTOUCHED)
				report(s, &one, ends[i].outcomes[k]);
		drop(s, &one);
		assert_string_equal(member_of(s, &stage_admin, FAKE_NIC, "state"), ends[i].state);
		assert_int_equal(
			stage_ask(s, &stage_bob, "POST", "/instances", WITH("two", "network")),
			strcmp(ends[i].state, "free") == 0 ? 202 : 409);
		stage_tear_down(&stage);
	}
	(void)state;
}

/* Out of quarantine only when nobody has it, and it was proven. */
static void test_release(void **state)
{
	struct launch_device device = { 0 };
	struct stage *s = *state;
	struct instance one;
	struct error err;

	stage_ask(s, &stage_alice, "POST", "/instances", WITH("one", "network"));
	one = find(s, "one");
	report(s, &one, DEVICE_UNFIT);
	assert_int_equal(billed(s), 0);
	assert_string_equal(member_of(s, &stage_admin, FAKE_NIC, "reason"), "it smokes");
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/devices/" FAKE_NIC "/prove", NULL),
			 409);
	drop(s, &one);
	assert_int_equal(claims_quarantined(&s->d, FAKE_NIC, &device, &err), 0);
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(claims_release(&s->d, &device, "uid:0", &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	assert_string_equal(member_of(s, &stage_admin, FAKE_NIC, "state"), "free");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claim, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, stage_tear_down),
		cmocka_unit_test(test_ends),
		cmocka_unit_test_setup_teardown(test_release, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
