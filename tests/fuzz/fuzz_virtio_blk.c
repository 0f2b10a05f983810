/* fuzz_virtio_blk.c - a hostile driver against a disk, writable or read-only, with
 * either engine.
 *
 * The first byte chooses the disk: 1 is read-only, 2 is asynchronous. Whatever the driver does, the file keeps its
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

enum { READ_ONLY = 1, ASYNC = 2 };

static void disk_create(struct disk *k, unsigned kind, struct loop *loop)
{
	unsigned char content[DISK_BYTES];
	char path[64];
	const struct virtio_blk_drive drive = {
		.path = path,
		.serial = "fuzz",
		.read_only = kind & READ_ONLY,
		.writeback = true,
		.async = kind & ASYNC,
	};
	struct virtio_dev *dev;

	memset(content, FILL, sizeof(content));
	k->fd = memfd_create("disk", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->fd);
	if (k->fd < 0 || write(k->fd, content, sizeof(content)) != DISK_BYTES ||
	    virtio_blk_create(&drive, &dev, NULL) < 0)
		abort();
	virtio_blk_set_vcpus(dev, kind & ASYNC ? 2 : 1);
	virtio_script_create(&k->script, dev);
	if (virtio_transport_attach(k->script.transport, loop) < 0)
		abort();
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
	static struct disk disks[4];
	static struct loop *loop;

	if (!loop && loop_create(&loop) < 0)
		abort();
	for (unsigned i = 0; i < 4 && !disks[i].script.dev; i++)
		disk_create(&disks[i], i, loop);
	if (size == 0)
		return 0;

	unsigned kind = data[0] & (READ_ONLY | ASYNC);

	virtio_script_run(&disks[kind].script, data + 1, size - 1);
	check_size(&disks[kind]);
	if (kind & READ_ONLY)
		check_content(&disks[kind]);
	return 0;
}
