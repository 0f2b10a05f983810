/* test_loop.c - the event loop: dispatch, deferral, removal inside a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/fd.h"
#include "vmm/base/loop.h"

struct probe {
	struct loop *loop;
	struct loop_source *self, *other;
	int fd;
	int calls, deferred_calls;
	int defer_left; /* how often it still asks for another turn */
	int stop_after; /* calls after which it stops the loop; 0: never */
};

static void on_event(void *arg, uint32_t events)
{
	struct probe *p = arg;

	p->calls++;
	if (events == 0)
		p->deferred_calls++;
	else
		fd_event_drain(p->fd);
	if (p->other) {
		loop_source_remove(p->other);
		p->other = NULL;
	}
	if (p->defer_left > 0) {
		p->defer_left--;
		loop_source_defer(p->self);
	}
	if (p->stop_after && p->calls == p->stop_after)
		loop_stop(p->loop, p->calls);
}

static void probe_init(struct probe *p, struct loop *l)
{
	*p = (struct probe){ .loop = l, .fd = fd_event() };
	assert_true(p->fd >= 0);
	assert_int_equal(loop_add(l, p->fd, EPOLLIN, on_event, p, &p->self), 0);
}

static void test_dispatch(void **state)
{
	struct loop *l;
	struct probe p;

	(void)state;
	assert_int_equal(loop_create(&l), 0);
	probe_init(&p, l);
	p.stop_after = 1;
	fd_event_signal(p.fd);
	assert_int_equal(loop_run(l), 1);
	assert_int_equal(p.calls, 1);
	loop_destroy(l);
	close(p.fd);
}

/* A source with work left is called again, and others have their turn between. */
static void test_deferral_is_fair(void **state)
{
	struct loop *l;
	struct probe busy, quiet;

	(void)state;
	assert_int_equal(loop_create(&l), 0);
	probe_init(&busy, l);
	probe_init(&quiet, l);
	busy.defer_left = 1000000;
	quiet.stop_after = 1;
	fd_event_signal(busy.fd);
	fd_event_signal(quiet.fd);
	assert_int_equal(loop_run(l), 1);
	assert_int_equal(quiet.calls, 1);
	assert_true(busy.calls <= 2);

	quiet.stop_after = 0;
	busy.stop_after = busy.calls + 5;
	int stopped_at = loop_run(l);

	assert_int_equal(stopped_at, busy.calls);
	assert_true(busy.deferred_calls >= 5);
	loop_destroy(l);
	close(busy.fd);
	close(quiet.fd);
}

/* Both are ready in the same round; the first removes the second. */
static void test_removal_inside_callback(void **state)
{
	struct loop *l;
	struct probe a, b;

	(void)state;
	assert_int_equal(loop_create(&l), 0);
	probe_init(&a, l);
	probe_init(&b, l);
	a.other = b.self;
	b.other = a.self;
	a.stop_after = b.stop_after = 1;
	fd_event_signal(a.fd);
	fd_event_signal(b.fd);
	assert_int_equal(loop_run(l), 1);
	assert_int_equal(a.calls + b.calls, 1);
	loop_destroy(l);
	close(a.fd);
	close(b.fd);
}

static void test_muted_source(void **state)
{
	struct loop *l;
	struct probe muted, last;

	(void)state;
	assert_int_equal(loop_create(&l), 0);
	probe_init(&muted, l);
	probe_init(&last, l);
	last.stop_after = 1;
	assert_int_equal(loop_source_set(muted.self, 0), 0);
	fd_event_signal(muted.fd);
	fd_event_signal(last.fd);
	assert_int_equal(loop_run(l), 1);
	assert_int_equal(muted.calls, 0);
	assert_int_equal(loop_source_set(muted.self, EPOLLIN), 0);
	muted.stop_after = 1;
	assert_int_equal(loop_run(l), 1);
	loop_destroy(l);
	close(muted.fd);
	close(last.fd);
}

/* The other end has gone: a muted source must not keep the loop busy. */
static void test_muted_source_hears_no_hangup(void **state)
{
	struct loop *l;
	struct probe muted, last;
	int ends[2];

	(void)state;
	assert_int_equal(loop_create(&l), 0);
	assert_int_equal(pipe(ends), 0);
	muted = (struct probe){ .loop = l, .fd = ends[0] };
	assert_int_equal(loop_add(l, ends[0], EPOLLIN, on_event, &muted, &muted.self), 0);
	assert_int_equal(loop_source_set(muted.self, 0), 0);
	close(ends[1]);
	probe_init(&last, l);
	last.stop_after = 1;
	fd_event_signal(last.fd);
	assert_int_equal(loop_run(l), 1);
	assert_int_equal(muted.calls, 0);
	loop_destroy(l);
	close(ends[0]);
	close(last.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_deferral_is_fair),
		cmocka_unit_test(test_removal_inside_callback),
		cmocka_unit_test(test_muted_source),
		cmocka_unit_test(test_muted_source_hears_no_hangup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
