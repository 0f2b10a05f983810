/* lifecycle.c - one step at a time from what is written down to what is.
 *
 * The books are ahead of the world, never behind: a move to "starting" is committed before
 * there is a process, one to "deleting" before anything is taken down. What is left is to
 * catch up. machine_look() loads the instance and calls the step of its state (steps[]), which
 * does one of four things: nothing; a piece of work on a worker thread; a signal to the VMM;
 * or the next move, after which it looks again. When work is done or the VMM has ended it is
 * looked at once more. A step decides by the state in the books and by a few facts about
 * the VMM that can be found out again after a crash. So recovery is not a second way of
 * doing things: it is finding the facts, and looking.
 *
 * A machine has at most one piece of work at a time, and while it has, no step is taken.
 * Work gets a copy of all that it needs (launch.h). What fails because the books cannot be
 * written (a full disk) is tried again, in the end every second, and until then nothing goes on.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image_probe.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/console.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/machine.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/meter.h"
#include "supervisor/snapshot/snapshot.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { ACCURACY_US = 1000, TRIM_INTERVAL_US = 5000000 };

static const char actor[] = "wispd";

/* --- moves --- */

/* A VMM that was killed has not written its last line. */
static bool ended_whole(const struct machine *m)
{
	return m->exit_kind && strcmp(m->exit_kind, "exit") == 0 &&
	       (m->exit_code == 0 || m->exit_code == 128 + SIGTERM);
}

/* What the move means for the meters. */
static int write_meters(struct machine *m, const struct instance *i, enum state to,
			struct error *err)
{
	struct truth *t = &m->l->d->truth;
	int r = 0;

	if (to == STATE_CREATED && m->sample.disk_mib >= 0)
		r = meter_hold(t, METER_DISK_SPACE, i->tenant, i->id, i->id, m->sample.disk_mib,
			       actor, err);
	if (r == 0 && m->sampled && m->over)
		r = meter_finish(t, i, &m->sample, ended_whole(m), err);
	return r == 0 && to == STATE_DELETED ? meter_release(t, i, err) : r;
}

/* What the move means for snapshots: one is made, or is not; or was what it began with. */
static int write_snapshots(struct machine *m, const struct instance *i, enum state to,
			   const char *cause, struct error *err)
{
	struct truth *t = &m->l->d->truth;
	int r = 0;

	if (state_is_saving(i->state) && m->task == TASK_SAVE && m->result == 0)
		r = snapshot_made(t, i->id, m->saved_mib, actor, err);
	else if (state_is_saving(i->state))
		r = snapshot_not_made(t, i->id, cause ? cause : "its VMM ended", actor, err);
	/* Once it has run it is a machine of its own; one that was never made is none. */
	if (r == 0 && ((i->state == STATE_STARTING && to == STATE_RUNNING) ||
		       (i->state == STATE_CREATING && to == STATE_FAILED)))
		r = snapshot_drop(t, i->id, err);
	return r < 0 ? r : 0;
}

/* A resize has come to its end, or nobody knows. */
static int write_resize(struct machine *m, struct instance *i, enum state to, struct error *err)
{
	struct resize_outcome *o = to == STATE_RUNNING ? &m->resized : NULL;

	if (i->state != STATE_RESIZING)
		return 0;
	m->resized.result = m->result;
	m->resized.cause = m->err.text;
	return size_end(&m->l->d->truth, i, o, actor, err);
}

static int write_move(struct machine *m, struct instance *i, enum state to, const struct move *move,
		      struct error *err)
{
	struct wispd *d = m->l->d;
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = write_meters(m, i, to, err);
	if (r == 0)
		r = write_snapshots(m, i, to, move->cause, err);
	if (r == 0)
		r = write_resize(m, i, to, err);
	if (r == 0)
		r = instance_move(&d->truth, i, to, move, err);
	if (r == 0 && to != STATE_DELETED)
		r = meter_follow(&d->truth, i, err);
	if (r == 0 && to == STATE_DELETED)
		r = kinds_release(d, i, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

/* The move is written, or will be tried again. */
static void go(struct machine *m, struct instance *i, enum state to, const struct move *move)
{
	const enum state from = i->state;
	struct snapshot saved = { 0 };
	struct error err;

	if (state_is_saving(from))
		(void)snapshot_of_saving(&m->l->d->truth, i->id, &saved, &err);
	if (write_move(m, i, to, move, &err) < 0) {
		machine_try_again(m, &err);
		return;
	}
	log_info("%s is %s: %s", i->id, states[to].name, i->cause);
	m->task = TASK_NONE;
	m->retry_ns = 0;
	if (!states[to].alive)
		m->over = false;
	if (to != STATE_RUNNING && !state_is_saving(to) && to != STATE_RESIZING)
		machine_forget_guest(m);
	machine_look(m);
	if (saved.id[0])
		snapshots_tell(m->l->d, saved.id);
	else if (to == STATE_RUNNING || to == STATE_FAILED || to == STATE_DELETED)
		snapshots_look(m->l->d, NULL);
}

static void go_because(struct machine *m, struct instance *i, enum state to, const char *cause,
		       const char *code)
{
	const struct move move = { .actor = actor, .cause = cause, .code = code };

	go(m, i, to, &move);
}

/* --- steps --- */

/* Its things are taken down, then it is written that it has ended. */
static void settle(struct machine *m, struct instance *i, enum state to)
{
	struct move move = { .actor = actor, .exit_kind = m->exit_kind, .exit_code = m->exit_code };
	char cause[CAUSE_BYTES];

	if (!machine_has_done(m, i, TASK_DETACH))
		return;
	if (m->result < 0) {
		m->task = TASK_NONE;
		machine_try_again(m, &m->err);
		return;
	}
	if (m->why[0])
		snprintf(cause, sizeof(cause), "%s", m->why);
	else if (m->exit_kind && adopted(i))
		snprintf(cause, sizeof(cause), "the VMM ended; %s knows how", i->owner_engine);
	else if (m->exit_kind && strcmp(m->exit_kind, "unknown") == 0)
		snprintf(cause, sizeof(cause), "the VMM ended while wispd was away");
	else
		snprintf(cause, sizeof(cause), "the VMM ended: %s %d",
			 m->exit_kind ? m->exit_kind : "", m->exit_code);
	move.cause = cause;
	go(m, i, to, &move);
}

/* Status 0 is a guest's own end. Of one that nobody saw the best is believed. */
static enum state end_of(const struct machine *m)
{
	bool well = !m->broken && m->exit_kind &&
		    (strcmp(m->exit_kind, "unknown") == 0 ||
		     (strcmp(m->exit_kind, "exit") == 0 && m->exit_code == 0));

	return well ? STATE_STOPPED : STATE_FAILED;
}

/* 1: what it is to be made of is being made, at whose end it is looked at again. */
static int awaits_snapshot(struct machine *m, const struct instance *i, struct error *err)
{
	struct snapshot s;
	int r = snapshot_of_use(&m->l->d->truth, i->id, &s, err);

	if (r <= 0 || s.state == SNAPSHOT_READY)
		return r < 0 ? r : 0;
	if (s.state == SNAPSHOT_MAKING)
		return 1;
	return error_set(err, -ENOENT, NULL, NULL, "The snapshot that it is of was not made");
}

static void step_creating(struct machine *m, struct instance *i)
{
	struct error err;
	int r = m->task == TASK_PREPARE ? 0 : awaits_snapshot(m, i, &err);

	if (r < 0)
		go_because(m, i, STATE_FAILED, err.text, "not_prepared");
	if (r != 0)
		return;
	if (!machine_has_done(m, i, TASK_PREPARE))
		return;
	if (m->result < 0)
		go_because(m, i, STATE_FAILED, m->err.text, "not_prepared");
	else
		go_because(m, i, STATE_CREATED, NULL, NULL);
}

/* Only what may wait has no place yet. */
static void step_created(struct machine *m, struct instance *i)
{
	struct error err = { 0 };
	int next = STATE_STARTING;

	if (!i->start_wanted)
		return;
	if (i->wait_ms)
		next = queue_decide(m->l->d->queue, i, &err);
	if (next < 0)
		go_because(m, i, STATE_FAILED, err.text, "no_capacity");
	else
		go_because(m, i, (enum state)next, err.text[0] ? err.text : NULL, NULL);
}

static void step_queued(struct machine *m, struct instance *i)
{
	int64_t deadline = queue_deadline(i);

	if (deadline && ledger_boot_ns() >= deadline)
		go_because(m, i, STATE_STOPPED, "there was no room in time", "no_capacity");
	else
		machine_wake_at(m, deadline);
}

static void step_starting_alive(struct machine *m, struct instance *i)
{
	if (!machine_has_done(m, i, TASK_BOOT))
		return;
	if (m->result == 0) {
		machine_hear(m, i);
		if (!machine_awaits_agent(m, i))
			go_because(m, i, STATE_RUNNING, NULL, NULL);
		return;
	}
	snprintf(m->why, sizeof(m->why), "%.*s", CAUSE_BYTES - 1, m->err.text);
	machine_end_vmm(m);
}

static void step_starting(struct machine *m, struct instance *i)
{
	if (m->alive) {
		step_starting_alive(m, i);
	} else if (m->over) {
		/* It ran, and was fast; but not before its agent could answer. */
		if (m->task == TASK_BOOT && m->result == 0 && !m->guest)
			go_because(m, i, STATE_RUNNING, NULL, NULL);
		else
			settle(m, i, STATE_FAILED);
	} else if (machine_has_done(m, i, TASK_ATTACH)) {
		if (m->result == 0) {
			machine_spawn(m, i);
			return;
		}
		machine_give_up(m, m->err.text);
		settle(m, i, STATE_FAILED);
	}
}

static void step_running(struct machine *m, struct instance *i)
{
	if (m->over)
		settle(m, i, end_of(m));
	else if (i->state == STATE_RUNNING)
		machine_listen(m, i);
	machine_hear(m, i);
}

/* A task that decides where it goes. */
static void step_through(struct machine *m, struct instance *i, enum task task, enum state well,
			 enum state badly)
{
	if (m->over)
		settle(m, i, end_of(m));
	else if (machine_has_done(m, i, task) && m->result == 0)
		go_because(m, i, well, NULL, NULL);
	else if (m->task == task)
		go_because(m, i, badly, m->err.text, "vmm_refused");
}

static void step_pausing(struct machine *m, struct instance *i)
{
	step_through(m, i, TASK_PAUSE, STATE_PAUSED, STATE_RUNNING);
}

static void step_resuming(struct machine *m, struct instance *i)
{
	step_through(m, i, TASK_RESUME, STATE_RUNNING, STATE_PAUSED);
}

static void step_resizing(struct machine *m, struct instance *i)
{
	step_through(m, i, TASK_RESIZE, STATE_RUNNING, STATE_RUNNING);
}

/* The snapshot says whether it ran. */
static void step_saving(struct machine *m, struct instance *i)
{
	struct snapshot s = { 0 };
	struct error err;
	enum state back;

	if (m->over) {
		settle(m, i, end_of(m));
		return;
	}
	if (!machine_has_done(m, i, TASK_SAVE))
		return;
	if (snapshot_of_saving(&m->l->d->truth, i->id, &s, &err) < 0) {
		machine_try_again(m, &err);
		return;
	}
	back = s.resume ? STATE_RUNNING : STATE_PAUSED;
	go_because(m, i, back, m->result < 0 ? m->err.text : NULL, NULL);
}

static void step_stopping(struct machine *m, struct instance *i)
{
	bool late = ledger_boot_ns() >= i->stop_boot_ns;

	if (m->over || !m->alive) {
		settle(m, i, STATE_STOPPED);
	} else if (late) {
		snprintf(m->why, sizeof(m->why), "it did not power off in time, and was killed");
		machine_end_vmm(m);
	} else if (machine_has_done(m, i, TASK_POWER_OFF)) {
		if (m->result < 0)
			machine_end_vmm(m);
		else
			machine_wake_at(m, i->stop_boot_ns);
	}
}

/* A reboot that a cordon came between waits for the end of that. */
static void start_again(struct machine *m, struct instance *i)
{
	struct error err;
	bool cordoned = queue_check_cordon(m->l->d->queue, &err) < 0;

	go_because(m, i, cordoned ? STATE_QUEUED : STATE_STARTING,
		   cordoned ? err.text : "it was to be started again", NULL);
}

static void step_ended(struct machine *m, struct instance *i)
{
	if (i->start_wanted)
		start_again(m, i);
	else if (i->remove_wanted)
		go_because(m, i, STATE_DELETING, "it was to be removed at its end", NULL);
}

static void step_deleting(struct machine *m, struct instance *i)
{
	struct move move = { .actor = actor, .exit_kind = m->exit_kind, .exit_code = m->exit_code };

	if (m->alive) {
		machine_end_vmm(m);
		return;
	}
	if (!machine_has_done(m, i, TASK_REMOVE))
		return;
	if (m->result == 0) {
		go(m, i, STATE_DELETED, &move);
		return;
	}
	m->task = TASK_NONE;
	machine_try_again(m, &m->err);
}

static void step_deleted(struct machine *m, struct instance *i)
{
	(void)i;
	machine_forget(m);
}

static void (*const steps[STATES_COUNT])(struct machine *m, struct instance *i) = {
	[STATE_CREATING] = step_creating, [STATE_CREATED] = step_created,
	[STATE_STARTING] = step_starting, [STATE_RUNNING] = step_running,
	[STATE_PAUSING] = step_pausing,	  [STATE_PAUSED] = step_running,
	[STATE_RESUMING] = step_resuming, [STATE_STOPPING] = step_stopping,
	[STATE_STOPPED] = step_ended,	  [STATE_FAILED] = step_ended,
	[STATE_DELETING] = step_deleting, [STATE_DELETED] = step_deleted,
	[STATE_QUEUED] = step_queued,	  [STATE_SAVING] = step_saving,
	[STATE_RESIZING] = step_resizing, [STATE_SAVING_LIVE] = step_saving,
};

static bool has_expired(struct machine *m, const struct instance *i)
{
	if (!i->expires_boot_ns || !state_find_move(i->state, "delete"))
		return false;
	if (ledger_boot_ns() >= i->expires_boot_ns)
		return true;
	machine_wake_at(m, i->expires_boot_ns);
	return false;
}

static void settle_probe(struct machine *m, struct instance *i)
{
	struct error err;

	if (image_probe_settle(m->l->d, i, &err) < 0) {
		machine_try_again(m, &err);
		return;
	}
	m->task = TASK_NONE;
	machine_look(m);
}

void machine_look(struct machine *m)
{
	struct instance i;
	struct error err;
	int r;

	if (m->busy || m->gone || m->l->ending)
		return;
	m->wake_boot_ns = 0;
	r = instance_load(&m->l->d->truth, m->id, &i, &err);
	if (r == -ENOENT)
		machine_forget(m);
	else if (r < 0)
		machine_try_again(m, &err);
	else if (has_expired(m, &i))
		go_because(m, &i, STATE_DELETING, "expired", NULL);
	else if (attend_is_over(m->l->d->attendance, &i))
		go_because(m, &i, STATE_DELETING, "its client is gone", NULL);
	else if (m->broken && m->alive)
		machine_end_vmm(m);
	else if (image_probe_is_over(&i))
		settle_probe(m, &i);
	else
		steps[i.state](m, &i);
}

void lifecycle_kick(struct lifecycle *l, const char *id)
{
	machines_bury(l);
	lifecycle_look(l, id);
}

void lifecycle_look(struct lifecycle *l, const char *id)
{
	struct machine *m = machine_find(l, id);

	if (!m)
		m = machine_make(l, id);
	if (!m) {
		log_error("%s: out of memory", id);
		return;
	}
	/* A verb begins something new: what was done before has no more to say. */
	if (!m->busy)
		m->task = TASK_NONE;
	machine_look(m);
}

static int make_one(void *ctx, const struct instance *i)
{
	struct lifecycle *l = ctx;

	return machine_find(l, i->id) || machine_make(l, i->id) ? 0 : -ENOMEM;
}

int lifecycle_kick_all(struct lifecycle *l, struct error *err)
{
	int r = instance_each(&l->d->truth, NULL, make_one, l, err);

	for (struct machine *m = l->machines; m; m = m->next)
		machine_look(m);
	return r;
}

/* --- life --- */

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct lifecycle *l = arg;
	int64_t now = ledger_boot_ns();

	(void)source;
	(void)usec;
	for (struct machine *m = l->machines; m; m = m->next)
		if (m->wake_boot_ns && m->wake_boot_ns <= now)
			machine_look(m);
	machines_bury(l);
	machines_arm(l);
	return 0;
}

/* What guests have said is kept within its limit. */
static int on_trim(sd_event_source *source, uint64_t usec, void *arg)
{
	struct lifecycle *l = arg;

	(void)usec;
	for (struct machine *m = l->machines; m; m = m->next)
		if (m->alive)
			console_trim(l->d, m->id);
	sd_event_source_set_time_relative(source, TRIM_INTERVAL_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int lifecycle_create(struct wispd *d, struct lifecycle **ret, struct error *err)
{
	struct lifecycle *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (l) {
		l->d = d;
		r = sd_event_add_time(d->loop, &l->timer, CLOCK_BOOTTIME, 0, ACCURACY_US, on_timer,
				      l);
	}
	if (r >= 0)
		r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(d->loop, &l->trim, CLOCK_MONOTONIC, TRIM_INTERVAL_US,
					       TRIM_INTERVAL_US / 2, on_trim, l);
	if (r < 0) {
		lifecycle_destroy(l);
		return error_set(err, r, NULL, NULL, "Cannot set a timer: %s", strerror(-r));
	}
	*ret = l;
	return 0;
}

void lifecycle_end(struct lifecycle *l)
{
	if (l)
		l->ending = true;
}

void lifecycle_destroy(struct lifecycle *l)
{
	if (!l)
		return;
	for (struct machine *m = l->machines, *next; m; m = next) {
		next = m->next;
		machine_free(m);
	}
	sd_event_source_disable_unref(l->timer);
	sd_event_source_disable_unref(l->trim);
	free(l);
}

bool lifecycle_lives(const struct lifecycle *l, const char *id)
{
	const struct machine *m = machine_find(l, id);

	return m && m->alive;
}

json_t *lifecycle_describe_agent(struct lifecycle *l, const char *id)
{
	struct machine *m = machine_find(l, id);

	return m && m->guest ? guest_describe(m->guest) : json_null();
}

int lifecycle_adopt(struct lifecycle *l, const char *id, const struct process *process,
		    struct error *err)
{
	struct machine *m = machine_make(l, id);

	if (!m || (process && machine_watch(m, process) < 0))
		return error_set(err, -ENOMEM, NULL, NULL, "Cannot take up %s", id);
	if (!process) {
		m->over = true;
		m->exit_kind = "unknown";
	}
	return 0;
}
