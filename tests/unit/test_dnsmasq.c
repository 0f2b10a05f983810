/* test_dnsmasq.c - the files that a network's dnsmasq sees, from attaching to the end.
 *
 * Real books and files; a script stands for the keeper, and notes what it is told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/life/kinds.h"
#include "supervisor/network/dnsmasq.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

#define NETWORK                                                                            \
	"{\"name\": \"net\", \"prefix4\": \"10.1.0.0/24\", \"prefix6\": \"fd00:1::/64\", " \
	"\"addressing\": \"dhcp\", \"dns\": true}"
#define ONE "{\"image\": \"image\", \"name\": \"one\", \"interfaces\": [{\"network\": \"net\"}]}"

static int set_up(void **state)
{
	struct stage *s;
	int r = stage_set_up(state);
	FILE *f;

	s = *state;
	snprintf(s->d.config.state_dir, PATH_MAX, "%s", ((struct scratch *)s->dir)->dir);
	snprintf(s->d.config.dnsmasq, PATH_MAX, "/bin/true");
	snprintf(s->d.config.wisp_keeper, PATH_MAX, "%s", scratch_path(s->dir, "keeper"));
	f = fopen(s->d.config.wisp_keeper, "we");
	if (r < 0 || !f)
		return -1;
	fprintf(f, "#!/bin/sh\necho \"$*\" >>%s\n", scratch_path(s->dir, "said"));
	fclose(f);
	return chmod(s->d.config.wisp_keeper, 0755);
}

/* "": it is not there, or empty. Static storage. */
static const char *content(struct stage *s, const char *name)
{
	static char text[4096];
	FILE *f = fopen(scratch_path(s->dir, name), "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static bool is_there(struct stage *s, const char *name)
{
	return access(scratch_path(s->dir, name), F_OK) == 0;
}

#define HOSTS "networks/1/served/hosts/2"
#define DHCP  "networks/1/served/dhcp/2"

static struct lease make_one(struct stage *s)
{
	struct lease leases[LEASES_MAX];
	struct error err;

	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/networks", NETWORK), 200);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/instances", ONE), 202);
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/instances/one", NULL), 200);
	assert_int_equal(lease_load(&s->d.truth, stage_said(s, "id"), leases, &err), 1);
	return leases[0];
}

static void attach(struct stage *s, const struct lease *l, const char *name)
{
	struct error err = { 0 };

	if (dnsmasq_attach(&s->d.config, "abc123", l, name, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_life(void **state)
{
	struct stage *s = *state;
	struct lease l = make_one(s);
	char wanted[64];
	struct error err;

	attach(s, &l, "one");
	assert_string_equal(content(s, HOSTS),
			    "10.1.0.2 one.net.internal\nfd00:1::2 one.net.internal\n");
	assert_string_equal(content(s, DHCP), "06:00:0a:01:00:02,10.1.0.2,[fd00:1::2]\n");
	assert_non_null(strstr(content(s, "networks/1/served/config"), "interface=wbabc1231\n"));
	snprintf(wanted, sizeof(wanted), "--network --user %u -- /bin/true",
		 (unsigned)s->d.config.uid_first);
	assert_non_null(strstr(content(s, "said"), wanted));
	/* Called otherwise by the API, which tells what serves the network. */
	assert_int_equal(stage_ask(s, &stage_admin, "PATCH", "/instances/one",
				   "{\"generation\": 1, \"name\": \"two\"}"),
			 200);
	assert_string_equal(content(s, HOSTS),
			    "10.1.0.2 two.net.internal\nfd00:1::2 two.net.internal\n");
	assert_int_equal(dnsmasq_detach(&s->d.config, &l, &err), 0);
	assert_false(is_there(s, HOSTS) || is_there(s, DHCP));
	/* Who is not attached has no name, whatever he is called. */
	assert_int_equal(kind_network_rename(&s->d, l.instance, &err), 0);
	assert_false(is_there(s, HOSTS));
	assert_int_equal(dnsmasq_detach(&s->d.config, &l, &err), 0);
	assert_int_equal(dnsmasq_remove(&s->d.config, &l.network, &err), 0);
	assert_false(is_there(s, "networks/1"));
	assert_int_equal(dnsmasq_remove(&s->d.config, &l.network, &err), 0);
	assert_int_equal(dnsmasq_detach(&s->d.config, &l, &err), 0);
}

/* One that waits in a pool gets its name when it is somebody's; what cannot be a name is none. */
static void test_nameless(void **state)
{
	struct stage *s = *state;
	struct lease l = make_one(s);
	struct error err;

	attach(s, &l, "");
	assert_true(is_there(s, HOSTS));
	assert_string_equal(content(s, HOSTS), "");
	assert_int_equal(kind_network_rename(&s->d, l.instance, &err), 0);
	assert_string_equal(content(s, HOSTS),
			    "10.1.0.2 one.net.internal\nfd00:1::2 one.net.internal\n");
	assert_int_equal(dnsmasq_rename(&s->d.config, &l, "a..b", &err), 0);
	assert_string_equal(content(s, HOSTS), "");
}

static void touch(struct stage *s, const char *name)
{
	FILE *f = fopen(scratch_path(s->dir, name), "we");

	assert_non_null(f);
	fclose(f);
}

/* What wispd left when it died: files of leases that are not there, or whose VMM is not, half
 * a file, a network that nobody has. */
static void test_restore(void **state)
{
	struct stage *s = *state;
	struct lease l = make_one(s);
	struct error err = { 0 };

	attach(s, &l, "one");
	touch(s, "networks/1/served/hosts/3");
	touch(s, "networks/1/served/dhcp/.4");
	assert_int_equal(mkdir(scratch_path(s->dir, "networks/7"), 0700), 0);
	touch(s, "networks/7/dnsmasq.log");
	assert_int_equal(dnsmasq_restore(&s->d, &err), 5);
	assert_false(is_there(s, HOSTS) || is_there(s, DHCP) || is_there(s, "networks/7"));
	assert_false(is_there(s, "networks/1/served/hosts/3"));
	assert_false(is_there(s, "networks/1/served/dhcp/.4"));
	/* It may live now: what it lost is put back. */
	assert_true(store_run(s->d.truth.store, &err, "UPDATE instance SET state = ?", "i",
			      (int64_t)STATE_RUNNING) >= 0);
	assert_int_equal(dnsmasq_restore(&s->d, &err), 0);
	assert_true(is_there(s, DHCP));
	assert_string_equal(content(s, HOSTS),
			    "10.1.0.2 one.net.internal\nfd00:1::2 one.net.internal\n");
}

/* Without the program a guest does not start, and is told why. */
static void test_missing(void **state)
{
	struct stage *s = *state;
	struct lease l = make_one(s);
	struct error err = { 0 };

	snprintf(s->d.config.dnsmasq, PATH_MAX, "%s", scratch_path(s->dir, "none"));
	assert_int_equal(dnsmasq_attach(&s->d.config, "abc123", &l, "one", &err), -ENOENT);
	assert_string_equal(err.field, "dnsmasq");
	assert_int_equal(dnsmasq_detach(&s->d.config, &l, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_nameless, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_restore, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_missing, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
