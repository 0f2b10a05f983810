/* watch.h - the inventory of this host, kept up to date, and told of when it changes.
 *
 * It is made anew every host_interval_ms (config.h) by a worker. What it was is in the books,
 * so that a change shows that came while wispd was away: an event host.changed for each
 * section (report.h), {"section", "what"}. Loop thread.
 */
#ifndef SUPERVISOR_HOST_WATCH_H
#define SUPERVISOR_HOST_WATCH_H

#include <jansson.h>

#include "vmm/base/error.h"

struct host_watch;
struct wispd;

int host_watch_create(struct wispd *d, struct host_watch **ret, struct error *err);
void host_watch_destroy(struct host_watch *w); /* accepts NULL; before the workers */

/* The inventory as it was last read, and "now"; the caller owns it. NULL: memory is short. */
json_t *host_watch_describe(struct host_watch *w);

#endif
