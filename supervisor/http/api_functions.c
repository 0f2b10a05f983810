/* api_functions.c - the route that gives a device virtual functions. */
#include <errno.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/device/functions.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/workers.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { COUNT_MAX = 256, VLAN_MAX = 4094 };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

static const struct body_field link_fields[] = {
	{ .name = "mac", .type = BODY_STRING, PLACE(link_function, mac) },
	{ .name = "vlan", .type = BODY_U64, PLACE(link_function, vlan), .max = VLAN_MAX },
	{ .name = "trusted", .type = BODY_BOOL, PLACE(link_function, trusted) },
};

/* Of one interface, that is: not of a group. */
static bool is_mac(const char *text)
{
	struct ether_addr a;

	return strlen(text) == sizeof("02:00:00:00:00:01") - 1 && ether_aton_r(text, &a) &&
	       !(a.ether_addr_octet[0] & 1);
}

static int check_link(void *config, struct error *err)
{
	const struct link_function *f = config;

	return !f->mac[0] || is_mac(f->mac) ? 0
					    : error_set(err, -EINVAL, "mac", "as 02:00:00:00:00:01",
							"This is no MAC address of one interface");
}

static const struct body_table link_table = {
	.size = sizeof(struct link_function),
	.fields = link_fields,
	.nfields = sizeof(link_fields) / sizeof(link_fields[0]),
	.check = check_link,
};

struct functions_body {
	uint64_t count;
	uint32_t nlinks;
	struct link_function links[FUNCTIONS_LINKS_MAX];
};

static const struct body_field functions_fields[] = {
	{ .name = "count",
	  .type = BODY_U64,
	  PLACE(functions_body, count),
	  .max = COUNT_MAX,
	  .required = true },
	{ .name = "links",
	  .type = BODY_ARRAY,
	  PLACE(functions_body, links),
	  .mark = offsetof(struct functions_body, nlinks),
	  .max = FUNCTIONS_LINKS_MAX,
	  .table = &link_table },
};

static const struct body_table functions_table = {
	.size = sizeof(struct functions_body),
	.fields = functions_fields,
	.nfields = sizeof(functions_fields) / sizeof(functions_fields[0]),
};

/* A device that makes functions takes a while for it. */
struct making {
	struct work work;
	struct wispd *d;
	char operation[OPERATION_ID_BYTES];
	struct functions functions;
	int result;
	struct error err;
};

static void making_run(struct work *work)
{
	struct making *m = (struct making *)work;

	m->result = functions_apply(m->d->config.device_root, &m->functions, &m->err);
}

static int making_write(struct making *m, struct error *err)
{
	const char *code = NULL;
	int r = 0;

	if (m->result < 0) {
		api_status_of(m->result, &code);
		r = functions_forget(m->d, m->functions.address, err);
	}
	return r < 0 ? r
		     : operation_end(&m->d->truth, m->operation, code, m->err.text,
				     m->functions.address, err);
}

static void making_done(struct work *work)
{
	struct making *m = (struct making *)work;
	struct error err = { 0 };
	int r = store_begin(m->d->truth.store, &err);

	if (r == 0)
		r = making_write(m, &err);
	if (r == 0)
		r = wispd_commit(m->d, &err);
	if (r < 0) {
		store_rollback(m->d->truth.store);
		log_error("functions of %s: %s", m->functions.address, err.text);
	}
	free(m);
}

/* The call's own is freed with it. */
static void making_begin(struct wispd *d, void *ctx)
{
	struct making *m = malloc(sizeof(*m));

	if (!m) {
		log_error("functions: out of memory");
		return;
	}
	memcpy(m, ctx, sizeof(*m));
	workers_add(d->workers, &m->work);
}

static int put(struct api_call *call)
{
	const struct functions_body *b = call->config;
	struct making *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	call->after = making_begin;
	call->after_ctx = m;
	m->work = (struct work){ .run = making_run, .done = making_done };
	m->d = call->d;
	m->result = -ECANCELED;
	m->functions.count = (unsigned)b->count;
	m->functions.nlinks = b->nlinks;
	memcpy(m->functions.link, b->links, sizeof(m->functions.link));
	snprintf(m->functions.address, sizeof(m->functions.address), "%.*s", PCI_ADDRESS_BYTES - 1,
		 call->id);
	r = functions_write(call->d, &m->functions, call->caller->actor, &call->err);
	if (r == 0)
		r = operation_begin(&call->d->truth, call->tenant, m->functions.address,
				    "functions", OPERATION_NO_GOAL, m->operation, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "operation", m->operation));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "PUT", "/devices/{id}/functions", ROLE_ADMIN, true, 202, &functions_table, put,
	  .what = "Gives a device, by its address, so many virtual functions (SR-IOV), now and after each boot; 0 takes "
		  "them away. `links` says what those of a network device are on the wire, in their order." },
};
/* clang-format on */

const struct api_area api_functions = { "Virtual functions", routes,
					sizeof(routes) / sizeof(routes[0]) };
