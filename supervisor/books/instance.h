/* instance.h - instances as they are written down, and the one way to change their state.
 *
 * instance_move() is the choke point: the new state, the event that tells of it, what is
 * held of quota and host, and the end of the operations that waited for it are one
 * transaction, committed before anything acts on it.
 *
 * Loop thread. Those marked (T) want a transaction open, so that a request and its effects
 * are one; they change the struct only when they succeed, and what they wrote is undone by
 * a rollback, after which the struct must be loaded again. Errors as of store.h, and
 * -ENOENT: there is no such instance.
 */
#ifndef SUPERVISOR_INSTANCE_H
#define SUPERVISOR_INSTANCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/books/states.h"
#include "supervisor/books/truth.h"
#include "supervisor/host/place.h"
#include "vmm/base/error.h"

enum {
	NAME_BYTES = 64, /* of tenants, instances, shapes, images */
	INSTANCE_ID_BYTES = 24,
	DIGEST_BYTES = 65,
	CMDLINE_BYTES = 2048,
	CAUSE_BYTES = 256,
	LABELS_BYTES = 4096,
	ACTOR_BYTES = 32,
};

/* An engine's name: nobody else's than wispd's. */
#define INSTANCE_OWN_ENGINE "wispd"

struct instance {
	char id[INSTANCE_ID_BYTES]; /* of the jail, too */
	char tenant[NAME_BYTES], name[NAME_BYTES];
	char owner_engine[NAME_BYTES]; /* who decides about its life, and makes its processes */
	char runtime[NAME_BYTES];      /* runtime.h */
	char image[DIGEST_BYTES];
	char shape[NAME_BYTES];
	int64_t shape_version, vcpus, mem_mib;
	char cmdline[CMDLINE_BYTES]; /* added to the image's */
	enum state state;
	char cause[CAUSE_BYTES]; /* of the last move */
	int64_t generation;	 /* grows with each change */
	int64_t incarnation;	 /* how often it was started */
	char labels[LABELS_BYTES];
	bool start_wanted;  /* once it has been created, or has stopped */
	bool remove_wanted; /* once it has ended */
	/* Deadlines of this boot by CLOCK_BOOTTIME, 0: none: when a stop becomes a kill, and
	 * when it is deleted. The second also by the wall clock, for the time after a boot. */
	int64_t stop_boot_ns, expires_boot_ns, expires_wall_ns;
	/* How it waits for room on the host (queue.h): wait_ms 0: not at all. */
	int64_t priority, wait_ms;
	int64_t queued_boot_ns; /* since when it is queued */
	struct place_wish wish; /* where on the host it wants to run (host/place.h) */
	int64_t created_wall_ns;
	int64_t changed_seq; /* the event of the last move */
};

/* One start of an instance: the process that stands for its VMM. */
struct incarnation {
	char boot_id[40];
	pid_t pid;
	int64_t pid_start; /* field 22 of /proc/PID/stat: with the pid, one process for ever */
	bool ended;
	char exit_kind[12]; /* as in struct move; "": it has not ended, or had no VMM */
	int exit_code;
};

struct move {
	const char *cause; /* for a person; NULL: as the table of states says */
	const char *actor;
	/* How the VMM ended, NULL: it did not: "exit", "signal" or "unknown", and the number. */
	const char *exit_kind;
	int exit_code;
	const char *code; /* of the operations that fail by it; NULL: "failed" */
	bool then_start;  /* to "stopping": it is started again once it has stopped */
};

/* One that nothing has yet. */
int instance_choose_id(char id[INSTANCE_ID_BYTES], struct error *err);

/* (T) Writes a new instance, in STATE_CREATING; its id is chosen here, unless it has one.
 * -EEXIST: the name is taken; -EDQUOT, -EUSERS (quota.h). */
int instance_create(struct truth *t, struct instance *i, const char *actor, struct error *err);

/* (T) -EPERM: no such move (states.h); -ESTALE: it has changed since it was loaded. */
int instance_move(struct truth *t, struct instance *i, enum state to, const struct move *move,
		  struct error *err);

/* (T) Writes name, labels, expiry and what is wanted; grows the generation. */
int instance_update(struct truth *t, struct instance *i, const char *actor, struct error *err);

/* (T) Writes what it is made of, and as large as what: image, shape, processors, memory; and
 * what it holds by that. Grows the generation. */
int instance_remake(struct truth *t, struct instance *i, const char *actor, struct error *err);

/* (T) Begins an incarnation; its process may go on once this is committed. */
int instance_spawned(struct truth *t, struct instance *i, pid_t pid, int64_t pid_start,
		     const char *actor, struct error *err);

/* (T) An event of it, as it is now, with this body, which is stolen; NULL: memory is short. *seq,
 * the event's number, may be NULL. */
int instance_tell(struct truth *t, const struct instance *i, const char *type, const char *actor,
		  json_t *body, int64_t *seq, struct error *err);

int instance_load(struct truth *t, const char *id, struct instance *ret, struct error *err);
/* By id or by name, not deleted (by id: or deleted), of this tenant; NULL: of any. */
int instance_find(struct truth *t, const char *tenant, const char *which, struct instance *ret,
		  struct error *err);
/* 1 and its last incarnation, 0: it was never started. */
int instance_incarnation(struct truth *t, const struct instance *i, struct incarnation *ret,
			 struct error *err);

/* Calls fn for each instance that is not deleted, of a tenant or (NULL) of all, by id, until
 * fn returns a negative number, which is returned. fn may change nothing in the store. */
typedef int (*instance_fn)(void *ctx, const struct instance *i);
int instance_each(struct truth *t, const char *tenant, instance_fn fn, void *ctx,
		  struct error *err);

/* As the API shows it, and as it lists it; the caller owns the reference. */
json_t *instance_describe(const struct instance *i);
json_t *instance_summarize(const struct instance *i);

/* Lower-case letters, digits, dots and hyphens, beginning with a letter or digit. */
bool instance_name_ok(const char *name);

#endif
