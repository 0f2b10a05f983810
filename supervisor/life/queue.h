/* queue.h - who may start now, who waits for room, and who is next.
 *
 * An instance that says how long it may wait (wait_ms) is queued where others are refused:
 * when the host is full, its tenant's quota is used up, more starts come than are wanted a
 * second, or the host is cordoned. Whatever gives something back makes the queue look again.
 *
 * The order: priority, which grows by one each queue_age_ms of waiting, so that nobody waits
 * for ever; then the tenant that holds fewest processors by its weight; then who came first.
 * One that does not fit is passed by smaller ones, until it has waited queue_starve_ms: then
 * nobody starts before it. One that wants a place of its own (host/place.h) keeps only such
 * others waiting, in the order of the queue: what floats takes nothing from it.
 *
 * A cordon keeps everything from starting, and is remembered; a drain is a cordon and a stop
 * of all that runs. Loop thread; errors as of store.h. (T): as in instance.h.
 */
#ifndef SUPERVISOR_QUEUE_H
#define SUPERVISOR_QUEUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/instance.h"

enum { QUEUE_PRIORITY_MAX = 9, CORDON_BYTES = 128 };

struct queue;
struct wispd;

int queue_create(struct wispd *d, struct queue **ret, struct error *err);
void queue_destroy(struct queue *q); /* accepts NULL */

/* Something may have been given back: looks at the queue soon. Accepts NULL. */
void queue_wake(struct queue *q);

/* The same at once: starts all that may start now. */
void queue_pump(struct queue *q);

/* (T) What a start of this instance comes to: STATE_STARTING, or STATE_QUEUED and *err says
 * why; or a negative errno: -EUSERS the host or the queue is full, or others have waited for
 * long; -EDQUOT; -EAGAIN the starts of this second are used up; -ESHUTDOWN cordoned. */
int queue_decide(struct queue *q, const struct instance *i, struct error *err);

/* When an instance that is queued gives up, by CLOCK_BOOTTIME; 0: never. */
int64_t queue_deadline(const struct instance *i);

/* (T) reason: not empty, kept until the cordon is lifted; NULL lifts it. */
int queue_cordon(struct queue *q, const char *reason, const char *actor, struct error *err);

/* 0: there is none; -ESHUTDOWN, and *err says why. */
int queue_check_cordon(struct queue *q, struct error *err);

/* (T) Notes the instance as one that a drain has stopped. */
int queue_note_drained(struct queue *q, const struct instance *i, struct error *err);
/* (T) Queues those, as far as they are still stopped; how many. */
int queue_restart_drained(struct queue *q, const char *actor, struct error *err);

/* Capacity, cordon, and who waits why, of a tenant or (NULL) of all. The caller owns it. */
json_t *queue_describe(struct queue *q, const char *tenant, struct error *err);

#endif
