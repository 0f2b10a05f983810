/* fixture.h - where the programs are, and configuration files made for a test. */
#ifndef TESTS_INTEGRATION_FIXTURE_H
#define TESTS_INTEGRATION_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

/* A program of build/bin, or a tiny guest of build/guests: the build that this
 * test program belongs to. Static storage, valid until the sixteenth next call. */
const char *fixture_program(const char *name);
const char *fixture_guest(const char *name);

/* A guest image; NULL when it was not built. The second skips the test then. */
const char *fixture_image(const char *name);
const char *fixture_need_image(const char *name);

/* Reads a file to its end, so that it is in memory. Under --icount time runs ahead, minutes
 * even, while a file of the machine is waited for: a test that has limits there, or its
 * guest, reads first what they will need. */
void fixture_read_ahead(const char *path);

/* A folder of this test's own; removed with all that is in it at exit. */
const char *fixture_dir(void);

/* A path in it. Storage as above. */
const char *fixture_path(const char *name);

/* Writes a file in it; returns its path. */
const char *fixture_file(const char *name, const char *text);

/* All of a file in it, and its length; from malloc. The second makes one of these bytes. */
char *fixture_read(const char *name, size_t *len);
void fixture_write(const char *name, const void *bytes, size_t len);

/* A file of this many bytes, sparse, that starts with text. */
const char *fixture_disk(const char *name, const char *text, long long bytes);

/* Firecracker's configuration file. Members that are NULL or 0 are left out. */
struct fixture_config {
	const char *kernel, *initrd, *boot_args;
	unsigned vcpus, mem_mib;
	const char *machine_extra; /* more members of machine-config, ", ..." */
	const char *disk;
	bool disk_read_only, disk_not_root, disk_async;
	const char *more_drives; /* behind the disk, ", {...}" */
	const char *extra;	 /* more members of the top-level object, ", ..." */
};
const char *fixture_config(const char *name, const struct fixture_config *c);

/* Whether /dev/kvm can be opened; tests that need it skip() otherwise. */
bool fixture_has_kvm(void);

#endif
