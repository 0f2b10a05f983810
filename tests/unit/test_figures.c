/* test_figures.c - what engines print of their accounting: tables of sacct, JSON of podman. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/cli/figures.h"

/* A member of a row; -1: it does not have it. */
static int64_t figure(const json_t *list, size_t row, const char *member)
{
	const json_t *n = json_object_get(json_array_get(list, row), member);

	return n ? json_integer_value(n) : -1;
}

static const char *ref(const json_t *list, size_t row)
{
	return json_string_value(json_object_get(json_array_get(list, row), "ref"));
}

static void test_sacct(void **state)
{
	json_t *list = figures_parse(
		"slurm",
		"JobID|JobName|State|ExitCode|Elapsed|ElapsedRaw|AllocTRES|MaxRSS|TotalCPU\n"
		"4711|guest|COMPLETED|0:0|00:01:18|78|billing=2,cpu=2,mem=6G,node=1||00:14.668\n"
		"4711.batch|batch|COMPLETED|0:0|00:01:18|78|cpu=2,mem=512M,node=1|654764K|"
		"00:14.666\n"
		"4712_1|a|CANCELLED by 1000|0:0|1-02:03:04||||1-00:00:01\n"
		"4713|b|PENDING|0:0|00:00:00|0||||\n");

	(void)state;
	assert_int_equal(json_array_size(list), 4);
	assert_string_equal(ref(list, 0), "4711");
	assert_int_equal(figure(list, 0, "elapsed_ms"), 78000);
	assert_int_equal(figure(list, 0, "cpu_us"), 14668000);
	assert_int_equal(figure(list, 0, "vcpus"), 2);
	assert_int_equal(figure(list, 0, "mem_mib"), 6144);
	assert_string_equal(ref(list, 1), "4711.batch");
	assert_int_equal(figure(list, 1, "mem_mib"), 512);
	assert_int_equal(figure(list, 2, "elapsed_ms"), 93784000);
	assert_int_equal(figure(list, 2, "vcpus"), -1);
	assert_int_equal(figure(list, 3, "elapsed_ms"), 0);
	assert_int_equal(figure(list, 3, "cpu_us"), -1);
	json_decref(list);
}

/* --parsable ends each line with a bar; its columns are those that were asked for. */
static void test_columns(void **state)
{
	json_t *list = figures_parse("slurm", "TotalCPU|JobID|NCPUS|\n"
					      "01:02:03|1.0|4|\n");

	(void)state;
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(ref(list, 0), "1.0");
	assert_int_equal(figure(list, 0, "cpu_us"), INT64_C(3723000000));
	assert_int_equal(figure(list, 0, "vcpus"), 4);
	assert_int_equal(figure(list, 0, "elapsed_ms"), -1);
	json_decref(list);
}

static void test_podman(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "19.862ms", 19862 },
		{ "1h2m3.5s", INT64_C(3723500000) },
		{ "450\302\265s", 450 },
		{ "2m0.25s", 120250000 },
		{ "0s", 0 },
		{ "", -1 },
		{ "--", -1 },
		{ "5", -1 },
		{ "1.5 parsecs", -1 },
	};
	char text[512];

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		json_t *list;

		snprintf(text, sizeof(text),
			 "[{\"id\": \"78c1df2e55c8\", \"name\": \"box\", \"cpu_time\": \"%s\","
			 " \"cpu_percent\": \"2.41%%\", \"mem_usage\": \"49.15kB / 8.146GB\","
			 " \"net_io\": \"516B / 0B\", \"pids\": \"1\"}]",
			 cases[n].text);
		list = figures_parse("podman", text);
		assert_int_equal(json_array_size(list), 1);
		assert_string_equal(ref(list, 0), "78c1df2e55c8");
		assert_int_equal(figure(list, 0, "cpu_us"), cases[n].us);
		json_decref(list);
	}
}

/* As podman 4.3.1 printed it of a container that ran, with "stats --no-stream --format json". */
static void test_podman_sample(void **state)
{
	json_t *list = figures_parse("podman", "[\n {\n"
					       "  \"id\": \"2d8f1c9d8d9a\",\n"
					       "  \"name\": \"box\",\n"
					       "  \"cpu_time\": \"481.561603ms\",\n"
					       "  \"cpu_percent\": \"22.14%\",\n"
					       "  \"avg_cpu\": \"22.14%\",\n"
					       "  \"mem_usage\": \"536.6kB / 25.28GB\",\n"
					       "  \"mem_percent\": \"0.00%\",\n"
					       "  \"net_io\": \"0B / 0B\",\n"
					       "  \"block_io\": \"0B / 0B\",\n"
					       "  \"pids\": \"1\"\n }\n]\n");

	(void)state;
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(ref(list, 0), "2d8f1c9d8d9a");
	assert_int_equal(figure(list, 0, "cpu_us"), 481562);
	json_decref(list);
}

static void test_nonsense(void **state)
{
	static const char *const cases[] = { "", "\n", "hello", "a|b\n1|2\n", "{\"id\": 1}" };
	json_t *list;

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++)
		assert_null(figures_parse("slurm", cases[n]));
	/* Values that are none. */
	list = figures_parse("slurm", "JobID|ElapsedRaw|TotalCPU|NCPUS|AllocTRES\n"
				      "7|-1|x:y|99999999999|cpu=,mem=1X\n"
				      "|1|00:01|1|\n");
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_object_size(json_array_get(list, 0)), 2);
	json_decref(list);
	list = figures_parse("podman", "[{}, 5, {\"id\": 5}]");
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sacct),	 cmocka_unit_test(test_columns),
		cmocka_unit_test(test_podman),	 cmocka_unit_test(test_podman_sample),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
