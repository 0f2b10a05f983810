/* kept.h - one blank, as this process knows it, and its way from nothing to ready.
 *
 * Shared by keeper.c, which decides how many there are, and kept.c, which has them made; nobody
 * else looks in here. Loop thread.
 */
#ifndef SUPERVISOR_KEPT_H
#define SUPERVISOR_KEPT_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "supervisor/life/process.h"
#include "supervisor/pool/demand.h"
#include "supervisor/pool/golden.h"
#include "supervisor/pool/pool.h"

struct wispd;

/* A pool, as it was last read. */
struct stock {
	struct stock *next;
	struct pool pool;
	struct pool_plan plan;
	bool seen; /* its row is there */
	bool planned;
	enum golden_state golden;
	bool golden_failed; /* the last time; until there is one, blanks boot */
	struct demand demand;
	int64_t wanted, takes, misses;
	int64_t rows, kept, ready; /* blanks: in the books, to stay, to be taken; as last seen */
	int64_t retry_boot_ns, retry_ns; /* when to try again; how long the last wait was */
	int64_t anew_boot_ns, anew_ns;	 /* so of a golden snapshot that is refused */
	char cause[CAUSE_BYTES];	 /* why there are no more; "": nothing is wrong */
};

struct kept {
	struct kept *next;
	struct keeper *k;
	struct blank row;
	struct process process; /* while alive */
	sd_event_source *ended;
	bool alive, prepared, ready;
	bool leaving; /* to be ended and removed */
	bool busy;    /* a worker has it */
};

struct keeper {
	struct wispd *d;
	struct stock *stocks;
	struct kept *blanks; /* the oldest first */
	sd_event_source *soon, *timer;
	bool refilling; /* the timer is set for it */
	bool ending;
};

/* In the list, behind the others; NULL: memory is short. */
struct kept *kept_make(struct keeper *k, const struct blank *row);
/* Out of the list, and forgotten; what it had stays. */
void kept_free(struct kept *b);
/* Takes its next step, if nothing is under way. */
void kept_look(struct kept *b);
/* Takes up a process, and hears of its end. */
int kept_watch(struct kept *b, const struct process *p);

/* It did not work (keeper.c). */
void keeper_fail(struct keeper *k, int64_t pool, const struct error *err);

#endif
