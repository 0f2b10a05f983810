/* machine.c - machines, when they are looked at again, and the work that is done for them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/machine.h"
#include "supervisor/life/pin.h"
#include "supervisor/life/resize.h"
#include "supervisor/life/runtime.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/meter.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* The second is reached by doubling: what is busy now is often free in a moment. */
static const int64_t RETRY_FIRST_NS = 20000000, RETRY_LAST_NS = 1280000000;

enum { SAVE_ATTEMPTS = 3 };

struct job {
	struct work work;
	struct machine *m;
	enum task task;
	int result;
	struct error err;
	struct sample sample; /* for the tasks that make or take down what is metered */
	struct launch launch;
};

struct machine *machine_find(const struct lifecycle *l, const char *id)
{
	for (struct machine *m = l->machines; m; m = m->next)
		if (strcmp(m->id, id) == 0)
			return m;
	return NULL;
}

struct machine *machine_make(struct lifecycle *l, const char *id)
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

void machine_free(struct machine *m)
{
	guest_destroy(m->guest);
	machine_forget_monitor(m);
	sd_event_source_disable_unref(m->ended);
	fd_close(m->process.pidfd);
	free(m);
}

void machine_forget(struct machine *m)
{
	m->gone = true;
	m->id[0] = '\0';
	m->wake_boot_ns = 0;
}

void machines_bury(struct lifecycle *l)
{
	struct machine **at = &l->machines;

	while (*at) {
		struct machine *m = *at;

		if (!m->gone) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		machine_free(m);
	}
}

void machines_arm(struct lifecycle *l)
{
	int64_t first = 0;

	for (struct machine *m = l->machines; m; m = m->next)
		if (m->wake_boot_ns && (!first || m->wake_boot_ns < first))
			first = m->wake_boot_ns;
	sd_event_source_set_time(l->timer, (uint64_t)first / 1000);
	sd_event_source_set_enabled(l->timer, first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void machine_wake_at(struct machine *m, int64_t boot_ns)
{
	if (!boot_ns || (m->wake_boot_ns && m->wake_boot_ns <= boot_ns))
		return;
	m->wake_boot_ns = boot_ns;
	machines_arm(m->l);
}

void machine_try_again(struct machine *m, const struct error *err)
{
	m->retry_ns = m->retry_ns ? 2 * m->retry_ns : RETRY_FIRST_NS;
	if (m->retry_ns >= RETRY_LAST_NS) {
		m->retry_ns = RETRY_LAST_NS;
		log_warn("%s: %s; trying again", m->id, err->text);
	}
	machine_wake_at(m, ledger_boot_ns() + m->retry_ns);
}

/* --- work --- */

int lifecycle_load(struct wispd *d, const struct instance *i, struct launch *ret, struct error *err)
{
	bool reading;
	int r;

	*ret = (struct launch){
		.config = &d->config,
		.runtime = runtime_find(i->runtime),
		.vcpus = i->vcpus,
		.mem_mib = i->mem_mib,
		.pidfd = -1,
	};
	snprintf(ret->id, sizeof(ret->id), "%s", i->id);
	snprintf(ret->name, sizeof(ret->name), "%s", i->name);
	if (!ret->runtime)
		return error_set(err, -ENOTSUP, "runtime", "start the wispd that made it",
				 "There is no runtime %s", i->runtime);
	reading = store_begin_reading(d->truth.store);
	r = kinds_load(d, i, ret, err);
	store_end_reading(d->truth.store, reading);
	return r;
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
	int r = l->was_blank ? kind_network_change(l, err) : 0;

	if (r == 0)
		r = l->runtime->boot(l, err);
	return r < 0 ? r : pin_threads(l, l->runtime->vcpu_thread, err);
}

static int do_pause(struct launch *l, struct error *err)
{
	return l->runtime->pause(l, err);
}

static int do_resume(struct launch *l, struct error *err)
{
	return l->runtime->resume(l, err);
}

static bool has_own_disk(const struct launch *l)
{
	for (unsigned n = 0; n < l->ndrives; n++)
		if (!l->drives[n].read_only)
			return true;
	return false;
}

/* Disks and memory are of one moment: while it stands still, disks are copied, and memory is
 * written, or caught (save.live). Whatever came of it, the guest goes on if it is to. */
static int save_once(struct launch *l, struct error *err)
{
	struct error later;
	int r = snapshot_files_await(l, err);

	if (r == 0)
		r = snapshot_files_begin(l, err);
	if (r == 0 && (!l->save.live || has_own_disk(l)))
		r = l->runtime->pause(l, err);
	if (r == 0)
		r = snapshot_files_copy_disks(l, err);
	if (r == 0)
		r = l->runtime->save(l, err);
	if (r == 0)
		r = snapshot_files_take(l, &l->save.size_mib, err);
	if (l->save.resume && l->runtime->resume(l, r < 0 ? &later : err) < 0)
		return r < 0 ? r : err->code;
	return r;
}

/* -EBUSY: the VMM does now what an earlier wispd asked it for. */
static int do_save(struct launch *l, struct error *err)
{
	int r = -EBUSY;

	for (int attempt = 0; attempt < SAVE_ATTEMPTS && r == -EBUSY; attempt++)
		r = save_once(l, err);
	return r;
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
	[TASK_DETACH] = kinds_detach, [TASK_REMOVE] = do_remove, [TASK_SAVE] = do_save,
	[TASK_RESIZE] = resize_run,
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
	m->saved_mib = job->launch.save.size_mib;
	m->resized = (struct resize_outcome){ .mem_mib = job->launch.resize.now_mib };
	memcpy(m->resized.words, job->launch.resize.words, sizeof(m->resized.words));
	/* What is done again finds less than the first time. */
	if (!m->sampled) {
		m->sample = job->sample;
		m->sampled = takes_down(job->task);
	}
	fd_close(job->launch.pidfd);
	if (job->task == TASK_BOOT && job->result == 0)
		pins_settle(m->l->d->pins, m->id);
	/* What cannot be written down is done again. */
	reported = kinds_report(m->l->d, &job->launch, &err) == 0;
	free(job);
	if (reported) {
		machine_look(m);
		return;
	}
	m->task = TASK_NONE;
	machine_try_again(m, &err);
}

void machine_begin(struct machine *m, const struct instance *i, enum task task)
{
	struct job *job = calloc(1, sizeof(*job));
	struct error err = { .text = "out of memory" };

	if (!job || lifecycle_load(m->l->d, i, &job->launch, &err) < 0 ||
	    meter_lines(&m->l->d->truth, i, &job->sample.lines_from, &err) < 0) {
		free(job);
		machine_try_again(m, &err);
		return;
	}
	job->work = (struct work){ .run = job_run, .done = job_done };
	job->m = m;
	job->task = task;
	/* Whoever this wispd did not attach; perhaps an earlier one did. */
	job->launch.was_blank = task == TASK_BOOT && m->task != TASK_ATTACH;
	/* Its own: the machine's is closed when the VMM ends. */
	job->launch.pidfd = m->alive ? fcntl(m->process.pidfd, F_DUPFD_CLOEXEC, 0) : -1;
	job->result = -ECANCELED;
	m->busy = true;
	workers_add(m->l->d->workers, &job->work);
}

bool machine_has_done(struct machine *m, const struct instance *i, enum task task)
{
	if (m->task == task)
		return true;
	machine_begin(m, i, task);
	return false;
}
