/* test_snapshot_files.c - what becomes of the files that a VMM writes for a snapshot. */
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

#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/files.h"
#include "tests/unit/scratch.h"
#include "vmm/base/fd.h"

enum { FOLDER_MODE = 0700, FILE_MODE = 0600 };

static int open_folder(const struct launch *l, struct error *err)
{
	(void)err;
	return open(l->config->jail_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const struct runtime runtime = { .open_folder = open_folder };

static void put(struct scratch *s, const char *name)
{
	int fd = open(scratch_path(s, name), O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);

	assert_true(fd >= 0);
	fd_close(fd);
}

static bool is_there(struct scratch *s, const char *name)
{
	return access(scratch_path(s, name), F_OK) == 0;
}

static void make_folders(struct scratch *s, struct config *c)
{
	strcpy(c->state_dir, scratch_path(s, "state"));
	assert_int_equal(mkdir(c->state_dir, FOLDER_MODE), 0);
	strcpy(c->jail_dir, scratch_path(s, "vmm"));
	assert_int_equal(mkdir(c->jail_dir, FOLDER_MODE), 0);
	assert_int_equal(mkdir(scratch_path(s, "vmm/run"), FOLDER_MODE), 0);
}

/* A VMM that does what an earlier wispd has asked it for may begin just then. */
static void test_begin(void **state)
{
	static struct config config;
	static struct launch l = { .config = &config, .runtime = &runtime, .pidfd = -1 };
	struct scratch *s = *state;
	struct error err = { 0 };

	make_folders(s, &config);
	strcpy(l.save.snapshot, "snap-1");
	put(s, "vmm/run/" SNAPSHOT_STATE);
	put(s, "vmm/run/" SNAPSHOT_MEMORY ".new");
	assert_int_equal(snapshot_files_begin(&l, &err), 0);
	assert_false(is_there(s, "vmm/run/" SNAPSHOT_STATE));
	assert_true(is_there(s, "vmm/run/" SNAPSHOT_MEMORY ".new"));

	put(s, "state/snapshots/snap-1/rootfs");
	assert_int_equal(snapshot_files_begin(&l, &err), 0);
	assert_true(is_there(s, "state/snapshots/snap-1"));
	assert_false(is_there(s, "state/snapshots/snap-1/rootfs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_begin, scratch_make, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
