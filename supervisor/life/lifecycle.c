/* lifecycle.c - one step at a time from what is written down to what is.
 *
 * The books are ahead of the world, never behind: a move to "starting" is committed before
 * there is a process, one to "deleting" before anything is taken down. What is left is to
 * catch up. look() loads the instance and calls the step of its state (steps[]), which does
 * one of four things: nothing; a piece of work on a worker thread; a signal to the VMM; or
 * the next move, after which it looks again. When work is done or the VMM has ended it is
 * looked at once more. A step decides by the state in the books and by a few facts about
 * the VMM that can be found out again after a crash. So recovery is not a second way of
 * doing things: it is finding the facts, and looking.
 *
 * A machine has at most one piece of work at a time, and while it has, no step is taken.
 * Work gets a copy of all that it needs (launch.h). What fails because the books cannot be
 * written (a full disk) is tried again, in the end every second, and until then nothing goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image_probe.h"
#include "supervisor/life/console.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/process.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/runtime.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/meter.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { ACCURACY_US = 1000, TRIM_INTERVAL_US = 5000000 };

/* The second is reached by doubling: what is busy now is often free in a moment. */
static const int64_t RETRY_FIRST_NS = 20000000, RETRY_LAST_NS = 1280000000;
/* How long a VMM may take to write its last line. */
static const int64_t OBEY_NS = 500000000;
static const char actor[] = "wispd";

enum task {
	TASK_NONE,
	TASK_PREPARE,
	TASK_ATTACH,
	TASK_BOOT,
	TASK_PAUSE,
	TASK_RESUME,
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
	bool told_to_end;      /* it was asked to, and is killed next */
	bool sampled;	       /* its counters were read after its end */
	struct sample sample;  /* the last one */
	char why[CAUSE_BYTES]; /* it is over; "": as exit_kind says */

	bool gone;	/* its instance is deleted */
	bool busy;	/* a worker has it */
	enum task task; /* the last piece of work that was done in this state */
	int result;	/* of that */
	struct error err;

	struct guest *guest;  /* while it is to answer; NULL */
	int64_t agent_by_ns;  /* until when it must have; 0: it was not awaited yet */
	int64_t retry_ns;     /* how long the last failure made it wait; 0: it did not fail */
	int64_t wake_boot_ns; /* when to look again; 0: when something happens */
};

struct lifecycle {
	struct wispd *d;
	struct machine *machines;
	sd_event_source *timer, *trim;
	bool ending; /* no step is taken any more */
};

struct job {
	struct work work;
	struct machine *m;
	enum task task;
	int result;
	struct error err;
	struct sample sample; /* for the tasks that make or take down what is metered */
	struct launch launch;
};

static void look(struct machine *m);

/* --- machines --- */

static struct machine *find(const struct lifecycle *l, const char *id)
{
	for (struct machine *m = l->machines; m; m = m->next)
		if (strcmp(m->id, id) == 0)
			return m;
	return NULL;
}

bool lifecycle_lives(const struct lifecycle *l, const char *id)
{
	const struct machine *m = find(l, id);

	return m && m->alive;
}

static struct machine *make(struct lifecycle *l, const char *id)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->l = l;
	m->process.pidfd = m->process.gate = -1;
	snprintf(m->id, sizeof(m->id), "%s", id);
	m->next = l->machines;
	l->machines = m;
	return m;
}

static void free_machine(struct machine *m)
{
	guest_destroy(m->guest);
	sd_event_source_disable_unref(m->ended);
	fd_close(m->process.pidfd);
	free(m);
}

/* Others may be walking the list: it is freed by bury(), when nobody is. */
static void forget(struct machine *m)
{
	m->gone = true;
	m->id[0] = '\0';
	m->wake_boot_ns = 0;
}

static void bury(struct lifecycle *l)
{
	struct machine **at = &l->machines;

	while (*at) {
		struct machine *m = *at;

		if (!m->gone) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		free_machine(m);
	}
}

static void arm(struct lifecycle *l)
{
	int64_t first = 0;

	for (struct machine *m = l->machines; m; m = m->next)
		if (m->wake_boot_ns && (!first || m->wake_boot_ns < first))
			first = m->wake_boot_ns;
	sd_event_source_set_time(l->timer, (uint64_t)first / 1000);
	sd_event_source_set_enabled(l->timer, first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void wake_at(struct machine *m, int64_t boot_ns)
{
	if (!boot_ns || (m->wake_boot_ns && m->wake_boot_ns <= boot_ns))
		return;
	m->wake_boot_ns = boot_ns;
	arm(m->l);
}

static void try_again(struct machine *m, const struct error *err)
{
	m->retry_ns = m->retry_ns ? 2 * m->retry_ns : RETRY_FIRST_NS;
	if (m->retry_ns >= RETRY_LAST_NS) {
		m->retry_ns = RETRY_LAST_NS;
		log_warn("%s: %s; trying again", m->id, err->text);
	}
	wake_at(m, ledger_boot_ns() + m->retry_ns);
}

/* --- work --- */

int lifecycle_load(struct wispd *d, const struct instance *i, struct launch *ret, struct error *err)
{
	*ret = (struct launch){
		.config = &d->config,
		.runtime = runtime_find(i->runtime),
		.vcpus = i->vcpus,
		.mem_mib = i->mem_mib,
		.pidfd = -1,
	};
	snprintf(ret->id, sizeof(ret->id), "%s", i->id);
	if (!ret->runtime)
		return error_set(err, -ENOTSUP, "runtime", "start the wispd that made it",
				 "There is no runtime %s", i->runtime);
	return kinds_load(d, i, ret, err);
}

static int do_prepare(struct launch *l, struct error *err)
{
	int r = l->runtime->prepare(l, err);

	return r < 0 ? r : kinds_prepare(l, err);
}

static int do_attach(struct launch *l, struct error *err)
{
	int r = l->runtime->clear(l, err);

	return r < 0 ? r : kinds_attach(l, err);
}

static int do_boot(struct launch *l, struct error *err)
{
	return l->runtime->boot(l, err);
}

static int do_pause(struct launch *l, struct error *err)
{
	return l->runtime->pause(l, err);
}

static int do_resume(struct launch *l, struct error *err)
{
	return l->runtime->resume(l, err);
}

/* A guest that stands still hears nothing. */
static int do_power_off(struct launch *l, struct error *err)
{
	struct error not_paused;

	(void)l->runtime->resume(l, &not_paused);
	return l->runtime->power_off(l, err);
}

static int do_remove(struct launch *l, struct error *err)
{
	int r = kinds_detach(l, err);

	if (r == 0)
		r = kinds_remove(l, err);
	return r < 0 ? r : l->runtime->remove(l, err);
}

static int (*const tasks[TASKS_COUNT])(struct launch *l, struct error *err) = {
	[TASK_PREPARE] = do_prepare,  [TASK_ATTACH] = do_attach, [TASK_BOOT] = do_boot,
	[TASK_PAUSE] = do_pause,      [TASK_RESUME] = do_resume, [TASK_POWER_OFF] = do_power_off,
	[TASK_DETACH] = kinds_detach, [TASK_REMOVE] = do_remove,
};

static bool takes_down(enum task task)
{
	return task == TASK_DETACH || task == TASK_REMOVE;
}

/* Counters are read before what they are of goes, and space after it was taken. */
static void job_run(struct work *work)
{
	struct job *job = (struct job *)work;

	if (takes_down(job->task))
		sample_take(&job->launch, job->sample.lines_from, &job->sample);
	job->result = tasks[job->task](&job->launch, &job->err);
	if (job->task == TASK_PREPARE)
		sample_take(&job->launch, 0, &job->sample);
}

static void job_done(struct work *work)
{
	struct job *job = (struct job *)work;
	struct machine *m = job->m;
	struct error err;
	bool reported;

	m->busy = false;
	m->task = job->task;
	m->result = job->result;
	m->err = job->err;
	/* What is done again finds less than the first time. */
	if (!m->sampled) {
		m->sample = job->sample;
		m->sampled = takes_down(job->task);
	}
	fd_close(job->launch.pidfd);
	/* What cannot be written down is done again. */
	reported = kinds_report(m->l->d, &job->launch, &err) == 0;
	free(job);
	if (reported) {
		look(m);
		return;
	}
	m->task = TASK_NONE;
	try_again(m, &err);
}

static void begin(struct machine *m, const struct instance *i, enum task task)
{
	struct job *job = calloc(1, sizeof(*job));
	struct error err = { .text = "out of memory" };

	if (!job || lifecycle_load(m->l->d, i, &job->launch, &err) < 0 ||
	    meter_lines(&m->l->d->truth, i, &job->sample.lines_from, &err) < 0) {
		free(job);
		try_again(m, &err);
		return;
	}
	job->work = (struct work){ .run = job_run, .done = job_done };
	job->m = m;
	job->task = task;
	/* Its own: the machine's is closed when the VMM ends. */
	job->launch.pidfd = m->alive ? fcntl(m->process.pidfd, F_DUPFD_CLOEXEC, 0) : -1;
	job->result = -ECANCELED;
	m->busy = true;
	workers_add(m->l->d->workers, &job->work);
}

/* Whether a piece of work has come to a result; begins it if not. */
static bool done(struct machine *m, const struct instance *i, enum task task)
{
	if (m->task == task)
		return true;
	begin(m, i, task);
	return false;
}

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

static void forget_guest(struct machine *m)
{
	guest_destroy(m->guest);
	m->guest = NULL;
	m->agent_by_ns = 0;
}

static int write_move(struct machine *m, struct instance *i, enum state to, const struct move *move,
		      struct error *err)
{
	struct wispd *d = m->l->d;
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = write_meters(m, i, to, err);
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
	struct error err;

	if (write_move(m, i, to, move, &err) < 0) {
		try_again(m, &err);
		return;
	}
	log_info("%s is %s: %s", i->id, states[to].name, i->cause);
	m->task = TASK_NONE;
	m->retry_ns = 0;
	if (!states[to].alive)
		m->over = false;
	if (to != STATE_RUNNING)
		forget_guest(m);
	look(m);
}

static void go_because(struct machine *m, struct instance *i, enum state to, const char *cause,
		       const char *code)
{
	const struct move move = { .actor = actor, .cause = cause, .code = code };

	go(m, i, to, &move);
}

/* --- the VMM --- */

static void give_up(struct machine *m, const char *why)
{
	m->over = true;
	m->exit_kind = NULL;
	snprintf(m->why, sizeof(m->why), "%.*s", CAUSE_BYTES - 1, why);
}

/* First it is asked to, so that it says what it did up to its end; one that does not obey
 * is killed when it is looked at again. */
static void end_vmm(struct machine *m)
{
	int signal = m->told_to_end ? SIGKILL : SIGTERM;

	if (!m->alive)
		return;
	if (syscall(SYS_pidfd_send_signal, m->process.pidfd, signal, NULL, 0) < 0)
		log_warn("%s: cannot end its VMM: %s", m->id, strerror(errno));
	m->told_to_end = true;
	wake_at(m, ledger_boot_ns() + OBEY_NS);
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct machine *m = arg;

	(void)source;
	(void)fd;
	(void)events;
	m->ended = sd_event_source_disable_unref(m->ended);
	m->exit_kind = process_reap(&m->process, &m->exit_code);
	m->alive = false;
	m->over = true;
	look(m);
	return 0;
}

static int watch(struct machine *m, const struct process *p)
{
	int r = sd_event_add_io(m->l->d->loop, &m->ended, p->pidfd, EPOLLIN, on_ended, m);

	if (r < 0)
		return r;
	m->process = *p;
	m->alive = true;
	m->over = m->sampled = m->told_to_end = false;
	m->why[0] = '\0';
	return 0;
}

static int make_process(struct machine *m, const struct instance *i, struct process *ret,
			struct error *err)
{
	struct runtime_command *command = calloc(1, sizeof(*command));
	struct launch *launch = calloc(1, sizeof(*launch));
	int log_fd = -1, r = -ENOMEM;

	if (command && launch)
		r = lifecycle_load(m->l->d, i, launch, err);
	if (r == 0)
		r = launch->runtime->command(launch, command, err);
	if (r == 0)
		r = log_fd = launch->runtime->open_log(launch, err);
	if (r >= 0)
		r = process_spawn(command->argv, log_fd, ret, err);
	fd_close(log_fd);
	free(launch);
	free(command);
	return r;
}

static int write_process(struct machine *m, struct instance *i, const struct process *p,
			 struct error *err)
{
	struct truth *t = &m->l->d->truth;
	int r = store_begin(t->store, err);

	if (r == 0)
		r = instance_spawned(t, i, p->pid, p->start, actor, err);
	if (r == 0)
		r = wispd_commit(m->l->d, err);
	if (r < 0)
		store_rollback(t->store);
	return r;
}

/* A process that waits, its name in the books, and only then off it goes. */
static void spawn(struct machine *m, struct instance *i)
{
	struct process p = { .pidfd = -1, .gate = -1 };
	struct error err = { .text = "out of memory" };

	if (make_process(m, i, &p, &err) < 0) {
		give_up(m, err.text);
		look(m);
		return;
	}
	if (write_process(m, i, &p, &err) < 0 || watch(m, &p) < 0) {
		process_cancel(&p);
		try_again(m, &err);
		return;
	}
	process_go(&m->process);
	m->task = TASK_NONE;
	begin(m, i, TASK_BOOT);
}

/* --- the agent --- */

static void on_agent(void *ctx)
{
	look(ctx);
}

/* Listens for the agent of a guest that has one. */
static void listen_for_agent(struct machine *m, const struct instance *i)
{
	struct launch *l = m->guest || !m->alive ? NULL : calloc(1, sizeof(*l));
	struct error err = { 0 };
	int r = l ? lifecycle_load(m->l->d, i, l, &err) : 0;

	if (r == 0 && l && l->agent)
		r = guest_create(m->l->d, l, on_agent, m, &m->guest, &err);
	if (r < 0)
		log_warn("%s: %s", m->id, err.text);
	free(l);
}

/* Whether a start waits for it; one that does not come ends the VMM. */
static bool agent_is_awaited(struct machine *m, const struct instance *i)
{
	const int64_t limit_ms = (int64_t)m->l->d->config.agent_timeout_ms;
	int64_t now = ledger_boot_ns();

	listen_for_agent(m, i);
	if (!m->guest || guest_is_ready(m->guest))
		return false;
	if (!m->agent_by_ns)
		m->agent_by_ns = now + limit_ms * 1000000;
	wake_at(m, m->agent_by_ns);
	if (now < m->agent_by_ns)
		return true;
	snprintf(m->why, sizeof(m->why), "the guest's agent did not answer within %lld ms",
		 (long long)limit_ms);
	m->wake_boot_ns = 0;
	end_vmm(m);
	return true;
}

json_t *lifecycle_describe_agent(struct lifecycle *l, const char *id)
{
	struct machine *m = find(l, id);

	return m && m->guest ? guest_describe(m->guest) : json_null();
}

/* --- steps --- */

/* Its things are taken down, then it is written that it has ended. */
static void settle(struct machine *m, struct instance *i, enum state to)
{
	struct move move = { .actor = actor, .exit_kind = m->exit_kind, .exit_code = m->exit_code };
	char cause[CAUSE_BYTES];

	if (!done(m, i, TASK_DETACH))
		return;
	if (m->result < 0) {
		m->task = TASK_NONE;
		try_again(m, &m->err);
		return;
	}
	if (m->why[0])
		snprintf(cause, sizeof(cause), "%s", m->why);
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
	bool well = m->exit_kind && (strcmp(m->exit_kind, "unknown") == 0 ||
				     (strcmp(m->exit_kind, "exit") == 0 && m->exit_code == 0));

	return well ? STATE_STOPPED : STATE_FAILED;
}

static void step_creating(struct machine *m, struct instance *i)
{
	if (!done(m, i, TASK_PREPARE))
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
		wake_at(m, deadline);
}

static void step_starting_alive(struct machine *m, struct instance *i)
{
	if (!done(m, i, TASK_BOOT))
		return;
	if (m->result == 0) {
		if (!agent_is_awaited(m, i))
			go_because(m, i, STATE_RUNNING, NULL, NULL);
		return;
	}
	snprintf(m->why, sizeof(m->why), "%.*s", CAUSE_BYTES - 1, m->err.text);
	end_vmm(m);
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
	} else if (done(m, i, TASK_ATTACH)) {
		if (m->result == 0) {
			spawn(m, i);
			return;
		}
		give_up(m, m->err.text);
		settle(m, i, STATE_FAILED);
	}
}

static void step_running(struct machine *m, struct instance *i)
{
	if (m->over)
		settle(m, i, end_of(m));
	else if (i->state == STATE_RUNNING)
		listen_for_agent(m, i);
}

static void step_pausing(struct machine *m, struct instance *i)
{
	if (m->over)
		settle(m, i, end_of(m));
	else if (done(m, i, TASK_PAUSE) && m->result == 0)
		go_because(m, i, STATE_PAUSED, NULL, NULL);
	else if (m->task == TASK_PAUSE)
		go_because(m, i, STATE_RUNNING, m->err.text, "vmm_refused");
}

static void step_resuming(struct machine *m, struct instance *i)
{
	if (m->over)
		settle(m, i, end_of(m));
	else if (done(m, i, TASK_RESUME) && m->result == 0)
		go_because(m, i, STATE_RUNNING, NULL, NULL);
	else if (m->task == TASK_RESUME)
		go_because(m, i, STATE_PAUSED, m->err.text, "vmm_refused");
}

static void step_stopping(struct machine *m, struct instance *i)
{
	bool late = ledger_boot_ns() >= i->stop_boot_ns;

	if (m->over || !m->alive) {
		settle(m, i, STATE_STOPPED);
	} else if (late) {
		snprintf(m->why, sizeof(m->why), "it did not power off in time, and was killed");
		end_vmm(m);
	} else if (done(m, i, TASK_POWER_OFF)) {
		if (m->result < 0)
			end_vmm(m);
		else
			wake_at(m, i->stop_boot_ns);
	}
}

static void step_ended(struct machine *m, struct instance *i)
{
	if (i->remove_wanted)
		go_because(m, i, STATE_DELETING, "it was to be removed at its end", NULL);
}

static void step_deleting(struct machine *m, struct instance *i)
{
	struct move move = { .actor = actor, .exit_kind = m->exit_kind, .exit_code = m->exit_code };

	if (m->alive) {
		end_vmm(m);
		return;
	}
	if (!done(m, i, TASK_REMOVE))
		return;
	if (m->result == 0) {
		go(m, i, STATE_DELETED, &move);
		return;
	}
	m->task = TASK_NONE;
	try_again(m, &m->err);
}

static void step_deleted(struct machine *m, struct instance *i)
{
	(void)i;
	forget(m);
}

static void (*const steps[STATES_COUNT])(struct machine *m, struct instance *i) = {
	[STATE_CREATING] = step_creating, [STATE_CREATED] = step_created,
	[STATE_STARTING] = step_starting, [STATE_RUNNING] = step_running,
	[STATE_PAUSING] = step_pausing,	  [STATE_PAUSED] = step_running,
	[STATE_RESUMING] = step_resuming, [STATE_STOPPING] = step_stopping,
	[STATE_STOPPED] = step_ended,	  [STATE_FAILED] = step_ended,
	[STATE_DELETING] = step_deleting, [STATE_DELETED] = step_deleted,
	[STATE_QUEUED] = step_queued,
};

static bool has_expired(struct machine *m, const struct instance *i)
{
	if (!i->expires_boot_ns || !state_find_move(i->state, "delete"))
		return false;
	if (ledger_boot_ns() >= i->expires_boot_ns)
		return true;
	wake_at(m, i->expires_boot_ns);
	return false;
}

static void settle_probe(struct machine *m, struct instance *i)
{
	struct error err;

	if (image_probe_settle(m->l->d, i, &err) < 0) {
		try_again(m, &err);
		return;
	}
	m->task = TASK_NONE;
	look(m);
}

static void look(struct machine *m)
{
	struct instance i;
	struct error err;
	int r;

	if (m->busy || m->gone || m->l->ending)
		return;
	m->wake_boot_ns = 0;
	r = instance_load(&m->l->d->truth, m->id, &i, &err);
	if (r == -ENOENT)
		forget(m);
	else if (r < 0)
		try_again(m, &err);
	else if (has_expired(m, &i))
		go_because(m, &i, STATE_DELETING, "expired", NULL);
	else if (image_probe_is_over(&i))
		settle_probe(m, &i);
	else
		steps[i.state](m, &i);
}

void lifecycle_kick(struct lifecycle *l, const char *id)
{
	struct machine *m;

	bury(l);
	m = find(l, id);
	if (!m)
		m = make(l, id);
	if (!m) {
		log_error("%s: out of memory", id);
		return;
	}
	/* A verb begins something new: what was done before has no more to say. */
	if (!m->busy)
		m->task = TASK_NONE;
	look(m);
}

static int make_one(void *ctx, const struct instance *i)
{
	struct lifecycle *l = ctx;

	return find(l, i->id) || make(l, i->id) ? 0 : -ENOMEM;
}

int lifecycle_kick_all(struct lifecycle *l, struct error *err)
{
	int r = instance_each(&l->d->truth, NULL, make_one, l, err);

	for (struct machine *m = l->machines; m; m = m->next)
		look(m);
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
			look(m);
	bury(l);
	arm(l);
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
		free_machine(m);
	}
	sd_event_source_disable_unref(l->timer);
	sd_event_source_disable_unref(l->trim);
	free(l);
}

int lifecycle_adopt(struct lifecycle *l, const char *id, const struct process *process,
		    struct error *err)
{
	struct machine *m = make(l, id);

	if (!m || (process && watch(m, process) < 0))
		return error_set(err, -ENOMEM, NULL, NULL, "Cannot take up %s", id);
	if (!process) {
		m->over = true;
		m->exit_kind = "unknown";
	}
	return 0;
}
