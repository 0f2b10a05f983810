/* test_virtio_mem.c - memory in blocks: plugged as far as asked for, and given back. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "devices/virtio/mem.h"
#include "devices/virtio/transport.h"
#include "tests/unit/virtio_driver.h"

#define BASE	 ((uint64_t)DRIVER_WINDOW)
#define FEATURES (1ull << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE)
#define MIB	 0x100000ull

enum {
	BLOCK_MIB = 2,
	SLOT_MIB = 4,
	SLOTS = 130,
	TOTAL_MIB = SLOTS * SLOT_MIB,
	BUF = DRIVER_BUFFERS
};

static void start(struct driver *d)
{
	const struct virtio_mem_options o = { TOTAL_MIB, BLOCK_MIB, SLOT_MIB };
	struct virtio_dev *dev;

	assert_int_equal(virtio_mem_create(&o, &dev), 0);
	driver_create(d, dev);
	driver_start(d, FEATURES, 64);
}

static uint64_t config64(struct driver *d, size_t off)
{
	return driver_get(d, VIRTIO_MMIO_CONFIG + off) |
	       (uint64_t)driver_get(d, VIRTIO_MMIO_CONFIG + off + 4) << 32;
}

#define CONFIG(d, field) config64(d, offsetof(struct virtio_mem_config, field))

/* One request and its answer. */
static struct virtio_mem_resp ask(struct driver *d, unsigned type, uint64_t addr, unsigned blocks)
{
	const struct virtio_mem_req req = {
		.type = (uint16_t)type,
		.u.plug = { .addr = addr, .nb_blocks = (uint16_t)blocks },
	};
	const struct driver_buffer b[] = { { BUF, sizeof(req), false },
					   { BUF + 64, sizeof(struct virtio_mem_resp), true } };
	struct virtio_mem_resp resp;
	struct vring_used_elem e;

	memcpy(driver_at(d, BUF, sizeof(req)), &req, sizeof(req));
	assert_true(driver_request(d, b, 2, &e));
	assert_int_equal(e.len, sizeof(resp));
	memcpy(&resp, driver_at(d, BUF + 64, sizeof(resp)), sizeof(resp));
	return resp;
}

static unsigned plug(struct driver *d, uint64_t block, unsigned count)
{
	return ask(d, VIRTIO_MEM_REQ_PLUG, BASE + block * BLOCK_MIB * MIB, count).type;
}

static unsigned unplug(struct driver *d, uint64_t block, unsigned count)
{
	return ask(d, VIRTIO_MEM_REQ_UNPLUG, BASE + block * BLOCK_MIB * MIB, count).type;
}

static unsigned state_of(struct driver *d, uint64_t block, unsigned count)
{
	struct virtio_mem_resp r =
		ask(d, VIRTIO_MEM_REQ_STATE, BASE + block * BLOCK_MIB * MIB, count);

	assert_int_equal(r.type, VIRTIO_MEM_RESP_ACK);
	return r.u.state.state;
}

static void tells_its_shape(void **state)
{
	struct virtio_mem_status s;
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_MEM);
	assert_int_equal(CONFIG(&d, block_size), BLOCK_MIB * MIB);
	assert_int_equal(CONFIG(&d, addr), BASE);
	assert_int_equal(CONFIG(&d, region_size), TOTAL_MIB * MIB);
	assert_int_equal(CONFIG(&d, usable_region_size), TOTAL_MIB * MIB);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	assert_int_equal(CONFIG(&d, requested_size), 0);
	assert_int_equal(d.memslots, 0);
	assert_int_equal(virtio_mem_request(d.dev, 6), 0);
	assert_int_equal(driver_interrupts(&d), 1);
	assert_int_equal(CONFIG(&d, requested_size), 6 * MIB);
	assert_int_equal(plug(&d, 0, 2), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(CONFIG(&d, plugged_size), 4 * MIB);
	virtio_mem_status(d.dev, &s);
	assert_int_equal(s.plugged_mib, 4);
	assert_int_equal(s.requested_mib, 6);
	driver_destroy(&d);
}

static void plugs_what_was_asked_for(void **state)
{
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(plug(&d, 0, 1), VIRTIO_MEM_RESP_NACK);
	assert_int_equal(virtio_mem_request(d.dev, 6), 0);
	assert_int_equal(plug(&d, 1, 4), VIRTIO_MEM_RESP_NACK);
	assert_int_equal(plug(&d, 1, 2), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(d.memslots, 2);
	memset(driver_at(&d, BASE + 2 * MIB, 4 * MIB), 1, 4 * MIB);
	assert_null(gmem_span(d.mem, gpa(BASE), 1));
	assert_int_equal(plug(&d, 2, 1), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(plug(&d, 7, 2), VIRTIO_MEM_RESP_NACK);
	assert_int_equal(plug(&d, 7, 1), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(state_of(&d, 1, 2), VIRTIO_MEM_STATE_PLUGGED);
	assert_int_equal(state_of(&d, 0, 3), VIRTIO_MEM_STATE_MIXED);
	assert_int_equal(state_of(&d, 3, 4), VIRTIO_MEM_STATE_UNPLUGGED);
	driver_destroy(&d);
}

static void gives_back(void **state)
{
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	assert_int_equal(plug(&d, 0, 4), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(virtio_mem_request(d.dev, 0), 0);
	assert_int_equal(unplug(&d, 3, 2), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(unplug(&d, 1, 2), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(d.memslots, 2);
	assert_null(gmem_span(d.mem, gpa(BASE + 2 * MIB), 1));
	assert_int_equal(unplug(&d, 1, 1), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(unplug(&d, 0, 1), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(d.memslots, 1);
	assert_int_equal(CONFIG(&d, plugged_size), 2 * MIB);
	/* What was plugged stays over a reset. */
	driver_start(&d, FEATURES, 64);
	assert_int_equal(state_of(&d, 3, 1), VIRTIO_MEM_STATE_PLUGGED);
	assert_int_equal(ask(&d, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(d.memslots, 0);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	driver_destroy(&d);
}

/* Turns end; a request that would hold one up for too long has to be a smaller one. */
static void large_requests(void **state)
{
	const unsigned in_turn = 64 * SLOT_MIB / BLOCK_MIB, all = TOTAL_MIB / BLOCK_MIB;
	uint64_t kicks;
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	assert_int_equal(plug(&d, 0, in_turn + 1), VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	assert_int_equal(plug(&d, 0, in_turn), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(plug(&d, in_turn, in_turn), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(plug(&d, 2 * in_turn, all - 2 * in_turn), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(d.memslots, SLOTS);
	assert_int_equal(state_of(&d, 0, all), VIRTIO_MEM_STATE_PLUGGED);
	assert_int_equal(unplug(&d, 0, in_turn + 1), VIRTIO_MEM_RESP_BUSY);
	kicks = d.dev->counters.kicks;
	assert_int_equal(ask(&d, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, VIRTIO_MEM_RESP_ACK);
	assert_true(d.dev->counters.kicks >= kicks + 3);
	assert_int_equal(d.memslots, 0);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	driver_destroy(&d);
}

/* Memory that is being saved stays as it is. */
static void held_memory(void **state)
{
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	assert_int_equal(plug(&d, 0, 2), VIRTIO_MEM_RESP_ACK);
	gmem_hold(d.mem, true);
	assert_int_equal(plug(&d, 2, 1), VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(unplug(&d, 0, 1), VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(ask(&d, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, VIRTIO_MEM_RESP_BUSY);
	assert_int_equal(gmem_discard(d.mem, gpa(BASE), BLOCK_MIB * MIB), -EBUSY);
	assert_int_equal(state_of(&d, 0, 2), VIRTIO_MEM_STATE_PLUGGED);
	gmem_hold(d.mem, false);
	assert_int_equal(ask(&d, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	driver_destroy(&d);
}

/* Loads these counts into a device with two blocks. */
static int load_counts(uint64_t requested, uint64_t plugged)
{
	struct state *s, *loaded;
	struct driver d;
	const void *bytes;
	size_t len;
	int r;

	assert_int_equal(state_create(&s), 0);
	state_begin(s, STATE_MEM, 0);
	state_u64(s, &requested);
	state_u64(s, &plugged);
	state_end(s);
	bytes = state_seal(s, &len);
	assert_int_equal(state_parse(bytes, len, &loaded, NULL), 0);
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	assert_int_equal(plug(&d, 0, 2), VIRTIO_MEM_RESP_ACK);
	assert_true(virtio_transport_device_state(d.transport, loaded, 0));
	r = state_error(loaded, NULL);
	if (r == 0)
		assert_int_equal(CONFIG(&d, requested_size), requested * BLOCK_MIB * MIB);
	driver_destroy(&d);
	state_destroy(loaded);
	state_destroy(s);
	return r;
}

static void saved_counts(void **state)
{
	(void)state;
	assert_int_equal(load_counts(2, 2), 0);
	assert_int_equal(load_counts(0, 2), 0);
	assert_int_equal(load_counts(TOTAL_MIB / BLOCK_MIB, 2), 0);
	assert_int_equal(load_counts(TOTAL_MIB / BLOCK_MIB + 1, 2), -EBADMSG);
	assert_int_equal(load_counts(UINT64_MAX, 2), -EBADMSG);
	assert_int_equal(load_counts(2, 3), -EBADMSG);
	assert_int_equal(load_counts(2, UINT64_MAX), -EBADMSG);
}

static void bad_ranges(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned blocks;
	} rows[] = {
		{ BASE, 0 },
		{ BASE + 1, 1 },
		{ BASE + MIB, 1 },
		{ BASE - 2 * MIB, 1 },
		{ BASE - 2 * MIB, 2 },
		{ BASE + TOTAL_MIB * MIB, 1 },
		{ BASE + TOTAL_MIB * MIB - 2 * MIB, 2 },
		{ BASE, 65535 },
		{ 0, 1 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 2 * MIB + 1, 1 },
		{ BASE + (1ull << 63), 1 },
	};
	static const unsigned types[] = { VIRTIO_MEM_REQ_PLUG, VIRTIO_MEM_REQ_UNPLUG,
					  VIRTIO_MEM_REQ_STATE, 4, 65535 };
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
			assert_int_equal(ask(&d, types[t], rows[i].addr, rows[i].blocks).type,
					 VIRTIO_MEM_RESP_ERROR);
	}
	assert_int_equal(ask(&d, 4, BASE, 1).type, VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(CONFIG(&d, plugged_size), 0);
	assert_int_equal(d.memslots, 0);
	driver_destroy(&d);
}

static void bad_buffers_fail_the_device(void **state)
{
	static const struct {
		struct driver_buffer b[2];
		unsigned n;
	} rows[] = {
		{ { { BUF, 23, false }, { BUF + 64, 10, true } }, 2 },
		{ { { BUF, 24, false }, { BUF + 64, 9, true } }, 2 },
		{ { { BUF, 24, false } }, 1 },
		{ { { BUF, 24, true } }, 1 },
		/* An unplugged block is no place for an answer. */
		{ { { BUF, 24, false }, { DRIVER_WINDOW, 10, true } }, 2 },
	};
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&d);
		assert_false(driver_request(&d, rows[i].b, rows[i].n, &e));
		assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		driver_destroy(&d);
	}
}

/* A block may be given back while it holds the answer to just that. */
static void answer_in_the_block_itself(void **state)
{
	const struct virtio_mem_req req = {
		.type = VIRTIO_MEM_REQ_UNPLUG,
		.u.unplug = { .addr = BASE, .nb_blocks = 1 },
	};
	const struct driver_buffer b[] = { { BASE + 100, sizeof(req), false },
					   { BASE + 200, sizeof(struct virtio_mem_resp), true } };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	assert_int_equal(plug(&d, 0, 1), VIRTIO_MEM_RESP_ACK);
	memcpy(driver_at(&d, BASE + 100, sizeof(req)), &req, sizeof(req));
	assert_true(driver_request(&d, b, 2, &e));
	assert_null(gmem_span(d.mem, gpa(BASE + 200), 1));
	assert_int_equal(d.memslots, 0);
	driver_destroy(&d);
}

static void old_driver_is_refused(void **state)
{
	struct driver d;

	(void)state;
	start(&d);
	driver_start(&d, 0, 64);
	assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(virtio_mem_request(d.dev, 4), -ENODEV);
	driver_destroy(&d);
}

static void bad_targets(void **state)
{
	struct driver d;

	(void)state;
	start(&d);
	assert_int_equal(virtio_mem_request(d.dev, 3), -EINVAL);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB + 2), -EINVAL);
	assert_int_equal(virtio_mem_request(d.dev, TOTAL_MIB), 0);
	driver_put(&d, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(virtio_mem_request(d.dev, 2), -ENODEV);
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_its_shape),
		cmocka_unit_test(plugs_what_was_asked_for),
		cmocka_unit_test(gives_back),
		cmocka_unit_test(large_requests),
		cmocka_unit_test(held_memory),
		cmocka_unit_test(saved_counts),
		cmocka_unit_test(bad_ranges),
		cmocka_unit_test(bad_buffers_fail_the_device),
		cmocka_unit_test(answer_in_the_block_itself),
		cmocka_unit_test(old_driver_is_refused),
		cmocka_unit_test(bad_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
