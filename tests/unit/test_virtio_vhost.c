/* test_virtio_vhost.c - the vhost-user front end, between a driver in host memory and a
 * back end on a thread.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include <cmocka.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/transport.h"
#include "devices/virtio/vhost_blk.h"
#include "devices/virtio/vhost_fs.h"
#include "tests/unit/vhost_peer.h"
#include "tests/unit/virtio_driver.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { LIMIT_S = 60, QUEUE_SIZE = 16, BUFFER_LEN = 8, CAPACITY = 2048 };

/* Time passes without waiting: each look at the clock is a tenth of a second later, and
 * each timer is due at once. */
static bool impatient;
static uint64_t skipped_us;

uint64_t __real_clock_now_us(void);
uint64_t __wrap_clock_now_us(void);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

uint64_t __wrap_clock_now_us(void)
{
	if (impatient)
		skipped_us += 100000;
	return __real_clock_now_us() + skipped_us;
}

/* The peer's thread polls without a limit. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return __real_poll(fds, n, timeout >= 0 && impatient ? 0 : timeout);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	const struct itimerspec now = { .it_value.tv_nsec = 1 };

	return __real_timerfd_settime(fd, flags, impatient ? &now : t, old);
}

struct setup {
	struct peer peer;
	struct driver d;
};

static void setup_device(struct setup *s)
{
	struct virtio_dev *dev;
	struct error err;

	if (vhost_blk_create(s->peer.path, true, &dev, &err) < 0)
		fail_msg("%s", err.text);
	vhost_user_set_queues(dev, 2);
	driver_create(&s->d, dev);
}

static void setup(struct setup *s)
{
	peer_create(&s->peer);
	setup_device(s);
}

/* The back end keeps notes, and so gets the driver's own rings. */
static void setup_direct(struct setup *s)
{
	peer_create(&s->peer);
	s->peer.rules.protocol = ~UINT64_C(0);
	setup_device(s);
}

static void teardown(struct setup *s)
{
	driver_destroy(&s->d);
	peer_destroy(&s->peer);
}

typedef bool (*condition)(struct setup *s, unsigned n);

/* Turns the loop until something is the case. The peer's lock is held for the look. */
static void until(struct setup *s, condition what, unsigned n)
{
	time_t end = time(NULL) + LIMIT_S;
	bool is = false;

	while (!is) {
		driver_run(&s->d);
		peer_lock(&s->peer);
		is = what(s, n);
		pthread_mutex_unlock(&s->peer.lock);
		if (time(NULL) > end)
			fail_msg("waited in vain");
	}
}

static bool enabled(struct setup *s, unsigned q)
{
	return s->peer.ring[q].enabled;
}

static bool has_taken(struct setup *s, unsigned n)
{
	return s->peer.ring[0].taken_count == n;
}

static bool used_to(struct setup *s, unsigned n)
{
	return __atomic_load_n(&driver_used_ring(&s->d)->idx, __ATOMIC_SEQ_CST) == n;
}

static bool connected(struct setup *s, unsigned n)
{
	return s->peer.connections >= n;
}

static bool seen_config_reads(struct setup *s, unsigned n)
{
	return s->peer.seen[VHOST_USER_GET_CONFIG] >= n;
}

static unsigned seen(struct setup *s, enum vhost_request r)
{
	unsigned n;

	peer_lock(&s->peer);
	n = s->peer.seen[r];
	peer_unlock(&s->peer);
	return n;
}

static void start(struct setup *s)
{
	driver_start(&s->d, BIT(VIRTIO_RING_F_EVENT_IDX), QUEUE_SIZE);
	until(s, enabled, 0);
}

static uint64_t buffer_at(unsigned i)
{
	return DRIVER_BUFFERS + i * BUFFER_LEN;
}

/* Offers request i, of one writable buffer. */
static void offer(struct setup *s, unsigned i)
{
	const struct driver_buffer b = { buffer_at(i), BUFFER_LEN, true };

	memset(driver_at(&s->d, b.addr, b.len), 0, b.len);
	driver_chain(&s->d, (uint16_t)i, &b, 1);
	driver_offer(&s->d, (uint16_t)i);
	driver_put(&s->d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static bool is_filled(struct setup *s, unsigned i)
{
	const unsigned char *at = driver_at(&s->d, buffer_at(i), BUFFER_LEN);

	for (unsigned n = 0; n < BUFFER_LEN; n++) {
		if (at[n] != PEER_FILL)
			return false;
	}
	return true;
}

/* The next n used entries name each of these heads once. */
static void expect_used(struct setup *s, const uint16_t *heads, unsigned n)
{
	bool found[QUEUE_SIZE] = { false };
	struct vring_used_elem e;

	for (unsigned i = 0; i < n; i++) {
		assert_true(driver_used(&s->d, &e));
		assert_in_range(e.id, 0, QUEUE_SIZE - 1);
		assert_false(found[e.id]);
		found[e.id] = true;
	}
	for (unsigned i = 0; i < n; i++) {
		assert_true(found[heads[i]]);
		assert_true(is_filled(s, heads[i]));
	}
	assert_false(driver_used(&s->d, &e));
}

static void hold(struct setup *s, bool on)
{
	peer_lock(&s->peer);
	s->peer.rules.hold = on;
	peer_unlock(&s->peer);
}

static void die(struct setup *s)
{
	peer_lock(&s->peer);
	peer_die(&s->peer);
	peer_unlock(&s->peer);
}

static uint64_t capacity(struct setup *s)
{
	uint64_t low = driver_get(&s->d, VIRTIO_MMIO_CONFIG);

	return low | (uint64_t)driver_get(&s->d, VIRTIO_MMIO_CONFIG + 4) << 32;
}

/* --- what the driver sees --- */

static void test_offer(void **state)
{
	const uint64_t known = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			       BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_BLK_F_FLUSH) |
			       BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_MQ);
	struct setup s;
	uint16_t queues;

	(void)state;
	setup(&s);
	assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
	assert_int_equal(driver_offered(&s.d) & known, known);
	assert_int_equal(driver_offered(&s.d) & BIT(VHOST_USER_F_PROTOCOL_FEATURES), 0);
	assert_int_equal(capacity(&s), CAPACITY);
	virtio_mmio_bus_ops.read(
		s.d.transport, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, num_queues),
		&queues, sizeof(queues));
	assert_int_equal(queues, 2);
	assert_int_equal(virtio_transport_nqueues(s.d.transport), 2);
	teardown(&s);
}

/* Features that the back end has not, and those that the user does not want. */
static void test_features_narrow(void **state)
{
	struct setup s;
	struct virtio_dev *dev;

	(void)state;
	peer_create(&s.peer);
	s.peer.rules.features = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
				BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_SEG_MAX);
	assert_int_equal(vhost_blk_create(s.peer.path, false, &dev, NULL), 0);
	driver_create(&s.d, dev);
	assert_int_equal(driver_offered(&s.d), BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_SEG_MAX));
	assert_int_equal(virtio_transport_nqueues(s.d.transport), 1);
	teardown(&s);
}

static void serve_requests(struct setup *s)
{
	static const uint16_t heads[] = { 0, 1, 2 };

	start(s);
	assert_int_equal(s->peer.set_features,
			 s->d.dev->accepted | BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	driver_interrupts(&s->d);
	for (unsigned i = 0; i < 3; i++)
		offer(s, i);
	until(s, used_to, 3);
	expect_used(s, heads, 3);
	assert_true(driver_interrupts(&s->d) > 0);
	assert_int_equal(driver_get(&s->d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	driver_put(&s->d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
}

static void test_requests(void **state)
{
	struct setup s;

	(void)state;
	setup(&s);
	serve_requests(&s);
	assert_int_equal(s.d.dev->counters.requests, 3);
	assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	teardown(&s);
}

static void test_direct_requests(void **state)
{
	struct setup s;

	(void)state;
	setup_direct(&s);
	serve_requests(&s);
	/* They passed by: nobody here knows of them, nor of an interrupt's cause. */
	assert_int_equal(s.d.dev->counters.requests, 0);
	assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	teardown(&s);
}

/* The rings wrap, in every order of finishing. */
static void test_many_requests(void **state)
{
	struct setup s;
	unsigned done = 0;

	(void)state;
	setup(&s);
	start(&s);
	hold(&s, true);
	for (unsigned turn = 0; turn < 40; turn++) {
		static const uint16_t heads[] = { 0, 1, 2, 3, 4 };

		for (unsigned i = 0; i < 5; i++)
			offer(&s, i);
		until(&s, has_taken, 5);
		peer_lock(&s.peer);
		for (unsigned left = 5; left > 0; left--)
			peer_finish(&s.peer, 0, (turn + left) % left);
		peer_unlock(&s.peer);
		until(&s, used_to, done += 5);
		expect_used(&s, heads, 5);
	}
	teardown(&s);
}

static void test_offered_twice(void **state)
{
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	hold(&s, true);
	offer(&s, 1);
	until(&s, has_taken, 1);
	offer(&s, 1);
	driver_run(&s.d);
	assert_true(driver_get(&s.d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	impatient = true;
	driver_put(&s.d, VIRTIO_MMIO_STATUS, 0);
	impatient = false;
	teardown(&s);
}

static void test_reset(void **state)
{
	static const uint16_t head = 3;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	offer(&s, 3);
	until(&s, used_to, 1);
	driver_put(&s.d, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(seen(&s, VHOST_USER_GET_VRING_BASE), 1);
	assert_false(s.peer.ring[0].enabled);
	start(&s);
	assert_int_equal(s.peer.started_at[0], 0);
	offer(&s, 3);
	until(&s, used_to, 1);
	expect_used(&s, &head, 1);
	assert_int_equal(s.peer.connections, 1);
	teardown(&s);
}

static void pause_and_resume(struct setup *s)
{
	static const uint16_t heads[] = { 0, 1 };

	start(s);
	offer(s, 0);
	until(s, used_to, 1);
	virtio_transport_pause(s->d.transport);
	assert_int_equal(seen(s, VHOST_USER_GET_VRING_BASE), 1);
	offer(s, 1);
	driver_run(&s->d);
	assert_false(s->peer.ring[0].enabled);
	assert_true(used_to(s, 1));
	virtio_transport_resume(s->d.transport);
	until(s, used_to, 2);
	expect_used(s, heads, 2);
}

static void test_pause(void **state)
{
	struct setup s;

	(void)state;
	setup(&s);
	pause_and_resume(&s);
	assert_int_equal(s.peer.started_at[0], 0);
	teardown(&s);
}

static void test_direct_pause(void **state)
{
	struct setup s;

	(void)state;
	setup_direct(&s);
	pause_and_resume(&s);
	assert_int_equal(s.peer.started_at[0], 1);
	teardown(&s);
}

/* --- saved and loaded --- */

static void exchange(struct driver *d, struct state *s)
{
	state_begin(s, STATE_TRANSPORT, 0);
	virtio_transport_state(d->transport, s);
	state_end(s);
	if (!state_failed(s))
		assert_true(virtio_transport_device_state(d->transport, s, 0));
}

/* Into *to, which is set up, as a machine and its memory move. What the load came to. */
static int move(struct setup *to, struct setup *from)
{
	struct state *saved, *loaded;
	unsigned count;
	const struct gmem_region *a = gmem_regions(from->d.mem, &count);
	const struct gmem_region *b = gmem_regions(to->d.mem, &count);
	size_t len;
	int r;

	assert_int_equal(state_create(&saved), 0);
	exchange(&from->d, saved);

	const void *bytes = state_seal(saved, &len);

	assert_non_null(bytes);
	assert_int_equal(state_parse(bytes, len, &loaded, NULL), 0);
	for (unsigned i = 0; i < count; i++)
		memcpy(b[i].host, a[i].host, a[i].len);
	to->d.size = from->d.size;
	to->d.avail_idx = from->d.avail_idx;
	to->d.used_idx = from->d.used_idx;
	exchange(&to->d, loaded);
	r = state_error(loaded, NULL);
	state_destroy(loaded);
	state_destroy(saved);
	return r;
}

/* Another back end goes on with the queue, from a request that nobody has taken. */
static void go_on_elsewhere(struct setup *to, struct setup *from)
{
	static const uint16_t heads[] = { 0, 1 };

	start(from);
	offer(from, 0);
	until(from, used_to, 1);
	virtio_transport_pause(from->d.transport);
	offer(from, 1);
	assert_int_equal(move(to, from), 0);
	virtio_transport_wake(to->d.transport);
	until(to, used_to, 2);
	expect_used(to, heads, 2);
	assert_true(driver_interrupts(&to->d) > 0);
	assert_int_equal(from->peer.connections, 1);
}

static void test_saved(void **state)
{
	struct setup from, to;

	(void)state;
	setup(&from);
	setup(&to);
	go_on_elsewhere(&to, &from);
	assert_int_equal(to.peer.started_at[0], 0);
	teardown(&to);
	teardown(&from);
}

static void test_direct_saved(void **state)
{
	struct setup from, to;

	(void)state;
	setup_direct(&from);
	setup_direct(&to);
	go_on_elsewhere(&to, &from);
	assert_int_equal(to.peer.started_at[0], 1);
	teardown(&to);
	teardown(&from);
}

/* A back end with other habits, or another disk; one that has the queues still. */
static void test_not_saved(void **state)
{
	struct setup from, direct, larger;
	struct state *s;

	(void)state;
	setup(&from);
	start(&from);
	assert_int_equal(state_create(&s), 0);
	exchange(&from.d, s);
	assert_int_equal(state_error(s, NULL), -EBADMSG);
	state_destroy(s);
	virtio_transport_pause(from.d.transport);
	setup_direct(&direct);
	assert_int_equal(move(&direct, &from), -EBADMSG);
	teardown(&direct);
	peer_create(&larger.peer);
	larger.peer.rules.config[1] ^= 1;
	setup_device(&larger);
	assert_int_equal(move(&larger, &from), -EBADMSG);
	teardown(&larger);
	teardown(&from);
}

/* One queue is taken away, the other goes on. */
static void test_disabled_queue(void **state)
{
	struct setup s;
	struct virtq_layout l = { QUEUE_SIZE, gpa(DRIVER_HIGH), gpa(DRIVER_HIGH + 0x1000),
				  gpa(DRIVER_HIGH + 0x2000) };

	(void)state;
	setup(&s);
	assert_true(driver_negotiate(&s.d, 0) & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned q = 0; q < 2; q++) {
		driver_put(&s.d, VIRTIO_MMIO_QUEUE_SEL, q);
		driver_set_queue(&s.d, &l);
		l.desc.v += 0x4000;
		l.avail.v += 0x4000;
		l.used.v += 0x4000;
	}
	driver_put(&s.d, VIRTIO_MMIO_STATUS,
		   driver_get(&s.d, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
	until(&s, enabled, 1);
	driver_put(&s.d, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(seen(&s, VHOST_USER_GET_VRING_BASE), 2);
	until(&s, enabled, 0);
	assert_false(s.peer.ring[1].enabled);
	teardown(&s);
}

/* --- a back end that goes away --- */

/* Requests 0 to 3 are taken and 1 and 3 finished, so that the used index says nothing
 * of which are not. */
static void finish_some(struct setup *s)
{
	hold(s, true);
	for (unsigned i = 0; i < 4; i++)
		offer(s, i);
	until(s, has_taken, 4);
	peer_lock(&s->peer);
	peer_finish(&s->peer, 0, 3);
	peer_finish(&s->peer, 0, 1);
	peer_unlock(&s->peer);
}

static void test_death(void **state)
{
	static const uint16_t heads[] = { 0, 1, 2, 3, 5 };
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	finish_some(&s);
	die(&s);
	offer(&s, 5);
	/* Again, before it has finished anything. */
	until(&s, has_taken, 3);
	die(&s);
	hold(&s, false);
	until(&s, used_to, 5);
	expect_used(&s, heads, 5);
	assert_int_equal(s.peer.finished, 5);
	assert_int_equal(s.peer.connections, 3);
	assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	teardown(&s);
}

static void test_death_and_reset(void **state)
{
	static const uint16_t head = 2;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	finish_some(&s);
	die(&s);
	driver_put(&s.d, VIRTIO_MMIO_STATUS, 0);
	hold(&s, false);
	start(&s);
	assert_int_equal(s.peer.started_at[0], 0);
	offer(&s, 2);
	until(&s, used_to, 1);
	expect_used(&s, &head, 1);
	teardown(&s);
}

/* Where the back end keeps notes, it gets them back and starts at the used index. */
static void test_inflight(void **state)
{
	struct setup s;
	uint64_t notes;

	(void)state;
	setup_direct(&s);
	start(&s);
	notes = s.peer.inflight_file;
	assert_true(notes != 0);
	finish_some(&s);
	die(&s);
	until(&s, enabled, 0);
	assert_int_equal(s.peer.inflight_file, notes);
	assert_int_equal(s.peer.started_at[0], 2);
	assert_int_equal(s.peer.seen[VHOST_USER_GET_INFLIGHT_FD], 1);
	/* Another driver, other notes. */
	die(&s);
	driver_put(&s.d, VIRTIO_MMIO_STATUS, 0);
	start(&s);
	assert_int_equal(s.peer.seen[VHOST_USER_GET_INFLIGHT_FD], 2);
	assert_true(s.peer.inflight_file != notes);
	teardown(&s);
}

/* One that comes back with less is not taken, and one that has it again is. */
static void test_returns_with_less(void **state)
{
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	s.peer.rules.features &= ~BIT(VIRTIO_BLK_F_FLUSH);
	peer_die(&s.peer);
	peer_unlock(&s.peer);
	until(&s, connected, 3);
	assert_false(s.peer.ring[0].enabled);
	peer_lock(&s.peer);
	s.peer.rules.features |= BIT(VIRTIO_BLK_F_FLUSH);
	peer_unlock(&s.peer);
	until(&s, enabled, 0);
	teardown(&s);
}

static void test_returns_with_more_room(void **state)
{
	const uint64_t bigger = 2 * CAPACITY;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	memcpy(s.peer.rules.config, &bigger, sizeof(bigger));
	peer_die(&s.peer);
	peer_unlock(&s.peer);
	until(&s, connected, 2);
	until(&s, enabled, 0);
	assert_int_equal(capacity(&s), bigger);
	assert_true(driver_get(&s.d, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	teardown(&s);
}

/* --- the configuration space --- */

static void test_config_change(void **state)
{
	const uint64_t bigger = 3 * CAPACITY;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	memcpy(s.peer.rules.config, &bigger, sizeof(bigger));
	peer_ask_back(&s.peer, VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_NEED_REPLY, 0);
	peer_unlock(&s.peer);
	until(&s, seen_config_reads, 2);
	while (capacity(&s) != bigger)
		driver_run(&s.d);
	assert_true(driver_get(&s.d, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	teardown(&s);
}

static void test_refresh(void **state)
{
	const uint64_t bigger = 4 * CAPACITY;
	struct setup s;

	(void)state;
	setup(&s);
	peer_lock(&s.peer);
	memcpy(s.peer.rules.config, &bigger, sizeof(bigger));
	peer_unlock(&s.peer);
	assert_int_equal(vhost_user_refresh(s.d.dev), 0);
	until(&s, seen_config_reads, 2);
	while (capacity(&s) != bigger)
		driver_run(&s.d);
	teardown(&s);
}

static bool wrote_config(struct setup *s, unsigned n)
{
	return s->peer.written_config == n;
}

static void test_config_write(void **state)
{
	const uint8_t one = 1;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	virtio_mmio_bus_ops.write(s.d.transport,
				  VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce),
				  &one, sizeof(one));
	until(&s, wrote_config, 1);
	until(&s, seen_config_reads, 2);
	teardown(&s);
}

static bool answered_back(struct setup *s, unsigned want)
{
	struct {
		struct vhost_header header;
		uint64_t value;
	} __attribute__((packed)) m;

	if (recv(s->peer.back, &m, sizeof(m), MSG_DONTWAIT) != sizeof(m))
		return false;
	assert_int_equal(m.value, want);
	assert_true(m.header.flags & VHOST_USER_REPLY);
	return true;
}

static bool back_closed(struct setup *s, unsigned n)
{
	char byte;

	(void)n;
	return recv(s->peer.back, &byte, 1, MSG_DONTWAIT) == 0;
}

/* What we do not know is refused, what is too long ends the channel, and only that. */
static void test_back_channel(void **state)
{
	static const uint16_t head = 1;
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	peer_ask_back(&s.peer, 3, VHOST_USER_NEED_REPLY, 24);
	peer_unlock(&s.peer);
	until(&s, answered_back, 1);
	peer_lock(&s.peer);
	peer_ask_back(&s.peer, VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_NEED_REPLY, 0);
	peer_unlock(&s.peer);
	until(&s, answered_back, 0);
	peer_lock(&s.peer);
	peer_ask_back(&s.peer, 3, 0, UINT32_MAX);
	peer_unlock(&s.peer);
	until(&s, back_closed, 0);
	offer(&s, 1);
	until(&s, used_to, 1);
	expect_used(&s, &head, 1);
	assert_int_equal(s.peer.connections, 1);
	teardown(&s);
}

/* --- back ends that do wrong --- */

static void test_bad_greetings(void **state)
{
	static const struct {
		uint32_t request;
		enum peer_spoil spoil;
		const char *why;
	} rows[] = {
		{ VHOST_USER_GET_FEATURES, SPOIL_REQUEST, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_VERSION, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_NO_REPLY_FLAG, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_HUGE, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_SHORT, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_FD, "protocol" },
		{ VHOST_USER_GET_FEATURES, SPOIL_HANG_UP, "closed the connection" },
		{ VHOST_USER_GET_PROTOCOL_FEATURES, SPOIL_LONG, "protocol" },
		{ VHOST_USER_GET_QUEUE_NUM, SPOIL_HUGE, "protocol" },
		{ VHOST_USER_GET_CONFIG, SPOIL_SHORT, "protocol" },
		{ VHOST_USER_GET_CONFIG, SPOIL_HUGE, "protocol" },
		{ VHOST_USER_GET_CONFIG, SPOIL_FD, "protocol" },
		{ VHOST_USER_GET_CONFIG, SPOIL_VALUE, "another part of its configuration" },
		{ VHOST_USER_SET_BACKEND_REQ_FD, SPOIL_VALUE, "refused a request" },
	};
	struct virtio_dev *dev = NULL;
	struct peer peer;
	struct error err;

	(void)state;
	peer_create(&peer);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_lock(&peer);
		peer.rules.spoil_request = rows[i].request;
		peer.rules.spoil = rows[i].spoil;
		peer_unlock(&peer);
		assert_true(vhost_blk_create(peer.path, true, &dev, &err) < 0);
		assert_null(dev);
		assert_string_equal(err.field, "socket");
		if (!strstr(err.text, rows[i].why))
			fail_msg("row %zu: %s", i, err.text);
	}
	peer_destroy(&peer);
}

static void test_poor_back_ends(void **state)
{
	static const struct {
		uint64_t lost_features, lost_protocol, queues;
		const char *why;
	} rows[] = {
		{ BIT(VIRTIO_F_VERSION_1), 0, 1, "lacks virtio 1" },
		{ BIT(VHOST_USER_F_PROTOCOL_FEATURES), 0, 1, "lacks virtio 1" },
		{ 0, BIT(VHOST_USER_PROTOCOL_F_CONFIG), 1, "does not tell its configuration" },
		{ 0, 0, 0, "too few queues" },
	};
	struct virtio_dev *dev = NULL;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer peer;

		peer_create(&peer);
		peer.rules.features &= ~rows[i].lost_features;
		peer.rules.protocol &= ~rows[i].lost_protocol;
		peer.rules.queues = rows[i].queues;
		assert_true(vhost_blk_create(peer.path, true, &dev, &err) < 0);
		if (!strstr(err.text, rows[i].why))
			fail_msg("row %zu: %s", i, err.text);
		peer_destroy(&peer);
	}
	assert_int_equal(vhost_blk_create("/nowhere/s", true, &dev, &err), -ENOENT);
	assert_string_equal(err.field, "socket");
	assert_null(dev);
}

/* A connection that was passed: once. */
static void test_by_descriptor(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct virtio_dev *dev;
	struct peer peer;
	struct error err;

	(void)state;
	peer_create(&peer);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", peer.path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(dup2(fd, 100), 100);
	close(fd);
	assert_int_equal(vhost_blk_create("fd:100", true, &dev, &err), 0);
	assert_int_equal(vhost_blk_create("fd:100", true, &dev, &err), -EBADF);
	virtio_dev_destroy(dev);
	peer_destroy(&peer);
}

static void test_silent_greeting(void **state)
{
	struct virtio_dev *dev = NULL;
	struct peer peer;
	struct error err;

	(void)state;
	peer_create(&peer);
	peer.rules.spoil_request = VHOST_USER_GET_FEATURES;
	peer.rules.spoil = SPOIL_SILENCE;
	impatient = true;
	assert_int_equal(vhost_blk_create(peer.path, true, &dev, &err), -ETIMEDOUT);
	impatient = false;
	assert_non_null(strstr(err.text, "does not answer"));
	peer_destroy(&peer);
}

/* Whatever is wrong when the queues are handed over or taken back: the connection ends, a
 * better one follows, and the driver's requests are served. */
static void test_bad_answers(void **state)
{
	static const struct {
		uint32_t request;
		enum peer_spoil spoil;
	} rows[] = {
		{ VHOST_USER_SET_MEM_TABLE, SPOIL_VALUE },
		{ VHOST_USER_SET_MEM_TABLE, SPOIL_REQUEST },
		{ VHOST_USER_GET_INFLIGHT_FD, SPOIL_FD },
		{ VHOST_USER_GET_INFLIGHT_FD, SPOIL_VALUE },
		{ VHOST_USER_GET_INFLIGHT_FD, SPOIL_SHORT },
		{ VHOST_USER_SET_VRING_ENABLE, SPOIL_VALUE },
		{ VHOST_USER_SET_VRING_ENABLE, SPOIL_LONG },
		{ VHOST_USER_SET_VRING_ENABLE, SPOIL_HANG_UP },
	};
	static const uint16_t head = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct setup s;

		setup_direct(&s);
		peer_lock(&s.peer);
		s.peer.rules.spoil_request = rows[i].request;
		s.peer.rules.spoil = rows[i].spoil;
		peer_unlock(&s.peer);
		driver_start(&s.d, 0, QUEUE_SIZE);
		offer(&s, 0);
		until(&s, connected, 2);
		peer_lock(&s.peer);
		s.peer.rules.spoil = SPOIL_NOTHING;
		peer_unlock(&s.peer);
		until(&s, used_to, 1);
		expect_used(&s, &head, 1);
		teardown(&s);
	}
}

static void test_bad_stops(void **state)
{
	static const enum peer_spoil rows[] = { SPOIL_SHORT, SPOIL_VALUE, SPOIL_HANG_UP,
						SPOIL_SILENCE };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct setup s;

		setup(&s);
		start(&s);
		peer_lock(&s.peer);
		s.peer.rules.spoil_request = VHOST_USER_GET_VRING_BASE;
		s.peer.rules.spoil = rows[i];
		peer_unlock(&s.peer);
		impatient = rows[i] == SPOIL_SILENCE;
		driver_put(&s.d, VIRTIO_MMIO_STATUS, 0);
		impatient = false;
		assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_STATUS), 0);
		start(&s);
		until(&s, connected, 2);
		until(&s, enabled, 0);
		peer_lock(&s.peer);
		s.peer.rules.spoil = SPOIL_NOTHING;
		peer_unlock(&s.peer);
		teardown(&s);
	}
}

/* Requests that a stopped back end still has: waited for, then given up. */
static void test_unfinished_stop(void **state)
{
	static const uint16_t heads[] = { 0, 1, 2, 3 };
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	finish_some(&s);
	impatient = true;
	virtio_transport_pause(s.d.transport);
	impatient = false;
	hold(&s, false);
	virtio_transport_resume(s.d.transport);
	until(&s, used_to, 4);
	expect_used(&s, heads, 4);
	assert_int_equal(s.peer.connections, 2);
	teardown(&s);
}

static void test_silence_after_return(void **state)
{
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	s.peer.rules.spoil_request = VHOST_USER_GET_FEATURES;
	s.peer.rules.spoil = SPOIL_SILENCE;
	peer_die(&s.peer);
	peer_unlock(&s.peer);
	impatient = true;
	until(&s, connected, 3);
	impatient = false;
	peer_lock(&s.peer);
	s.peer.rules.spoil = SPOIL_NOTHING;
	peer_die(&s.peer);
	peer_unlock(&s.peer);
	until(&s, enabled, 0);
	teardown(&s);
}

/* A head that it never had, after one that it had. */
static void test_false_finish(void **state)
{
	static const uint16_t heads[] = { 4, 5 };
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	hold(&s, true);
	offer(&s, 4);
	offer(&s, 5);
	until(&s, has_taken, 2);
	peer_lock(&s.peer);
	s.peer.ring[0].taken[1] = 9;
	peer_finish(&s.peer, 0, 0);
	peer_finish(&s.peer, 0, 0);
	s.peer.rules.hold = false;
	peer_unlock(&s.peer);
	until(&s, used_to, 2);
	expect_used(&s, heads, 2);
	assert_int_equal(s.peer.connections, 2);
	teardown(&s);
}

/* Something that nobody asked for. */
static void test_unasked(void **state)
{
	const struct vhost_header h = { VHOST_USER_GET_FEATURES,
					VHOST_USER_VERSION | VHOST_USER_REPLY, 0 };
	struct setup s;

	(void)state;
	setup(&s);
	start(&s);
	peer_lock(&s.peer);
	assert_int_equal(vhost_send(s.peer.fd, &h, NULL, NULL, 0), 0);
	peer_unlock(&s.peer);
	until(&s, connected, 2);
	until(&s, enabled, 0);
	teardown(&s);
}

/* --- shared directories --- */

static void test_fs(void **state)
{
	struct virtio_fs_config config;
	struct virtio_dev *dev;
	struct setup s;

	(void)state;
	peer_create(&s.peer);
	assert_int_equal(vhost_fs_create("work", s.peer.path, &dev, NULL), 0);
	driver_create(&s.d, dev);
	assert_int_equal(driver_get(&s.d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_FS);
	assert_int_equal(virtio_transport_nqueues(s.d.transport), 2);
	virtio_mmio_bus_ops.read(s.d.transport, VIRTIO_MMIO_CONFIG, &config, sizeof(config));
	assert_memory_equal(config.tag, "work\0\0", 6);
	assert_int_equal(config.num_request_queues, 1);
	assert_int_equal(seen(&s, VHOST_USER_GET_CONFIG), 0);
	start(&s);
	offer(&s, 0);
	until(&s, used_to, 1);
	teardown(&s);
}

static void test_fs_refusals(void **state)
{
	struct virtio_dev *dev = NULL;
	struct peer peer;
	struct error err;

	(void)state;
	peer_create(&peer);
	assert_int_equal(vhost_fs_create("", peer.path, &dev, &err), -EINVAL);
	assert_int_equal(
		vhost_fs_create("1234567890123456789012345678901234567", peer.path, &dev, &err),
		-EINVAL);
	assert_string_equal(err.field, "tag");
	peer.rules.queues = 1;
	assert_true(vhost_fs_create("work", peer.path, &dev, &err) < 0);
	assert_string_equal(err.field, "socket");
	assert_null(dev);
	peer_destroy(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_features_narrow),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_direct_requests),
		cmocka_unit_test(test_many_requests),
		cmocka_unit_test(test_offered_twice),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_direct_pause),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_direct_saved),
		cmocka_unit_test(test_not_saved),
		cmocka_unit_test(test_disabled_queue),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_death_and_reset),
		cmocka_unit_test(test_inflight),
		cmocka_unit_test(test_returns_with_less),
		cmocka_unit_test(test_returns_with_more_room),
		cmocka_unit_test(test_config_change),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_config_write),
		cmocka_unit_test(test_back_channel),
		cmocka_unit_test(test_bad_greetings),
		cmocka_unit_test(test_poor_back_ends),
		cmocka_unit_test(test_by_descriptor),
		cmocka_unit_test(test_silent_greeting),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_bad_stops),
		cmocka_unit_test(test_unfinished_stop),
		cmocka_unit_test(test_silence_after_return),
		cmocka_unit_test(test_false_finish),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_fs),
		cmocka_unit_test(test_fs_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
