/* api_devices.c - routes about the host's PCI devices: what there is, and what may be had. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/device/assign.h"
#include "supervisor/device/choose.h"
#include "supervisor/device/claims.h"
#include "supervisor/device/inventory.h"
#include "supervisor/device/preflight.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/workers.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { MEM_MIB_USUAL = 512 };

/* --- what there is --- */

static int add_matching(struct api_call *call, const struct inventory *v,
			const struct pci_selector *selector, json_t *list)
{
	int r = 0;

	for (unsigned i = 0; i < v->count && r == 0; i++) {
		const struct pci_function *f = &v->functions[i];
		json_t *j;

		if (selector ? !pci_selector_matches(selector, f) : pci_is_bridge(f))
			continue;
		j = pci_describe(v, f);
		r = claims_describe(call->d, call->tenant, j, &call->err);
		json_array_append_new(list, j);
	}
	if (r == 0 && (!selector || selector->address[0]))
		r = claims_add_missing(call->d, call->tenant, v,
				       selector ? selector->address : NULL, list, &call->err);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "devices", list));
}

static int list(struct api_call *call)
{
	struct inventory v;
	int r = inventory_read(call->d->config.device_root, &v, &call->err);

	if (r == 0)
		r = add_matching(call, &v, NULL, json_array());
	inventory_clear(&v);
	return r;
}

static int get(struct api_call *call)
{
	struct pci_selector selector;
	struct inventory v = { 0 };
	int r = pci_selector_parse(call->id, &selector, &call->err);

	if (r == 0)
		r = inventory_read(call->d->config.device_root, &v, &call->err);
	if (r == 0)
		r = add_matching(call, &v, &selector, json_array());
	inventory_clear(&v);
	return r;
}

/* --- what may be had --- */

static const char *query(struct api_call *call, const char *name)
{
	return call->request->query(call->request->connection, name);
}

/* The one in the path, and those that go to the same guest. */
static int read_selectors(struct api_call *call,
			  char selectors[PREFLIGHT_DEVICES_MAX][CHOOSE_TEXT_BYTES], unsigned *count)
{
	const char *at = query(call, "with");

	if (strlen(call->id) >= CHOOSE_TEXT_BYTES)
		return error_set(&call->err, -EINVAL, "id", NULL, "This names no PCI device");
	memcpy(selectors[0], call->id, strlen(call->id) + 1);
	*count = 1;
	while (at && *at) {
		size_t len = strcspn(at, ",");

		if (*count == PREFLIGHT_DEVICES_MAX || len >= CHOOSE_TEXT_BYTES)
			return error_set(&call->err, -EINVAL, "with",
					 "devices, separated by commas", "These are too many");
		snprintf(selectors[(*count)++], CHOOSE_TEXT_BYTES, "%.*s", (int)len, at);
		at += len + (at[len] == ',');
	}
	return 0;
}

static int read_numa(struct api_call *call, enum preflight_numa *ret)
{
	const char *text = query(call, "numa");

	for (unsigned i = 0; text && preflight_numa_names[i]; i++) {
		if (strcmp(text, preflight_numa_names[i]) != 0)
			continue;
		*ret = (enum preflight_numa)i;
		return 0;
	}
	return text ? error_set(&call->err, -EINVAL, "numa", "preferred, required or any",
				"There is no such policy")
		    : 0;
}

static int read_request(struct api_call *call, struct preflight_request *q)
{
	int64_t node = -1, huge_pages = 0, latency = 0;
	int r = api_query_number(call, "mem_mib", MEM_MIB_USUAL, &q->mem_mib);

	if (r == 0)
		r = read_numa(call, &q->numa);
	if (r == 0)
		r = api_query_number(call, "node", -1, &node);
	if (r == 0)
		r = api_query_number(call, "huge_pages", 0, &huge_pages);
	if (r == 0)
		r = api_query_number(call, "latency", 0, &latency);
	if (r < 0)
		return r;
	if (q->mem_mib > INT32_MAX || node > INT16_MAX)
		return error_set(&call->err, -ERANGE, "mem_mib", NULL, "No host has so much");
	q->node = (int)node;
	q->huge_pages = huge_pages;
	q->latency = latency;
	q->features = query(call, "features");
	return 0;
}

static int examine(struct api_call *call, json_t *(*show)(const struct preflight *p))
{
	char selectors[PREFLIGHT_DEVICES_MAX][CHOOSE_TEXT_BYTES];
	struct preflight p = { 0 };
	struct inventory v = { 0 };
	unsigned count = 0;
	int r = read_selectors(call, selectors, &count);

	if (r == 0)
		r = read_request(call, &p.request);
	if (r == 0)
		r = inventory_read(call->d->config.device_root, &v, &call->err);
	p.inventory = &v;
	if (r == 0)
		r = choose_devices(selectors, count, NULL, NULL, &p, &call->err);
	if (r == 0)
		r = api_reply(call, show(&p));
	inventory_clear(&v);
	return r;
}

static json_t *show_preflight(const struct preflight *p)
{
	json_t *j = preflight_describe(p), *devices = json_array();

	for (unsigned i = 0; i < p->count; i++)
		json_array_append_new(devices, json_string(p->device[i]->address));
	if (j)
		json_object_set_new(j, "devices", devices);
	else
		json_decref(devices);
	return j;
}

static int preflight(struct api_call *call)
{
	return examine(call, show_preflight);
}

static int explain(struct api_call *call)
{
	return examine(call, preflight_explain);
}

/* --- out of quarantine --- */

/* The device is reset and looked at on a worker; the row goes when that was well. */
struct proof {
	struct work work;
	struct wispd *d;
	char operation[OPERATION_ID_BYTES], actor[ACTOR_BYTES];
	struct launch_device device;
	int result;
	struct error err;
};

static void proof_run(struct work *work)
{
	struct proof *p = (struct proof *)work;
	struct launch_device *device = &p->device;
	const char *root = p->d->config.device_root;

	assign_locate(root, device->address, &device->group, &device->node);
	p->result = assign_bind(root, device->address, &p->err);
	if (p->result == 0)
		p->result =
			assign_prove(root, device->address, device->group, device->how, &p->err);
	if (p->result == 0)
		p->result = assign_give_back(root, device->address, device->driver,
					     device->override, device->now, &p->err);
}

static int proof_write(struct proof *p)
{
	const char *code = NULL;
	struct error err;
	int r = p->result;

	if (r == 0)
		r = claims_release(p->d, &p->device, p->actor, &p->err);
	if (r < 0)
		api_status_of(r, &code);
	return operation_end(&p->d->truth, p->operation, code, p->err.text, p->device.how, &err);
}

static void proof_done(struct work *work)
{
	struct proof *p = (struct proof *)work;
	struct error err = { 0 };
	int r = store_begin(p->d->truth.store, &err);

	if (r == 0)
		r = proof_write(p);
	if (r == 0)
		r = wispd_commit(p->d, &err);
	if (r < 0) {
		store_rollback(p->d->truth.store);
		log_error("proving %s: %s", p->device.address, err.text);
	}
	free(p);
}

/* The call's own is freed with it. */
static void proof_begin(struct wispd *d, void *ctx)
{
	struct proof *p = malloc(sizeof(*p));

	if (!p) {
		log_error("proving: out of memory");
		return;
	}
	memcpy(p, ctx, sizeof(*p));
	workers_add(d->workers, &p->work);
}

static int prove(struct api_call *call)
{
	struct proof *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	p->work = (struct work){ .run = proof_run, .done = proof_done };
	p->d = call->d;
	p->result = -ECANCELED;
	memcpy(p->actor, call->caller->actor, sizeof(p->actor));
	call->after = proof_begin;
	call->after_ctx = p;
	r = claims_quarantined(call->d, call->id, &p->device, &call->err);
	if (r == 0)
		r = operation_begin(&call->d->truth, call->tenant, call->id, "prove",
				    OPERATION_NO_GOAL, p->operation, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "operation", p->operation));
}

#define QUERY                                                                                      \
	"`with`: other devices for the same guest, separated by commas; `mem_mib`: of the guest; " \
	"`numa`: `preferred`, `required` or `any`; `node`: where its memory is to be; "            \
	"`huge_pages`, `latency`: 1, if they are wanted; `features`: that it wants, as `snapshot`"

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET", "/devices",                ROLE_VIEWER, false, 200, NULL, list,
	  .what = "The PCI functions of this host, but for bridges; `missing` are those that somebody has, or that are in "
		  "quarantine, and that have gone." },
	{ "GET", "/devices/{id}",           ROLE_VIEWER, false, 200, NULL, get,
	  .what = "Those that a selector means: `network`, `8086:10d3`, `0000:00:04.0`." },
	{ "GET", "/devices/{id}/preflight", ROLE_VIEWER, false, 200, NULL, preflight,
	  .what = "Whether it can be handed to a guest: every check, what it saw, and what to do.", .query = QUERY },
	{ "GET", "/devices/{id}/explain",   ROLE_VIEWER, false, 200, NULL, explain,
	  .what = "What a guest that wants it would run on, and why on nothing else.", .query = QUERY },
	{ "POST", "/devices/{id}/prove",    ROLE_ADMIN,  true,  202, NULL, prove,
	  .what = "Resets what is in quarantine, by its address, and looks at it; well, it is free again, with the "
		  "driver that it had." },
};
/* clang-format on */

const struct api_area api_devices = { "Devices", routes, sizeof(routes) / sizeof(routes[0]) };
