/* monitor.h - what a VMM says of itself while it runs: QMP's events, heard for all its life.
 *
 * The VMM has a monitor for this alone (RUNTIME_EVENTS), so that commands (qmp.h) and events
 * are in nobody's way. What was missed, because wispd was away or the VMM said too much, is made
 * up for by asking how the machine is at each connection. A VMM may have been taken over by its
 * guest: what it says is bounded in size and rate, and believed only to its own disadvantage.
 * Loop thread; nothing here waits.
 */
#ifndef SUPERVISOR_MONITOR_H
#define SUPERVISOR_MONITOR_H

#include "supervisor/life/launch.h"
#include "vmm/base/error.h"

enum { MONITOR_DATA_BYTES = 400 };

struct monitor;
struct wispd;

struct monitor_news {
	const char *event;	       /* QMP's name for it */
	char data[MONITOR_DATA_BYTES]; /* JSON, perhaps cut off; of ASCII */
	const char *fatal;	       /* why the machine cannot go on; NULL: it can */
};

/* Begins to listen to the VMM of this launch. hear() may destroy nothing. -ENOMEM. */
int monitor_create(struct wispd *d, const struct launch *l,
		   void (*hear)(void *ctx, const struct monitor_news *news), void *ctx,
		   struct monitor **ret, struct error *err);
void monitor_destroy(struct monitor *m); /* accepts NULL */

#endif
