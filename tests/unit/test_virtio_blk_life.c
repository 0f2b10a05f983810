/* test_virtio_blk_life.c - the disk at work: many requests at once, resets and pauses in
 * their midst, limits, another file, what the host forbids; all of it with each engine.
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
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/transport.h"
#include "tests/unit/blk_disk.h"

/* --- many at once --- */

/* More than there are slots: every one is answered, once. */
static void whole_ring(void **state)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_FLUSH };
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		bool seen[256] = { false };

		disk_start(&k, false, true, INDIRECT | FLUSH);
		disk_offer_many(&k, types[i], 256);
		driver_kick(&k.driver, 0);
		for (unsigned n = 0; n < 256; n++) {
			assert_true(disk_answer(&k, &e));
			assert_true(e.id < 256 && !seen[e.id]);
			seen[e.id] = true;
		}
		assert_int_equal(k.driver.dev->counters.errors, 0);
		assert_int_equal(disk_answers(&k), 0);
		disk_end(&k);
	}
}

/* A reset finds requests in flight: it waits for them, and the next driver gets
 * nothing of theirs. */
static void reset_in_flight(void **state)
{
	struct disk k;

	(void)state;
	disk_start(&k, false, true, INDIRECT | FLUSH);
	for (int i = 0; i < 20; i++) {
		disk_offer_many(&k, i % 2 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_OUT, 64);
		virtio_dev_kick(k.driver.dev, 0);
		driver_start(&k.driver, INDIRECT | FLUSH, 256);
		driver_run(&k.driver);
		assert_int_equal(disk_answers(&k), 0);
	}
	assert_int_equal(disk_read(&k, 0, 512), VIRTIO_BLK_S_OK);
	disk_offer_many(&k, VIRTIO_BLK_T_OUT, 64);
	virtio_dev_kick(k.driver.dev, 0);
	disk_end(&k); /* so does the end */
}

static void failure_in_flight(void **state)
{
	const struct driver_buffer broken = { HEADER, 15, false };
	struct disk k;

	(void)state;
	disk_start(&k, false, true, INDIRECT | FLUSH);
	disk_offer_many(&k, VIRTIO_BLK_T_FLUSH, 40);
	driver_chain(&k.driver, 100, &broken, 1);
	driver_offer(&k.driver, 100);
	driver_kick(&k.driver, 0);
	while (!disk_needs_reset(&k))
		driver_run(&k.driver);
	driver_start(&k.driver, 0, 256);
	assert_int_equal(disk_read(&k, 0, 512), VIRTIO_BLK_S_OK);
	disk_end(&k);
}

/* Begun before the pause, answered before it; not begun, answered after it. */
static void pause_drains(void **state)
{
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	disk_start(&k, false, true, INDIRECT | FLUSH);
	disk_offer_many(&k, VIRTIO_BLK_T_OUT, 60);
	virtio_dev_kick(k.driver.dev, 0);
	virtio_transport_pause(k.driver.transport);
	assert_int_equal(disk_answers(&k), 60);
	disk_offer_many(&k, VIRTIO_BLK_T_OUT, 60);
	driver_kick(&k.driver, 0);
	assert_int_equal(disk_answers(&k), 0);
	virtio_transport_resume(k.driver.transport);
	for (int i = 0; i < 60; i++)
		assert_true(disk_answer(&k, &e));
	disk_end(&k);
}

static void second_queue(void **state)
{
	const struct virtq_layout l = { 256, gpa(DRIVER_DESC), gpa(DRIVER_AVAIL),
					gpa(DRIVER_USED) };
	struct virtio_blk_drive drive = { .serial = "", .async = disk_async };
	struct vring_used_elem e;
	struct virtio_dev *dev;
	struct disk k;

	(void)state;
	disk_make(&k, SECTORS * 512);
	drive.path = k.path;
	assert_int_equal(virtio_blk_create(&drive, &dev, NULL), 0);
	virtio_blk_set_vcpus(dev, 100);
	virtio_blk_set_vcpus(dev, 3);
	driver_create(&k.driver, dev);
	driver_start(&k.driver, INDIRECT | 1ull << VIRTIO_BLK_F_MQ, 256);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_CONFIG + 34) & 0xffff, 3);
	driver_negotiate(&k.driver, INDIRECT | 1ull << VIRTIO_BLK_F_MQ);
	driver_put(&k.driver, VIRTIO_MMIO_QUEUE_SEL, 3);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	driver_put(&k.driver, VIRTIO_MMIO_QUEUE_SEL, 2);
	driver_set_queue(&k.driver, &l);
	driver_put(&k.driver, VIRTIO_MMIO_STATUS, 15);
	driver_run(&k.driver);
	disk_offer_many(&k, VIRTIO_BLK_T_OUT, 200);
	driver_kick(&k.driver, 0);
	assert_int_equal(disk_answers(&k), 0);
	driver_kick(&k.driver, 2);
	for (int i = 0; i < 200; i++)
		assert_true(disk_answer(&k, &e));
	disk_end(&k);
}

/* --- the limiter --- */

static void limited(void **state)
{
	const struct limiter_config hour = { .ops = { 10, 3600000, 0 }, .has_ops = true };
	const struct limiter_config bytes = { .bandwidth = { 2048, 3600000, 1024 },
					      .has_bandwidth = true };
	const struct limiter_config off = { .has_ops = true, .has_bandwidth = true };
	struct vring_used_elem e;
	struct disk k;

	(void)state;
	for (int i = 0; i < 2; i++) {
		unsigned allowed = i ? 6 : 10;

		disk_start(&k, false, false, INDIRECT);
		virtio_blk_set_limiter(k.driver.dev, i ? &bytes : &hour);
		disk_offer_many(&k, VIRTIO_BLK_T_OUT, 30);
		driver_kick(&k.driver, 0);
		for (unsigned n = 0; n < allowed; n++)
			assert_true(disk_answer(&k, &e));
		driver_kick(&k.driver, 0);
		assert_int_equal(disk_answers(&k), 0);
		assert_int_equal(k.driver.dev->counters.requests, allowed);
		virtio_blk_set_limiter(k.driver.dev, &off);
		for (unsigned n = allowed; n < 30; n++)
			assert_true(disk_answer(&k, &e));
		disk_end(&k);
	}
}

/* --- another file --- */

static void swapped(void **state)
{
	struct disk k, other;
	unsigned char *data;

	(void)state;
	disk_start(&k, true, false, 0);
	disk_make(&other, (SECTORS + 8) * 512);
	data = driver_at(&k.driver, DATA, 512);
	assert_int_equal(disk_read(&k, 3, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 4);
	driver_interrupts(&k.driver);
	uint32_t generation = driver_get(&k.driver, VIRTIO_MMIO_CONFIG_GENERATION);

	assert_int_equal(virtio_blk_set_path(k.driver.dev, other.path, NULL), 0);
	assert_int_equal(driver_interrupts(&k.driver), 1);
	assert_true(driver_get(&k.driver, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_CONFIG), SECTORS + 8);
	assert_int_equal(disk_read(&k, 3, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 0);
	assert_int_equal(disk_read(&k, SECTORS + 7, 512), VIRTIO_BLK_S_OK);

	/* The same one, which has grown. */
	assert_int_equal(ftruncate(other.fd, (SECTORS + 16) * 512), 0);
	assert_int_equal(virtio_blk_set_path(k.driver.dev, other.path, NULL), 0);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_CONFIG), SECTORS + 16);
	assert_int_equal(disk_read(&k, SECTORS + 15, 512), VIRTIO_BLK_S_OK);
	close(other.fd);
	disk_end(&k);
}

static void swap_refused(void **state)
{
	struct virtio_blk_drive drive = { .serial = "" };
	struct virtio_dev *taken;
	struct disk k, other;

	(void)state;
	disk_start(&k, false, false, 0);
	disk_make(&other, 512);
	drive.path = other.path;
	assert_int_equal(virtio_blk_create(&drive, &taken, NULL), 0);
	driver_interrupts(&k.driver);
	assert_int_equal(virtio_blk_set_path(k.driver.dev, other.path, NULL), -EBUSY);
	assert_int_equal(virtio_blk_set_path(k.driver.dev, "/nowhere", NULL), -ENOENT);
	assert_int_equal(driver_interrupts(&k.driver), 0);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_CONFIG), SECTORS);
	assert_int_equal(disk_write(&k, 3, 512), VIRTIO_BLK_S_OK);
	/* The present file is still locked. */
	drive.path = k.path;
	taken->ops->destroy(taken);
	assert_int_equal(virtio_blk_create(&drive, &taken, NULL), -EBUSY);
	close(other.fd);
	disk_end(&k);
}

/* The file loses its second half: an error there, the rest goes on. */
static void file_that_shrinks(void **state)
{
	struct disk k;
	uint32_t len;

	(void)state;
	disk_start(&k, false, false, 0);
	assert_int_equal(ftruncate(k.fd, 32 * 512 + 100), 0);
	assert_int_equal(disk_read(&k, 40, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_request(&k, VIRTIO_BLK_T_IN, 31, 1024, true, &len),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(len, 612);
	assert_int_equal(disk_read(&k, 31, 512), VIRTIO_BLK_S_OK);
	disk_end(&k);
}

/* --- the file --- */

static int open_drive(const char *path, bool read_only, struct error *err)
{
	const struct virtio_blk_drive drive = { .path = path,
						.serial = "",
						.read_only = read_only };
	struct virtio_dev *dev = NULL;
	int r;

	memset(err, 0, sizeof(*err));
	r = virtio_blk_create(&drive, &dev, err);
	if (r == 0)
		dev->ops->destroy(dev);
	else
		assert_null(dev);
	return r;
}

static void wrong_files(void **state)
{
	struct error err;
	char fifo[64];
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	snprintf(fifo, sizeof(fifo), "/proc/self/fd/%d", pipe_fds[0]);
	const struct {
		const char *path;
		int code;
	} wrong[] = {
		{ "/", -EISDIR },	 { fifo, -EINVAL }, { "/dev/null", -EINVAL },
		{ "/nowhere", -ENOENT }, { "", -ENOENT },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (int read_only = 0; read_only < 2; read_only++) {
			assert_int_equal(open_drive(wrong[i].path, read_only, &err), wrong[i].code);
			assert_string_equal(err.field, "path_on_host");
			assert_true(err.hint[0] != '\0' && err.text[0] != '\0');
		}
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void partial_last_sector(void **state)
{
	struct virtio_dev *dev;
	struct disk k;
	const struct virtio_blk_drive drive = {
		.path = k.path, .serial = "", .read_only = true, .async = disk_async
	};

	(void)state;
	disk_make(&k, 3 * 512 + 511);
	assert_int_equal(virtio_blk_create(&drive, &dev, NULL), 0);
	driver_create(&k.driver, dev);
	driver_start(&k.driver, 0, 256);
	assert_int_equal(driver_get(&k.driver, VIRTIO_MMIO_CONFIG), 3);
	assert_int_equal(disk_read(&k, 2, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_read(&k, 3, 512), VIRTIO_BLK_S_IOERR);
	disk_end(&k);
}

/* Readers share; a writer is alone; the lock ends with the device. */
static void two_machines_one_file(void **state)
{
	static const struct {
		bool first_read_only, second_read_only;
		int second;
	} cases[] = {
		{ true, true, 0 },
		{ true, false, -EBUSY },
		{ false, true, -EBUSY },
		{ false, false, -EBUSY },
	};
	struct error err;
	struct disk k;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_blk_drive first = { .path = k.path,
						  .serial = "",
						  .read_only = cases[i].first_read_only };
		struct virtio_dev *dev;

		disk_make(&k, 512);
		assert_int_equal(virtio_blk_create(&first, &dev, NULL), 0);
		assert_int_equal(open_drive(k.path, cases[i].second_read_only, &err),
				 cases[i].second);
		if (cases[i].second < 0) {
			assert_string_equal(err.field, "path_on_host");
			assert_non_null(strstr(err.text, "in use"));
		}
		dev->ops->destroy(dev);
		assert_int_equal(open_drive(k.path, false, &err), 0);
		close(k.fd);
	}
}

/* --- the host and the driver --- */

/* As a host whose administrator forbids io_uring: kernel.io_uring_disabled, a seccomp
 * filter around the VMM. */
static int forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

/* In a child, since a filter cannot be taken off. What it reads and writes is right,
 * and it did so without a ring. */
static int use_disk_without_ring(void)
{
	struct vring_used_elem e;
	struct disk k;

	if (forbid_io_uring() < 0 || syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != EPERM)
		return 2;
	disk_start(&k, false, true, INDIRECT | FLUSH);
	if (disk_read(&k, 5, 512) != VIRTIO_BLK_S_OK ||
	    *(unsigned char *)driver_at(&k.driver, DATA, 1) != 6 ||
	    disk_write(&k, 5, 512) != VIRTIO_BLK_S_OK)
		return 3;
	disk_offer_many(&k, VIRTIO_BLK_T_FLUSH, 200);
	driver_kick(&k.driver, 0);
	for (int i = 0; i < 200; i++)
		if (!disk_answer(&k, &e))
			return 4;
	disk_end(&k);
	return 0;
}

static void ring_refused(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(use_disk_without_ring());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* One kick and one interrupt for a whole burst, where both sides say what they wait
 * for; without event indices there is an interrupt for each turn that publishes. */
static void event_index(void **state)
{
	enum { BURST = 60 };
	struct disk k;

	(void)state;
	disk_start(&k, false, false, INDIRECT | EVENT_IDX);
	disk_offer_many(&k, VIRTIO_BLK_T_IN, BURST);
	driver_avail(&k.driver)->ring[k.driver.size] = BURST - 1; /* used_event */
	driver_kick(&k.driver, 0);
	while (driver_used_ring(&k.driver)->idx < BURST)
		driver_run(&k.driver);
	assert_int_equal(driver_interrupts(&k.driver), 1);
	/* The device waits for the next request, and not for any of the burst. */
	assert_int_equal(*(uint16_t *)&driver_used_ring(&k.driver)->ring[k.driver.size], BURST);
	/* Answers that nobody waits for interrupt nobody. */
	disk_answers(&k);
	disk_offer_many(&k, VIRTIO_BLK_T_IN, BURST);
	driver_kick(&k.driver, 0);
	while (driver_used_ring(&k.driver)->idx < 2 * BURST)
		driver_run(&k.driver);
	assert_int_equal(driver_interrupts(&k.driver), 0);
	disk_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_ring),
		cmocka_unit_test(reset_in_flight),
		cmocka_unit_test(failure_in_flight),
		cmocka_unit_test(pause_drains),
		cmocka_unit_test(second_queue),
		cmocka_unit_test(limited),
		cmocka_unit_test(swapped),
		cmocka_unit_test(swap_refused),
		cmocka_unit_test(file_that_shrinks),
		cmocka_unit_test(wrong_files),
		cmocka_unit_test(partial_last_sector),
		cmocka_unit_test(two_machines_one_file),
		cmocka_unit_test(ring_refused),
		cmocka_unit_test(event_index),
	};

	int failed = cmocka_run_group_tests_name("sync", tests, NULL, NULL);

	disk_async = true;
	return failed + cmocka_run_group_tests_name("async", tests, NULL, NULL);
}
