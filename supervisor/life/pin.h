/* pin.h - guests stay on the processors that the books give them (books/seats.h).
 *
 * Two things hold a guest there. Its control group's cpuset names the processors and the node
 * of its memory: the jailer writes that before the VMM begins (cell.c), and a VMM that its guest has
 * taken over cannot leave it. Within it each of the guest's processors, a thread of the VMM,
 * is bound to one of them, and the VMM's other threads to the rest; that is for speed alone.
 *
 * For both runtimes: a runtime says how the VMM names the threads (struct runtime,
 * vcpu_thread), and machine.c calls pin_threads() when boot() has come to its end. So a new
 * runtime needs no more than that text.
 */
#ifndef SUPERVISOR_PIN_H
#define SUPERVISOR_PIN_H

#include <sys/types.h>

#include "supervisor/life/launch.h"

struct pins;
struct wispd;

/* Binds the threads of a VMM that l->place has processors for; 0 without them. pattern: the
 * name of those that are the guest's processors, "#" its number: "vcpu#". -ESRCH: one has
 * no thread. Any thread. */
int pin_threads(const struct launch *l, const char *pattern, struct error *err);
/* Which processor of the guest's a thread of this name is; -1: none. */
int pin_vcpu_of(const char *pattern, const char *name);

/* Calls fn for each thread in the instance's group, with the name it gives itself. Any thread. */
typedef void (*pin_fn)(void *ctx, pid_t thread, const char *name);
int pin_each_thread(const struct config *c, const char *id, pin_fn fn, void *ctx,
		    struct error *err);

/* A file of the instance's group of this controller; a descriptor, or a negative errno. */
int pin_open_group(const struct config *c, const char *controller, const char *id);

/* Those that float follow when what is shared has changed: their groups are written anew,
 * when the loop comes to it. Loop thread. */
int pins_create(struct wispd *d, struct pins **ret, struct error *err);
void pins_destroy(struct pins *p); /* accepts NULL */
void pins_wake(struct pins *p);	   /* the books have changed; accepts NULL */
/* This instance's VMM has booted, with a group of its own; accepts NULL. */
void pins_settle(struct pins *p, const char *id);

#endif
