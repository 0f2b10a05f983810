/* machine.h - what this process knows of an instance's VMM, and what it can do about it.
 *
 * Shared by lifecycle.c, which decides, machine.c, which has workers do things,
 * machine_vmm.c, which starts and ends processes, and machine_fault.c; nobody else looks in here. All of it is a
 * memory of facts that can be found out again after a crash. Loop thread.
 */
#ifndef SUPERVISOR_LIFE_MACHINE_H
#define SUPERVISOR_LIFE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/size.h"
#include "supervisor/life/process.h"
#include "supervisor/metering/sample.h"
#include "vmm/base/error.h"

struct guest;
struct lifecycle;
struct monitor;
struct wispd;

/* A piece of work for a worker thread. */
enum task {
	TASK_NONE,
	TASK_PREPARE,
	TASK_ATTACH,
	TASK_BOOT,
	TASK_PAUSE,
	TASK_RESUME,
	TASK_SAVE,
	TASK_RESIZE,
	TASK_POWER_OFF,
	TASK_DETACH,
	TASK_REMOVE,
	TASKS_COUNT,
};

struct machine {
	struct lifecycle *l;
	struct machine *next;
	char id[INSTANCE_ID_BYTES];

	struct process process; /* while alive */
	sd_event_source *ended;
	bool alive;
	bool over; /* its life has ended, or could not begin: things are to be taken down */
	const char *exit_kind; /* NULL: there was no VMM */
	int exit_code;
	bool broken;	       /* its VMM said that it cannot go on: however it ends, it failed */
	bool told_to_end;      /* it was asked to, and is killed next */
	bool sampled;	       /* its counters were read after its end */
	struct sample sample;  /* the last one */
	char why[CAUSE_BYTES]; /* it is over; "": as exit_kind says */

	bool gone;	/* its instance is deleted */
	bool busy;	/* a worker has it */
	enum task task; /* the last piece of work that was done in this state */
	int result;	/* of that */
	struct error err;

	int64_t saved_mib;	       /* what a save took */
	struct resize_outcome resized; /* what a resize came to; cause: in err */

	struct monitor *monitor; /* of a VMM that tells of itself; NULL */
	struct guest *guest;	 /* while it is to answer; NULL */
	int64_t agent_by_ns;	 /* until when it must have; 0: it was not awaited yet */
	int64_t retry_ns;	 /* how long the last failure made it wait; 0: it did not fail */
	int64_t wake_boot_ns;	 /* when to look again; 0: when something happens */
};

struct lifecycle {
	struct wispd *d;
	struct machine *machines;
	sd_event_source *timer, *trim;
	bool ending; /* no step is taken any more */
};

/* A machine for this instance, or NULL. */
struct machine *machine_find(const struct lifecycle *l, const char *id);
/* A new one, which the list owns; NULL: memory is short. */
struct machine *machine_make(struct lifecycle *l, const char *id);
void machine_free(struct machine *m); /* one that is in no list any more */

/* Its instance is deleted. Others may be walking the list: it is freed by the second, when
 * nobody is. */
void machine_forget(struct machine *m);
void machines_bury(struct lifecycle *l);

/* Looks at it again then, or earlier; 0: never mind. The second after a while that grows
 * with each failure, which err tells of. */
void machine_wake_at(struct machine *m, int64_t boot_ns);
void machine_try_again(struct machine *m, const struct error *err);
/* Sets the timer for the first that is to be looked at. */
void machines_arm(struct lifecycle *l);

/* Gives a worker this task, with a copy of all that it needs. */
void machine_begin(struct machine *m, const struct instance *i, enum task task);
/* Whether it has come to a result (m->result); begins it if not. */
bool machine_has_done(struct machine *m, const struct instance *i, enum task task);

/* Starts a process for the VMM: one that waits, its name in the books, and only then off it
 * goes, and is given time to boot. */
void machine_spawn(struct machine *m, struct instance *i);
/* Takes a process up, and hears of its end. */
int machine_watch(struct machine *m, const struct process *p);
/* It is over without ever having had a VMM. */
void machine_give_up(struct machine *m, const char *why);
/* First it is asked to end, so that it says what it did up to its end; one that does not
 * obey is killed when it is looked at again. */
void machine_end_vmm(struct machine *m);

/* Listens for the agent of a guest that has one. */
void machine_listen(struct machine *m, const struct instance *i);
/* Whether a start waits for it; one that does not come ends the VMM. */
bool machine_awaits_agent(struct machine *m, const struct instance *i);
void machine_forget_guest(struct machine *m);

/* Hears what a VMM says of itself, if it is one that does (machine_fault.c). */
void machine_hear(struct machine *m, const struct instance *i);
void machine_forget_monitor(struct machine *m);

/* Something has changed: takes the next step (lifecycle.c). */
void machine_look(struct machine *m);

#endif
