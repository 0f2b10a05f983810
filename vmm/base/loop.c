/* loop.c - epoll, one thread, one callback per descriptor.
 *
 * Sources sit in one list. A removed source stays allocated until the end of
 * the round in which it was removed, because epoll may already have handed out
 * a pointer to it; `dead` tells the dispatcher to skip it. A muted source is taken
 * out of epoll altogether, which reports hang-ups whether asked to or not.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/loop.h"
#include "vmm/base/pace.h"

enum { EVENTS_PER_ROUND = 32 };

struct loop_source {
	struct loop *loop;
	struct loop_source *next;
	int fd;
	loop_fn fn;
	void *arg;
	bool watched; /* epoll has it */
	bool deferred, dead;
};

struct loop {
	int epfd;
	struct loop_source *sources;
	unsigned deferred, dead;
	bool stopping;
	int value;
	struct pace pace; /* of the thread, while it runs */
};

int loop_create(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		int r = -errno;

		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	while (l->sources) {
		struct loop_source *s = l->sources;

		l->sources = s->next;
		free(s);
	}
	fd_close(l->epfd);
	free(l);
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg,
	     struct loop_source **ret)
{
	struct loop_source *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct loop_source){ .loop = l, .fd = fd, .fn = fn, .arg = arg };

	struct epoll_event ev = { .events = events, .data.ptr = s };

	/* Also when it starts muted, to learn whether epoll can watch it at all. */
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int r = -errno;

		free(s);
		return r;
	}
	s->watched = true;
	if (events == 0)
		loop_source_set(s, 0);
	s->next = l->sources;
	l->sources = s;
	*ret = s;
	return 0;
}

int loop_source_set(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int op = EPOLL_CTL_MOD;

	if (events == 0 && !s->watched)
		return 0;
	if (events == 0)
		op = EPOLL_CTL_DEL;
	else if (!s->watched)
		op = EPOLL_CTL_ADD;
	if (epoll_ctl(s->loop->epfd, op, s->fd, &ev) < 0)
		return -errno;
	s->watched = events != 0;
	return 0;
}

void loop_source_defer(struct loop_source *s)
{
	if (s->deferred || s->dead)
		return;
	s->deferred = true;
	s->loop->deferred++;
}

void loop_moved(struct loop *l, size_t bytes, uint64_t now_us)
{
	pace_moved(&l->pace, bytes, now_us);
}

void loop_source_remove(struct loop_source *s)
{
	if (!s || s->dead)
		return;
	loop_source_set(s, 0);
	if (s->deferred)
		s->loop->deferred--;
	s->deferred = false;
	s->dead = true;
	s->loop->dead++;
}

void loop_sweep(struct loop *l)
{
	struct loop_source **at = &l->sources;

	while (l->dead > 0 && *at) {
		struct loop_source *s = *at;

		if (s->dead) {
			*at = s->next;
			free(s);
			l->dead--;
		} else {
			at = &s->next;
		}
	}
}

/* Those deferred before this round began; one deferred again waits for the next. */
static void run_deferred(struct loop *l)
{
	unsigned turns = l->deferred;

	for (struct loop_source *s = l->sources; s && turns > 0 && !l->stopping; s = s->next) {
		if (!s->deferred)
			continue;
		turns--;
		s->deferred = false;
		l->deferred--;
		s->fn(s->arg, 0);
	}
}

/* 0 or a negative errno. */
static int run_round(struct loop *l)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(l->epfd, events, EVENTS_PER_ROUND, l->deferred ? 0 : -1);

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n && !l->stopping; i++) {
		struct loop_source *s = events[i].data.ptr;

		if (!s->dead)
			s->fn(s->arg, events[i].events);
	}
	run_deferred(l);
	loop_sweep(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	l->stopping = false;
	while (!l->stopping && r == 0)
		r = run_round(l);
	pace_rest(&l->pace); /* threads that are started now are not to inherit it */
	return r < 0 ? r : l->value;
}

void loop_stop(struct loop *l, int value)
{
	l->stopping = true;
	l->value = value;
}
