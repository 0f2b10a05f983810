/* kind.c - the list of kinds, and walking it forwards and backwards. */
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"

const struct kind *const kinds[] = { &kind_user,     &kind_engine, &kind_image,	  &kind_board,
				     &kind_snapshot, &kind_volume, &kind_network, &kind_netns,
				     &kind_share,    &kind_device, &kind_place,	  &kind_size,
				     &kind_client,   NULL };

int kinds_reserve(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->reserve ? (*k)->reserve(d, i, err) : 0;
	return r;
}

int kinds_release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->release ? (*k)->release(d, i, err) : 0;
	return r;
}

int kinds_load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->load ? (*k)->load(d, i, l, err) : 0;
	return r;
}

int kinds_prepare(struct launch *l, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->prepare ? (*k)->prepare(l, err) : 0;
	return r;
}

int kinds_attach(struct launch *l, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->attach ? (*k)->attach(l, err) : 0;
	return r;
}

/* Backwards, all of them; the first error in *err. */
static int undo(struct launch *l, bool removing, struct error *err)
{
	struct error later;
	unsigned n = 0;
	int first = 0;

	while (kinds[n])
		n++;
	while (n-- > 0) {
		int (*fn)(struct launch *, struct error *) =
			removing ? kinds[n]->remove : kinds[n]->detach;
		int r = fn ? fn(l, first ? &later : err) : 0;

		first = first ? first : r;
	}
	return first;
}

int kinds_remove(struct launch *l, struct error *err)
{
	return undo(l, true, err);
}

int kinds_detach(struct launch *l, struct error *err)
{
	return undo(l, false, err);
}

int kinds_report(struct wispd *d, const struct launch *l, struct error *err)
{
	int r = 0;

	for (const struct kind *const *k = kinds; *k && r == 0; k++)
		r = (*k)->report ? (*k)->report(d, l, err) : 0;
	return r;
}

int kinds_sweep(struct wispd *d, struct error *err)
{
	int removed = 0;

	for (const struct kind *const *k = kinds; *k; k++) {
		int r = (*k)->sweep ? (*k)->sweep(d, err) : 0;

		if (r < 0)
			return r;
		removed += r;
	}
	return removed;
}
