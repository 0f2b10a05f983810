/* test_virtio_pmem.c - a file as memory: where it is, and flushes of it. */
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
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pmem.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/pmem.h"
#include "devices/virtio/transport.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/base/fd.h"

enum { MIB = 1024 * 1024, FILE_BYTES = 3 * MIB, BUF = DRIVER_BUFFERS };

/* What fdatasync(2) does here: it counts, waits while it is held up, and fails when it
 * is told to. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	unsigned calls;
	int error;
} sync_calls = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0 };

int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	int r;

	pthread_mutex_lock(&sync_calls.lock);
	sync_calls.calls++;
	while (sync_calls.held)
		pthread_cond_wait(&sync_calls.changed, &sync_calls.lock);
	errno = sync_calls.error;
	r = fcntl(fd, F_GETFD) < 0 || sync_calls.error ? -1 : 0;
	pthread_mutex_unlock(&sync_calls.lock);
	return r;
}

static void hold(bool held)
{
	pthread_mutex_lock(&sync_calls.lock);
	sync_calls.held = held;
	pthread_cond_broadcast(&sync_calls.changed);
	pthread_mutex_unlock(&sync_calls.lock);
}

static unsigned sync_count(void)
{
	unsigned n;

	pthread_mutex_lock(&sync_calls.lock);
	n = sync_calls.calls;
	pthread_mutex_unlock(&sync_calls.lock);
	return n;
}

struct pmem {
	char path[32];
	int fd;
	struct driver d;
};

static void make_file(struct pmem *p, off_t len)
{
	strcpy(p->path, "/tmp/wisp-pmem-XXXXXX");
	p->fd = mkstemp(p->path);
	assert_true(p->fd >= 0);
	assert_int_equal(ftruncate(p->fd, len), 0);
}

static void drop_file(struct pmem *p)
{
	fd_close(p->fd);
	unlink(p->path);
}

static void start(struct pmem *p, bool read_only, const struct limiter_config *limits)
{
	struct virtio_pmem_options o = { .read_only = read_only };
	struct virtio_dev *dev;

	make_file(p, FILE_BYTES);
	o.path = p->path;
	if (limits)
		o.limits = *limits;
	sync_calls.calls = 0;
	sync_calls.error = 0;
	assert_int_equal(virtio_pmem_create(&o, &dev, NULL), 0);
	driver_create(&p->d, dev);
	driver_start(&p->d, 0, 64);
}

static void end(struct pmem *p)
{
	driver_destroy(&p->d);
	drop_file(p);
}

/* Flush i: its request and its answer, which says 77 until there is one. */
static void ask(struct pmem *p, uint16_t i, uint32_t type)
{
	const uint64_t at = BUF + 64ull * i;
	const struct driver_buffer b[] = { { at, 4, false }, { at + 32, 4, true } };

	*(uint32_t *)driver_at(&p->d, at, 4) = type;
	*(uint32_t *)driver_at(&p->d, at + 32, 4) = 77;
	driver_chain(&p->d, (uint16_t)(2 * i), b, 2);
	driver_offer(&p->d, (uint16_t)(2 * i));
}

static uint32_t answer_of(struct pmem *p, uint16_t i)
{
	return *(uint32_t *)driver_at(&p->d, BUF + 64ull * i + 32, 4);
}

/* The next used entry, waited for. */
static struct vring_used_elem wait_used(struct pmem *p)
{
	struct vring_used_elem e;

	while (!driver_used(&p->d, &e))
		driver_run(&p->d);
	return e;
}

static uint64_t config64(struct driver *d, uint64_t off)
{
	return driver_get(d, VIRTIO_MMIO_CONFIG + off) |
	       (uint64_t)driver_get(d, VIRTIO_MMIO_CONFIG + off + 4) << 32;
}

static void tells_where_it_is(void **state)
{
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	assert_int_equal(driver_get(&p.d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_PMEM);
	assert_int_equal(config64(&p.d, 0), DRIVER_WINDOW);
	assert_int_equal(config64(&p.d, 8), 4 * MIB);
	assert_int_equal(p.d.memslots, 1);
	end(&p);
}

/* What a section of these bytes says of where the window was. */
static int read_base(struct virtio_dev *dev, const void *bytes, size_t len, uint64_t *ret)
{
	struct state *saved, *s;
	const void *sealed;
	size_t sealed_len;
	int r;

	assert_int_equal(state_create(&saved), 0);
	state_begin(saved, STATE_PMEM, 0);
	state_bytes(saved, (void *)bytes, len);
	state_end(saved);
	sealed = state_seal(saved, &sealed_len);
	assert_int_equal(state_parse(sealed, sealed_len, &s, NULL), 0);
	state_begin(s, STATE_PMEM, 0);
	*ret = dev->ops->saved_base(dev, s);
	state_end(s);
	r = state_error(s, NULL);
	state_destroy(s);
	state_destroy(saved);
	return r;
}

/* Before it is placed. Of a file as long as this one; whether the base can be is for the
 * machine to say. */
static void tells_where_it_was(void **state)
{
	static const struct {
		uint64_t base, bytes;
		size_t len;
		int expected;
	} rows[] = {
		{ DRIVER_WINDOW + 4 * MIB, FILE_BYTES, 16, 0 },
		{ UINT64_MAX, FILE_BYTES, 16, 0 },
		{ DRIVER_WINDOW, FILE_BYTES - 1, 16, -EBADMSG },
		{ DRIVER_WINDOW, 4 * MIB, 16, -EBADMSG },
		{ DRIVER_WINDOW, 0, 16, -EBADMSG },
		{ DRIVER_WINDOW, FILE_BYTES, 15, -EBADMSG },
		{ DRIVER_WINDOW, FILE_BYTES, 17, -EBADMSG },
		{ DRIVER_WINDOW, FILE_BYTES, 0, -EBADMSG },
	};
	struct virtio_dev *dev;
	struct pmem p;

	(void)state;
	make_file(&p, FILE_BYTES);
	assert_int_equal(
		virtio_pmem_create(&(struct virtio_pmem_options){ .path = p.path }, &dev, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t fields[3] = { rows[i].base, rows[i].bytes };
		uint64_t base;

		assert_int_equal(read_base(dev, fields, rows[i].len, &base), rows[i].expected);
		if (rows[i].expected == 0)
			assert_int_equal(base, rows[i].base);
	}
	virtio_dev_destroy(dev);
	drop_file(&p);
}

static void flush_syncs_the_file(void **state)
{
	struct vring_used_elem e;
	struct pmem p;
	char word[5];

	(void)state;
	start(&p, false, NULL);
	memcpy(driver_at(&p.d, DRIVER_WINDOW + MIB, 5), "word", 5);
	ask(&p, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p.d, 0);
	e = wait_used(&p);
	assert_int_equal(e.id, 0);
	assert_int_equal(e.len, 4);
	assert_int_equal(answer_of(&p, 0), 0);
	assert_int_equal(sync_count(), 1);
	assert_int_equal(fd_pread_all(p.fd, word, 5, MIB), 0);
	assert_string_equal(word, "word");
	end(&p);
}

/* What comes while a flush is under way is for the next one, all of it. */
static void flushes_are_shared(void **state)
{
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	hold(true);
	ask(&p, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p.d, 0);
	for (uint16_t i = 1; i < 20; i++) {
		ask(&p, i, VIRTIO_PMEM_REQ_TYPE_FLUSH);
		driver_kick(&p.d, 0);
	}
	assert_int_equal(answer_of(&p, 0), 77);
	assert_int_equal(p.d.dev->counters.requests, 1);
	hold(false);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(wait_used(&p).id, 2 * i);
	assert_int_equal(answer_of(&p, 19), 0);
	assert_int_equal(sync_count(), 2);
	end(&p);
}

static void failure_is_told(void **state)
{
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	sync_calls.error = EIO;
	ask(&p, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	ask(&p, 1, 5);
	driver_kick(&p.d, 0);
	wait_used(&p);
	wait_used(&p);
	assert_int_equal(answer_of(&p, 0), 1);
	assert_int_equal(answer_of(&p, 1), 1);
	assert_int_equal(p.d.dev->counters.errors, 2);
	assert_int_equal(sync_count(), 1);
	end(&p);
}

static void limits_flushes(void **state)
{
	const struct limiter_config hour = { .ops = { 2, 3600000, 0 }, .has_ops = true };
	const struct limiter_config bytes = { .bandwidth = { 2ull * FILE_BYTES, 3600000, 0 },
					      .has_bandwidth = true };
	const struct limiter_config off = { .has_ops = true, .has_bandwidth = true };
	struct vring_used_elem e;
	struct pmem p;

	(void)state;
	for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
		start(&p, false, by_bytes ? &bytes : &hour);
		for (uint16_t i = 0; i < 2; i++) {
			ask(&p, i, VIRTIO_PMEM_REQ_TYPE_FLUSH);
			driver_kick(&p.d, 0);
			wait_used(&p);
		}
		ask(&p, 2, VIRTIO_PMEM_REQ_TYPE_FLUSH);
		driver_kick(&p.d, 0);
		driver_kick(&p.d, 0);
		assert_false(driver_used(&p.d, &e));
		assert_int_equal(sync_count(), 2);
		virtio_pmem_set_limiter(p.d.dev, &off);
		wait_used(&p);
		assert_int_equal(sync_count(), 3);
		end(&p);
	}
}

static void read_only_is_not_written(void **state)
{
	const struct driver_buffer in = { DRIVER_WINDOW, 4, true };
	struct vring_used_elem e;
	struct pmem p;

	(void)state;
	start(&p, true, NULL);
	assert_null(gmem_span(p.d.mem, gpa(DRIVER_WINDOW), 1));
	assert_non_null(gmem_view(p.d.mem, gpa(DRIVER_WINDOW), 4 * MIB));
	ask(&p, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p.d, 0);
	wait_used(&p);
	assert_int_equal(answer_of(&p, 0), 0);
	/* As a buffer that a device has to write. */
	assert_false(driver_request(&p.d, &in, 1, &e));
	assert_true(driver_get(&p.d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	end(&p);
}

/* Another device's requests may lie in the window: here the request itself does. */
static void window_holds_buffers(void **state)
{
	const struct driver_buffer b[] = { { DRIVER_WINDOW, 4, false },
					   { DRIVER_WINDOW + 64, 4, true } };
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	*(uint32_t *)driver_at(&p.d, DRIVER_WINDOW + 64, 4) = 77;
	driver_chain(&p.d, 0, b, 2);
	driver_offer(&p.d, 0);
	driver_kick(&p.d, 0);
	wait_used(&p);
	assert_int_equal(*(uint32_t *)driver_at(&p.d, DRIVER_WINDOW + 64, 4), 0);
	end(&p);
}

static void odd_requests(void **state)
{
	static const struct {
		struct driver_buffer b[5];
		unsigned n;
		bool good;
	} rows[] = {
		/* Cut into bytes, and longer than needed: as good as any. */
		{ { { BUF, 1, false },
		    { BUF + 1, 3, false },
		    { BUF + 64, 1, true },
		    { BUF + 65, 2, true },
		    { BUF + 67, 9, true } },
		  5,
		  true },
		{ { { BUF, 4, false } }, 1, false },
		{ { { BUF, 4, true } }, 1, false },
		{ { { BUF, 3, false }, { BUF + 64, 4, true } }, 2, false },
		{ { { BUF, 4, false }, { BUF + 64, 3, true } }, 2, false },
		{ { { BUF, 4, false }, { DRIVER_WINDOW + 4 * MIB - 2, 4, true } }, 2, false },
		{ { { BUF, 4, false }, { DRIVER_WINDOW - 2, 4, true } }, 2, false },
	};
	struct vring_used_elem e;
	struct pmem p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&p, false, NULL);
		driver_chain(&p.d, 0, rows[i].b, rows[i].n);
		driver_offer(&p.d, 0);
		driver_kick(&p.d, 0);
		if (rows[i].good)
			assert_int_equal(wait_used(&p).len, 4);
		else
			assert_false(driver_used(&p.d, &e));
		assert_int_equal(
			(driver_get(&p.d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) == 0,
			rows[i].good);
		end(&p);
	}
}

struct release {
	pthread_t thread;
};

static void *release_soon(void *arg)
{
	(void)arg;
	while (sync_count() == 0)
		poll(NULL, 0, 1);
	hold(false);
	return NULL;
}

static void hold_until_another_waits(struct pmem *p, struct release *r)
{
	hold(true);
	ask(p, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p->d, 0);
	assert_int_equal(pthread_create(&r->thread, NULL, release_soon, NULL), 0);
}

/* A pause waits for the flush and answers it; nothing happens until the resume. */
static void pause_finishes(void **state)
{
	struct vring_used_elem e;
	struct release r;
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	hold_until_another_waits(&p, &r);
	virtio_transport_pause(p.d.transport);
	pthread_join(r.thread, NULL);
	assert_true(driver_used(&p.d, &e));
	assert_int_equal(answer_of(&p, 0), 0);
	ask(&p, 1, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p.d, 0);
	assert_int_equal(answer_of(&p, 1), 77);
	virtio_transport_resume(p.d.transport);
	wait_used(&p);
	end(&p);
}

/* A reset waits, too, and answers nothing. */
static void reset_drops(void **state)
{
	struct release r;
	struct pmem p;

	(void)state;
	start(&p, false, NULL);
	hold_until_another_waits(&p, &r);
	driver_put(&p.d, VIRTIO_MMIO_STATUS, 0);
	pthread_join(r.thread, NULL);
	driver_run(&p.d);
	assert_int_equal(answer_of(&p, 0), 77);
	driver_start(&p.d, 0, 64);
	ask(&p, 1, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	driver_kick(&p.d, 0);
	assert_int_equal(wait_used(&p).id, 2);
	end(&p);
}

static void bad_files(void **state)
{
	struct virtio_pmem_options o = { .path = "/nonexistent" };
	struct virtio_dev *dev, *second;
	struct error err = { 0 };
	struct pmem p;

	(void)state;
	assert_int_equal(virtio_pmem_create(&o, &dev, &err), -ENOENT);
	assert_string_equal(err.field, "path_on_host");
	o.path = "/tmp";
	assert_true(virtio_pmem_create(&o, &dev, &err) < 0);
	make_file(&p, 0);
	o.path = p.path;
	assert_int_equal(virtio_pmem_create(&o, &dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "size is 0"));
	assert_int_equal(ftruncate(p.fd, MIB), 0);
	assert_int_equal(virtio_pmem_create(&o, &dev, &err), 0);
	assert_int_equal(virtio_pmem_create(&o, &second, &err), -EBUSY);
	virtio_dev_destroy(dev);
	drop_file(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_where_it_is),
		cmocka_unit_test(tells_where_it_was),
		cmocka_unit_test(flush_syncs_the_file),
		cmocka_unit_test(flushes_are_shared),
		cmocka_unit_test(failure_is_told),
		cmocka_unit_test(limits_flushes),
		cmocka_unit_test(read_only_is_not_written),
		cmocka_unit_test(window_holds_buffers),
		cmocka_unit_test(odd_requests),
		cmocka_unit_test(pause_finishes),
		cmocka_unit_test(reset_drops),
		cmocka_unit_test(bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
