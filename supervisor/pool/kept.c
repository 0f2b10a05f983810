/* kept.c - a blank is made in steps, each of which a crash may cut off:
 *
 *   row        with user and memory, by keeper.c, before there is anything
 *   prepare    folder and files, as for an instance, and its interfaces: a tap that is guarded
 *              and connected, but that nobody sends on; a worker
 *   spawn      the jailer, behind its gate until its pid is in the row
 *   await      until the VMM answers; a worker
 *
 * A blank that is to leave, whose VMM has ended, or which a step failed of, is killed; then its
 * interfaces, folder and groups are removed, and then its row with what it held. What is found after a
 * crash is either alive, and awaited again, or leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/runtime.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/sample.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/pool/kept.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum job_task { JOB_PREPARE, JOB_AWAIT, JOB_REMOVE, JOBS_COUNT };

struct job {
	struct work work;
	struct kept *b;
	enum job_task task;
	int result;
	struct error err;
	int64_t disk_mib;
	struct launch launch;
};

/* --- the list --- */

struct kept *kept_make(struct keeper *k, const struct blank *row)
{
	struct kept *b = calloc(1, sizeof(*b)), **at = &k->blanks;

	if (!b)
		return NULL;
	b->k = k;
	b->row = *row;
	b->process.pidfd = b->process.gate = -1;
	while (*at)
		at = &(*at)->next;
	*at = b;
	return b;
}

void kept_free(struct kept *b)
{
	struct kept **at = &b->k->blanks;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	sd_event_source_disable_unref(b->ended);
	fd_close(b->process.pidfd);
	free(b);
}

static void fail(struct kept *b, const struct error *err)
{
	b->leaving = true;
	b->ready = false;
	keeper_fail(b->k, b->row.pool, err);
}

/* --- its process --- */

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	const struct error err = { .text = "a blank VMM ended; its log was beside its folder" };
	struct kept *b = arg;
	int code;

	(void)source;
	(void)fd;
	(void)events;
	b->ended = sd_event_source_disable_unref(b->ended);
	process_reap(&b->process, &code);
	b->alive = false;
	if (!b->leaving)
		fail(b, &err);
	kept_look(b);
	return 0;
}

int kept_watch(struct kept *b, const struct process *p)
{
	int r = sd_event_add_io(b->k->d->loop, &b->ended, p->pidfd, EPOLLIN, on_ended, b);

	if (r < 0)
		return r;
	b->process = *p;
	b->alive = true;
	return 0;
}

static int load(struct kept *b, struct launch *ret, struct error *err)
{
	struct instance i;
	int r;

	blank_instance(&b->row, &i);
	r = lifecycle_load(b->k->d, &i, ret, err);
	ret->blank = true;
	memcpy(ret->load.snapshot, b->row.plan.snapshot, sizeof(ret->load.snapshot));
	return r;
}

static int write_process(struct kept *b, const struct process *p, struct error *err)
{
	struct wispd *d = b->k->d;
	int r = store_begin(d->truth.store, err);

	b->row.pid = p->pid;
	b->row.pid_start = p->start;
	snprintf(b->row.boot_id, sizeof(b->row.boot_id), "%s", ledger_boot_id(d->truth.ledger));
	if (r == 0)
		r = blank_update(&d->truth, &b->row, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

static int spawn(struct kept *b, struct error *err)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct process p = { .pidfd = -1, .gate = -1 };
	int r;

	if (!l)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = load(b, l, err);
	if (r == 0)
		r = runtime_spawn(l, &p, err);
	free(l);
	if (r < 0)
		return r;
	r = write_process(b, &p, err);
	if (r == 0 && kept_watch(b, &p) < 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r < 0)
		process_cancel(&p);
	else
		process_go(&b->process);
	return r;
}

/* --- work --- */

/* What it will load is there from now on, whatever becomes of the snapshot. */
static int do_prepare(struct launch *l, struct error *err)
{
	int r = l->runtime->prepare(l, err);

	if (r == 0)
		r = kinds_prepare(l, err);
	return r < 0 ? r : kinds_attach(l, err);
}

static int do_await(struct launch *l, struct error *err)
{
	return l->runtime->await(l, err);
}

static int do_remove(struct launch *l, struct error *err)
{
	int r = kind_network.detach(l, err);

	return r < 0 ? r : l->runtime->remove(l, err);
}

static int (*const tasks[JOBS_COUNT])(struct launch *l, struct error *err) = {
	[JOB_PREPARE] = do_prepare,
	[JOB_AWAIT] = do_await,
	[JOB_REMOVE] = do_remove,
};

static void job_run(struct work *work)
{
	struct job *job = (struct job *)work;
	struct sample sample = { .disk_mib = -1 };

	job->result = tasks[job->task](&job->launch, &job->err);
	if (job->task == JOB_PREPARE && job->result == 0)
		sample_take(&job->launch, 0, &sample);
	job->disk_mib = sample.disk_mib;
}

/* Gone: what it held is given back, and it is forgotten. */
static int write_end(struct kept *b, struct error *err)
{
	struct wispd *d = b->k->d;
	struct instance i;
	int r = store_begin(d->truth.store, err);

	blank_instance(&b->row, &i);
	if (r == 0)
		r = blank_forget(&d->truth, i.id, err);
	if (r >= 0)
		r = quota_hold(&d->truth, i.id, "", RESOURCE_MEMORY_MIB, 0, err);
	if (r == 0)
		r = kinds_release(d, &i, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

/* What fails here is tried again when the keeper looks. */
static void removed(struct kept *b, struct job *job)
{
	struct keeper *k = b->k;

	if (job->result < 0 || write_end(b, &job->err) < 0) {
		log_warn("%s: %s; trying again", b->row.id, job->err.text);
		return;
	}
	kept_free(b);
	keeper_wake(k);
}

static void made_progress(struct kept *b, const struct job *job)
{
	if (job->result < 0) {
		fail(b, &job->err);
	} else if (job->task == JOB_PREPARE) {
		b->prepared = true;
		b->row.disk_mib = job->disk_mib;
	} else {
		b->ready = b->alive && !b->leaving;
		keeper_wake(b->k);
	}
	kept_look(b);
}

static void job_done(struct work *work)
{
	struct job *job = (struct job *)work;
	struct kept *b = job->b;

	b->busy = false;
	fd_close(job->launch.pidfd);
	if (b->k->ending)
		b->ready = false;
	else if (job->task == JOB_REMOVE)
		removed(b, job);
	else
		made_progress(b, job);
	free(job);
}

/* The image of one that leaves may be gone: its id and leases are enough to remove it. */
static int load_leaving(struct kept *b, struct launch *ret, struct error *err)
{
	struct instance i;

	blank_instance(&b->row, &i);
	*ret = (struct launch){ .config = &b->k->d->config, .runtime = runtime_find("wisp") };
	memcpy(ret->id, b->row.id, sizeof(b->row.id));
	return kind_network.load(b->k->d, &i, ret, err);
}

static int begin(struct kept *b, enum job_task task, struct error *err)
{
	struct job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = task == JOB_REMOVE ? load_leaving(b, &job->launch, err) : load(b, &job->launch, err);
	if (r < 0) {
		free(job);
		return r;
	}
	job->work = (struct work){ .run = job_run, .done = job_done };
	job->b = b;
	job->task = task;
	job->launch.pidfd = b->alive ? fcntl(b->process.pidfd, F_DUPFD_CLOEXEC, 0) : -1;
	job->result = -ECANCELED;
	b->busy = true;
	workers_add(b->k->d->workers, &job->work);
	return 0;
}

/* --- steps --- */

/* It has nothing to say at its end. */
static void end(struct kept *b)
{
	struct error err;

	if (b->alive && syscall(SYS_pidfd_send_signal, b->process.pidfd, SIGKILL, NULL, 0) < 0)
		log_warn("%s: cannot end its VMM: %s", b->row.id, strerror(errno));
	if (!b->alive && begin(b, JOB_REMOVE, &err) < 0)
		log_warn("%s: %s", b->row.id, err.text);
}

void kept_look(struct kept *b)
{
	struct error err = { 0 };
	int r = 0;

	if (b->busy || b->ready || b->k->ending)
		return;
	if (!b->leaving && !b->prepared)
		r = begin(b, JOB_PREPARE, &err);
	else if (!b->leaving && !b->alive)
		r = spawn(b, &err);
	if (r == 0 && !b->leaving && b->alive)
		r = begin(b, JOB_AWAIT, &err);
	if (r < 0)
		fail(b, &err);
	if (b->leaving)
		end(b);
}
