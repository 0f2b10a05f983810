/* claims.c - rows of claims and quarantine, and the events that tell of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/device/claims.h"
#include "supervisor/life/board.h"
#include "supervisor/metering/meter.h"
#include "supervisor/wispd.h"
#include "vmm/base/clock.h"

/* --- events --- */

static int tell(struct wispd *d, const char *type, const char *tenant, const char *instance,
		const char *actor, json_t *body, struct error *err)
{
	struct ledger_event e = {
		.type = type,
		.tenant = tenant,
		.instance = instance,
		.actor = actor,
		.body = body,
	};
	int r = body ? ledger_append(d->truth.ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

/* --- claiming --- */

/* A function that cannot be looked up is taken: nobody is told that it is free. */
static bool is_taken(void *ctx, const struct pci_function *f)
{
	struct wispd *d = ctx;
	struct error err;
	int64_t n = 1;

	(void)store_number(d->truth.store, &n, &err,
			   "SELECT (SELECT count(*) FROM device_claim WHERE address = ?1)"
			   " + (SELECT count(*) FROM device_quarantine WHERE address = ?1)",
			   "s", f->address);
	return n != 0;
}

static int write_claim(struct wispd *d, const struct instance *i, const struct pci_function *f,
		       struct error *err)
{
	int r = store_run(d->truth.store, err,
			  "INSERT INTO device_claim VALUES (?, ?, ?, ?, ?, 0, ?)", "ssissi",
			  f->address, i->id, (int64_t)f->group, f->driver, f->driver_override,
			  (int64_t)f->node);
	char ids[10];

	/* It is nobody else's from now on, whether the instance runs or not. */
	if (r >= 0)
		r = meter_hold(&d->truth, METER_DEVICE_TIME, i->tenant, f->address, i->id, 1,
			       "wispd", err);
	if (r < 0)
		return r;
	snprintf(ids, sizeof(ids), "%04x:%04x", f->vendor, f->device);
	return tell(d, "device.claimed", i->tenant, i->id, "wispd",
		    json_pack("{s:s, s:s, s:i, s:s}", "address", f->address, "id", ids, "group",
			      f->group, "driver", f->driver),
		    err);
}

/* took_us: for looking at the host, choosing, checking and claiming. */
static int keep_record(struct wispd *d, const struct instance *i, const struct preflight *p,
		       uint64_t took_us, struct error *err)
{
	json_t *record = preflight_explain(p);
	char *text;
	int r;

	if (record)
		json_object_set_new(record, "took_us", json_integer((json_int_t)took_us));
	text = record ? json_dumps(record, JSON_COMPACT) : NULL;
	r = text ? store_run(d->truth.store, err, "INSERT INTO decision VALUES (?, ?)", "ss", i->id,
			     text)
		 : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	free(text);
	json_decref(record);
	return r < 0 ? r : 0;
}

static int check(const struct preflight *p, struct error *err)
{
	const struct preflight_check *first = NULL;
	char text[PREFLIGHT_TEXT_BYTES];

	if (preflight_run(p, &first, text) != PREFLIGHT_REFUSE)
		return 0;
	return error_set(err, -ENXIO, "device", first->remedy, "%s: %s", first->code, text);
}

static int claim_all(struct wispd *d, const struct instance *i, struct preflight *p,
		     uint64_t began_us, struct error *err)
{
	int r = check(p, err);

	for (unsigned k = 0; k < p->count && r == 0; k++)
		r = write_claim(d, i, p->device[k], err);
	return r < 0 ? r : keep_record(d, i, p, clock_now_us() - began_us, err);
}

int claims_make(struct wispd *d, const struct instance *i,
		const char selectors[][CHOOSE_TEXT_BYTES], unsigned count, struct error *err)
{
	bool latency = i->wish.profile == PLACE_LATENCY;
	struct preflight p = { .request = {
				       .mem_mib = i->mem_mib,
				       .numa = latency ? PREFLIGHT_NUMA_REQUIRED
						       : PREFLIGHT_NUMA_PREFERRED,
				       .node = place_wished_node(&i->wish),
				       .huge_pages = i->wish.huge_pages,
				       .latency = latency,
			       } };
	uint64_t began_us = clock_now_us();
	struct inventory v;
	int r = inventory_read(d->config.device_root, &v, err);

	p.inventory = &v;
	if (r == 0)
		r = choose_devices(selectors, count, is_taken, d, &p, err);
	if (r == 0)
		r = claim_all(d, i, &p, began_us, err);
	inventory_clear(&v);
	return r;
}

/* --- letting go --- */

static int quarantine(struct wispd *d, const char *address, const char *instance,
		      const char *reason, struct error *err)
{
	int r = store_run(d->truth.store, err,
			  "INSERT OR IGNORE INTO device_quarantine SELECT address, iommu_group,"
			  " driver, override, ? FROM device_claim WHERE address = ?",
			  "ss", reason, address);

	if (r <= 0)
		return r;
	r = meter_let_go(&d->truth, METER_DEVICE_TIME, address, "wispd", err);
	if (r < 0)
		return r;
	return tell(d, "device.quarantined", NULL, instance, "wispd",
		    json_pack("{s:s, s:s}", "address", address, "reason", reason), err);
}

/* At most one at a time: the statement that finds them must have ended before. */
static int next_unproven(struct wispd *d, const char *instance, char address[PCI_ADDRESS_BYTES],
			 struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT address FROM device_claim WHERE instance = ? AND used = 1"
			     " AND address NOT IN (SELECT address FROM device_quarantine) LIMIT 1",
			     "s", instance);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		rows_text(&rows, 0, address, PCI_ADDRESS_BYTES);
	rows_end(&rows);
	return r;
}

int claims_drop(struct wispd *d, const struct instance *i, struct error *err)
{
	char address[PCI_ADDRESS_BYTES];
	int r;

	while ((r = next_unproven(d, i->id, address, err)) > 0) {
		r = quarantine(d, address, i->id, "it was used, and not proven since", err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = store_run(d->truth.store, err, "DELETE FROM device_claim WHERE instance = ?",
			      "s", i->id);
	return r < 0 ? r : 0;
}

/* --- for work --- */

static void read_device(const struct rows *r, struct launch_device *d)
{
	*d = (struct launch_device){ .group = (int)rows_int(r, 1) };
	rows_text(r, 0, d->address, sizeof(d->address));
	rows_text(r, 2, d->driver, sizeof(d->driver));
	rows_text(r, 3, d->override, sizeof(d->override));
	d->quarantined = rows_int(r, 4) != 0;
	d->used = rows_int(r, 5) != 0;
}

int claims_load(struct wispd *d, const char *instance, struct launch *l, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT address, iommu_group, driver, override, address IN"
			     " (SELECT address FROM device_quarantine), used FROM device_claim"
			     " WHERE instance = ? ORDER BY address",
			     "s", instance);

	if (r < 0)
		return r;
	l->ndevices = 0;
	while (l->ndevices < LAUNCH_DEVICES_MAX && (r = rows_next(&rows, err)) > 0)
		read_device(&rows, &l->devices[l->ndevices++]);
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* --- what became of them --- */

static int note_use(struct wispd *d, const struct launch_device *device, struct error *err)
{
	bool used = device->outcome == DEVICE_READY;
	int r = store_run(d->truth.store, err, "UPDATE device_claim SET used = ? WHERE address = ?",
			  "is", (int64_t)used, device->address);

	return r < 0 ? r : 0;
}

/* The certificate: what was done, when, and that it answered afterwards. */
static int certify(struct wispd *d, const char *instance, const struct launch_device *device,
		   struct error *err)
{
	return tell(d, "device.reset", NULL, instance, "wispd",
		    json_pack("{s:s, s:s, s:s, s:b, s:I, s:I}", "address", device->address, "by",
			      device->how, "when",
			      device->outcome == DEVICE_READY ? "before use" : "after use",
			      "answers", true, "bind_us", (json_int_t)device->bind_us, "reset_us",
			      (json_int_t)device->reset_us),
		    err);
}

static int report_one(struct wispd *d, const char *instance, const struct launch_device *device,
		      struct error *err)
{
	int r = 0;

	if (device->outcome == DEVICE_UNFIT)
		return quarantine(d, device->address, instance, device->why, err);
	if (device->outcome != DEVICE_UNTOUCHED) {
		r = note_use(d, device, err);
		if (r == 0)
			r = certify(d, instance, device, err);
	}
	if (r == 0 && device->given_back)
		r = tell(d, "device.given_back", NULL, instance, "wispd",
			 json_pack("{s:s, s:s, s:s}", "address", device->address, "was",
				   device->driver, "is", device->now),
			 err);
	return r;
}

int claims_report(struct wispd *d, const struct launch *l, struct error *err)
{
	bool any = false;
	int r;

	for (unsigned i = 0; i < l->ndevices; i++)
		any = any || l->devices[i].outcome != DEVICE_UNTOUCHED || l->devices[i].given_back;
	if (!any)
		return 0;
	r = store_begin(d->truth.store, err);
	for (unsigned i = 0; i < l->ndevices && r == 0; i++)
		r = report_one(d, l->id, &l->devices[i], err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

int claims_tell_fault(struct wispd *d, const struct fault *f, unsigned before,
		      char instance[INSTANCE_ID_BYTES], struct error *err)
{
	char tenant[NAME_BYTES] = "";
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT i.id, i.tenant FROM device_claim AS c JOIN instance AS i"
			     " ON i.id = c.instance WHERE c.address = ?",
			     "s", f->address);

	instance[0] = '\0';
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		rows_text(&rows, 0, instance, INSTANCE_ID_BYTES);
		rows_text(&rows, 1, tenant, sizeof(tenant));
	}
	rows_end(&rows);
	if (r < 0)
		return r;
	return tell(d, f->leaving ? "device.leaving" : "device.fault", tenant, instance, "wispd",
		    json_pack("{s:s, s:s, s:i}", "address", f->address, "kernel", f->text, "before",
			      (int)before),
		    err);
}

/* --- showing --- */

static void show(json_t *function, const char *tenant, const struct rows *r)
{
	const char *owner = rows_string(r, 1);
	bool mine = !tenant || strcmp(tenant, owner) == 0;

	json_object_set_new(function, "state",
			    json_string(!rows_is_null(r, 2)   ? "quarantined"
					: !rows_is_null(r, 0) ? "claimed"
							      : "free"));
	json_object_set_new(function, "reason", json_string(rows_string(r, 2)));
	json_object_set_new(function, "instance", json_string(mine ? rows_string(r, 0) : ""));
}

int claims_describe(struct wispd *d, const char *tenant, json_t *function, struct error *err)
{
	struct rows rows;
	int r = store_select(
		d->truth.store, &rows, err,
		"SELECT c.instance, i.tenant, q.reason FROM (SELECT ?1 AS address) AS a"
		" LEFT JOIN device_claim AS c ON c.address = a.address"
		" LEFT JOIN instance AS i ON i.id = c.instance"
		" LEFT JOIN device_quarantine AS q ON q.address = a.address",
		"s", json_string_value(json_object_get(function, "address")));

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		show(function, tenant, &rows);
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* It has an address, and whose it is; nothing else is known. */
static int add_missing(struct wispd *d, const char *tenant, const char *address, json_t *list,
		       struct error *err)
{
	json_t *j = json_pack("{s:s}", "address", address);
	int r = j ? claims_describe(d, tenant, j, err)
		  : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	if (r == 0)
		json_object_set_new(j, "state", json_string("missing"));
	if (r == 0)
		json_array_append(list, j);
	json_decref(j);
	return r;
}

int claims_add_missing(struct wispd *d, const char *tenant, const struct inventory *v,
		       const char *address, json_t *list, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT address FROM device_claim WHERE address = ifnull(?1, address)"
			     " UNION SELECT address FROM device_quarantine"
			     " WHERE address = ifnull(?1, address)",
			     "s", address);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		if (inventory_find(v, rows_string(&rows, 0)))
			continue;
		r = add_missing(d, tenant, rows_string(&rows, 0), list, err);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* Without a device it is said anew, since nothing of it changes with the host. */
static json_t *explain_plain(struct wispd *d, const struct instance *i, struct error *err)
{
	struct preflight p = { .qemu = strcmp(i->runtime, "qemu") == 0 };
	struct board b;
	json_t *record;

	if (board_find(&d->truth, i, &b, err) < 0)
		return NULL;
	p.needs = board_needs(&b, i->vcpus);
	record = preflight_explain(&p);
	if (!record)
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	return record;
}

json_t *claims_explain(struct wispd *d, const struct instance *i, struct error *err)
{
	json_t *record = NULL;
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT record FROM decision WHERE instance = ?", "s", i->id);

	if (r < 0)
		return NULL;
	r = rows_next(&rows, err);
	if (r > 0)
		record = json_loads(rows_string(&rows, 0), 0, NULL);
	rows_end(&rows);
	if (r == 0)
		return explain_plain(d, i, err);
	if (r > 0 && !record)
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	return record;
}

/* --- out of quarantine --- */

int claims_check_free(struct wispd *d, const char *address, struct error *err)
{
	int64_t n = 0;
	int r = store_number(d->truth.store, &n, err,
			     "SELECT count(*) FROM device_claim WHERE address = ?", "s", address);

	if (r < 0 || !n)
		return r;
	return error_set(err, -EBUSY, "device", "delete that first", "An instance has %.32s",
			 address);
}

int claims_quarantined(struct wispd *d, const char *address, struct launch_device *ret,
		       struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT address, iommu_group, driver, override, 1, 1"
			     " FROM device_quarantine WHERE address = ?",
			     "s", address);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		read_device(&rows, ret);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "device", "wispctl device list shows which are",
				 "%.32s is not in quarantine", address);
	return r < 0 ? r : claims_check_free(d, address, err);
}

int claims_release(struct wispd *d, const struct launch_device *device, const char *actor,
		   struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM device_quarantine WHERE address = ?",
			  "s", device->address);

	if (r < 0)
		return r;
	return tell(d, "device.proven", NULL, "", actor,
		    json_pack("{s:s, s:s}", "address", device->address, "by", device->how), err);
}
