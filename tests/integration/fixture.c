/* fixture.c - where the programs are, and configuration files made for a test. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"

enum { SLOTS = 16 };

static char *next_slot(void)
{
	static char slots[SLOTS][PATH_MAX];
	static unsigned next;

	return slots[next++ % SLOTS];
}

/* The build directory: two levels above this program. */
static const char *build_dir(void)
{
	static char dir[PATH_MAX];

	if (!dir[0]) {
		ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

		assert_true(n > 0);
		dir[n] = '\0';
		*strrchr(dir, '/') = '\0';
		*strrchr(dir, '/') = '\0';
	}
	return dir;
}

static const char *in_build(const char *folder, const char *name)
{
	char *path = next_slot();

	assert_true(snprintf(path, PATH_MAX, "%s/%s/%s", build_dir(), folder, name) < PATH_MAX);
	return path;
}

const char *fixture_program(const char *name)
{
	return in_build("bin", name);
}

const char *fixture_guest(const char *name)
{
	return in_build("guests", name);
}

const char *fixture_image(const char *name)
{
	const char *dir = getenv("WISP_IMAGES");
	char *path = next_slot();

	const char *found = path;

	if (dir)
		assert_true(snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX);
	else
		found = in_build("images", name);
	return access(found, R_OK) == 0 ? found : NULL;
}

const char *fixture_need_image(const char *name)
{
	const char *path = fixture_image(name);

	if (!path) {
		print_message("image %s was not built: guest-images/build all\n", name);
		skip();
	}
	return path;
}

void fixture_read_ahead(const char *path)
{
	char buf[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	assert_true(fd >= 0);
	while (n > 0)
		n = read(fd, buf, sizeof(buf));
	assert_int_equal(n, 0);
	close(fd);
}

static char own_dir[] = "/tmp/wisp-test-XXXXXX";
static bool have_dir;

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", own_dir);
	if (system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", own_dir);
}

const char *fixture_dir(void)
{
	if (!have_dir) {
		assert_non_null(mkdtemp(own_dir));
		have_dir = true;
		atexit(remove_dir);
	}
	return own_dir;
}

const char *fixture_path(const char *name)
{
	char *path = next_slot();

	assert_true(snprintf(path, PATH_MAX, "%s/%s", fixture_dir(), name) < PATH_MAX);
	return path;
}

char *fixture_read(const char *name, size_t *len)
{
	int fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	bytes = malloc(*len + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, *len), (ssize_t)*len);
	close(fd);
	return bytes;
}

void fixture_write(const char *name, const void *bytes, size_t len)
{
	int fd = open(fixture_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

const char *fixture_disk(const char *name, const char *text, long long bytes)
{
	const char *path = fixture_path(name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	size_t len = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	assert_int_equal(pwrite(fd, text, len, 0), (ssize_t)len);
	close(fd);
	return path;
}

const char *fixture_file(const char *name, const char *text)
{
	return fixture_disk(name, text, (long long)strlen(text));
}

const char *fixture_config(const char *name, const struct fixture_config *c)
{
	char text[8192];
	int n = 0;

	n += snprintf(text + n, sizeof(text) - (size_t)n,
		      "{\"boot-source\": {\"kernel_image_path\": \"%s\"", c->kernel);
	if (c->initrd)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", \"initrd_path\": \"%s\"",
			      c->initrd);
	if (c->boot_args)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", \"boot_args\": \"%s\"",
			      c->boot_args);
	n += snprintf(text + n, sizeof(text) - (size_t)n,
		      "}, \"machine-config\": {\"vcpu_count\": %u, \"mem_size_mib\": %u%s}",
		      c->vcpus ? c->vcpus : 1, c->mem_mib ? c->mem_mib : 32,
		      c->machine_extra ? c->machine_extra : "");
	if (c->disk)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      ", \"drives\": [{\"drive_id\": \"disk\", \"path_on_host\": \"%s\","
			      " \"is_root_device\": %s, \"is_read_only\": %s,"
			      " \"io_engine\": \"%s\"}%s]",
			      c->disk, c->disk_not_root ? "false" : "true",
			      c->disk_read_only ? "true" : "false",
			      c->disk_async ? "Async" : "Sync",
			      c->more_drives ? c->more_drives : "");
	n += snprintf(text + n, sizeof(text) - (size_t)n, "%s}\n", c->extra ? c->extra : "");
	assert_true((size_t)n < sizeof(text));
	return fixture_file(name, text);
}

bool fixture_has_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}
