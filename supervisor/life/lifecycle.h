/* lifecycle.h - makes what is written down come true.
 *
 * Each instance has a machine here: what this process knows of its VMM. A change of the
 * books is followed by lifecycle_kick(), which looks at the instance's state and takes the
 * next step: that is all there is to starting, stopping, recovering. Loop thread.
 */
#ifndef SUPERVISOR_LIFECYCLE_H
#define SUPERVISOR_LIFECYCLE_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/books/instance.h"
#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

struct lifecycle;
struct process;
struct wispd;

int lifecycle_create(struct wispd *d, struct lifecycle **ret, struct error *err);

/* Before the workers' end: what they still do is left for the next wispd to find. */
void lifecycle_end(struct lifecycle *l);

/* Lets go of all VMMs, which run on. After the workers' end. Both accept NULL. */
void lifecycle_destroy(struct lifecycle *l);

/* Something may be to be done for this instance, at once or at one of its deadlines. */
void lifecycle_kick(struct lifecycle *l, const char *id);

/* The same where a step of another instance may be under way. */
void lifecycle_look(struct lifecycle *l, const char *id);

/* The same for all that are not deleted. */
int lifecycle_kick_all(struct lifecycle *l, struct error *err);

/* At the start: takes up the VMM that an earlier wispd left to this instance. process: the
 * one that stands for it, taken over; NULL: it has ended, and nobody saw how. A kick is due
 * afterwards. */
int lifecycle_adopt(struct lifecycle *l, const char *id, const struct process *process,
		    struct error *err);

/* Whether it has a VMM that lives, as far as is known. */
bool lifecycle_lives(const struct lifecycle *l, const char *id);

/* Its machine cannot go on, for what became of the host: that is written down with all that there
 * is to be known, and its VMM is ended. One that does not live is left alone. */
void lifecycle_break(struct lifecycle *l, const char *id, const char *why);

/* How the agent in its guest is (guest.h), null when there is none to be heard; the caller's. */
json_t *lifecycle_describe_agent(struct lifecycle *l, const char *id);

/* What a start or an end of this instance needs to know. */
int lifecycle_load(struct wispd *d, const struct instance *i, struct launch *ret,
		   struct error *err);

#endif
