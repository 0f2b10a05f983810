/* test_notices.c - a driver's doings, as events. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include "devices/virtio/balloon.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/notices.h"

enum { ACTUAL = VIRTIO_MMIO_CONFIG + 4, MIB = VIRTIO_BALLOON_MIB };

/* The pause between two looks: over at once, or only when the test says so. */
static bool hold_timer;

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	const struct itimerspec now = { .it_value = { hold_timer ? 3600 : 0, 1 } };

	(void)t;
	return __real_timerfd_settime(fd, flags, &now, old);
}

/* The machine's devices: a balloon. */
static struct virtio_dev *running;

bool slots_running(const struct slots *s, unsigned n, struct slot_device *ret)
{
	(void)s;
	*ret = (struct slot_device){ SLOT_BALLOON, "balloon", "balloon", running };
	return n == 0 && running;
}

static char told[4096];

static void on_event(void *ctx, const char *name, json_t *data)
{
	char *json = json_dumps(data, JSON_COMPACT);
	size_t used = strlen(told);

	(void)ctx;
	assert_non_null(json);
	snprintf(told + used, sizeof(told) - used, "%s%s\n", name, json);
	free(json);
}

static void expect_told(const char *text)
{
	assert_string_equal(told, text);
	told[0] = '\0';
}

struct fixture {
	struct driver driver;
	struct event_sink sink;
	struct notices *notices;
};

static void create(struct fixture *f)
{
	const struct virtio_balloon_options o = { .target_pages = 3 * MIB };
	struct virtio_dev *dev;

	hold_timer = false;
	told[0] = '\0';
	assert_int_equal(virtio_balloon_create(&o, &dev), 0);
	driver_create(&f->driver, dev);
	f->sink = (struct event_sink){ .tell = on_event };
	assert_int_equal(notices_create(NULL, f->driver.loop, &f->sink, &f->notices), 0);
	notices_watch(f->notices, dev);
	running = dev;
	driver_start(&f->driver, 0, 16);
}

static void destroy(struct fixture *f)
{
	notices_destroy(f->notices);
	driver_destroy(&f->driver);
	running = NULL;
}

static void balloon_is_told(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	driver_run(&f.driver);
	expect_told("");
	driver_put(&f.driver, ACTUAL, 2 * MIB);
	driver_run(&f.driver);
	expect_told("balloon{\"target_mib\":3,\"actual_mib\":2}\n");
	assert_int_equal(virtio_balloon_set_target(running, MIB), 0);
	driver_run(&f.driver);
	expect_told("balloon{\"target_mib\":1,\"actual_mib\":2}\n");
	destroy(&f);
}

/* A driver that never stops is heard at intervals, and its last word is not lost. */
static void flood_is_one_event(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	hold_timer = true;
	driver_put(&f.driver, ACTUAL, MIB);
	driver_run(&f.driver);
	expect_told("balloon{\"target_mib\":3,\"actual_mib\":1}\n");
	for (unsigned i = 0; i < 10000; i++) {
		driver_put(&f.driver, ACTUAL, i * MIB);
		if (i % 100 == 0)
			driver_run(&f.driver);
	}
	expect_told("");
	hold_timer = false;
	assert_int_equal(virtio_balloon_set_target(running, 7 * MIB), 0);
	notices_destroy(f.notices);
	assert_int_equal(notices_create(NULL, f.driver.loop, &f.sink, &f.notices), 0);
	notices_watch(f.notices, running);
	driver_put(&f.driver, ACTUAL, 5 * MIB);
	driver_run(&f.driver);
	expect_told("balloon{\"target_mib\":7,\"actual_mib\":5}\n");
	destroy(&f);
}

static void fault_is_told_once(void **state)
{
	const struct driver_buffer writable = { DRIVER_BUFFERS, 16, true };
	struct vring_used_elem e;
	struct fixture f;

	(void)state;
	create(&f);
	driver_request(&f.driver, &writable, 1, &e);
	driver_run(&f.driver);
	expect_told("device_fault{\"device\":\"balloon\",\"id\":\"balloon\",\"reason\":"
		    "\"not a list of pages\"}\n");
	driver_kick(&f.driver, 0);
	driver_run(&f.driver);
	expect_told("");
	destroy(&f);
}

/* With nobody who wants to know. */
static void nobody_listens(void **state)
{
	struct driver d;
	struct virtio_dev *dev;

	(void)state;
	assert_int_equal(virtio_balloon_create(&(struct virtio_balloon_options){ 0 }, &dev), 0);
	driver_create(&d, dev);
	notices_watch(NULL, dev);
	driver_start(&d, 0, 16);
	driver_put(&d, ACTUAL, 1);
	driver_run(&d);
	notices_destroy(NULL);
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(balloon_is_told),
		cmocka_unit_test(flood_is_one_event),
		cmocka_unit_test(fault_is_told_once),
		cmocka_unit_test(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
