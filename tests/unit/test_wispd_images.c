/* test_wispd_images.c - what is taken of others' images, and what is refused. */
#include <errno.h>
#include <fcntl.h>
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

#include "supervisor/images/archive.h"
#include "supervisor/images/image_agent.h"
#include "supervisor/images/image_source.h"
#include "supervisor/images/oci.h"
#include "tests/unit/scratch.h"
#include "vmm/base/fd.h"

/* --- archives --- */

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		int result;
	} rows[] = {
		{ "drwxr-xr-x 0/0               0 2026-11-21 00:00 \"./\"", 0 },
		{ "-rw-r--r-- 0/0            4097 2026-11-21 00:00 \"etc/a b\"", 0 },
		{ "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"a..b/..c/d..\"", 0 },
		{ "lrwxrwxrwx 0/0               0 2026-11-21 00:00 \"a\" -> \"../../b\"", 0 },
		{ "hrw-r--r-- 0/0               0 2026-11-21 00:00 \"a\" link to \"b/c\"", 0 },
		{ "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"a \\\" link to \\\"b\"", 0 },
		{ "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"..\"", -EINVAL },
		{ "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"../a\"", -EINVAL },
		{ "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"a/../../b\"", -EINVAL },
		{ "hrw-r--r-- 0/0               0 2026-11-21 00:00 \"a\" link to \"../b\"",
		  -EINVAL },
		{ "hrw-r--r-- 0/0               0 2026-11-21 00:00 \"a\" link to \"/etc/b\"",
		  -EINVAL },
		{ "hrw-r--r-- 0/0               0 2026-11-21 00:00 \"a\"", -EINVAL },
		{ "crw-r--r-- 0/0             1,3 2026-11-21 00:00 \"dev/null\"", -EINVAL },
		{ "brw-r--r-- 0/0             8,0 2026-11-21 00:00 \"dev/sda\"", -EINVAL },
		{ "prw-r--r-- 0/0               0 2026-11-21 00:00 \"pipe\"", -EINVAL },
		{ "-rw-r--r-- 0/0       999999999 2026-11-21 00:00 \"big\"", -EFBIG },
		{ "-rw-r--r-- 0/0 99999999999999999999 2026-11-21 00:00 \"big\"", -EFBIG },
		{ "rubbish", -EINVAL },
		{ "", -EINVAL },
	};
	static struct config c = { .image_max_mib = 16 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct archive_size size = { 0 };
		struct error err = { 0 };

		if (archive_check_line(&c, rows[i].line, &size, &err) != rows[i].result)
			fail_msg("%s: %d %s", rows[i].line, err.code, err.text);
	}
}

/* Many small ones are a large one. */
static void test_sum(void **state)
{
	static const char line[] = "-rw-r--r-- 0/0               1 2026-11-21 00:00 \"a\"";
	static struct config c = { .image_max_mib = 1 };
	struct archive_size size = { 0 };
	struct error err = { 0 };
	int r = 0;

	(void)state;
	for (unsigned i = 0; i < 256 && r == 0; i++)
		r = archive_check_line(&c, line, &size, &err);
	assert_int_equal(r, -EFBIG);
	assert_true(size.entries > 200);
}

/* --- layouts --- */

#define A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define IX "{\"manifests\": [{\"digest\": \"sha256:" A "\"}]}"
#define MF                                             \
	"{\"config\": {\"digest\": \"sha256:" B "\"}," \
	" \"layers\": [{\"digest\": \"sha256:" A "\"}]}"

static void put(struct scratch *dir, const char *name, const char *text)
{
	FILE *f = fopen(scratch_path(dir, name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_layouts(void **state)
{
	static const struct {
		const char *index, *manifest, *config;
		int result;
	} rows[] = {
		{ IX, MF, "{}", 0 },
		{ IX, MF, "{\"config\": {\"Cmd\": [\"sh\"], \"Env\": [\"A=b\"], \"User\": \"1\"}}",
		  0 },
		{ IX, MF, "{\"config\": {\"Cmd\": [1]}}", -EBADMSG },
		{ IX, MF, "{\"config\": {\"User\": 1}}", -EBADMSG },
		{ IX, MF, "[", -EBADMSG },
		{ IX, "{}", "{}", -EBADMSG },
		{ IX, "{\"layers\": [{\"digest\": \"sha256:../x\"}]}", "{}", -EBADMSG },
		{ "{}", MF, "{}", -EBADMSG },
		{ "{\"manifests\": [{\"digest\": \"sha256:../../../../etc/passwd\"}]}", MF, "{}",
		  -EBADMSG },
		{ "", MF, "{}", -EBADMSG },
	};
	struct oci_image *oci = calloc(1, sizeof(*oci));
	int dir = open(scratch_path(*state, "."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(mkdir(scratch_path(*state, "l"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(*state, "l/blobs"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(*state, "l/blobs/sha256"), 0755), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };

		put(*state, "l/index.json", rows[i].index);
		put(*state, "l/blobs/sha256/" A, rows[i].manifest);
		put(*state, "l/blobs/sha256/" B, rows[i].config);
		if (oci_read(dir, "l", oci, &err) != rows[i].result)
			fail_msg("row %zu: %d %s", i, err.code, err.text);
	}
	/* A blob that is a link leads nowhere. */
	put(*state, "l/index.json", IX);
	put(*state, "real", MF);
	assert_int_equal(unlink(scratch_path(*state, "l/blobs/sha256/" A)), 0);
	assert_int_equal(symlink("../../../real", scratch_path(*state, "l/blobs/sha256/" A)), 0);
	assert_int_equal(oci_read(dir, "l", oci, &(struct error){ 0 }), -ELOOP);
	close(dir);
	free(oci);
}

/* --- command lines --- */

static void test_words(void **state)
{
	static const struct {
		const char *before, *after;
	} rows[] = {
		{ "", "w" },
		{ "quiet", "quiet w" },
		{ "quiet -- echo -- x", "quiet w -- echo -- x" },
		{ "-- run", "w -- run" },
		{ "a--b", "a--b w" },
	};
	char line[CMDLINE_BYTES];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(line, sizeof(line), "%s", rows[i].before);
		assert_int_equal(image_agent_add_words(line, "w", &err), 0);
		assert_string_equal(line, rows[i].after);
	}
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(image_agent_add_words(line, "w", &err), -E2BIG);
}

static void test_sources(void **state)
{
	static const char *const bad[] = {
		"", "oci", "oci:", "oci:relative", "zip:/x", "/x", "docker://host/x", "tar:"
	};

	(void)state;
	assert_true(image_source_known("oci:/a:tag"));
	assert_true(image_source_known("qcow2:/a"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(image_source_known(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_sum),
		cmocka_unit_test_setup_teardown(test_layouts, scratch_make, scratch_remove),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
