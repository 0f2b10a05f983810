/* import.c - from a request to a row, by a worker and a probe. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/images/image_agent.h"
#include "supervisor/images/image_probe.h"
#include "supervisor/images/import.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/meter.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { MIB = 1 << 20 };

struct import {
	struct work work;
	struct wispd *d;
	struct import *next; /* of those under way */
	char operation[OPERATION_ID_BYTES], tenant[NAME_BYTES], actor[ACTOR_BYTES];
	struct import_request request; /* image: filled by the worker */
	struct progress progress;
	bool probing; /* the worker is done */
	int result;
	struct error err;
};

struct imports {
	struct wispd *d;
	struct import *first;
};

/* --- the worker's part --- */

static void run(struct work *work)
{
	struct import *i = (struct import *)work;
	struct import_request *q = &i->request;
	const struct config *c = &i->d->config;

	progress_tell(&i->progress, "copying", 0);
	if (q->source[0])
		i->result = image_source_import(c, q->source, q->size_mib, &i->progress, &q->image,
						&i->err);
	else
		i->result = 0;
	if (i->result == 0)
		i->result = image_import_files(c, &q->files, &q->image, &i->err);
}

/* --- the loop's --- */

static struct import **find(struct imports *all, const struct import *i)
{
	struct import **at = &all->first;

	while (*at && *at != i)
		at = &(*at)->next;
	return at;
}

static void drop(struct import *i)
{
	struct imports *all = i->d->imports;

	*find(all, i) = i->next;
	free(i);
	if (!all->first)
		imports_sweep(all->d);
}

/* It is everybody's to use, and takes its tenant's space: who had it made. */
static int add(struct import *i, bool *there)
{
	const struct image *image = &i->request.image;
	struct truth *t = &i->d->truth;
	int r = image_add(t, image, i->actor, there, &i->err);

	if (r < 0 || *there)
		return r;
	return meter_hold(t, METER_IMAGE_SPACE, i->tenant, image->digest, NULL,
			  (int64_t)((image->bytes + MIB - 1) / MIB), i->actor, &i->err);
}

/* What it came to, in the books; *probe: the instance that proves it, "": none. */
static int write_down(struct import *i, char probe[INSTANCE_ID_BYTES])
{
	struct image *image = &i->request.image;
	struct truth *t = &i->d->truth;
	struct error err = { 0 };
	const char *code = NULL;
	bool there = false;
	int r = i->result;

	probe[0] = '\0';
	if (r == 0)
		r = add(i, &there);
	if (r == 0 && image->agent && !there)
		r = image_probe_begin(i->d, image, probe, &i->err);
	if (r == 0 && probe[0])
		return 0;
	if (r < 0)
		api_status_of(r, &code);
	return operation_end(t, i->operation, code, i->err.text, image->digest, &err);
}

/* A refusal undoes what was written before it, and is written itself. */
static int settle(struct import *i, char probe[INSTANCE_ID_BYTES], struct error *err)
{
	struct store *store = i->d->truth.store;
	int r = 0;

	for (unsigned attempt = 0; attempt < 2; attempt++) {
		r = store_begin(store, err);
		if (r < 0)
			return r;
		r = write_down(i, probe);
		if (r == 0 && (i->result < 0 || i->err.code == 0))
			break;
		store_rollback(store);
		i->result = i->err.code ? i->err.code : r;
	}
	return r < 0 ? r : wispd_commit(i->d, err);
}

/* Books that cannot be written now leave the operation to the next start. */
static void done(struct work *work)
{
	struct import *i = (struct import *)work;
	char probe[INSTANCE_ID_BYTES] = "";
	struct error err = { 0 };

	if (settle(i, probe, &err) < 0) {
		store_rollback(i->d->truth.store);
		log_error("importing %s: %s", i->request.image.name, err.text);
		probe[0] = '\0';
	}
	if (!probe[0]) {
		drop(i);
		return;
	}
	progress_tell(&i->progress, "probing", 90);
	i->probing = true;
	lifecycle_kick(i->d->lifecycle, probe);
}

int import_create(struct wispd *d, const struct import_request *request, const char *tenant,
		  const char *actor, struct import **ret, struct error *err)
{
	struct import *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	i->work = (struct work){ .run = run, .done = done };
	i->d = d;
	i->result = -ECANCELED;
	i->request = *request;
	snprintf(i->tenant, sizeof(i->tenant), "%s", tenant);
	snprintf(i->actor, sizeof(i->actor), "%s", actor);
	r = operation_begin(&d->truth, tenant, request->image.name, "import", OPERATION_NO_GOAL,
			    i->operation, err);
	if (r < 0) {
		free(i);
		return r;
	}
	*ret = i;
	return 0;
}

const char *import_operation(const struct import *i)
{
	return i->operation;
}

void import_start(struct wispd *d, void *ctx)
{
	struct import *i = malloc(sizeof(*i));

	if (!i) {
		log_error("importing: out of memory");
		return;
	}
	memcpy(i, ctx, sizeof(*i));
	i->next = d->imports->first;
	d->imports->first = i;
	workers_add(d->workers, &i->work);
}

/* --- all of them --- */

int imports_create(struct wispd *d, struct imports **ret, struct error *err)
{
	struct imports *all = calloc(1, sizeof(*all));

	if (!all)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	all->d = d;
	*ret = all;
	return 0;
}

void imports_destroy(struct imports *all)
{
	while (all && all->first) {
		struct import *i = all->first;

		all->first = i->next;
		free(i);
	}
	free(all);
}

json_t *imports_progress(const struct imports *all, const char *operation)
{
	for (const struct import *i = all->first; i; i = i->next) {
		const char *stage = i->progress.stage;

		if (strcmp(i->operation, operation) == 0)
			return json_pack("{s:s, s:i}", "stage", stage ? stage : "waiting",
					 "percent", (int)i->progress.percent);
	}
	return NULL;
}

static struct import *find_probed(struct imports *all, const char *digest)
{
	struct import *i = all->first;

	while (i && !(i->probing && strcmp(i->request.image.digest, digest) == 0))
		i = i->next;
	return i;
}

int imports_probed(struct imports *all, const char *digest, const char *code, const char *message,
		   struct error *err)
{
	const struct import *i = find_probed(all, digest);

	return i ? operation_end(&all->d->truth, i->operation, code, message, digest, err) : 0;
}

void imports_forget(struct imports *all, const char *digest)
{
	struct import *i = find_probed(all, digest);

	if (i)
		drop(i);
}

void imports_sweep(struct wispd *d)
{
	struct error err = { 0 };

	if (!d->imports->first && image_sweep(&d->truth, &d->config, &err) < 0)
		log_warn("removing what no image has: %s", err.text);
}
