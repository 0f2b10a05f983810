/* fuzz_virtio_blk.c - a hostile driver against a disk, writable or read-only.
 *
 * The first byte chooses the disk. Whatever the driver does, the file keeps its
 * size, and the read-only one its content.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "tests/fuzz/virtio_script.h"

enum { DISK_BYTES = 64 * 512, FILL = 0x3c };

struct disk {
	int fd;
	struct virtio_script script;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void disk_create(struct disk *k, bool read_only)
{
	unsigned char content[DISK_BYTES];
	char path[64];
	const struct virtio_blk_drive drive = { path, "fuzz", read_only, true };
	struct virtio_dev *dev;

	memset(content, FILL, sizeof(content));
	k->fd = memfd_create("disk", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->fd);
	if (k->fd < 0 || write(k->fd, content, sizeof(content)) != DISK_BYTES ||
	    virtio_blk_create(&drive, &dev, NULL) < 0)
		abort();
	virtio_script_create(&k->script, dev);
}

static void check_size(const struct disk *k)
{
	struct stat st;

	if (fstat(k->fd, &st) < 0 || st.st_size != DISK_BYTES)
		abort();
}

static void check_content(const struct disk *k)
{
	unsigned char content[DISK_BYTES];

	if (pread(k->fd, content, sizeof(content), 0) != DISK_BYTES)
		abort();
	for (int i = 0; i < DISK_BYTES; i++) {
		if (content[i] != FILL)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct disk disks[2]; /* writable, read-only */

	if (!disks[0].script.dev) {
		disk_create(&disks[0], false);
		disk_create(&disks[1], true);
	}
	if (size == 0)
		return 0;

	bool read_only = data[0] & 1;

	virtio_script_run(&disks[read_only].script, data + 1, size - 1);
	check_size(&disks[read_only]);
	if (read_only)
		check_content(&disks[1]);
	return 0;
}
