/* wispd.h - the daemon: what its parts have in common.
 *
 * Loop thread, but for config, which any thread may read.
 */
#ifndef SUPERVISOR_WISPD_H
#define SUPERVISOR_WISPD_H

#include <stdbool.h>

#include "supervisor/books/anchor.h"
#include "supervisor/books/truth.h"
#include "supervisor/config.h"
#include "vmm/base/error.h"

struct attendance;
struct lifecycle;
struct queue;
struct firewall;
struct keeper;
struct budgets;
struct heartbeat;
struct host_watch;
struct outbox;
struct pins;
struct reconcile;
struct retention;
struct imports;
struct verification;
struct relays;
struct sd_event;
struct server;
struct device_watch;
struct topology;
struct workers;

struct wispd {
	struct config config;
	struct truth truth;
	struct sd_event *loop;
	struct workers *workers;
	struct lifecycle *lifecycle;
	struct attendance *attendance;
	struct queue *queue;
	struct firewall *firewall;
	struct keeper *keeper;
	struct heartbeat *heartbeat;
	struct host_watch *host_watch;
	struct reconcile *reconcile;
	struct retention *retention; /* NULL: the ledger is not rolled up */
	struct budgets *budgets;
	struct outbox *outbox;
	struct pins *pins;
	struct topology *topology; /* what truth points to */
	struct anchor_key anchor_key;
	struct imports *imports;
	struct verification *verification; /* NULL: none is under way */
	struct relays *relays;
	struct device_watch *device_watch;
	struct server *server; /* NULL: nobody listens yet */
	bool restored;	       /* the ledger, since the last start (unknown.h) */
	bool no_room;	       /* the reserve (reserve.h) had to be given up */
};

/* Whether something new may begin: there is room on the disk for its end, too. */
bool wispd_has_room(struct wispd *d);

/* Commits and tells those who wait for news. 0 or a negative errno, rolled back. */
int wispd_commit(struct wispd *d, struct error *err);

#endif
