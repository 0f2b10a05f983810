/* test_virtio_mmio.c - the registers, the status dance, pausing, and misuse. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#include "tests/unit/virtio_driver.h"
#include "tests/unit/virtio_probe.h"
#include "vmm/base/fd.h"

enum {
	ACK = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	DRIVER = VIRTIO_CONFIG_S_DRIVER,
	FEATURES_OK = VIRTIO_CONFIG_S_FEATURES_OK,
	DRIVER_OK = VIRTIO_CONFIG_S_DRIVER_OK,
	NEEDS_RESET = VIRTIO_CONFIG_S_NEEDS_RESET,
	FAILED = VIRTIO_CONFIG_S_FAILED,
};

static const struct driver_buffer buffer = { DRIVER_BUFFERS, 64, true };

static struct probe *create(struct driver *d)
{
	struct probe *p = probe_create();

	assert_non_null(p);
	for (unsigned i = 0; i < PROBE_CONFIG_LEN; i++)
		p->config[i] = (unsigned char)(0x10 + i);
	memset(p->behind_config, 0xfe, sizeof(p->behind_config));
	driver_create(d, &p->dev);
	return p;
}

static uint64_t rejected(struct driver *d)
{
	struct virtio_counters c;

	virtio_dev_counters(d->dev, &c);
	return c.rejected;
}

static void identity(void **state)
{
	struct driver d;

	(void)state;
	create(&d);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_ID), PROBE_ID);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
	driver_put(&d, VIRTIO_MMIO_SHM_SEL, 3);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	assert_string_equal(virtio_transport_name(d.transport), "probe");
	assert_int_equal(virtio_transport_nqueues(d.transport), 2);
	assert_int_equal(rejected(&d), 0);
	driver_destroy(&d);
}

static void features_offered(void **state)
{
	struct driver d;

	(void)state;
	create(&d);
	assert_int_equal(driver_offered(&d), 1ull << VIRTIO_F_VERSION_1 |
						     1ull << VIRTIO_RING_F_INDIRECT_DESC |
						     1ull << VIRTIO_RING_F_EVENT_IDX);
	driver_put(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	driver_put(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	driver_destroy(&d);
}

static void put_features(struct driver *d, uint32_t word, uint32_t bits)
{
	driver_put(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	driver_put(d, VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static void features_refused(void **state)
{
	static const struct {
		uint32_t word, bits;
	} wrong[] = {
		{ 0, 1u << 5 }, { 1, 1u << 2 | 1 }, { 1, 0 }, { 2, 1 }, { UINT32_MAX, 1 },
	};
	struct driver d;

	(void)state;
	create(&d);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		driver_put(&d, VIRTIO_MMIO_STATUS, 0);
		driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER);
		put_features(&d, 1, 1);
		put_features(&d, wrong[i].word, wrong[i].bits);
		driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK);
		assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK | DRIVER);
		/* Going on regardless leads nowhere. */
		driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER | DRIVER_OK);
		assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK | DRIVER);
	}
	driver_destroy(&d);
}

static void features_are_final(void **state)
{
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	uint64_t before = p->dev.accepted;

	put_features(&d, 0, UINT32_MAX);
	assert_int_equal(p->dev.accepted, before);
	assert_int_equal(rejected(&d), 1);
	driver_destroy(&d);
}

static void status_order(void **state)
{
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_put(&d, VIRTIO_MMIO_STATUS, DRIVER);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), 0);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER_OK | NEEDS_RESET | 0x30);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK);
	driver_put(&d, VIRTIO_MMIO_STATUS, DRIVER); /* never clears a bit */
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK | DRIVER);
	driver_put(&d, VIRTIO_MMIO_STATUS, 0x100); /* not 0, so no reset */
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK | DRIVER);
	assert_int_equal(p->activated, 0);
	driver_start(&d, 0, 16);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(p->activated, 1);
	driver_destroy(&d);
}

static void activation_that_fails(void **state)
{
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	p->refuse_activation = true;
	driver_negotiate(&d, 0);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(driver_interrupts(&d), 1);
	driver_destroy(&d);
}

static void failing_twice_counts_once(void **state)
{
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	virtio_dev_fail(&p->dev, "a test");
	virtio_dev_fail(&p->dev, "a test");
	assert_int_equal(p->dev.counters.violations, 1);
	assert_int_equal(driver_interrupts(&d), 1);
	driver_destroy(&d);
}

static void failed_driver_is_left_alone(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	driver_put(&d, VIRTIO_MMIO_STATUS, FAILED);
	assert_false(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(p->dev.counters.kicks, 0);
	driver_start(&d, 0, 16);
	assert_true(driver_request(&d, &buffer, 1, &e));
	driver_destroy(&d);
}

/* --- queues --- */

static void queue_select(void **state)
{
	static const uint32_t absent[] = { 2, 3, 255, 65535, 1u << 31, UINT32_MAX };
	struct driver d;

	(void)state;
	create(&d);
	driver_negotiate(&d, 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), PROBE_QUEUE0);
	driver_put(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), PROBE_QUEUE1);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		uint64_t before = rejected(&d);

		driver_put(&d, VIRTIO_MMIO_QUEUE_SEL, absent[i]);
		assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 0);
		driver_put(&d, VIRTIO_MMIO_QUEUE_NUM, 16);
		driver_put(&d, VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
		driver_put(&d, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(rejected(&d), before + 3);
		assert_false(driver_get(&d, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
	}
	driver_destroy(&d);
}

static void queue_is_frozen_while_ready(void **state)
{
	static const uint64_t regs[] = {
		VIRTIO_MMIO_QUEUE_NUM,	     VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_USED_LOW,  VIRTIO_MMIO_QUEUE_USED_HIGH,
	};
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	create(&d);
	driver_start(&d, 0, 16);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		driver_put(&d, regs[i], 0xdead0000);
	assert_int_equal(rejected(&d), sizeof(regs) / sizeof(regs[0]));
	assert_true(driver_request(&d, &buffer, 1, &e));
	driver_put(&d, VIRTIO_MMIO_QUEUE_READY, 2);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 1);
	driver_destroy(&d);
}

static void queue_taken_away(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	driver_put(&d, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(p->quiesced, 1);
	assert_false(driver_request(&d, &buffer, 1, &e));
	driver_destroy(&d);
}

static void queue_before_features(void **state)
{
	const struct virtq_layout l = { 16, gpa(DRIVER_DESC), gpa(DRIVER_AVAIL), gpa(DRIVER_USED) };
	struct driver d;

	(void)state;
	create(&d);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER);
	driver_set_queue(&d, &l);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), ACK | DRIVER | NEEDS_RESET);
	assert_int_equal(driver_interrupts(&d), 0);
	driver_destroy(&d);
}

/* --- notifications and interrupts --- */

static void notify_absent_queues(void **state)
{
	static const uint32_t absent[] = { 2, 16, 65535, 65536, UINT32_MAX };
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	driver_run(&d);
	uint64_t kicks = p->dev.counters.kicks;

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		driver_kick(&d, absent[i]);
	driver_kick(&d, 1); /* exists, but was never set up */
	assert_int_equal(rejected(&d), sizeof(absent) / sizeof(absent[0]));
	assert_int_equal(p->dev.counters.kicks, kicks);
	driver_destroy(&d);
}

/* 3.1.1 forbids it; the request is served all the same once the driver is up. */
static void notify_before_driver_ok(void **state)
{
	const struct virtq_layout l = { 16, gpa(DRIVER_DESC), gpa(DRIVER_AVAIL), gpa(DRIVER_USED) };
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_negotiate(&d, 0);
	driver_set_queue(&d, &l);
	d.size = 16;
	assert_false(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(p->dev.counters.requests, 0);
	driver_put(&d, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	driver_run(&d);
	assert_true(driver_used(&d, &e));
	driver_destroy(&d);
}

static void interrupt_acknowledge(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	assert_true(driver_request(&d, &buffer, 1, &e));
	virtio_dev_config_changed(&p->dev);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	driver_put(&d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	driver_put(&d, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(driver_interrupts(&d), 2);
	driver_destroy(&d);
}

/* An edge for each event, acknowledged or not. */
static void edges_are_not_coalesced(void **state)
{
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	create(&d);
	driver_start(&d, 0, 16);
	for (int i = 0; i < 3; i++) {
		assert_true(driver_request(&d, &buffer, 1, &e));
		assert_int_equal(driver_interrupts(&d), 1);
	}
	driver_destroy(&d);
}

/* --- configuration space --- */

static void config_generation(void **state)
{
	struct driver d;
	struct probe *p = create(&d);
	uint32_t before = driver_get(&d, VIRTIO_MMIO_CONFIG_GENERATION);

	(void)state;
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_CONFIG_GENERATION), before);
	virtio_dev_config_changed(&p->dev);
	assert_int_not_equal(driver_get(&d, VIRTIO_MMIO_CONFIG_GENERATION), before);
	assert_int_equal(driver_interrupts(&d), 0);
	driver_destroy(&d);
}

/* Every offset in and around the space at every width: what exists reads as it is,
 * what does not as 0, and not a byte more than asked for is written. */
static void config_read_everywhere(void **state)
{
	static const size_t widths[] = { 1, 2, 4, 8 };
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	for (size_t w = 0; w < 4; w++) {
		for (uint64_t off = 0; off + widths[w] <= VIRTIO_MMIO_LEN - 0x100; off++) {
			unsigned char got[9], want[8] = { 0 };

			got[widths[w]] = 0x77;
			for (size_t i = 0; i < widths[w] && off + i < PROBE_CONFIG_LEN; i++)
				want[i] = p->config[off + i];
			virtio_mmio_bus_ops.read(d.transport, VIRTIO_MMIO_CONFIG + off, got,
						 widths[w]);
			assert_memory_equal(got, want, widths[w]);
			assert_int_equal(got[widths[w]], 0x77);
		}
	}
	driver_destroy(&d);
}

static void config_write_everywhere(void **state)
{
	static const size_t widths[] = { 1, 2, 4, 8 };
	static const unsigned char ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	for (size_t w = 0; w < 4; w++) {
		for (uint64_t off = 0; off < 32; off++) {
			bool fits = off + widths[w] <= PROBE_CONFIG_LEN;
			unsigned char want[PROBE_CONFIG_LEN] = { 0 };
			uint64_t before = rejected(&d);

			memset(p->config, 0, sizeof(p->config));
			if (fits)
				memset(want + off, 255, widths[w]);
			virtio_mmio_bus_ops.write(d.transport, VIRTIO_MMIO_CONFIG + off, ones,
						  widths[w]);
			assert_memory_equal(p->config, want, sizeof(want));
			assert_int_equal(rejected(&d), before + !fits);
		}
	}
	driver_destroy(&d);
}

/* --- misuse of registers --- */

static void wrong_widths(void **state)
{
	static const size_t widths[] = { 1, 2, 8 };
	static const unsigned char zeros[8];
	unsigned char got[8];
	struct driver d;

	(void)state;
	create(&d);
	driver_start(&d, 0, 16);
	uint32_t status = driver_get(&d, VIRTIO_MMIO_STATUS);

	for (uint64_t off = 0; off < VIRTIO_MMIO_CONFIG; off++) {
		for (size_t w = 0; w < 3; w++) {
			uint64_t before = rejected(&d);

			memset(got, 0xff, sizeof(got));
			virtio_mmio_bus_ops.read(d.transport, off, got, widths[w]);
			assert_memory_equal(got, zeros, widths[w]);
			virtio_mmio_bus_ops.write(d.transport, off, zeros, widths[w]);
			assert_int_equal(rejected(&d), before + 2);
		}
	}
	/* Nothing of this reset it. */
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), status);
	driver_destroy(&d);
}

static void wrong_direction(void **state)
{
	static const uint64_t read_only[] = {
		VIRTIO_MMIO_MAGIC_VALUE,       VIRTIO_MMIO_DEVICE_ID,
		VIRTIO_MMIO_DEVICE_FEATURES,   VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_INTERRUPT_STATUS,  VIRTIO_MMIO_SHM_LEN_LOW,
		VIRTIO_MMIO_CONFIG_GENERATION, 0x0c8
	};
	static const uint64_t write_only[] = { VIRTIO_MMIO_DRIVER_FEATURES,
					       VIRTIO_MMIO_QUEUE_SEL,
					       VIRTIO_MMIO_QUEUE_NUM,
					       VIRTIO_MMIO_QUEUE_NOTIFY,
					       VIRTIO_MMIO_INTERRUPT_ACK,
					       VIRTIO_MMIO_QUEUE_DESC_LOW,
					       0x0c8 };
	struct driver d;

	(void)state;
	create(&d);
	for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
		driver_put(&d, read_only[i], 1);
	assert_int_equal(rejected(&d), sizeof(read_only) / sizeof(read_only[0]));
	for (size_t i = 0; i < sizeof(write_only) / sizeof(write_only[0]); i++)
		assert_int_equal(driver_get(&d, write_only[i]), 0);
	assert_int_equal(rejected(&d), sizeof(read_only) / sizeof(read_only[0]) +
					       sizeof(write_only) / sizeof(write_only[0]));
	driver_destroy(&d);
}

/* --- reset and pause --- */

static void reset_clears_everything(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 1ull << VIRTIO_RING_F_EVENT_IDX, 16);
	assert_true(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	driver_interrupts(&d);
	driver_put(&d, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(p->quiesced, 1);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(p->dev.accepted, 0);
	assert_false(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(driver_interrupts(&d), 0);
	driver_destroy(&d);
}

/* A ring that takes several turns, reset after the first of them. */
static void reset_in_the_middle(void **state)
{
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 64);
	for (uint16_t i = 0; i < 64; i++) {
		driver_chain(&d, i, &buffer, 1);
		driver_offer(&d, i);
	}
	virtio_transport_pause(d.transport);
	driver_kick(&d, 0);
	virtio_transport_resume(d.transport); /* signals the kept kick */
	driver_put(&d, VIRTIO_MMIO_STATUS, 0);
	driver_run(&d);
	assert_int_equal(p->dev.counters.requests, 0);
	driver_start(&d, 0, 16);
	driver_kick(&d, 0);
	assert_int_equal(p->dev.counters.requests, 0);
	driver_destroy(&d);
}

static void paused_device_touches_nothing(void **state)
{
	struct vring_used_elem e;
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 16);
	driver_run(&d);
	uint64_t kicks = p->dev.counters.kicks;

	virtio_transport_pause(d.transport);
	virtio_transport_pause(d.transport);
	assert_false(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(p->dev.counters.kicks, kicks);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_QUEUE_READY), 1);
	virtio_transport_resume(d.transport);
	driver_run(&d);
	assert_true(driver_used(&d, &e));
	virtio_transport_resume(d.transport);
	driver_run(&d);
	assert_int_equal(p->dev.counters.requests, 1);
	assert_int_equal(p->dev.counters.kicks, kicks + 1);
	driver_destroy(&d);
}

/* A kick from before the loop watches is served when it does. */
static void detached_kick_is_kept(void **state)
{
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	create(&d);
	driver_start(&d, 0, 16);
	virtio_transport_detach(d.transport);
	assert_false(driver_request(&d, &buffer, 1, &e));
	assert_int_equal(virtio_transport_attach(d.transport, d.loop), 0);
	driver_run(&d);
	assert_true(driver_used(&d, &e));
	driver_destroy(&d);
}

/* Two busy queues share the loop turn by turn. */
static void turns_are_shared(void **state)
{
	const struct virtq_layout second = { 16, gpa(0x6000), gpa(0x6800), gpa(0x7000) };
	struct driver d;
	struct probe *p = create(&d);

	(void)state;
	driver_start(&d, 0, 64);
	driver_put(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	driver_set_queue(&d, &second);
	driver_run(&d);
	uint64_t kicks = p->dev.counters.kicks;

	for (uint16_t i = 0; i < 64; i++) {
		driver_chain(&d, i, &buffer, 1);
		driver_offer(&d, i);
	}
	driver_put(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	driver_kick(&d, 1);
	assert_int_equal(p->dev.counters.requests, 64);
	/* Eight full turns, one that finds the ring empty, and the other queue's. */
	assert_int_equal(p->dev.counters.kicks - kicks, 64 / PROBE_BURST + 2);
	driver_destroy(&d);
}

/* A vCPU's thread: starts the device, offers more than a turn's work, resets it. */
static void *restless_vcpu(void *arg)
{
	enum { ROUNDS = 100, OFFERS = 3 * PROBE_BURST };
	struct driver *d = arg;

	for (int round = 0; round < ROUNDS; round++) {
		driver_start(d, 1ull << VIRTIO_RING_F_EVENT_IDX, 64);
		for (unsigned i = 0; i < OFFERS; i++) {
			driver_chain(d, (uint16_t)i, &buffer, 1);
			driver_offer(d, (uint16_t)i);
		}
		driver_put(d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		while (driver_get(d, VIRTIO_MMIO_INTERRUPT_STATUS) == 0 && round % 2 == 0)
			;
		driver_put(d, VIRTIO_MMIO_STATUS, 0);
	}
	return NULL;
}

struct ending {
	pthread_t vcpu;
	struct loop *loop;
};

/* Once the vCPU's thread has ended, the loop may. */
static void on_turn(void *arg, uint32_t events)
{
	struct ending *e = arg;

	(void)events;
	if (pthread_tryjoin_np(e->vcpu, NULL) == 0)
		loop_stop(e->loop, 0);
}

/* Registers on one thread, kicks on another: for the sanitizers, and no request
 * may be half done. */
static void reset_against_kicks(void **state)
{
	struct loop_source *source;
	struct ending ending;
	struct driver d;
	struct probe *p = create(&d);
	int always = fd_event();

	(void)state;
	ending.loop = d.loop;
	fd_event_signal(always);
	assert_int_equal(pthread_create(&ending.vcpu, NULL, restless_vcpu, &d), 0);
	assert_int_equal(loop_add(d.loop, always, EPOLLIN, on_turn, &ending, &source), 0);
	assert_int_equal(loop_run(d.loop), 0);
	fd_close(always);
	assert_int_equal(p->dev.counters.violations, 0);
	assert_int_equal(p->writable_bytes, p->dev.counters.requests * buffer.len);
	assert_true(p->dev.counters.requests > 0);
	driver_destroy(&d);
}

static void destroy_accepts_null(void **state)
{
	(void)state;
	virtio_transport_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(features_offered),
		cmocka_unit_test(features_refused),
		cmocka_unit_test(features_are_final),
		cmocka_unit_test(status_order),
		cmocka_unit_test(activation_that_fails),
		cmocka_unit_test(failing_twice_counts_once),
		cmocka_unit_test(failed_driver_is_left_alone),
		cmocka_unit_test(queue_select),
		cmocka_unit_test(queue_is_frozen_while_ready),
		cmocka_unit_test(queue_taken_away),
		cmocka_unit_test(queue_before_features),
		cmocka_unit_test(notify_absent_queues),
		cmocka_unit_test(notify_before_driver_ok),
		cmocka_unit_test(interrupt_acknowledge),
		cmocka_unit_test(edges_are_not_coalesced),
		cmocka_unit_test(config_generation),
		cmocka_unit_test(config_read_everywhere),
		cmocka_unit_test(config_write_everywhere),
		cmocka_unit_test(wrong_widths),
		cmocka_unit_test(wrong_direction),
		cmocka_unit_test(reset_clears_everything),
		cmocka_unit_test(reset_in_the_middle),
		cmocka_unit_test(paused_device_touches_nothing),
		cmocka_unit_test(detached_kick_is_kept),
		cmocka_unit_test(turns_are_shared),
		cmocka_unit_test(reset_against_kicks),
		cmocka_unit_test(destroy_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
