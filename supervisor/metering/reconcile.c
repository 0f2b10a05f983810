/* reconcile.c - suspects are gathered, compared with the round before, and written down. */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/runtime.h"
#include "supervisor/metering/finding.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/network/given.h"
#include "supervisor/network/lease.h"
#include "supervisor/pool/pool.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum {
	ACCURACY_US = 1000000,
	SUSPECTS_MAX = 1024,
	DETAIL_BYTES = 160,
	KIND_BYTES = 16,
	HEARTBEATS_MISSED = 3,
	LISTED_MAX = 200,
	PER_MILLE = 1000,
	CUT_UP = 10, /* a tenth of what came are headers of its parts */
	FRAME_BYTES_MAX = 65536 + 18,
	/* Of a processor, that a VMM's own threads may use beside its vCPUs'. */
	OWN_PERCENT = 100,
};

static const int64_t NS_PER_US = 1000, NS_PER_MS = 1000000, MIB = 1 << 20;
/* Counters and clocks are not read in the same instant. */
static const int64_t SLACK_US = 1000000;

struct suspect {
	char kind[KIND_BYTES], subject[INSTANCE_ID_BYTES], detail[DETAIL_BYTES];
	bool at_once; /* no matter of the moment */
};

struct process_in_jail {
	char id[INSTANCE_ID_BYTES];
	pid_t pid;
};

struct round {
	struct suspect list[SUSPECTS_MAX];
	unsigned count;
	/* Sorted by instance; only while it lasts. */
	struct process_in_jail *processes;
	size_t living, room;
	bool cut; /* not all of them are there */
};

struct reconcile {
	struct wispd *d;
	sd_event_source *timer;
	struct round now, before;
};

/* --- gathering --- */

__attribute__((format(printf, 5, 6))) static void suspect(struct reconcile *r, const char *kind,
							  const char *subject, bool at_once,
							  const char *format, ...)
{
	struct suspect *s = &r->now.list[r->now.count];
	va_list args;

	if (r->now.count == SUSPECTS_MAX)
		return;
	r->now.count++;
	snprintf(s->kind, sizeof(s->kind), "%s", kind);
	snprintf(s->subject, sizeof(s->subject), "%s", subject);
	s->at_once = at_once;
	va_start(args, format);
	vsnprintf(s->detail, sizeof(s->detail), format, args);
	va_end(args);
}

static void note_process(void *ctx, const char *id, pid_t pid)
{
	struct round *now = ctx;
	struct process_in_jail *grown;

	if (now->living == now->room) {
		grown = reallocarray(now->processes, 2 * now->room + 64, sizeof(*grown));
		if (!grown) {
			now->cut = true;
			return;
		}
		now->processes = grown;
		now->room = 2 * now->room + 64;
	}
	now->processes[now->living].pid = pid;
	snprintf(now->processes[now->living++].id, INSTANCE_ID_BYTES, "%s", id);
}

static int compare(const void *left, const void *right)
{
	const struct process_in_jail *a = left, *b = right;

	return strcmp(a->id, b->id);
}

static bool lives(const struct round *now, const char *id)
{
	struct process_in_jail key = { 0 };

	snprintf(key.id, sizeof(key.id), "%s", id);
	return now->living &&
	       bsearch(&key, now->processes, now->living, sizeof(key), compare) != NULL;
}

static int survey(struct reconcile *r, struct error *err)
{
	int e = 0;

	for (const struct runtime *const *runtime = runtimes; *runtime && e == 0; runtime++)
		if ((*runtime)->survey)
			e = (*runtime)->survey(*runtime, &r->d->config, note_process, &r->now, err);
	if (e == 0 && r->now.cut)
		e = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (e == 0 && r->now.living)
		qsort(r->now.processes, r->now.living, sizeof(*r->now.processes), compare);
	return e;
}

/* --- processes without a bill --- */

static int check_processes(struct reconcile *r, struct error *err)
{
	for (size_t n = 0; n < r->now.living; n++) {
		const struct process_in_jail *p = &r->now.processes[n];
		struct instance i;
		int e = instance_load(&r->d->truth, p->id, &i, err);

		if (e == -ENOENT && blank_exists(&r->d->truth, p->id, err) > 0)
			continue;
		if (e < 0 && e != -ENOENT)
			return e;
		if (e == -ENOENT)
			suspect(r, "unbilled_vm", p->id, false, "process %d, of no instance",
				(int)p->pid);
		else if (!states[i.state].alive)
			suspect(r, "unbilled_vm", p->id, false,
				"process %d, of an instance that is %s", (int)p->pid,
				states[i.state].name);
	}
	return 0;
}

/* --- bills without a process, and more than can be --- */

/* What the rows say of a VMM that is alive. */
struct account {
	int64_t cpu_us, memory_peak, sampled_wall_ns, started_boot_ns;
	int64_t net_bytes, net_said_bytes; /* both ways */
	int64_t in, out, in_classes, out_classes, in_dropped;
	bool sampled, this_boot, classed;
};

static int read_account(struct wispd *d, const struct instance *i, struct account *ret,
			struct error *err)
{
	struct rows rows;
	int r = store_select(
		d->truth.store, &rows, err,
		"SELECT s.counters ->> '$.cpu_used[1]', s.counters ->> '$.memory_peak[1]',"
		" s.wall_ns, e.boot_ns, e.boot_id = ?3,"
		" s.counters ->> '$.net_in[1]' + s.counters ->> '$.net_out[1]',"
		" s.counters ->> '$.net_in_said[1]' + s.counters ->> '$.net_out_said[1]',"
		" s.counters ->> '$.net_in[1]', s.counters ->> '$.net_out[1]',"
		" s.counters ->> '$.net_in_world[1]' + s.counters ->> '$.net_in_internal[1]',"
		" s.counters ->> '$.net_out_world[1]' + s.counters ->> '$.net_out_internal[1]',"
		" s.counters ->> '$.net_in_dropped[1]', s.counters ->> '$.classed'"
		" FROM incarnation n"
		" JOIN event e ON e.seq = n.started_seq LEFT JOIN sample s ON"
		" s.instance = n.instance AND s.incarnation = n.n"
		" WHERE n.instance = ?1 AND n.n = ?2",
		"sis", i->id, i->incarnation, ledger_boot_id(d->truth.ledger));

	*ret = (struct account){ 0 };
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		*ret = (struct account){ .cpu_us = rows_int(&rows, 0),
					 .memory_peak = rows_int(&rows, 1),
					 .sampled_wall_ns = rows_int(&rows, 2),
					 .started_boot_ns = rows_int(&rows, 3),
					 .sampled = !rows_is_null(&rows, 2),
					 .this_boot = rows_int(&rows, 4) != 0,
					 .net_bytes = rows_int(&rows, 5),
					 .net_said_bytes = rows_int(&rows, 6),
					 .in = rows_int(&rows, 7),
					 .out = rows_int(&rows, 8),
					 .in_classes = rows_int(&rows, 9),
					 .out_classes = rows_int(&rows, 10),
					 .in_dropped = rows_int(&rows, 11),
					 .classed = rows_int(&rows, 12) != 0 };
	rows_end(&rows);
	return r < 0 ? r : 0;
}

static bool differ(int64_t taps, int64_t classes, int64_t slack)
{
	const int64_t difference = taps > classes ? taps - classes : classes - taps;

	return difference > MIB + slack;
}

static void check_classes(struct reconcile *r, const struct instance *i, const struct account *a)
{
	const int64_t in_slack = a->in / CUT_UP + a->in_dropped * FRAME_BYTES_MAX;

	if (!a->classed || (!differ(a->in, a->in_classes, in_slack) &&
			    !differ(a->out, a->out_classes, a->out / PER_MILLE)))
		return;
	suspect(r, "net_classes", i->id, false,
		"%" PRId64 " bytes in, %" PRId64 " out; by class %" PRId64 ", %" PRId64, a->in,
		a->out, a->in_classes, a->out_classes);
}

static void check_counters(struct reconcile *r, const struct instance *i, int64_t overhead_mib,
			   const struct account *a)
{
	const int64_t lived_us = (ledger_boot_ns() - a->started_boot_ns) / NS_PER_US;
	const int64_t most_us = lived_us * (i->vcpus * 100 + OWN_PERCENT) / 100 + SLACK_US;
	const int64_t most_bytes = (i->mem_mib + overhead_mib) * MIB;
	const int64_t silent_ns =
		(int64_t)r->d->config.confirm_interval_ms * NS_PER_MS * HEARTBEATS_MISSED;

	if (a->this_boot && a->cpu_us > most_us)
		suspect(r, "overrun", i->id, true,
			"%" PRId64 " us of processor time, and %" PRId64 " vCPUs for %" PRId64
			" us",
			a->cpu_us, i->vcpus, lived_us);
	if (a->memory_peak > most_bytes)
		suspect(r, "memory", i->id, true, "%" PRId64 " bytes, and %" PRId64 " allowed",
			a->memory_peak, most_bytes);
	if (a->net_said_bytes > a->net_bytes)
		suspect(r, "net_said", i->id, true,
			"%" PRId64 " bytes, and %" PRId64 " passed by its taps", a->net_said_bytes,
			a->net_bytes);
	check_classes(r, i, a);
	if (a->this_boot && lived_us > silent_ns / NS_PER_US &&
	    (!a->sampled || ledger_wall_ns() - a->sampled_wall_ns > silent_ns))
		suspect(r, "not_sampled", i->id, false, "no word of its counters");
}

/* Its guest is cut off, and what it used is not known from then on (meter.gap). */
static int check_links(struct reconcile *r, const struct instance *i, struct error *err)
{
	struct lease leases[LEASES_MAX];
	int count = lease_load(&r->d->truth, i->id, leases, err);

	for (int n = 0; n < count; n++)
		if (network_has_links(&leases[n].network) && !if_nametoindex(leases[n].link))
			suspect(r, "no_link", i->id, false, "%s, its link in network %s, is gone",
				leases[n].link, leases[n].network.name);
	return count < 0 ? count : 0;
}

/* Its owner has taken it away, or what was made there. */
static int check_given(struct reconcile *r, const struct instance *i, struct error *err)
{
	struct link_counters counters;
	struct error why;
	struct netns n;
	int e = given_load(&r->d->truth, i->id, &n, err);

	if (e == 0 && n.path[0] && netns_count(&n, &counters, &why) < 0)
		suspect(r, "no_netns", i->id, false, "%.120s: %s", n.path, why.text);
	return e;
}

/* States that rest and are billed: what is on its way may be between two processes. */
static int check_instance(void *ctx, const struct instance *i)
{
	struct reconcile *r = ctx;
	const struct runtime *runtime = runtime_find(i->runtime);
	struct account a;
	struct error err;
	int e;

	if (!states[i->state].alive || !states[i->state].resting)
		return 0;
	if (runtime && runtime->survey && !lives(&r->now, i->id))
		suspect(r, "ghost", i->id, false, "billed as %s, and no process is there",
			states[i->state].name);
	e = read_account(r->d, i, &a, &err);
	if (e == 0)
		check_counters(r, i, runtime ? runtime->overhead_mib : 0, &a);
	if (e == 0)
		e = check_links(r, i, &err);
	return e < 0 ? e : check_given(r, i, &err);
}

/* --- writing down --- */

static bool was_there(const struct round *before, const struct suspect *s)
{
	for (unsigned n = 0; n < before->count; n++)
		if (strcmp(before->list[n].kind, s->kind) == 0 &&
		    strcmp(before->list[n].subject, s->subject) == 0)
			return true;
	return false;
}

struct open_row {
	int64_t id;
	struct suspect s;
};

/* The first open finding after one, of those that are found here. 1, or 0: there is none. */
static int next_open(struct reconcile *r, int64_t after, struct open_row *ret, struct error *err)
{
	struct rows rows;
	int e = store_select(r->d->truth.store, &rows, err,
			     "SELECT id, kind, subject FROM finding WHERE cleared_seq IS NULL"
			     " AND id > ? AND kind <> ? ORDER BY id LIMIT 1",
			     "is", after, FINDING_OF_ENGINES);

	if (e < 0)
		return e;
	e = rows_next(&rows, err);
	if (e > 0) {
		ret->id = rows_int(&rows, 0);
		rows_text(&rows, 1, ret->s.kind, sizeof(ret->s.kind));
		rows_text(&rows, 2, ret->s.subject, sizeof(ret->s.subject));
	}
	rows_end(&rows);
	return e;
}

/* What is not seen any more. */
static int clear_findings(struct reconcile *r, struct error *err)
{
	struct open_row row = { 0 };
	int e;

	while ((e = next_open(r, row.id, &row, err)) > 0) {
		if (was_there(&r->now, &row.s))
			continue;
		e = finding_clear(&r->d->truth, row.s.kind, row.s.subject, err);
		if (e < 0)
			break;
	}
	return e < 0 ? e : 0;
}

/* --- a round --- */

int reconcile_now(struct reconcile *r, struct error *err)
{
	int e;

	r->now.count = 0;
	r->now.living = 0;
	r->now.cut = false;
	e = survey(r, err);
	if (e == 0)
		e = check_processes(r, err);
	if (e == 0)
		e = instance_each(&r->d->truth, NULL, check_instance, r, err);
	for (unsigned n = 0; n < r->now.count && e == 0; n++) {
		const struct suspect *s = &r->now.list[n];

		if (s->at_once || was_there(&r->before, s))
			e = finding_open(&r->d->truth, s->kind, s->subject, s->detail, err);
	}
	if (e == 0)
		e = clear_findings(r, err);
	memcpy(r->before.list, r->now.list, r->now.count * sizeof(r->now.list[0]));
	r->before.count = r->now.count;
	return e;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct reconcile *r = arg;
	struct store *store = r->d->truth.store;
	struct error err = { 0 };
	int e = store_begin(store, &err);

	(void)now_us;
	if (e == 0)
		e = reconcile_now(r, &err);
	if (e == 0)
		e = wispd_commit(r->d, &err);
	if (e < 0) {
		store_rollback(store);
		log_error("the books could not be compared: %s", err.text);
	}
	sd_event_source_set_time_relative(source, r->d->config.reconcile_interval_ms * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int reconcile_create(struct wispd *d, struct reconcile **ret, struct error *err)
{
	struct reconcile *r = calloc(1, sizeof(*r));
	int e = -ENOMEM;

	if (r) {
		r->d = d;
		e = sd_event_add_time_relative(d->loop, &r->timer, CLOCK_BOOTTIME,
					       d->config.reconcile_interval_ms * 1000, ACCURACY_US,
					       on_timer, r);
	}
	if (e < 0) {
		free(r);
		return error_set(err, e, NULL, NULL, "Cannot make a timer: %s", strerror(-e));
	}
	*ret = r;
	return 0;
}

void reconcile_destroy(struct reconcile *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->timer);
	free(r->now.processes);
	free(r);
}

/* --- showing --- */

int reconcile_open(struct wispd *d, int64_t *ret, struct error *err)
{
	return store_number(d->truth.store, ret, err,
			    "SELECT count(*) FROM finding WHERE cleared_seq IS NULL", "");
}

json_t *reconcile_list(struct wispd *d, const char *subject, struct error *err)
{
	json_t *list = json_array();
	struct rows rows;
	int e = store_select(d->truth.store, &rows, err,
			     "SELECT kind, subject, detail, opened_seq, cleared_seq FROM finding"
			     " WHERE ?1 IS NULL OR (subject = ?1 AND cleared_seq IS NULL)"
			     " ORDER BY cleared_seq IS NOT NULL, id DESC LIMIT ?2",
			     "si", subject, (int64_t)LISTED_MAX);

	while (e >= 0 && (e = rows_next(&rows, err)) > 0)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I}", "kind",
						      rows_string(&rows, 0), "subject",
						      rows_string(&rows, 1), "detail",
						      rows_string(&rows, 2), "opened_seq",
						      (json_int_t)rows_int(&rows, 3), "cleared_seq",
						      (json_int_t)rows_int(&rows, 4)));
	if (e >= 0)
		rows_end(&rows);
	if (e == 0)
		return list;
	json_decref(list);
	return NULL;
}
