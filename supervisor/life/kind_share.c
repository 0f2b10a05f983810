/* kind_share.c - folders of the host that an instance has: its for its life, each served by a
 * companion while a VMM may run.
 */
#include <stdio.h>

#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/share/serve.h"
#include "supervisor/share/share.h"
#include "supervisor/wispd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	return share_drop(&d->truth, i, err);
}

static void describe(const struct config *c, const char *tenant, const struct share *s,
		     struct launch_share *ret)
{
	const char *below = "";
	const struct shared_folder *f = share_allowed(c, tenant, s->path, &below);
	bool allowed = f && (s->read_only || !f->read_only);

	*ret = (struct launch_share){ .read_only = s->read_only,
				      .user = allowed ? (uid_t)f->user : 0,
				      .first_other = allowed ? (uid_t)f->uid_first : 0,
				      .others = allowed ? (unsigned)f->uid_count : 0 };
	snprintf(ret->tag, sizeof(ret->tag), "%s", s->tag);
	snprintf(ret->allowed, sizeof(ret->allowed), "%s", allowed ? f->path : "");
	snprintf(ret->below, sizeof(ret->below), "%s", allowed ? below : s->path);
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct share shares[SHARES_MAX];
	int count = share_load(&d->truth, i->id, shares, err);

	for (int n = 0; n < count; n++)
		describe(&d->config, i->tenant, &shares[n], &l->shares[l->nshares++]);
	return count < 0 ? count : 0;
}

static int attach(struct launch *l, struct error *err)
{
	int r = 0;

	for (unsigned n = 0; n < l->nshares && r == 0; n++)
		r = share_serve(l, n, err);
	return r;
}

static int detach(struct launch *l, struct error *err)
{
	struct error later;
	int first = 0;

	for (unsigned n = 0; n < l->nshares; n++) {
		int r = share_end(l, n, first ? &later : err);

		first = first ? first : r;
	}
	return first;
}

const struct kind kind_share = {
	.name = "share",
	.release = release,
	.load = load,
	.attach = attach,
	.detach = detach,
};
