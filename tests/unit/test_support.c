/* test_support.c - what a support bundle is made of: an archive, and documents without secrets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/cli/redact.h"
#include "supervisor/cli/tar.h"
#include "tests/unit/scratch.h"

/* --- the archive --- */

/* What a program says, in static storage. */
static const char *say(const char *command)
{
	static char text[4096];
	FILE *f = popen(command, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(pclose(f), 0);
	return text;
}

/* The tar of the system reads what it holds: nothing, a little, a block, and more. */
static void test_archive(void **state)
{
	static char block[512], more[1000];
	struct scratch *s = *state;
	char command[PATH_MAX + 64];
	FILE *f = fopen(scratch_path(s, "a.tar"), "we");

	memset(block, 'b', sizeof(block));
	memset(more, 'm', sizeof(more));
	assert_non_null(f);
	assert_int_equal(tar_put(f, "d/empty", 0, "", 0), 0);
	assert_int_equal(tar_put(f, "d/little", 1700000000, "hello\n", 6), 0);
	assert_int_equal(tar_put(f, "d/block", 1, block, sizeof(block)), 0);
	assert_int_equal(tar_put(f, "d/more", 1, more, sizeof(more)), 0);
	assert_int_equal(tar_end(f), 0);
	assert_int_equal(ftell(f) % 512, 0);
	fclose(f);
	snprintf(command, sizeof(command), "TZ=UTC tar -tvf %s --numeric-owner",
		 scratch_path(s, "a.tar"));
	assert_string_equal(say(command),
			    "-rw------- 0/0               0 1970-01-01 00:00 d/empty\n"
			    "-rw------- 0/0               6 2023-11-14 22:13 d/little\n"
			    "-rw------- 0/0             512 1970-01-01 00:00 d/block\n"
			    "-rw------- 0/0            1000 1970-01-01 00:00 d/more\n");
	snprintf(command, sizeof(command), "tar -xOf %s d/little d/block",
		 scratch_path(s, "a.tar"));
	assert_memory_equal(say(command), "hello\nbbbb", 10);
}

static void test_refused(void **state)
{
	char name[128] = "";
	FILE *f = fopen("/dev/full", "we");

	(void)state;
	memset(name, 'n', 100);
	assert_non_null(f);
	setbuf(f, NULL);
	assert_int_equal(tar_put(f, name, 0, "", 0), -ENAMETOOLONG);
	assert_int_equal(tar_put(f, "name", 0, "text", 4), -EIO);
	assert_int_equal(tar_end(f), -EIO);
	fclose(f);
}

/* --- secrets --- */

static const struct {
	const char *given, *left;
	unsigned count;
} documents[] = {
	{ "{}", "{}", 0 },
	{ "{\"name\":\"vm\",\"n\":5,\"ok\":true}", "{\"name\":\"vm\",\"n\":5,\"ok\":true}", 0 },
	{ "{\"password\":\"x\",\"API_Key\":[1,2]}",
	  "{\"password\":\"(left out)\",\"API_Key\":\"(left out)\"}", 2 },
	{ "{\"labels\":{\"db-token\":\"t\",\"zone\":\"a\"}}",
	  "{\"labels\":{\"db-token\":\"(left out)\",\"zone\":\"a\"}}", 1 },
	{ "{\"cmdline\":\"quiet app.secret=abc root=/dev/vda x=y\"}",
	  "{\"cmdline\":\"quiet app.secret=(left out) root=/dev/vda x=y\"}", 1 },
	{ "{\"run\":{\"env\":[\"PATH=/bin\",\"A=b c\",\"ALONE\"]}}",
	  "{\"run\":{\"env\":[\"PATH=(left out)\",\"A=(left out)\",\"ALONE\"]}}", 2 },
	{ "[{\"list\":[{\"credentials\":null}]}]",
	  "[{\"list\":[{\"credentials\":\"(left out)\"}]}]", 1 },
	/* Said to be there, or not: no secret itself. */
	{ "{\"has_token\":false}", "{\"has_token\":false}", 0 },
	{ "{\"text\":\"password=\"}", "{\"text\":\"password=(left out)\"}", 1 },
};

static void test_secrets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		json_t *j = json_loads(documents[i].given, 0, NULL);
		char *text;

		assert_non_null(j);
		assert_int_equal(redact(j), documents[i].count);
		text = json_dumps(j, JSON_COMPACT);
		assert_string_equal(text, documents[i].left);
		free(text);
		json_decref(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_archive, scratch_make, scratch_remove),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
