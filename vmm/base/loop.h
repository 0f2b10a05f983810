/* loop.h - the event loop: epoll, one thread, one callback per descriptor.
 *
 * Every descriptor is level-triggered and watched until its source is removed.
 * A callback that has work left (a device whose kick budget ran out) defers its
 * source: it is called again after every other ready source had its turn, so no
 * device can starve another or the API.
 *
 * Everything here runs on the thread that runs the loop, except loop_stop().
 */
#ifndef VMM_BASE_LOOP_H
#define VMM_BASE_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_source;

/* events: EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR, or 0 for a deferred turn. */
typedef void (*loop_fn)(void *arg, uint32_t events);

/* 0 and *ret, or a negative errno. */
int loop_create(struct loop **ret);

/* Frees the loop and every source still in it; closes no descriptor of theirs. */
void loop_destroy(struct loop *l);

/* Watches fd (not owned) for events; -EPERM for a descriptor that epoll cannot
 * watch (a regular file). The source is valid until removed. */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg,
	     struct loop_source **ret);

/* Changes what a source waits for; 0 mutes it. The one call here that any thread may
 * make, as long as the source is not removed meanwhile. */
int loop_source_set(struct loop_source *s, uint32_t events);

/* Asks for one more call of the source's callback, after the others' turns. */
void loop_source_defer(struct loop_source *s);

/* A callback has moved so many bytes up to now (clock_now_us()): in bulk, the thread does
 * not cut in on others (pace.h). */
void loop_moved(struct loop *l, size_t bytes, uint64_t now_us);

/* Accepts NULL. Safe inside any callback, the source's own included. */
void loop_source_remove(struct loop_source *s);

/* Frees the sources that were removed: of a loop that does not run just now, for a thread
 * that has no memory of its own to free. */
void loop_sweep(struct loop *l);

/* Runs until loop_stop(); returns its value, or a negative errno. */
int loop_run(struct loop *l);

/* Makes loop_run() return value after the current callback. Loop thread. */
void loop_stop(struct loop *l, int value);

#endif
