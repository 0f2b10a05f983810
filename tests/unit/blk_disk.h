/* blk_disk.h - a disk in memory with a driver, for the tests of the block device.
 *
 * Every sector holds its number and one, in each byte.
 */
#ifndef TESTS_UNIT_BLK_DISK_H
#define TESTS_UNIT_BLK_DISK_H

#include <linux/virtio_blk.h>

#include "tests/unit/virtio_driver.h"

#define FLUSH	  (1ull << VIRTIO_BLK_F_FLUSH)
#define DISCARD	  (1ull << VIRTIO_BLK_F_DISCARD)
#define ZEROES	  (1ull << VIRTIO_BLK_F_WRITE_ZEROES)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)

enum {
	SECTORS = 64,
	HEADER = DRIVER_BUFFERS,
	STATUS = DRIVER_BUFFERS + 0x100,
	DATA = DRIVER_BUFFERS + 0x1000,
	UNTOUCHED = 0xee,
};

/* The engine of the disks to come; main() runs each test with either. */
extern bool disk_async;

/* A disk in memory: a memfd, opened again by the device through /proc. */
struct disk {
	int fd;
	char path[64];
	struct driver driver;
};

/* The file alone. */
void disk_make(struct disk *k, off_t bytes);

/* All of it, up to DRIVER_OK with these features. */
void disk_start(struct disk *k, bool read_only, bool writeback, uint64_t features);
void disk_end(struct disk *k);

void disk_header(struct disk *k, uint64_t at, uint32_t type, uint64_t sector);
bool disk_needs_reset(struct disk *k);

/* The next used entry, waited for; false when the device failed instead. */
bool disk_answer(struct disk *k, struct vring_used_elem *e);

/* One chain, and its used entry. */
bool disk_ask(struct disk *k, const struct driver_buffer *b, unsigned n, struct vring_used_elem *e);

/* One request in the usual three descriptors. Its status, or -1 when no answer
 * came; the used length in *len. */
int disk_request(struct disk *k, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest,
		 uint32_t *len);
int disk_read(struct disk *k, uint64_t sector, uint32_t bytes);
int disk_write(struct disk *k, uint64_t sector, uint32_t bytes);

/* Puts the same request on the ring n times, one descriptor each, without a kick. */
void disk_offer_many(struct disk *k, uint32_t type, uint16_t n);

/* The used entries that are there; takes them. */
unsigned disk_answers(struct disk *k);

#endif
