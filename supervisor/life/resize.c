/* resize.c - in this order, and back. */
#include <errno.h>
#include <stdio.h>

#include "guest-images/agent/caller.h"
#include "supervisor/life/cell.h"
#include "supervisor/life/identity.h"
#include "supervisor/life/resize.h"
#include "supervisor/life/root_disk.h"
#include "supervisor/life/runtime.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* --- the disk --- */

static int ask_agent_to_grow(const struct launch *l, struct error *err)
{
	static const char *const nothing[] = { NULL };
	int limit_ms = (int)l->resize.timeout_ms, fd = identity_connect(l, limit_ms, err), r;

	if (fd < 0)
		return fd;
	r = caller_ask(fd, "grow", nothing, limit_ms, NULL, err);
	fd_close(fd);
	return r;
}

static int grow_disk(struct launch *l, struct error *err)
{
	const struct launch_drive *root = NULL;
	struct error why;
	int r;

	for (unsigned i = 0; i < l->ndrives; i++)
		if (l->drives[i].root)
			root = &l->drives[i];
	if (!root)
		return error_set(err, -EINVAL, "disk_mib", NULL, "%s has no root disk", l->id);
	r = root_disk_grow(l, l->resize.disk_mib, err);
	if (r == 0)
		r = l->runtime->refresh_drive(l, root, err);
	if (r < 0 || !l->agent)
		return r;
	if (ask_agent_to_grow(l, &why) == 0)
		snprintf(l->resize.words, sizeof(l->resize.words), "grown");
	else
		snprintf(l->resize.words, sizeof(l->resize.words), "%.*s",
			 (int)sizeof(l->resize.words) - 1, why.text);
	return 0;
}

/* --- memory --- */

static int set_memory(struct launch *l, struct error *err)
{
	struct launch_resize *q = &l->resize;
	struct error later;
	int r = 0;

	if (q->mem_mib > q->mem_from_mib)
		r = cell_limit_memory(l, q->mem_mib, err);
	q->now_mib = q->mem_from_mib;
	if (r == 0)
		r = l->runtime->set_memory(l, q, err);
	if (q->now_mib < q->mem_mib || q->now_mib < q->mem_from_mib)
		if (cell_limit_memory(l, q->now_mib, &later) < 0)
			log_warn("%s: %s", l->id, later.text);
	return r;
}

int resize_run(struct launch *l, struct error *err)
{
	return l->resize.disk_mib ? grow_disk(l, err) : set_memory(l, err);
}
