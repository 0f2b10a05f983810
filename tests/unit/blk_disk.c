/* blk_disk.c - a disk in memory with a driver, for the tests of the block device. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "tests/unit/blk_disk.h"

bool disk_async;

void disk_make(struct disk *k, off_t bytes)
{
	k->fd = memfd_create("disk", MFD_CLOEXEC);
	assert_true(k->fd >= 0);
	assert_int_equal(ftruncate(k->fd, bytes), 0);
	snprintf(k->path, sizeof(k->path), "/proc/self/fd/%d", k->fd);
}

void disk_start(struct disk *k, bool read_only, bool writeback, uint64_t features)
{
	struct virtio_blk_drive drive = {
		.serial = "serial-0123456789-too-long",
		.read_only = read_only,
		.writeback = writeback,
		.async = disk_async,
	};
	struct virtio_dev *dev;

	disk_make(k, SECTORS * 512);
	drive.path = k->path;
	for (unsigned i = 0; i < SECTORS; i++) {
		unsigned char sector[512];

		memset(sector, (int)(i + 1), sizeof(sector));
		assert_int_equal(pwrite(k->fd, sector, 512, i * 512), 512);
	}
	assert_int_equal(virtio_blk_create(&drive, &dev, NULL), 0);
	driver_create(&k->driver, dev);
	driver_start(&k->driver, features, 256);
}

void disk_end(struct disk *k)
{
	driver_destroy(&k->driver);
	close(k->fd);
}

void disk_header(struct disk *k, uint64_t at, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(driver_at(&k->driver, at, sizeof(h)), &h, sizeof(h));
}

bool disk_needs_reset(struct disk *k)
{
	return driver_get(&k->driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

bool disk_answer(struct disk *k, struct vring_used_elem *e)
{
	while (!driver_used(&k->driver, e)) {
		if (disk_needs_reset(k))
			return false;
		sched_yield();
		driver_run(&k->driver);
	}
	return true;
}

bool disk_ask(struct disk *k, const struct driver_buffer *b, unsigned n, struct vring_used_elem *e)
{
	return driver_request(&k->driver, b, n, e) || disk_answer(k, e);
}

int disk_request(struct disk *k, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest,
		 uint32_t *len)
{
	struct driver_buffer b[3] = { { HEADER, 16, false } };
	unsigned char *status = driver_at(&k->driver, STATUS, 1);
	struct vring_used_elem e;
	unsigned n = 1;

	if (bytes > 0)
		b[n++] = (struct driver_buffer){ DATA, bytes, to_guest };
	b[n++] = (struct driver_buffer){ STATUS, 1, true };
	disk_header(k, HEADER, type, sector);
	*status = UNTOUCHED;
	if (!disk_ask(k, b, n, &e))
		return -1;
	*len = e.len;
	return *status;
}

int disk_read(struct disk *k, uint64_t sector, uint32_t bytes)
{
	uint32_t len;

	return disk_request(k, VIRTIO_BLK_T_IN, sector, bytes, true, &len);
}

int disk_write(struct disk *k, uint64_t sector, uint32_t bytes)
{
	uint32_t len;

	return disk_request(k, VIRTIO_BLK_T_OUT, sector, bytes, false, &len);
}

void disk_offer_many(struct disk *k, uint32_t type, uint16_t n)
{
	disk_header(k, HEADER, type, 1);
	driver_desc(&k->driver, DRIVER_TABLE, 0,
		    (struct vring_desc){ HEADER, 16, VRING_DESC_F_NEXT, 1 });
	driver_desc(&k->driver, DRIVER_TABLE, 1,
		    (struct vring_desc){ DATA, 512, type == VIRTIO_BLK_T_IN ? 3 : VRING_DESC_F_NEXT,
					 2 });
	driver_desc(&k->driver, DRIVER_TABLE, 2,
		    (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 });
	for (uint16_t i = 0; i < n; i++) {
		driver_desc(&k->driver, DRIVER_DESC, i,
			    (struct vring_desc){ DRIVER_TABLE, 48, VRING_DESC_F_INDIRECT, 0 });
		driver_offer(&k->driver, i);
	}
}

unsigned disk_answers(struct disk *k)
{
	struct vring_used_elem e;
	unsigned n = 0;

	while (driver_used(&k->driver, &e))
		n++;
	return n;
}
