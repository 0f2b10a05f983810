/* test_virtio_blk.c - the disk's requests: data that comes back, edges, read-only,
 * misuse; all of it with each engine.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/transport.h"
#include "tests/unit/blk_disk.h"

/* --- normal use --- */

static struct virtio_blk_config read_config(struct disk *k)
{
	struct virtio_blk_config c = { 0 };

	for (size_t i = 0; i < sizeof(c); i += 4) {
		uint32_t word = driver_get(&k->driver, VIRTIO_MMIO_CONFIG + i);

		memcpy((char *)&c + i, &word, sizeof(word));
	}
	return c;
}

static void configuration(void **state)
{
	struct virtio_blk_config c;
	struct disk k;

	(void)state;
	disk_start(&k, true, true, 0);
	c = read_config(&k);
	assert_int_equal(c.capacity, SECTORS);
	assert_int_equal(c.blk_size, 512);
	assert_int_equal(c.seg_max, 254);
	assert_int_equal(c.size_max, 128 * 1024);
	assert_int_equal(driver_offered(&k.driver) & 0xffffff,
			 1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_SIZE_MAX |
				 1 << VIRTIO_BLK_F_BLK_SIZE | 1 << VIRTIO_BLK_F_RO |
				 1 << VIRTIO_BLK_F_FLUSH);
	disk_end(&k);
	disk_start(&k, false, false, 0);
	assert_false(driver_offered(&k.driver) & (1 << VIRTIO_BLK_F_RO | 1 << VIRTIO_BLK_F_FLUSH));
	disk_end(&k);
}

static void reads_what_is_there(void **state)
{
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, true, false, 0);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_IN, 5, 1024, true, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1025);
	for (size_t i = 0; i < 1024; i++)
		assert_int_equal(((unsigned char *)driver_at(&k.driver, DATA, 1024))[i],
				 6 + i / 512);
	assert_int_equal(k.driver.dev->counters.read_bytes, 1024);
	disk_end(&k);
}

static void writes_what_is_given(void **state)
{
	unsigned char got[2048];
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, false, true, FLUSH);
	memset(driver_at(&k.driver, DATA, 1024), 0xc3, 1024);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_OUT, 9, 1024, false, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1);
	assert_int_equal(pread(k.fd, got, sizeof(got), 8 * 512), sizeof(got));
	assert_int_equal(got[511], 9);
	for (size_t i = 512; i < 1536; i++)
		assert_int_equal(got[i], 0xc3);
	assert_int_equal(got[1536], 12);
	assert_int_equal(k.driver.dev->counters.write_bytes, 1024);
	disk_end(&k);
}

static void first_and_last_sector(void **state)
{
	struct disk k;

	(void)state;
	disk_start(&k, false, false, 0);
	assert_int_equal(disk_write(&k, SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&k, SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&k, 0, SECTORS * 512), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&k, SECTORS, 0), VIRTIO_BLK_S_OK);
	disk_end(&k);
}

/* 2.7.4: header, data and status may be cut anywhere. */
static void any_layout(void **state)
{
	/* Header in 1 + 15 with the first data byte behind it; the rest in two. */
	const struct driver_buffer write[] = {
		{ HEADER, 1, false },	   { HEADER + 1, 15 + 1, false }, { DATA + 1, 500, false },
		{ DATA + 501, 11, false }, { STATUS, 1, true },
	};
	/* Header at once; data and status in one, and then one byte in three. */
	const struct driver_buffer merged[] = { { HEADER, 16, false }, { DATA, 513, true } };
	const struct driver_buffer split[] = {
		{ HEADER, 7, false },	 { HEADER + 7, 9, false }, { DATA, 1, true },
		{ DATA + 1, 510, true }, { DATA + 511, 2, true },
	};
	unsigned char *data;
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	disk_start(&k, false, false, 0);
	data = driver_at(&k.driver, DATA, 1024);
	memset(data, 0x5a, 1024);
	disk_header(&k, HEADER, VIRTIO_BLK_T_OUT, 3);
	*(unsigned char *)driver_at(&k.driver, HEADER + 16, 1) = 0x5a;
	assert_true(disk_ask(&k, write, 5, &e));
	assert_int_equal(e.len, 1);

	disk_header(&k, HEADER, VIRTIO_BLK_T_IN, 3);
	for (int i = 0; i < 2; i++) {
		memset(data, 0, 1024);
		data[512] = UNTOUCHED;
		assert_true(disk_ask(&k, i ? split : merged, i ? 5 : 2, &e));
		assert_int_equal(e.len, 513);
		for (int n = 0; n < 512; n++)
			assert_int_equal(data[n], 0x5a);
		assert_int_equal(data[512], VIRTIO_BLK_S_OK);
		assert_int_equal(data[513], 0);
	}
	disk_end(&k);
}

/* The longest request that SEG_MAX allows, through an indirect table. */
static void most_segments(void **state)
{
	enum { SEGMENTS = 254, LAST = SEGMENTS + 1 };
	struct vring_desc d = { .addr = HEADER, .len = 16, .flags = VRING_DESC_F_NEXT, .next = 1 };
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	disk_start(&k, false, false, INDIRECT);
	disk_header(&k, HEADER, VIRTIO_BLK_T_IN, 0);
	driver_desc(&k.driver, DRIVER_TABLE, 0, d);
	for (unsigned i = 1; i <= SEGMENTS; i++) {
		/* 254 segments make 127 sectors only if some are short: 62 sectors here. */
		d = (struct vring_desc){ DATA + i * 128ull, 125,
					 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
					 (uint16_t)(i + 1) };
		if (i == SEGMENTS)
			d.len = 31744 - 253 * 125;
		driver_desc(&k.driver, DRIVER_TABLE, i, d);
	}
	driver_desc(&k.driver, DRIVER_TABLE, LAST,
		    (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 });
	driver_desc(&k.driver, DRIVER_DESC, 0,
		    (struct vring_desc){ DRIVER_TABLE, 16 * (LAST + 1), VRING_DESC_F_INDIRECT, 0 });
	driver_offer(&k.driver, 0);
	driver_kick(&k.driver, 0);
	assert_true(disk_answer(&k, &e));
	assert_int_equal(e.len, 31744 + 1);
	disk_end(&k);
}

static void get_id(void **state)
{
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, false, false, 0);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_GET_ID, 0, 20, true, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 21);
	assert_memory_equal(driver_at(&k.driver, DATA, 20), "serial-0123456789-to", 20);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_GET_ID, 0, 19, true, &len),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_GET_ID, 0, 0, true, &len),
			 VIRTIO_BLK_S_IOERR);
	disk_end(&k);
}

static void flush(void **state)
{
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, false, true, FLUSH);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_FLUSH, 0, 0, false, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1);
	disk_end(&k);
	disk_start(&k, false, false, 0);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_FLUSH, 0, 0, false, &len),
			 VIRTIO_BLK_S_UNSUPP);
	disk_end(&k);
}

/* FLUSH offered and not accepted: a write waits for the disk and ends its turn, unless
 * it is queued. */
static void writethrough_without_flush(void **state)
{
	static const struct {
		uint64_t accepted;
		unsigned turns;
	} cases[] = { { FLUSH, 1 }, { 0, 3 } };
	const struct driver_buffer b[] = { { HEADER, 16, false },
					   { DATA, 512, false },
					   { STATUS, 1, true } };
	struct disk k;

	(void)state;
	for (int i = 0; i < 2; i++) {
		disk_start(&k, false, true, cases[i].accepted);
		driver_run(&k.driver);
		uint64_t kicks = k.driver.dev->counters.kicks;

		disk_header(&k, HEADER, VIRTIO_BLK_T_OUT, 1);
		driver_chain(&k.driver, 0, b, 3);
		driver_offer(&k.driver, 0);
		driver_offer(&k.driver, 0);
		driver_kick(&k.driver, 0);
		assert_int_equal(k.driver.dev->counters.requests, 2);
		assert_int_equal(k.driver.dev->counters.kicks - kicks,
				 disk_async ? 1 : cases[i].turns);
		disk_end(&k);
	}
}

static void more_than_a_turn(void **state)
{
	const struct driver_buffer b[] = { { HEADER, 16, false },
					   { DATA, 512, true },
					   { STATUS, 1, true } };
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	disk_start(&k, true, false, 0);
	disk_header(&k, HEADER, VIRTIO_BLK_T_IN, 0);
	for (uint16_t i = 0; i < 80; i++) {
		driver_chain(&k.driver, (uint16_t)(3 * i), b, 3);
		driver_offer(&k.driver, (uint16_t)(3 * i));
	}
	uint64_t kicks = k.driver.dev->counters.kicks;

	driver_kick(&k.driver, 0);
	for (unsigned i = 0; i < 80; i++) {
		assert_true(disk_answer(&k, &e));
		assert_int_equal(e.id, 3 * i);
	}
	assert_int_equal(k.driver.dev->counters.kicks - kicks, 2);
	disk_end(&k);
}

/* --- discards and zeroes --- */

static int erase(struct disk *k, uint32_t type, uint64_t sector, uint32_t count, uint32_t flags,
		 uint32_t bytes)
{
	const struct virtio_blk_discard_write_zeroes range = { sector, count, flags };
	uint32_t len;

	memset(driver_at(&k->driver, DATA, 64), 0, 64);
	memcpy(driver_at(&k->driver, DATA, sizeof(range)), &range, sizeof(range));
	return disk_request(k, type, 0, bytes, false, &len);
}

static void holes(void **state)
{
	unsigned char got[SECTORS * 512];
	struct disk k;
	int status;

	(void)state;
	for (int i = 0; i < 3; i++) {
		disk_start(&k, false, false, DISCARD | ZEROES);
		status = erase(&k, i == 0 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES, 8, 16,
			       i == 1, 16);
		/* A file system without zero ranges says so, and the guest writes them. */
		if (i < 2 || status != VIRTIO_BLK_S_UNSUPP) {
			assert_int_equal(status, VIRTIO_BLK_S_OK);
			assert_int_equal(pread(k.fd, got, sizeof(got), 0), sizeof(got));
			for (size_t n = 0; n < sizeof(got); n++)
				assert_int_equal(got[n],
						 n >= 8 * 512 && n < 24 * 512 ? 0 : n / 512 + 1);
		}
		disk_end(&k);
	}
}

static void ranges_refused(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t count, discard_flags, zeroes_flags, bytes;
		int status;
	} bad[] = {
		{ SECTORS, 1, 0, 0, 16, VIRTIO_BLK_S_IOERR },
		{ SECTORS - 1, 2, 0, 1, 16, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 1, 0, 0, 16, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512 + 1, 1, 0, 0, 16, VIRTIO_BLK_S_IOERR },
		{ 0, UINT32_MAX, 0, 0, 16, VIRTIO_BLK_S_IOERR },
		{ 0, 0, 0, 0, 16, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 0, 0, 15, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 0, 0, 32, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 0, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 1, 2, 16, VIRTIO_BLK_S_UNSUPP },
		{ 0, 1, 0x80000000u, 0x80000001u, 16, VIRTIO_BLK_S_UNSUPP },
	};
	struct disk k;

	(void)state;
	disk_start(&k, false, false, DISCARD | ZEROES);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(erase(&k, VIRTIO_BLK_T_DISCARD, bad[i].sector, bad[i].count,
				       bad[i].discard_flags, bad[i].bytes),
				 bad[i].status);
		assert_int_equal(erase(&k, VIRTIO_BLK_T_WRITE_ZEROES, bad[i].sector, bad[i].count,
				       bad[i].zeroes_flags, bad[i].bytes),
				 bad[i].status);
	}
	assert_int_equal(lseek(k.fd, 0, SEEK_END), SECTORS * 512);
	disk_end(&k);
	disk_start(&k, true, false, 0);
	assert_false(driver_offered(&k.driver) & (DISCARD | ZEROES));
	assert_int_equal(erase(&k, VIRTIO_BLK_T_DISCARD, 0, 1, 0, 16), VIRTIO_BLK_S_UNSUPP);
	disk_end(&k);
}

/* --- refused --- */

static const struct bad_request {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint32_t bytes;
	bool to_guest;
	int status;
} bad_requests[] = {
	{ "read behind the end", VIRTIO_BLK_T_IN, SECTORS, 512, true, VIRTIO_BLK_S_IOERR },
	{ "read across the end", VIRTIO_BLK_T_IN, SECTORS - 1, 1024, true, VIRTIO_BLK_S_IOERR },
	{ "read that wraps", VIRTIO_BLK_T_IN, UINT64_MAX, 512, true, VIRTIO_BLK_S_IOERR },
	{ "read whose offset wraps", VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, true,
	  VIRTIO_BLK_S_IOERR },
	{ "read of 511", VIRTIO_BLK_T_IN, 0, 511, true, VIRTIO_BLK_S_IOERR },
	{ "read of 513", VIRTIO_BLK_T_IN, 0, 513, true, VIRTIO_BLK_S_IOERR },
	{ "write behind the end", VIRTIO_BLK_T_OUT, SECTORS, 512, false, VIRTIO_BLK_S_IOERR },
	{ "write across the end", VIRTIO_BLK_T_OUT, SECTORS - 1, 1024, false, VIRTIO_BLK_S_IOERR },
	{ "write that wraps", VIRTIO_BLK_T_OUT, UINT64_MAX - 1, 1024, false, VIRTIO_BLK_S_IOERR },
	{ "write of 100", VIRTIO_BLK_T_OUT, 0, 100, false, VIRTIO_BLK_S_IOERR },
	{ "discard", VIRTIO_BLK_T_DISCARD, 0, 16, false, VIRTIO_BLK_S_UNSUPP },
	{ "write zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, VIRTIO_BLK_S_UNSUPP },
	{ "secure erase", VIRTIO_BLK_T_SECURE_ERASE, 0, 16, false, VIRTIO_BLK_S_UNSUPP },
	{ "SCSI command", 2, 0, 512, false, VIRTIO_BLK_S_UNSUPP },
	{ "legacy barrier", 0x80000000u, 0, 0, false, VIRTIO_BLK_S_UNSUPP },
	{ "type -1", UINT32_MAX, 0, 512, true, VIRTIO_BLK_S_UNSUPP },
};

static void requests_refused(void **state)
{
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, false, false, 0);
	for (size_t i = 0; i < sizeof(bad_requests) / sizeof(bad_requests[0]); i++) {
		const struct bad_request *b = &bad_requests[i];
		int got = disk_request(&k, b->type, b->sector, b->bytes, b->to_guest, &len);

		if (got != b->status)
			fail_msg("%s: status %d", b->name, got);
		/* Data before the status was not written, so nothing may be claimed. */
		assert_int_equal(len, b->to_guest && b->bytes > 0 ? 0 : 1);
		assert_int_equal(k.driver.dev->counters.errors, i + 1);
	}
	assert_false(disk_needs_reset(&k));
	assert_int_equal(lseek(k.fd, 0, SEEK_END), SECTORS * 512);
	disk_end(&k);
}

/* A request larger than the features allow, out of one buffer named many times. */
static void too_many_bytes(void **state)
{
	enum { COUNT = 254, LEN = 256 * 1024 };
	struct vring_used_elem e;
	struct virtio_dev *dev;
	struct disk k;
	const struct virtio_blk_drive drive = { .path = k.path, .serial = "", .async = disk_async };

	(void)state;
	disk_make(&k, (off_t)COUNT * LEN);
	assert_int_equal(virtio_blk_create(&drive, &dev, NULL), 0);
	driver_create(&k.driver, dev);
	driver_start(&k.driver, INDIRECT, 256);
	disk_header(&k, HEADER, VIRTIO_BLK_T_IN, 0);
	driver_desc(&k.driver, DRIVER_TABLE, 0,
		    (struct vring_desc){ HEADER, 16, VRING_DESC_F_NEXT, 1 });
	for (unsigned i = 1; i <= COUNT; i++)
		driver_desc(&k.driver, DRIVER_TABLE, i,
			    (struct vring_desc){ DRIVER_HIGH, LEN,
						 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
						 (uint16_t)(i + 1) });
	driver_desc(&k.driver, DRIVER_TABLE, COUNT + 1,
		    (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 });
	driver_desc(
		&k.driver, DRIVER_DESC, 0,
		(struct vring_desc){ DRIVER_TABLE, 16 * (COUNT + 2), VRING_DESC_F_INDIRECT, 0 });
	driver_offer(&k.driver, 0);
	driver_kick(&k.driver, 0);
	assert_true(disk_answer(&k, &e));
	assert_int_equal(e.len, 0);
	assert_int_equal(*(unsigned char *)driver_at(&k.driver, STATUS, 1), VIRTIO_BLK_S_IOERR);
	disk_end(&k);
}

static void requests_without_an_answer(void **state)
{
	static const struct {
		struct driver_buffer b[2];
		unsigned n;
	} broken[] = {
		{ { { HEADER, 16, false } }, 1 },		       /* no status */
		{ { { HEADER, 512, false } }, 1 },		       /* nor here */
		{ { { HEADER, 15, false }, { STATUS, 1, true } }, 2 }, /* short header */
		{ { { HEADER, 16, true } }, 1 },		       /* a writable header */
		{ { { HEADER, 16, true }, { STATUS, 1, true } }, 2 },  /* the same */
	};
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	disk_start(&k, false, false, 0);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		driver_start(&k.driver, 0, 256);
		disk_header(&k, HEADER, VIRTIO_BLK_T_IN, 0);
		assert_false(disk_ask(&k, broken[i].b, broken[i].n, &e));
		assert_true(disk_needs_reset(&k));
		assert_int_equal(k.driver.dev->counters.violations, i + 1);
	}
	driver_start(&k.driver, 0, 256);
	assert_int_equal(disk_read(&k, 0, 512), VIRTIO_BLK_S_OK);
	disk_end(&k);
}

static void read_only_whatever_was_negotiated(void **state)
{
	static const uint64_t negotiated[] = { 0, 1ull << VIRTIO_BLK_F_RO };
	unsigned char got;
	struct disk k;

	(void)state;
	for (int i = 0; i < 2; i++) {
		disk_start(&k, true, false, negotiated[i]);
		memset(driver_at(&k.driver, DATA, 512), 0x99, 512);
		assert_int_equal(disk_write(&k, 0, 512), VIRTIO_BLK_S_IOERR);
		assert_int_equal(pread(k.fd, &got, 1, 0), 1);
		assert_int_equal(got, 1);
		assert_int_equal(disk_read(&k, 0, 512), VIRTIO_BLK_S_OK);
		disk_end(&k);
	}
}

/* What is read is the file's or an error, never something else, wherever the guest wants
 * it; and blocks that the host has are whole. */
static void past_the_page_cache(void **state)
{
	enum { BYTES = 16 * 4096 + 512 };
	char path[] = "direct-XXXXXX";
	const struct virtio_blk_drive drive = { .path = path, .serial = "", .direct = true };
	int fd = mkstemp(path);
	struct error err = { 0 };
	struct virtio_dev *dev;
	struct disk k = { .fd = fd };
	struct virtio_blk_config c;
	int r;

	(void)state;
	assert_true(fd >= 0);
	for (unsigned i = 0; i < BYTES / 512; i++) {
		unsigned char sector[512];

		memset(sector, (int)(i + 1), sizeof(sector));
		assert_int_equal(pwrite(fd, sector, 512, i * 512), 512);
	}
	r = virtio_blk_create(&drive, &dev, &err);
	unlink(path);
	if (r < 0) {
		assert_string_equal(err.field, "io_engine");
		skip();
	}
	driver_create(&k.driver, dev);
	driver_start(&k.driver, 0, 256);
	c = read_config(&k);
	assert_in_range(c.blk_size, 512, 4096);
	assert_int_equal(c.capacity * 512, BYTES / c.blk_size * c.blk_size);
	assert_int_equal(disk_read(&k, 4096 / 512, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(*(unsigned char *)driver_at(&k.driver, DATA, 1), 4096 / 512 + 1);
	memset(driver_at(&k.driver, DATA, 4096), 0, 4096);
	if (disk_read(&k, 1, 512) == VIRTIO_BLK_S_OK)
		assert_int_equal(*(unsigned char *)driver_at(&k.driver, DATA, 1), 2);
	else
		assert_true(c.blk_size > 512);
	assert_false(disk_needs_reset(&k));
	disk_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration),
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(writes_what_is_given),
		cmocka_unit_test(first_and_last_sector),
		cmocka_unit_test(any_layout),
		cmocka_unit_test(most_segments),
		cmocka_unit_test(get_id),
		cmocka_unit_test(flush),
		cmocka_unit_test(writethrough_without_flush),
		cmocka_unit_test(more_than_a_turn),
		cmocka_unit_test(holes),
		cmocka_unit_test(ranges_refused),
		cmocka_unit_test(requests_refused),
		cmocka_unit_test(too_many_bytes),
		cmocka_unit_test(requests_without_an_answer),
		cmocka_unit_test(read_only_whatever_was_negotiated),
		cmocka_unit_test(past_the_page_cache),
	};

	int failed = cmocka_run_group_tests_name("sync", tests, NULL, NULL);

	disk_async = true;
	return failed + cmocka_run_group_tests_name("async", tests, NULL, NULL);
}
