/* choose.c - from what a user says to functions of the host. */
#include <errno.h>

#include "supervisor/device/choose.h"

static bool is_chosen(const struct preflight *p, const struct pci_function *f)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->device[i] == f)
			return true;
	return false;
}

/* What can be had without harm comes first. */
static int worth(const struct pci_function *f, int node)
{
	int worth = f->answers ? 16 : 0;

	worth += f->use[0] ? 0 : 8;
	worth += node >= 0 && f->node == node ? 4 : 0;
	worth += f->virtuals || f->virtuals_most ? 0 : 1;
	return worth + (f->physical[0] ? 2 : 0);
}

static int choose_one(const char *text, choose_taken_fn taken, void *ctx, struct preflight *p,
		      struct error *err)
{
	const struct pci_function *best = NULL;
	struct pci_selector selector;
	bool fitting = false;
	int node = p->request.node;
	int r = pci_selector_parse(text, &selector, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < p->inventory->count; i++) {
		const struct pci_function *f = &p->inventory->functions[i];

		if (!pci_selector_matches(&selector, f) ||
		    (pci_is_bridge(f) && !selector.address[0]) || is_chosen(p, f))
			continue;
		fitting = true;
		if (!(taken && taken(ctx, f)) && (!best || worth(f, node) > worth(best, node)))
			best = f;
	}
	if (!best)
		return error_set(err, fitting ? -EBUSY : -ENOENT, "device",
				 "wispctl device list shows what there is",
				 fitting ? "Every device that is %s is taken"
					 : "There is no device %s",
				 text);
	p->device[p->count++] = best;
	return 0;
}

int choose_devices(const char selectors[][CHOOSE_TEXT_BYTES], unsigned count, choose_taken_fn taken,
		   void *ctx, struct preflight *p, struct error *err)
{
	int r = 0;

	p->count = 0;
	if (count > PREFLIGHT_DEVICES_MAX)
		return error_set(err, -E2BIG, "device", NULL, "At most %d devices",
				 PREFLIGHT_DEVICES_MAX);
	for (unsigned i = 0; i < count && r == 0; i++)
		r = choose_one(selectors[i], taken, ctx, p, err);
	return r;
}
