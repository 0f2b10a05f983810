/* machine_fault.c - what a VMM says of itself, written down; and the end of one that cannot go on.
 *
 * A machine that is stuck is not running, whatever its process does. Before it is ended, and
 * before anybody could start it again, what there is to be known about it goes to the ledger:
 * the end of what its VMM and its guest have said.
 */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/console.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/machine.h"
#include "supervisor/life/monitor.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { EVIDENCE_BYTES = 2048 };

static json_t *describe(struct wispd *d, const struct instance *i, const struct monitor_news *n)
{
	json_t *body = json_pack("{s:s, s:s}", "event", n->event, "data", n->data);

	if (!body || !n->fatal)
		return body;
	json_object_set_new(body, "reason", json_string(n->fatal));
	json_object_set_new(body, "vmm_log", console_tail(d, i, true, EVIDENCE_BYTES));
	json_object_set_new(body, "console", console_tail(d, i, false, EVIDENCE_BYTES));
	return body;
}

static int write_down(struct wispd *d, const struct instance *i, const struct monitor_news *n,
		      struct error *err)
{
	json_t *body = describe(d, i, n);
	struct ledger_event e = {
		.type = n->fatal ? "instance.fault" : "instance.vmm",
		.tenant = i->tenant,
		.instance = i->id,
		.incarnation = i->incarnation,
		.actor = "wispd",
		.body = body,
	};
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = ledger_append(d->truth.ledger, &e, NULL, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	json_decref(body);
	return r;
}

static void on_news(void *ctx, const struct monitor_news *n)
{
	struct machine *m = ctx;
	struct instance i;
	struct error err;

	if (m->broken || m->l->ending || instance_load(&m->l->d->truth, m->id, &i, &err) < 0)
		return;
	if (write_down(m->l->d, &i, n, &err) < 0)
		log_warn("%s: cannot write down that its VMM says %s: %s", m->id, n->event,
			 err.text);
	if (!n->fatal)
		return;
	m->broken = true;
	snprintf(m->why, sizeof(m->why), "%s", n->fatal);
	machine_wake_at(m, ledger_boot_ns());
}

void lifecycle_break(struct lifecycle *l, const char *id, const char *why)
{
	const struct monitor_news news = { .event = "HOST", .data = "{}", .fatal = why };
	struct machine *m = machine_find(l, id);

	if (m && m->alive)
		on_news(m, &news);
}

void machine_hear(struct machine *m, const struct instance *i)
{
	struct launch *l = m->monitor || !m->alive ? NULL : calloc(1, sizeof(*l));
	struct error err = { 0 };
	int r = l ? lifecycle_load(m->l->d, i, l, &err) : 0;

	if (r == 0 && l && l->runtime->tells)
		r = monitor_create(m->l->d, l, on_news, m, &m->monitor, &err);
	if (r < 0)
		log_warn("%s: %s", m->id, err.text);
	free(l);
}

void machine_forget_monitor(struct machine *m)
{
	monitor_destroy(m->monitor);
	m->monitor = NULL;
}
