/* test_logger.c - what reaches a log, and what a change that fails leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/log.h"
#include "vmm/logger.h"

struct log {
	char dir[32], path[64], fifo[64];
	struct logger *logger;
};

static int set_up(void **state)
{
	struct log *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	snprintf(t->dir, sizeof(t->dir), "/tmp/wisp-logger-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/log", t->dir);
	snprintf(t->fifo, sizeof(t->fifo), "%s/fifo", t->dir);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct log *t = *state;

	logger_destroy(t->logger);
	unlink(t->path);
	unlink(t->fifo);
	rmdir(t->dir);
	free(t);
	return 0;
}

static struct logger_config to_file(const struct log *t, const char *level)
{
	struct logger_config c = { 0 };

	snprintf(c.log_path, sizeof(c.log_path), "%s", t->path);
	snprintf(c.level, sizeof(c.level), "%s", level);
	return c;
}

static void start(struct log *t, const struct logger_config *c)
{
	struct error err = { 0 };

	assert_int_equal(logger_create("vm-1", c, &t->logger, &err), 0);
}

/* The whole log; valid until the next call. */
static const char *read_log(const struct log *t)
{
	static char text[4096];
	FILE *f = fopen(t->path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

static void test_level(void **state)
{
	struct log *t = *state;
	struct logger_config c = to_file(t, "warning");

	c.show_level = true;
	start(t, &c);
	log_info("hidden");
	log_warn("shown");
	assert_null(strstr(read_log(t), "hidden"));
	assert_non_null(strstr(read_log(t), "[vm-1:"));
	assert_non_null(strstr(read_log(t), ":WARN] shown\n"));
}

/* Each line is a whole object, whatever the message has in it. */
static void test_json(void **state)
{
	struct log *t = *state;
	struct logger_config c = to_file(t, "Info");
	char text[2000];

	c.format = LOG_JSON;
	start(t, &c);
	log_warn("a \"name\", a \\, a\nline, \x01\xff");
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	assert_memory_equal(read_log(t), "{\"time\":\"2", 10);
	assert_non_null(strstr(read_log(t), "\"id\":\"vm-1\",\"thread\":\""));
	assert_non_null(strstr(read_log(t),
			       "\"level\":\"WARN\",\"file\":\"tests/unit/test_logger.c\","
			       "\"line\":"));
	assert_non_null(strstr(read_log(t), "\"message\":\"a \\\"name\\\", a \\\\, a line, ?"
					    "?\"}\n"));
	assert_string_equal(read_log(t) + strlen(read_log(t)) - 5, "\\\"\"}\n");
}

/* The origin is a path from the top of the source, wherever that was built. */
static void test_origin(void **state)
{
	struct log *t = *state;
	struct logger_config c = to_file(t, "Info");

	c.show_log_origin = true;
	start(t, &c);
	log_info("here");
	assert_non_null(strstr(read_log(t), ":tests/unit/test_logger.c:"));
}

static void test_module(void **state)
{
	static const struct {
		const char *name;
		bool shown;
	} cases[] = {
		{ "tests/unit", true },		{ "tests::unit::test_logger", true },
		{ "tests/unit/test_lo", true }, { "unit", false },
		{ "devices::virtio", false },	{ "tests/unit/test_logger.c.x", false },
	};
	struct log *t = *state;
	struct logger_config c = to_file(t, "Info");

	start(t, &c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char word[32];

		snprintf(c.module, sizeof(c.module), "%s", cases[i].name);
		snprintf(word, sizeof(word), "case-%zu", i);
		assert_int_equal(logger_set(t->logger, &c, NULL), 0);
		log_info("%s", word);
		assert_int_equal(strstr(read_log(t), word) != NULL, cases[i].shown);
	}
}

static void test_failure_changes_nothing(void **state)
{
	struct log *t = *state;
	struct logger_config c = to_file(t, "Info"), bad = c;
	struct error err = { 0 };

	start(t, &c);
	snprintf(bad.log_path, sizeof(bad.log_path), "%s/no/such/folder", t->dir);
	assert_int_equal(logger_set(t->logger, &bad, &err), -ENOENT);
	assert_string_equal(err.field, "log_path");
	bad = c;
	snprintf(bad.level, sizeof(bad.level), "Loud");
	assert_int_equal(logger_set(t->logger, &bad, &err), -EBADMSG);
	assert_string_equal(err.field, "level");
	log_info("still here");
	assert_non_null(strstr(read_log(t), "still here"));
	assert_string_equal(logger_config(t->logger)->level, "Info");
}

/* Opening waits for no reader, and a full FIFO drops lines rather than block. */
static void test_fifo_without_reader(void **state)
{
	struct log *t = *state;
	struct logger_config c = to_file(t, "Info");

	assert_int_equal(mkfifo(t->fifo, 0600), 0);
	snprintf(c.log_path, sizeof(c.log_path), "%s", t->fifo);
	start(t, &c);
	for (int i = 0; i < 10000; i++)
		log_info("line %d of more than a pipe holds", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_level, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_origin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_module, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fifo_without_reader, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
