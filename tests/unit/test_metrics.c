/* test_metrics.c - lines of metrics: their shape, their differences, their failures. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/metrics.h"
#include "vmm/metrics_text.h"

struct lines {
	char dir[32];
	struct metrics_config config;
	struct metrics *metrics;
	struct loop *loop;
	uint64_t exits; /* what the machine says */
};

static void add_totals(void *ctx, json_t *totals)
{
	metrics_add(totals, "vcpu", "exit_io", ((struct lines *)ctx)->exits);
}

static int set_up(void **state)
{
	struct lines *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	snprintf(t->dir, sizeof(t->dir), "/tmp/wisp-metrics-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->config.metrics_path, sizeof(t->config.metrics_path), "%s/lines", t->dir);
	assert_int_equal(metrics_create("vm-1", &t->metrics), 0);
	assert_int_equal(loop_create(&t->loop), 0);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct lines *t = *state;

	metrics_destroy(t->metrics);
	loop_destroy(t->loop);
	unlink(t->config.metrics_path);
	rmdir(t->dir);
	free(t);
	return 0;
}

static void open_lines(struct lines *t)
{
	struct error err = { 0 };

	assert_int_equal(metrics_open(t->metrics, &t->config, &err), 0);
}

static void start(struct lines *t)
{
	const struct metrics_source source = { add_totals, t };

	metrics_start(t->metrics, &source, t->loop);
}

/* Line n of the file, from 0, parsed; NULL when there are not so many. */
static json_t *line(const struct lines *t, unsigned n)
{
	FILE *f = fopen(t->config.metrics_path, "re");
	char text[16384];
	json_t *o = NULL;

	assert_non_null(f);
	for (unsigned i = 0; i <= n; i++) {
		if (!fgets(text, sizeof(text), f)) {
			fclose(f);
			return NULL;
		}
	}
	fclose(f);
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	return o;
}

static json_int_t number(const json_t *o, const char *group, const char *name)
{
	const json_t *n = json_object_get(json_object_get(o, group), name);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

static void expect(const struct lines *t, unsigned n, const char *group, const char *name,
		   json_int_t value)
{
	json_t *o = line(t, n);

	assert_non_null(o);
	assert_int_equal(number(o, group, name), value);
	json_decref(o);
}

static void test_first_line(void **state)
{
	struct lines *t = *state;
	json_t *o;

	metrics_set(t->metrics, METRIC_STARTUP_US, 1830);
	metrics_count_request(t->metrics, METRICS_PUT, "drive", false);
	metrics_count_request(t->metrics, METRICS_PUT, "drive", true);
	metrics_count_request(t->metrics, METRICS_GET, "instance_info", false);
	metrics_count_request(t->metrics, METRICS_GET, "of wisp's own", false);
	metrics_count_deprecated(t->metrics);
	t->exits = 7;
	open_lines(t);
	start(t);
	o = line(t, 0);
	assert_non_null(o);
	assert_true(json_integer_value(json_object_get(o, "utc_timestamp_ms")) > 1600000000000);
	assert_int_equal(number(o, "api_server", "process_startup_time_us"), 1830);
	assert_int_equal(number(o, "put_api_requests", "drive_count"), 2);
	assert_int_equal(number(o, "put_api_requests", "drive_fails"), 1);
	assert_int_equal(number(o, "put_api_requests", "boot_source_count"), 0);
	assert_int_equal(number(o, "get_api_requests", "instance_info_count"), 1);
	assert_int_equal(number(o, "deprecated_api", "deprecated_http_api_calls"), 1);
	assert_int_equal(number(o, "vcpu", "exit_io"), 7);
	json_decref(o);
}

/* Who a line is of, when it is to say so, comes first. */
static void test_labels(void **state)
{
	struct lines *t = *state;
	char text[4096];
	FILE *f;

	t->config.has_emit_id = t->config.emit_id = t->config.has_properties = true;
	strcpy(t->config.properties, "{\"owner\":\"ci\",\"api_server\":\"\"}");
	metrics_set(t->metrics, METRIC_CREATE_FULL_US, 11);
	metrics_set(t->metrics, METRIC_CREATE_DIFF_US, 12);
	metrics_set(t->metrics, METRIC_LOAD_US, 13);
	open_lines(t);
	assert_int_equal(metrics_flush(t->metrics), 0);
	assert_int_equal(metrics_flush(t->metrics), 0);
	expect(t, 1, "latencies_us", "full_create_snapshot", 11);
	expect(t, 1, "latencies_us", "diff_create_snapshot", 12);
	expect(t, 1, "latencies_us", "load_snapshot", 13);
	f = fopen(t->config.metrics_path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_non_null(strstr(text, ",\"id\":\"vm-1\",\"properties\":{\"owner\":\"ci\","
				     "\"api_server\":\"\"},\"get_api_requests\":{"));
}

static void test_no_labels(void **state)
{
	struct lines *t = *state;
	json_t *o;

	t->config.has_emit_id = true;
	open_lines(t);
	assert_int_equal(metrics_flush(t->metrics), 0);
	o = line(t, 0);
	assert_null(json_object_get(o, "id"));
	assert_null(json_object_get(o, "properties"));
	json_decref(o);
}

/* Counters tell what was added, the rest what is. A counter that began anew tells
 * what it has. */
static void test_differences(void **state)
{
	struct lines *t = *state;

	open_lines(t);
	metrics_set(t->metrics, METRIC_PAUSE_US, 5);
	t->exits = 10;
	start(t);
	t->exits = 25;
	metrics_count_request(t->metrics, METRICS_PATCH, "drive", false);
	assert_int_equal(metrics_flush(t->metrics), 0);
	t->exits = 3;
	assert_int_equal(metrics_flush(t->metrics), 0);
	expect(t, 0, "vcpu", "exit_io", 10);
	expect(t, 1, "vcpu", "exit_io", 15);
	expect(t, 2, "vcpu", "exit_io", 3);
	expect(t, 1, "patch_api_requests", "drive_count", 1);
	expect(t, 2, "patch_api_requests", "drive_count", 0);
	expect(t, 2, "latencies_us", "pause_vm", 5);
}

static void test_open_once(void **state)
{
	struct lines *t = *state;
	struct metrics_config bad = { .metrics_path = "/nonexistent/lines" };
	struct error err = { 0 };

	assert_null(metrics_config(t->metrics));
	assert_int_equal(metrics_open(t->metrics, &bad, &err), -ENOENT);
	assert_string_equal(err.field, "metrics_path");
	open_lines(t);
	assert_int_equal(metrics_open(t->metrics, &t->config, &err), -EBUSY);
	assert_non_null(strstr(err.text, "Reinitialization of metrics not allowed."));
	assert_string_equal(metrics_config(t->metrics)->metrics_path, t->config.metrics_path);
}

/* Nothing is written and nothing fails without a file. */
static void test_no_file(void **state)
{
	struct lines *t = *state;

	start(t);
	assert_int_equal(metrics_flush(t->metrics), 0);
}

/* A FIFO that nobody reads fills up. The first line that it cannot take whole is
 * ended before the next, and no count is lost. */
static void test_full_fifo(void **state)
{
	struct lines *t = *state;
	static char text[1 << 20];
	json_int_t total = 0;
	int fd, torn = 0;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(mkfifo(t->config.metrics_path, 0600), 0);
	open_lines(t);
	start(t);
	fd = open(t->config.metrics_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	do
		t->exits++;
	while (metrics_flush(t->metrics) == 0);
	t->exits++;
	assert_true(metrics_flush(t->metrics) < 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	len = (size_t)n;
	assert_int_equal(metrics_flush(t->metrics), 0);
	n = read(fd, text + len, sizeof(text) - 1 - len);
	assert_true(n > 0);
	text[len + (size_t)n] = '\0';
	close(fd);

	char *rest;

	for (char *at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		json_t *o = json_loads(at, 0, NULL);

		torn += !o;
		total += o ? number(o, "vcpu", "exit_io") : 0;
		json_decref(o);
	}
	assert_true(torn <= 1);
	assert_int_equal(total, (json_int_t)t->exits);
}

static void add_devices(void *ctx, json_t *totals)
{
	(void)ctx;
	metrics_add(totals, "vcpu", "exit_io", 3);
	metrics_add(totals, "block", "requests_count", 12);
	metrics_add(totals, "block_root", "requests_count", 5);
	metrics_add(totals, "block_root_2", "requests_count", 7);
	metrics_add(totals, "shared-directories", "read_bytes", 1);
	metrics_add(totals, "shared-directories_a\"b", "read_bytes", 1);
}

/* Totals, not differences; each device once and no sum beside them. */
static void test_text(void **state)
{
	static const char *const expected[] = {
		"# TYPE wisp_info gauge\nwisp_info{id=\"vm-1\",version=\"" WISP_VERSION "\"} 1\n",
		"# TYPE wisp_latencies_us_pause_vm gauge\nwisp_latencies_us_pause_vm 5\n",
		"\nwisp_vcpu_exit_io_total 3\n",
		"\nwisp_put_api_requests_drive_total 1\n",
		"\nwisp_put_api_requests_drive_fails_total 0\n",
		"# TYPE wisp_block_requests_total counter\n"
		"wisp_block_requests_total{device=\"root\"} 5\n"
		"wisp_block_requests_total{device=\"root_2\"} 7\n",
		"\nwisp_shared_directories_read_bytes_total{device=\"a\\\"b\"} 1\n",
	};
	struct lines *t = *state;
	char *text;

	open_lines(t);
	metrics_set(t->metrics, METRIC_PAUSE_US, 5);
	metrics_count_request(t->metrics, METRICS_PUT, "drive", false);
	metrics_start(t->metrics, &(struct metrics_source){ add_devices, t }, t->loop);
	assert_int_equal(metrics_flush(t->metrics), 0);
	text = metrics_text(t->metrics, "vm-1");
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		if (!strstr(text, expected[i]))
			fail_msg("there is no\n%s in\n%s", expected[i], text);
	}
	assert_null(strstr(text, "wisp_block_requests_total 12"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_differences, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_fifo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
