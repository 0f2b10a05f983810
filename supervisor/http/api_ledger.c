/* api_ledger.c - routes about the ledger: its end, its proof, its copies, and who gets it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/anchor.h"
#include "supervisor/books/backup.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/prometheus.h"
#include "supervisor/metering/verification.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

/* --- heads and proofs --- */

static int get_head(struct api_call *call)
{
	char hex[LEDGER_HEX_BYTES];
	int64_t seq = 0;
	int r = ledger_head(call->d->truth.ledger, &seq, hex, &call->err);

	return r < 0 ? r
		     : api_reply(call,
				 json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "hash", hex));
}

static int get_anchor(struct api_call *call)
{
	char text[ANCHOR_TEXT_BYTES];
	int r = anchor_make(call->d->truth.ledger, &call->d->anchor_key, text, &call->err);

	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "anchor", text));
}

struct verify_body {
	char anchor[ANCHOR_TEXT_BYTES];
	bool archive;
};

static const struct body_field verify_fields[] = {
	{ .name = "anchor", .type = BODY_STRING, PLACE(verify_body, anchor) },
	{ .name = "archive", .type = BODY_BOOL, PLACE(verify_body, archive) },
};

static const struct body_table verify_table = {
	.size = sizeof(struct verify_body),
	.fields = verify_fields,
	.nfields = sizeof(verify_fields) / sizeof(verify_fields[0]),
};

static int verify(struct api_call *call)
{
	const struct verify_body *b = call->config;
	struct wispd *d = call->d;
	struct verification_wish *w = calloc(1, sizeof(*w));
	struct anchor a = { 0 };
	int r;

	if (!w)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	call->after = verification_begin;
	call->after_ctx = w;
	r = b->anchor[0] ? anchor_read(d->truth.ledger, &d->anchor_key, b->anchor, &a, &call->err)
			 : 0;
	w->anchor_seq = a.seq;
	memcpy(w->anchor_hex, a.hex, sizeof(w->anchor_hex));
	w->archive = b->archive;
	if (r == 0)
		r = verification_prepare(d, call->tenant, w, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "operation", w->operation));
}

/* --- copies --- */

struct backup {
	struct work work;
	struct wispd *d;
	char operation[OPERATION_ID_BYTES];
	char path[PATH_MAX];
	struct backup_report report;
	int result;
	struct error err;
};

static void backup_run(struct work *work)
{
	struct backup *b = (struct backup *)work;

	b->result = backup_make(&b->d->config, b->path, &b->report, &b->err);
}

static int write_end(struct backup *b, struct error *err)
{
	char result[LEDGER_HEX_BYTES + 32];
	const char *code = NULL;

	if (b->result < 0)
		api_status_of(b->result, &code);
	snprintf(result, sizeof(result), "%lld:%s", (long long)b->report.seq, b->report.hex);
	return operation_end(&b->d->truth, b->operation, code, b->err.text, result, err);
}

/* Books that cannot be written now leave the operation to the next start. */
static void backup_done(struct work *work)
{
	struct backup *b = (struct backup *)work;
	struct store *store = b->d->truth.store;
	struct error err = { 0 };
	int r = store_begin(store, &err);

	if (r == 0)
		r = write_end(b, &err);
	if (r == 0)
		r = wispd_commit(b->d, &err);
	if (r < 0) {
		store_rollback(store);
		log_error("backing up to %s: %s", b->path, err.text);
	}
	free(b);
}

/* The work goes with it: what is handed to the workers is not the call's to free. */
static void backup_begin(struct wispd *d, void *ctx)
{
	struct backup *b = malloc(sizeof(*b));

	if (!b) {
		log_error("backing up: out of memory");
		return;
	}
	memcpy(b, ctx, sizeof(*b));
	workers_add(d->workers, &b->work);
}

static int back_up(struct api_call *call)
{
	const struct api_path_body *body = call->config;
	struct backup *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	b->work = (struct work){ .run = backup_run, .done = backup_done };
	b->d = call->d;
	b->result = -ECANCELED;
	memcpy(b->path, body->path, sizeof(b->path));
	call->after = backup_begin;
	call->after_ctx = b;
	r = operation_begin(&call->d->truth, call->tenant, "ledger", "back up", OPERATION_NO_GOAL,
			    b->operation, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "operation", b->operation));
}

/* --- who gets it --- */

static int get_outbox(struct api_call *call)
{
	json_t *receivers = outbox_describe(call->d->outbox);

	return api_reply(call,
			 json_pack("{s:o}", "receivers", receivers ? receivers : json_object()));
}

static int get_metrics(struct api_call *call)
{
	return prometheus_text(call->d, &call->text, &call->err);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",  "/ledger/head",   ROLE_VIEWER, false, 200, NULL,          get_head,
	  .what = "The last event's number and hash: keep it elsewhere, and no end of the ledger can be cut off "
		  "unseen." },
	{ "GET",  "/ledger/anchor", ROLE_VIEWER, false, 200, NULL,          get_anchor,
	  .what = "The same with the time, signed by this host: `SEQ:HASH:WALL_NS:SIGNATURE`." },
	{ "POST", "/ledger/verify", ROLE_ADMIN,  true,  202, &verify_table,   verify,
	  .what = "Walks the chain of hashes from the first event to the last one of now, one walk at a time. "
		  "`anchor`: an anchor of earlier, or `SEQ:HASH`; `archive`: prove what was rolled up, too, by the "
		  "files in wispd's archive. Reads every page of the database, too. The operation's result is a text of "
		  "JSON: `whole`, `checked`, `rolled_up`, and where it is not whole, `bad_seq` and `fault`, or "
		  "`database`." },
	{ "POST", "/ledger/backup", ROLE_ADMIN,  true,  202, &api_path_table, back_up,
	  .what = "Copies the database to a file of the host that is not there yet, and checks the copy; the "
		  "operation's result is its head." },
	{ "GET",  "/outbox",        ROLE_ADMIN,  false, 200, NULL,          get_outbox,
	  .what = "How far those are who are sent the events." },
	{ "GET",  "/metrics",       ROLE_ADMIN,  false, 200, NULL,          get_metrics,
	  .what = "Numbers of host, tenants and instances, as Prometheus reads them.",
	  .type = "text/plain; version=0.0.4; charset=utf-8" },
};
/* clang-format on */

const struct api_area api_ledger = { "Ledger", routes, sizeof(routes) / sizeof(routes[0]) };
