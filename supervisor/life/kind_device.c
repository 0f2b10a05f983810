/* kind_device.c - devices of the host that an instance has.
 *
 * Claims are written with the instance (claims.h). From its creation to its deletion the
 * devices are vfio-pci's: a driver of the host that got one back between two runs could come
 * to use it. They are proven before each run and after it, since who had one last may
 * have left anything in it. What fails that stays where it is, with nobody.
 */
#include <errno.h>
#include <stdio.h>

#include "supervisor/device/assign.h"
#include "supervisor/device/claims.h"
#include "supervisor/device/functions.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/wispd.h"
#include "vmm/base/clock.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	return claims_drop(d, i, err);
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	int r = claims_load(d, i->id, l, err);

	for (unsigned k = 0; k < l->ndevices; k++)
		assign_locate(d->config.device_root, l->devices[k].address, &l->devices[k].group,
			      &l->devices[k].node);
	return r;
}

/* All before any is proven: a group must be taken as a whole to be opened. */
static int bind_all(struct launch *l, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->ndevices && r == 0; i++) {
		uint64_t before_us = clock_now_us();

		r = assign_bind(l->config->device_root, l->devices[i].address, err);
		l->devices[i].bind_us = clock_now_us() - before_us;
	}
	return r;
}

static void find_unfit(struct launch_device *d, const struct error *err)
{
	d->outcome = DEVICE_UNFIT;
	snprintf(d->why, sizeof(d->why), "%.*s", (int)sizeof(d->why) - 1, err->text);
}

static void prove(struct launch *l, struct launch_device *d, enum device_outcome well)
{
	uint64_t before_us = clock_now_us();
	struct error err;

	d->outcome = well;
	if (assign_prove(l->config->device_root, d->address, d->group, d->how, &err) < 0)
		find_unfit(d, &err);
	d->reset_us = clock_now_us() - before_us;
}

/* The limits may be others than when it was made; the kernel would only say ENOMEM. */
static int check_memlock(const struct launch *l, struct error *err)
{
	uint64_t most = inventory_memlock_mib();
	int64_t needed = preflight_memlock_mib(l->mem_mib);

	if (!l->ndevices || (uint64_t)needed <= most)
		return 0;
	return error_set(err, -EPERM, "device", "run wispd as root, or raise its LimitMEMLOCK",
			 "memlock: %lld MiB are to be locked, %llu may be", (long long)needed,
			 (unsigned long long)most);
}

static int attach(struct launch *l, struct error *err)
{
	int r = check_memlock(l, err);

	if (r == 0)
		r = bind_all(l, err);

	for (unsigned i = 0; i < l->ndevices && r == 0; i++) {
		struct launch_device *d = &l->devices[i];

		if (!d->quarantined)
			prove(l, d, DEVICE_READY);
		if (d->quarantined || d->outcome == DEVICE_UNFIT)
			r = error_set(err, -EIO, "device",
				      "wispctl device prove, once it is mended",
				      "%s is in quarantine%s%s", d->address, d->why[0] ? ": " : "",
				      d->why);
	}
	return r;
}

/* That one is not fit for the next is no reason to keep this instance. Those of a group that
 * the host took back meanwhile, as by a boot, are taken again first. */
static int detach(struct launch *l, struct error *err)
{
	struct error fault;

	(void)err;
	for (unsigned i = 0; i < l->ndevices; i++) {
		struct launch_device *d = &l->devices[i];

		if (d->used && !d->quarantined &&
		    assign_bind(l->config->device_root, d->address, &fault) < 0)
			find_unfit(d, &fault);
	}
	for (unsigned i = 0; i < l->ndevices; i++) {
		struct launch_device *d = &l->devices[i];

		if (d->used && !d->quarantined && d->outcome == DEVICE_UNTOUCHED)
			prove(l, d, DEVICE_CLEAN);
	}
	return 0;
}

static int give_back(struct launch *l, struct error *err)
{
	int first = 0;

	for (unsigned i = 0; i < l->ndevices; i++) {
		struct launch_device *d = &l->devices[i];
		int r;

		if (d->quarantined || d->outcome == DEVICE_UNFIT)
			continue;
		r = assign_give_back(l->config->device_root, d->address, d->driver, d->override,
				     d->now, err);
		d->given_back = r == 0;
		first = first ? first : r;
	}
	return first;
}

/* What is set up is not removed; it is no left-over. */
static int sweep(struct wispd *d, struct error *err)
{
	int r = functions_sweep(d, err);

	return r < 0 ? r : 0;
}

const struct kind kind_device = {
	.name = "device",
	.release = release,
	.load = load,
	.prepare = bind_all,
	.remove = give_back,
	.attach = attach,
	.detach = detach,
	.report = claims_report,
	.sweep = sweep,
};
