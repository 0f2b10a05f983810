/* quota.c - holds, and the two limits on their sums. */
#include <errno.h>
#include <inttypes.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"

const char *const resource_names[RESOURCES_COUNT + 1] = {
	[RESOURCE_INSTANCES] = "instances",   [RESOURCE_VCPUS] = "vcpus",
	[RESOURCE_MEMORY_MIB] = "memory_mib", [RESOURCE_ADDRESSES] = "addresses",
	[RESOURCE_DISK_MIB] = "disk_mib",
};

static int sum_of(struct truth *t, const char *tenant, enum resource resource, int64_t *ret,
		  struct error *err)
{
	if (tenant)
		return store_number(t->store, ret, err,
				    "SELECT ifnull(sum(amount), 0) FROM hold"
				    " WHERE resource = ? AND tenant = ?",
				    "ss", resource_names[resource], tenant);
	return store_number(t->store, ret, err,
			    "SELECT ifnull(sum(amount), 0) FROM hold WHERE resource = ?", "s",
			    resource_names[resource]);
}

static int limit_of(struct truth *t, const char *tenant, enum resource resource, int64_t *ret,
		    struct error *err)
{
	return store_number(t->store, ret, err,
			    "SELECT ifnull((SELECT most FROM quota WHERE tenant = ?"
			    " AND resource = ?), -1)",
			    "ss", tenant, resource_names[resource]);
}

int quota_get(struct truth *t, const char *tenant, enum resource resource, int64_t *used,
	      int64_t *most, struct error *err)
{
	int64_t aside = 0;
	int r = sum_of(t, tenant, resource, used, err);

	if (r < 0)
		return r;
	if (tenant)
		return limit_of(t, tenant, resource, most, err);
	*most = t->capacity[resource];
	if (*most < 0)
		return 0;
	r = seats_set_aside(t, resource, &aside, err);
	*most = *most > aside ? *most - aside : 0;
	return r;
}

int quota_check(struct truth *t, const char *tenant, enum resource resource, int64_t more,
		struct error *err)
{
	int64_t used, most;
	int r = quota_get(t, tenant, resource, &used, &most, err);

	if (r < 0 || most < 0 || used + more <= most)
		return r;
	if (tenant)
		return error_set(err, -EDQUOT, resource_names[resource],
				 "delete or stop instances, or ask for a larger quota",
				 "The quota of %s is used up: %" PRId64 " of %" PRId64
				 " are held, and %" PRId64 " more are needed",
				 resource_names[resource], used, most, more);
	return error_set(err, -EUSERS, resource_names[resource], "try again when others have ended",
			 "The host is full: %" PRId64 " of %" PRId64 " %s are held, and %" PRId64
			 " more are needed",
			 used, most, resource_names[resource], more);
}

int quota_hold(struct truth *t, const char *instance, const char *tenant, enum resource resource,
	       int64_t amount, struct error *err)
{
	int64_t held = 0;
	int r = store_number(t->store, &held, err,
			     "SELECT ifnull((SELECT amount FROM hold WHERE instance = ?"
			     " AND resource = ?), 0)",
			     "ss", instance, resource_names[resource]);

	if (r < 0 || held == amount)
		return r;
	if (amount > held)
		r = quota_check(t, tenant, resource, amount - held, err);
	if (r == 0 && amount > held)
		r = quota_check(t, NULL, resource, amount - held, err);
	if (r < 0)
		return r;
	if (amount == 0)
		r = store_run(t->store, err, "DELETE FROM hold WHERE instance = ? AND resource = ?",
			      "ss", instance, resource_names[resource]);
	else
		r = store_run(t->store, err,
			      "INSERT INTO hold VALUES (?, ?, ?, ?)"
			      " ON CONFLICT DO UPDATE SET amount = excluded.amount",
			      "sssi", instance, resource_names[resource], tenant, amount);
	return r < 0 ? r : 0;
}

int quota_set_limit(struct truth *t, const char *tenant, enum resource resource, int64_t most,
		    struct error *err)
{
	int r;

	if (most < 0)
		r = store_run(t->store, err, "DELETE FROM quota WHERE tenant = ? AND resource = ?",
			      "ss", tenant, resource_names[resource]);
	else
		r = store_run(t->store, err,
			      "INSERT INTO quota VALUES (?, ?, ?)"
			      " ON CONFLICT DO UPDATE SET most = excluded.most",
			      "ssi", tenant, resource_names[resource], most);
	return r < 0 ? r : 0;
}
