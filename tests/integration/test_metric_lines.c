/* test_metric_lines.c - the metrics that the real wisp writes, with tiny guests.
 *
 * All files lie in the test's folder, which is the working directory.
 */
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/metrics_schema.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77, MIB = 1 << 20 };

#define SOCKET	    "api.sock"
#define LINES	    "{\"metrics_path\": \"metrics\"}"
#define SNAPSHOT    "\"snapshot_path\": \"state\", "
#define CREATE(how) "{" SNAPSHOT "\"mem_file_path\": \"memory\", \"snapshot_type\": \"" how "\"}"

static int enter_folder(void **state)
{
	(void)state;
	assert_int_equal(chdir(fixture_dir()), 0);
	return symlink(fixture_guest("serial-echo"), "serial-echo");
}

static struct session *start_wisp(void)
{
	struct session *s = session_start(
		(const char *const[]){ fixture_program("wisp"), "--api-sock", SOCKET,
				       "--debug-exit-port", "0xf4", "--id", "vm-7", NULL });

	api_wait(SOCKET, LIMIT_S);
	return s;
}

static void call(const char *verb, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(SOCKET, verb, path, body, &reply);
	if (reply.status != 204)
		fail_msg("%s %s: %d %s", verb, path, reply.status, reply.body);
}

static void put(const char *path, const char *body)
{
	call("PUT", path, body);
}

static void flush(void)
{
	put("/actions", "{\"action_type\": \"FlushMetrics\"}");
}

static void start_guest(void)
{
	put("/boot-source", "{\"kernel_image_path\": \"serial-echo\", \"boot_args\": \"\"}");
	put("/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}");
	put("/actions", "{\"action_type\": \"InstanceStart\"}");
}

/* Line n of the file, from 0; the caller's. */
static json_t *line(unsigned n)
{
	FILE *f = fopen("metrics", "re");
	char text[16384] = "";
	json_t *o;

	assert_non_null(f);
	for (unsigned i = 0; i <= n; i++)
		assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	return o;
}

static json_int_t metric(unsigned n, const char *group, const char *name)
{
	json_t *o = line(n), *value = json_object_get(json_object_get(o, group), name);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value))
		fail_msg("line %u has no %s.%s", n, group, name);
	json_decref(o);
	return number;
}

/* A line at the start, one when it is asked for, one at the end; and whose it is. */
static void test_lines(void **state)
{
	struct session *s = start_wisp();
	struct api_reply reply;
	json_t *o;

	(void)state;
	unlink("metrics");
	fixture_disk("disk", "", 2 * MIB);
	put("/drives/disk", "{\"drive_id\": \"disk\", \"path_on_host\": \"disk\", "
			    "\"is_root_device\": false, \"is_read_only\": true}");
	put("/pmem/file", "{\"id\": \"file\", \"path_on_host\": \"disk\", \"read_only\": true}");
	put("/balloon", "{\"amount_mib\": 0, \"deflate_on_oom\": true}");
	put("/hotplug/memory", "{\"total_size_mib\": 128}");
	put("/console", "{\"uds_path\": \"console.sock\"}");
	put("/vsock", "{\"guest_cid\": 3, \"uds_path\": \"v.sock\"}");
	put("/entropy", "{}");
	put("/metrics", "{\"metrics_path\": \"metrics\", \"emit_id\": true, "
			"\"properties\": {\"owner\": \"tests\"}}");
	api_call(SOCKET, "PUT", "/metrics", LINES, &reply);
	assert_non_null(strstr(reply.body, "Reinitialization of metrics not allowed."));
	api_call(SOCKET, "GET", "/vm/config", NULL, &reply);
	assert_non_null(strstr(reply.body, "\"metrics_path\":\"metrics\",\"emit_id\":true,"
					   "\"properties\":{\"owner\":\"tests\"}}"));
	start_guest();
	call("PATCH", "/vm", "{\"state\": \"Paused\"}");
	api_call(SOCKET, "GET", "/", NULL, &reply);
	flush();
	api_call(SOCKET, "GET", "/metrics", NULL, &reply);
	assert_non_null(strstr(reply.body, "\nwisp_block_requests_total{device=\"disk\"} 0\n"));
	call("PATCH", "/vm", "{\"state\": \"Resumed\"}");
	session_send(s, "q");
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);

	assert_int_equal(metrics_schema_check("metrics"), 3);
	o = line(0);
	assert_string_equal(json_string_value(json_object_get(o, "id")), "vm-7");
	assert_non_null(json_object_get(o, "properties"));
	json_decref(o);
	assert_int_equal(metric(0, "put_api_requests", "drive_count"), 1);
	assert_int_equal(metric(0, "put_api_requests", "metrics_fails"), 1);
	assert_int_equal(metric(0, "block_disk", "requests_count"), 0);
	assert_true(metric(1, "latencies_us", "pause_vm") > 0);
	assert_int_equal(metric(1, "get_api_requests", "instance_info_count"), 1);
	assert_true(metric(2, "vcpu", "exit_io") > 0);
}

static void end(struct session *s)
{
	session_kill(s, SIGKILL);
	session_wait(s, LIMIT_S);
	session_end(s);
	unlink(SOCKET);
}

/* Each kind of snapshot has its own time, and what was not done took none. */
static void test_snapshots(void **state)
{
	struct session *s = start_wisp();

	(void)state;
	unlink("metrics");
	put("/metrics", LINES);
	start_guest();
	call("PATCH", "/vm", "{\"state\": \"Paused\"}");
	put("/snapshot/create", CREATE("Full"));
	flush();
	put("/snapshot/create", CREATE("Diff"));
	flush();
	end(s);
	assert_true(metric(1, "latencies_us", "full_create_snapshot") > 0);
	assert_int_equal(metric(1, "latencies_us", "diff_create_snapshot"), 0);
	assert_true(metric(2, "latencies_us", "diff_create_snapshot") > 0);
	assert_int_equal(metric(2, "latencies_us", "load_snapshot"), 0);

	s = start_wisp();
	put("/metrics", LINES);
	put("/snapshot/load", "{" SNAPSHOT "\"mem_backend\": {\"backend_type\": \"File\", "
			      "\"backend_path\": \"memory\"}}");
	flush();
	end(s);
	assert_int_equal(metrics_schema_check("metrics"), 5);
	assert_true(metric(4, "latencies_us", "load_snapshot") > 0);
	assert_int_equal(metric(4, "latencies_us", "full_create_snapshot"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_snapshots),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, enter_folder, NULL);
}
