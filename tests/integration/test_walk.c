/* test_walk.c - every endpoint of the API, before and after a real guest has booted.
 *
 * One script of calls, each with its answer; at the end every operation that
 * `wisp --api-spec` lists must have succeeded once. Shared directories are left to
 * test_vhost.c: a machine has them or memory that is plugged in, not both. Runs as root,
 * where test_boot runs.
 */
#include <jansson.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/base/clock.h"

enum { LIMIT_S = 240, SKIPPED = 77, MIB = 1 << 20, MOST_OPERATIONS = 128, RETRY_US = 50000 };

#define SOCKET	 "walk.sock"
#define TOO_SOON "not supported before starting the microVM"
#define TOO_LATE "not supported after starting the microVM"
#define LIMITER	 "{\"ops\": {\"size\": 100000, \"refill_time\": 100}}"

struct step {
	const char *verb, *path, *body;
	int status;
	const char *words; /* of the answer */
};

/* clang-format off */
#define COUNT(steps)	      (sizeof(steps) / sizeof((steps)[0]))
#define GET(path, words) { "GET", path, NULL, 200, words }
#define YES(verb, path, body) { verb, path, body, 204, "" }
#define NO(verb, path, body, words) { verb, path, body, 400, words }

#define BOOT_SOURCE \
	YES("PUT", "/boot-source", "{\"kernel_image_path\": \"kernel\", \"initrd_path\": \"initrd\", " \
	"\"boot_args\": \"console=ttyS0 reboot=k panic=-1 quiet " \
	"memhp_default_state=online_movable -- sh /dev/vda\"}")
#define SCRIPT \
	YES("PUT", "/drives/script", "{\"drive_id\": \"script\", \"path_on_host\": \"script\", " \
	"\"is_root_device\": false, \"is_read_only\": true}")

static const struct step before[] = {
	GET("/", "\"Not started\""),
	GET("/version", "firecracker_version"),
	GET("/machine-config", "\"mem_size_mib\":128"),
	GET("/vm/config", "\"boot-source\":null"),
	GET("/metrics", "wisp_info"),
	NO("GET", "/balloon", NULL, "No balloon device found."),
	GET("/mmds", "{}"),
	YES("PUT", "/logger", "{\"level\": \"Info\"}"),
	YES("PUT", "/metrics", "{\"metrics_path\": \"metrics\"}"),
	YES("PUT", "/cpu-config", "{}"),
	YES("PUT", "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 128}"),
	YES("PATCH", "/machine-config", "{\"vcpu_count\": 2, \"mem_size_mib\": 256}"),
	BOOT_SOURCE,
	SCRIPT,
	YES("PUT", "/network-interfaces/eth0", "{\"iface_id\": \"eth0\", \"host_dev_name\": \"wtap0\"}"),
	YES("PUT", "/pmem/file", "{\"id\": \"file\", \"path_on_host\": \"pmem\"}"),
	YES("PUT", "/entropy", "{}"),
	YES("PUT", "/balloon", "{\"amount_mib\": 0, \"deflate_on_oom\": true, "
	  "\"stats_polling_interval_s\": 1, \"free_page_hinting\": true}"),
	YES("PUT", "/hotplug/memory", "{\"total_size_mib\": 256}"),
	YES("PUT", "/vsock", "{\"guest_cid\": 3, \"uds_path\": \"v.sock\"}"),
	YES("PUT", "/console", "{\"uds_path\": \"console.sock\"}"),
	YES("PUT", "/serial", "{}"),
	YES("PUT", "/mmds/config", "{\"network_interfaces\": [\"eth0\"]}"),
	YES("PUT", "/mmds", "{\"a\": 1}"),
	YES("PATCH", "/mmds", "{\"b\": 2}"),
	GET("/mmds", "{\"a\":1,\"b\":2}"),
	GET("/balloon", "\"stats_polling_interval_s\":1"),
	NO("PATCH", "/vm", "{\"state\": \"Paused\"}", TOO_SOON),
	NO("PATCH", "/drives/script", "{\"drive_id\": \"script\", \"rate_limiter\": " LIMITER "}", TOO_SOON),
	NO("PATCH", "/network-interfaces/eth0", "{\"iface_id\": \"eth0\"}", TOO_SOON),
	NO("PATCH", "/pmem/file", "{\"id\": \"file\"}", TOO_SOON),
	NO("PATCH", "/balloon", "{\"amount_mib\": 1}", TOO_SOON),
	NO("PATCH", "/balloon/statistics", "{\"stats_polling_interval_s\": 2}", TOO_SOON),
	NO("PATCH", "/balloon/hinting/start", NULL, TOO_SOON),
	NO("PATCH", "/balloon/hinting/stop", NULL, TOO_SOON),
	NO("GET", "/balloon/hinting/status", NULL, TOO_SOON),
	NO("GET", "/balloon/statistics", NULL, TOO_SOON),
	NO("GET", "/hotplug/memory", NULL, TOO_SOON),
	NO("PATCH", "/hotplug/memory", "{\"requested_size_mib\": 128}", TOO_SOON),
	NO("DELETE", "/drives/script", NULL, TOO_SOON),
	NO("DELETE", "/network-interfaces/eth0", NULL, TOO_SOON),
	NO("DELETE", "/pmem/file", NULL, TOO_SOON),
	NO("PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}", TOO_SOON),
	NO("PUT", "/actions", "{\"action_type\": \"PowerButton\"}", TOO_SOON),
	NO("PUT", "/snapshot/create", "{\"snapshot_path\": \"s\", \"mem_file_path\": \"m\"}", TOO_SOON),
	NO("PUT", "/snapshot/load", "{\"snapshot_path\": \"s\", \"mem_file_path\": \"m\"}",
	   "Loading a microVM snapshot not allowed after configuring boot-specific resources."),
	YES("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}"),
};

static const struct step running[] = {
	GET("/", "\"Running\""),
	GET("/version", "firecracker_version"),
	GET("/machine-config", "\"mem_size_mib\":256"),
	GET("/vm/config", "\"iface_id\":\"eth0\""),
	GET("/metrics", "wisp_block_requests_total{device=\"script\"}"),
	YES("PATCH", "/drives/script", "{\"drive_id\": \"script\", \"rate_limiter\": " LIMITER "}"),
	YES("PATCH", "/drives/script", "{\"drive_id\": \"script\", \"path_on_host\": \"script\"}"),
	YES("PATCH", "/network-interfaces/eth0", "{\"iface_id\": \"eth0\", \"rx_rate_limiter\": " LIMITER "}"),
	YES("PATCH", "/pmem/file", "{\"id\": \"file\", \"rate_limiter\": " LIMITER "}"),
	YES("PATCH", "/balloon", "{\"amount_mib\": 8}"),
	GET("/balloon", "\"amount_mib\":8"),
	YES("PATCH", "/balloon/statistics", "{\"stats_polling_interval_s\": 2}"),
	GET("/balloon/statistics", "\"target_mib\":8"),
	YES("PATCH", "/balloon/hinting/start", NULL),
	GET("/balloon/hinting/status", "\"host_cmd\":"),
	YES("PATCH", "/balloon/hinting/stop", NULL),
	GET("/hotplug/memory", "\"requested_size_mib\":0"),
	YES("PATCH", "/hotplug/memory", "{\"requested_size_mib\": 128}"),
	GET("/hotplug/memory", "\"requested_size_mib\":128"),
	YES("PUT", "/mmds", "{\"c\": 3}"),
	YES("PATCH", "/mmds", "{\"d\": 4}"),
	GET("/mmds", "{\"c\":3,\"d\":4}"),
	YES("PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}"),
	NO("PUT", "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 128}", TOO_LATE),
	NO("PATCH", "/machine-config", "{\"vcpu_count\": 1}", TOO_LATE),
	NO("PUT", "/boot-source", "{\"kernel_image_path\": \"kernel\"}", TOO_LATE),
	NO("PUT", "/cpu-config", "{}", TOO_LATE),
	NO("PUT", "/logger", "{}", TOO_LATE),
	NO("PUT", "/metrics", "{\"metrics_path\": \"metrics\"}", TOO_LATE),
	NO("PUT", "/entropy", "{}", TOO_LATE),
	NO("PUT", "/serial", "{}", TOO_LATE),
	NO("PUT", "/console", "{\"uds_path\": \"c.sock\"}", TOO_LATE),
	NO("PUT", "/vsock", "{\"guest_cid\": 3, \"uds_path\": \"v.sock\"}", TOO_LATE),
	NO("PUT", "/balloon", "{\"amount_mib\": 0, \"deflate_on_oom\": true}", TOO_LATE),
	NO("PUT", "/hotplug/memory", "{\"total_size_mib\": 256}", TOO_LATE),
	NO("PUT", "/mmds/config", "{\"network_interfaces\": [\"eth0\"]}", TOO_LATE),
	NO("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", TOO_LATE),
	NO("PUT", "/snapshot/load", "{\"snapshot_path\": \"s\", \"mem_file_path\": \"m\"}", ""),
	NO("PUT", "/snapshot/create", "{\"snapshot_path\": \"s\", \"mem_file_path\": \"m\"}", ""),
	YES("PUT", "/drives/late", "{\"drive_id\": \"late\", \"path_on_host\": \"late\", \"is_root_device\": false}"),
	NO("PUT", "/drives/late", "{\"drive_id\": \"late\", \"path_on_host\": \"late\", \"is_root_device\": false}", "in use by the guest"),
};

static const struct step goodbye[] = {
	YES("DELETE", "/drives/late", NULL),
	YES("DELETE", "/network-interfaces/eth0", NULL),
	YES("DELETE", "/pmem/file", NULL),
	NO("DELETE", "/pmem/none", NULL, "there is no pmem device"),
};

static const struct step save[] = {
	YES("PATCH", "/vm", "{\"state\": \"Paused\"}"),
	GET("/", "\"Paused\""),
	YES("PUT", "/snapshot/create", "{\"snapshot_path\": \"state\", \"mem_file_path\": \"memory\"}"),
	YES("PATCH", "/vm", "{\"state\": \"Resumed\"}"),
};

/* With memory where the guest has it: behind the pmem device that is gone. */
static const struct step load[] = {
	YES("PUT", "/snapshot/load", "{\"snapshot_path\": \"state\", \"mem_backend\": {\"backend_type\": "
	  "\"File\", \"backend_path\": \"memory\"}, \"resume_vm\": true}"),
	GET("/", "\"Running\""),
	YES("PUT", "/snapshot/working-set", "{\"working_set_path\": \"pages\"}"),
	GET("/hotplug/memory", "\"plugged_size_mib\":128"),
	YES("PATCH", "/hotplug/memory", "{\"requested_size_mib\": 0}"),
};

static const struct step power_off =
	YES("PUT", "/actions", "{\"action_type\": \"PowerButton\"}");
/* clang-format on */

struct walk {
	struct session *wisp;
	char done[MOST_OPERATIONS][64]; /* "VERB /path" that succeeded */
	unsigned ndone;
};

static void take(struct walk *w, const struct step *s)
{
	struct api_reply reply;

	api_call(SOCKET, s->verb, s->path, s->body, &reply);
	if (reply.status != s->status || !strstr(reply.body, s->words))
		fail_msg("%s %s %s: %d %s\nwanted %d, %s\n%s", s->verb, s->path,
			 s->body ? s->body : "", reply.status, reply.body, s->status, s->words,
			 session_output(w->wisp));
	if (reply.status >= 400)
		return;
	assert_true(w->ndone < MOST_OPERATIONS);
	snprintf(w->done[w->ndone++], sizeof(w->done[0]), "%s %s", s->verb, s->path);
}

static void take_all(struct walk *w, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		take(w, &steps[i]);
}

static void start_wisp(struct walk *w)
{
	unlink(SOCKET);
	unlink("v.sock");
	unlink("console.sock");
	w->wisp = session_start((const char *const[]){ fixture_program("wisp"), "--enable-pci",
						       "--api-sock", SOCKET, NULL });
	api_wait(SOCKET, LIMIT_S);
}

static void end_wisp(struct walk *w)
{
	session_kill(w->wisp, SIGKILL);
	session_wait(w->wisp, LIMIT_S);
	session_end(w->wisp);
}

static void wait_for(const char *path, const char *words, bool there)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;
	struct api_reply reply;

	do {
		usleep(RETRY_US);
		api_call(SOCKET, "GET", path, NULL, &reply);
		if (clock_now_us() > deadline_us)
			fail_msg("%s: %s is %s: %s", path, words, there ? "missing" : "still there",
				 reply.body);
	} while ((strstr(reply.body, words) != NULL) != there);
}

/* Whether an operation of the document was among what succeeded. */
static bool was_done(const struct walk *w, const char *verb, const char *path)
{
	const char *id = strstr(path, "{id}");
	size_t len = id ? (size_t)(id - path) : strlen(path);

	for (unsigned i = 0; i < w->ndone; i++) {
		const char *space = strchr(w->done[i], ' ');

		if (strncasecmp(w->done[i], verb, strlen(verb)) == 0 &&
		    strncmp(space + 1, path, len) == 0 && !space[1 + len] == !id)
			return true;
	}
	return false;
}

static void check_complete(const struct walk *w)
{
	struct session *s =
		session_start((const char *const[]){ fixture_program("wisp"), "--api-spec", NULL });
	const char *path, *verb;
	json_t *spec, *operations, *operation;

	assert_int_equal(session_wait(s, LIMIT_S), 0);
	spec = json_loads(session_output(s), 0, NULL);
	assert_non_null(spec);
	json_object_foreach(json_object_get(spec, "paths"), path, operations)
	{
		json_object_foreach(operations, verb, operation)
		{
			if (!was_done(w, verb, path) && !strstr(path, "/shared-directories"))
				fail_msg("the walk leaves out %s %s", verb, path);
		}
	}
	json_decref(spec);
	session_end(s);
}

static void make_files(void)
{
	assert_int_equal(chdir(fixture_dir()), 0);
	assert_int_equal(symlink(fixture_need_image("vmlinuz-cloud"), "kernel"), 0);
	assert_int_equal(symlink(fixture_need_image("initrd-cloud"), "initrd"), 0);
	fixture_disk("script",
		     "echo armed; until [ -b /dev/vdb ]; do sleep 0.1; done; echo found\n"
		     "while :; do sleep 1; done\n",
		     4096);
	fixture_disk("pmem", "", 2 * MIB);
	fixture_disk("late", "", MIB);
	if (unshare(CLONE_NEWNET) < 0 ||
	    system("ip tuntap add wtap0 mode tap && ip link set wtap0 up") != 0)
		fail_msg("a network namespace with a tap is needed");
}

static void test_walk(void **state)
{
	struct walk *w = calloc(1, sizeof(*w));

	(void)state;
	assert_non_null(w);
	make_files();
	start_wisp(w);
	take_all(w, before, COUNT(before));
	session_expect(w->wisp, "armed", LIMIT_S);
	/* The drivers that the next calls need are there once the guest has answered. */
	wait_for("/balloon/statistics", "\"total_memory\"", true);
	take_all(w, running, COUNT(running));
	close(api_listen(SOCKET));
	strcpy(w->done[w->ndone++], "GET /events");
	session_expect(w->wisp, "found", LIMIT_S);
	wait_for("/hotplug/memory", "\"plugged_size_mib\":128", true);
	take_all(w, goodbye, COUNT(goodbye));
	wait_for("/vm/config", "\"drive_id\":\"late\"", false);
	wait_for("/vm/config", "\"iface_id\"", false);
	wait_for("/vm/config", "\"pmem\":[]", true);
	take_all(w, save, COUNT(save));
	end_wisp(w);
	start_wisp(w);
	take_all(w, load, COUNT(load));
	wait_for("/hotplug/memory", "\"plugged_size_mib\":0", true);
	take(w, &power_off);
	end_wisp(w);
	check_complete(w);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
