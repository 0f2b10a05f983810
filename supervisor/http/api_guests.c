/* api_guests.c - routes into guests: streams to their ports and consoles. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-images/agent/protocol.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/relay.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

static int check_stream(struct api_call *call, const struct instance *i)
{
	if (call->request->key)
		return error_set(&call->err, -EINVAL, "Idempotency-Key", "leave it out",
				 "A stream cannot be repeated");
	if (!relays_have_room(call->d->relays, i->tenant))
		return error_set(&call->err, -EAGAIN, NULL, "end some of them",
				 "There are too many streams");
	return 0;
}

static int check(struct api_call *call, const struct instance *i)
{
	if (i->state != STATE_RUNNING && i->state != STATE_RESIZING &&
	    i->state != STATE_SAVING_LIVE)
		return error_set(&call->err, -EPERM, "state", "start or resume it",
				 "%s is %s; its guest can be reached when it is running", i->name,
				 states[i->state].name);
	return check_stream(call, i);
}

/* Before it begins: who went into which guest stays known. */
static int tell(struct api_call *call, const struct instance *i, const char *to, int64_t port)
{
	json_t *body = json_pack("{s:s, s:I}", "to", to, "port", (json_int_t)port);

	return instance_tell(&call->d->truth, i, "instance.entered", call->caller->actor, body,
			     NULL, &call->err);
}

static int open_stream(struct api_call *call, enum runtime_way way, int64_t port)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct instance i = { 0 };
	int r = l ? instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err)
		  : error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");

	if (r == 0)
		r = check(call, &i);
	if (r == 0)
		r = tell(call, &i, way == RUNTIME_CONSOLE ? "console" : "port", port);
	if (r == 0)
		r = lifecycle_load(call->d, &i, l, &call->err);
	if (r == 0)
		r = call->stream_fd = guest_connect(l, way, (unsigned)port, &call->err);
	free(l);
	if (r < 0)
		return r;
	snprintf(call->stream_tenant, sizeof(call->stream_tenant), "%s", i.tenant);
	return 0;
}

static int open_port(struct api_call *call)
{
	int64_t port = 0;
	int r = api_query_number(call, "port", AGENT_PORT, &port);

	if (r == 0 && port > UINT32_MAX)
		r = error_set(&call->err, -EINVAL, "port", "below 4294967296",
			      "There is no such port");
	return r < 0 ? r : open_stream(call, RUNTIME_VSOCK, port);
}

static int open_console(struct api_call *call)
{
	int r = open_stream(call, RUNTIME_CONSOLE, 0);

	if (r == -ENOENT && call->err.field[0] == '\0')
		snprintf(call->err.hint, sizeof(call->err.hint),
			 "a guest has one whose command line says console=hvc0");
	return r;
}

static int attend(struct api_call *call)
{
	struct instance i;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = attend_check(call->d->attendance, &i, &call->err);
	if (r == 0)
		r = check_stream(call, &i);
	if (r == 0)
		r = call->stream_fd = attend_open(call->d->attendance, &i, &call->err);
	if (r < 0)
		return r;
	snprintf(call->stream_tenant, sizeof(call->stream_tenant), "%s", i.tenant);
	return 0;
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "POST", "/instances/{id}/stream",  ROLE_OPERATOR, true, 101, NULL, open_port,
	  .what = "Becomes a stream to a port of the guest's vsock, by default its agent's. The guest's VMM says "
		  "`OK`, a number and a newline first, or ends it: nobody listens there.",
	  .query = "`port`: a port" },
	{ "POST", "/instances/{id}/console", ROLE_OPERATOR, true, 101, NULL, open_console,
	  .what = "Becomes a stream to the guest's terminal hvc0, which a guest has whose command line says "
		  "`console=hvc0`." },
	{ "POST", "/instances/{id}/attend",  ROLE_OPERATOR, true, 101, NULL, attend,
	  .what = "Attends an instance that was made with `attended`, as long as the connection is open: nothing is "
		  "said on it. When it is closed, and no other attends the instance, that is deleted." },
};
/* clang-format on */

const struct api_area api_guests = { "Guests", routes, sizeof(routes) / sizeof(routes[0]) };
