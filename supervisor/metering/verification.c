/* verification.c - a piece of work that reads the database by itself. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/proof.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/images/progress.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/verification.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { FAULT_BYTES = 256 };

struct verification {
	struct work work;
	struct wispd *d;
	struct verification_wish wish;
	char path[PATH_MAX], archive[CONFIG_ARCHIVE_BYTES];
	struct progress progress;
	atomic_bool ended; /* wispd is about to */
	int64_t head;
	struct proof_report report;
	char database[FAULT_BYTES]; /* what is wrong with its pages; "": nothing */
	pthread_mutex_t lock;
	struct store *store; /* under lock: what is read; NULL: nothing yet, or no more */
	int result;
	struct error err;
};

/* --- the worker's part --- */

static int passed(void *ctx, int64_t seq)
{
	struct verification *v = ctx;

	progress_tell(&v->progress, "walking", (unsigned)(v->head ? seq * 100 / v->head : 0));
	return v->ended ? -ECANCELED : 0;
}

/* All of it is one moment's: what is written meanwhile is not seen. */
static int walk(struct verification *v, struct store *s, struct error *err)
{
	const struct proof_wish wish = {
		.anchor_seq = v->wish.anchor_seq,
		.anchor_hex = v->wish.anchor_hex,
		.archive = v->wish.archive ? v->archive : NULL,
		.passed = passed,
		.ctx = v,
	};
	char hex[LEDGER_HEX_BYTES];
	struct ledger *l = NULL;
	const bool reading = store_begin_reading(s);
	int r = ledger_open_copy(s, &l, err);

	if (r == 0)
		r = ledger_head(l, &v->head, hex, err);
	if (r == 0)
		r = proof_walk(l, &wish, &v->report, err);
	ledger_close(l);
	store_end_reading(s, reading);
	return r;
}

static int check_pages(struct verification *v, struct store *s, struct error *err)
{
	int faults;

	progress_tell(&v->progress, "reading pages", 0);
	faults = v->ended ? -ECANCELED : store_check(s, 1, v->database, FAULT_BYTES, err);
	return faults < 0 ? faults : 0;
}

static void show_store(struct verification *v, struct store *s)
{
	pthread_mutex_lock(&v->lock);
	v->store = s;
	pthread_mutex_unlock(&v->lock);
}

static void run(struct work *work)
{
	struct verification *v = (struct verification *)work;
	struct store *s = NULL;

	v->result = store_open_copy(v->path, &s, &v->err);
	show_store(v, s);
	if (v->result == 0)
		v->result = walk(v, s, &v->err);
	if (v->result == 0)
		v->result = check_pages(v, s, &v->err);
	show_store(v, NULL);
	store_close(s);
}

/* --- the loop's --- */

static char *result_text(const struct verification *v)
{
	const struct proof_report *p = &v->report;
	json_t *j = json_pack("{s:b, s:I, s:I, s:I, s:s, s:s}", "whole",
			      !p->bad_seq && !v->database[0], "checked", (json_int_t)p->checked,
			      "rolled_up", (json_int_t)p->rolled_up, "bad_seq",
			      (json_int_t)p->bad_seq, "fault", p->fault, "database", v->database);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return text;
}

static int write_end(struct verification *v, struct error *err)
{
	char *text = v->result == 0 ? result_text(v) : NULL;
	const char *code = NULL;
	int r;

	if (v->result < 0)
		api_status_of(v->result, &code);
	if (v->result == 0 && !text)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = operation_end(&v->d->truth, v->wish.operation, code, v->err.text, text ? text : "",
			  err);
	free(text);
	return r;
}

/* Books that cannot be written now leave the operation to the next start. */
static void done(struct work *work)
{
	struct verification *v = (struct verification *)work;
	struct store *store = v->d->truth.store;
	struct error err = { 0 };
	int r = store_begin(store, &err);

	if (r == 0)
		r = write_end(v, &err);
	if (r == 0)
		r = wispd_commit(v->d, &err);
	if (r < 0) {
		store_rollback(store);
		log_error("verifying the ledger: %s", err.text);
	}
	if (v->result == 0 && v->report.bad_seq)
		log_error("the ledger is not as it was written: %s", v->report.fault);
	if (v->result == 0 && v->database[0])
		log_error("the database is damaged: %s", v->database);
	v->d->verification = NULL;
	pthread_mutex_destroy(&v->lock);
	free(v);
}

int verification_prepare(struct wispd *d, const char *tenant, struct verification_wish *w,
			 struct error *err)
{
	if (d->verification)
		return error_set(err, -EBUSY, NULL, "wait for that operation",
				 "The ledger is being verified by %s",
				 d->verification->wish.operation);
	return operation_begin(&d->truth, tenant, "ledger", "verify", OPERATION_NO_GOAL,
			       w->operation, err);
}

/* Without memory the operation is left to the next start, as above. */
void verification_begin(struct wispd *d, void *wish)
{
	struct verification *v = calloc(1, sizeof(*v));

	if (!v) {
		log_error("verifying the ledger: out of memory");
		return;
	}
	v->work = (struct work){ .run = run, .done = done };
	v->d = d;
	v->wish = *(struct verification_wish *)wish;
	v->result = -ECANCELED;
	pthread_mutex_init(&v->lock, NULL);
	snprintf(v->path, sizeof(v->path), "%s", store_path(d->truth.store));
	config_archive(&d->config, v->archive);
	d->verification = v;
	workers_add(d->workers, &v->work);
}

json_t *verification_progress(const struct wispd *d, const char *operation)
{
	const struct verification *v = d->verification;
	const char *stage = v ? v->progress.stage : NULL;

	if (!v || strcmp(v->wish.operation, operation) != 0)
		return NULL;
	return json_pack("{s:s, s:i}", "stage", stage ? stage : "waiting", "percent",
			 (int)v->progress.percent);
}

void verification_end(struct wispd *d)
{
	struct verification *v = d->verification;

	if (!v)
		return;
	v->ended = true;
	pthread_mutex_lock(&v->lock);
	if (v->store)
		store_interrupt(v->store);
	pthread_mutex_unlock(&v->lock);
}
