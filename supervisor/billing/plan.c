/* plan.c - the fields of a price plan, and the two roundings there are. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "supervisor/billing/plan.h"

enum { NS_PER_MS = 1000000, MAX_ROUNDING_MS = 24 * 60 * 60 * 1000, MAX_PER_MILLE = 1000 };

const struct meter_info meters[METERS_COUNT] = {
	[METER_STARTS] = { "starts", "1", METER_OF_STATES },
	[METER_VCPU_TIME] = { "vcpu_time", "vCPU-us", METER_OF_STATES },
	[METER_MEMORY_TIME] = { "memory_time", "MiB-ms", METER_OF_STATES },
	[METER_CPU_USED] = { "cpu_used", "us", METER_COUNTED },
	[METER_MEMORY_PEAK] = { "memory_peak", "bytes", METER_GREATEST },
	[METER_DISK_READ] = { "disk_read", "bytes", METER_COUNTED },
	[METER_DISK_WRITTEN] = { "disk_written", "bytes", METER_COUNTED },
	[METER_DISK_OPERATIONS] = { "disk_operations", "1", METER_COUNTED },
	[METER_NET_IN] = { "net_in", "bytes", METER_COUNTED },
	[METER_NET_OUT] = { "net_out", "bytes", METER_COUNTED },
	[METER_DISK_SPACE] = { "disk_space", "MiB-ms", METER_HELD },
	[METER_IMAGE_SPACE] = { "image_space", "MiB-ms", METER_HELD },
	[METER_SNAPSHOT_SPACE] = { "snapshot_space", "MiB-ms", METER_HELD },
	[METER_ADDRESS_TIME] = { "address_time", "ms", METER_HELD },
	[METER_DEVICE_TIME] = { "device_time", "ms", METER_HELD },
	[METER_VOLUME_SPACE] = { "volume_space", "MiB-ms", METER_HELD },
	[METER_PORT_TIME] = { "port_time", "ms", METER_HELD },
	[METER_RESERVED_VCPUS] = { "reserved_vcpus", "vCPU-ms", METER_HELD },
	[METER_RESERVED_MEMORY] = { "reserved_memory", "MiB-ms", METER_HELD },
	[METER_VCPU_TIME_RESERVED] = { "vcpu_time_reserved", "vCPU-us", METER_OF_STATES },
	[METER_MEMORY_TIME_RESERVED] = { "memory_time_reserved", "MiB-ms", METER_OF_STATES },
	[METER_POOL_TIME] = { "pool_time", "ms", METER_HELD },
	[METER_PROCESSOR_TIME] = { "processor_time", "ms", METER_HELD },
	[METER_NET_IN_WORLD] = { "net_in_world", "bytes", METER_COUNTED },
	[METER_NET_OUT_WORLD] = { "net_out_world", "bytes", METER_COUNTED },
	[METER_NET_IN_INTERNAL] = { "net_in_internal", "bytes", METER_COUNTED },
	[METER_NET_OUT_INTERNAL] = { "net_out_internal", "bytes", METER_COUNTED },
};

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define NUMBER(of, member, least, greatest)                                           \
	{                                                                             \
		.name = #member, .type = BODY_U64, PLACE(of, member), .min = (least), \
		.max = (greatest), .required = true                                   \
	}

static const char *const meter_names[] = {
	"starts",
	"vcpu_time",
	"memory_time",
	"cpu_used",
	"memory_peak",
	"disk_read",
	"disk_written",
	"disk_operations",
	"net_in",
	"net_out",
	"disk_space",
	"image_space",
	"snapshot_space",
	"address_time",
	"device_time",
	"volume_space",
	"port_time",
	"reserved_vcpus",
	"reserved_memory",
	"vcpu_time_reserved",
	"memory_time_reserved",
	"pool_time",
	"processor_time",
	"net_in_world",
	"net_out_world",
	"net_in_internal",
	"net_out_internal",
	NULL,
};

_Static_assert(sizeof(meter_names) / sizeof(meter_names[0]) == METERS_COUNT + 1,
	       "a name for each meter, in their order");

static const struct body_field tier_fields[] = {
	NUMBER(tier, from, 0, INT64_MAX),
	NUMBER(tier, price_nano, 0, INT64_MAX),
};

static const struct body_table tier_table = {
	.size = sizeof(struct tier),
	.fields = tier_fields,
	.nfields = sizeof(tier_fields) / sizeof(tier_fields[0]),
};

static const struct body_field price_fields[] = {
	{ .name = "meter",
	  .type = BODY_ENUM,
	  PLACE(price, meter),
	  .names = meter_names,
	  .required = true },
	NUMBER(price, per, 1, INT64_MAX),
	{ .name = "tiers",
	  .type = BODY_ARRAY,
	  PLACE(price, tiers),
	  .mark = offsetof(struct price, tier_count),
	  .max = PLAN_MAX_TIERS,
	  .table = &tier_table,
	  .required = true },
};

static int check_price(void *config, struct error *err)
{
	const struct price *p = config;

	for (unsigned i = 0; i < p->tier_count; i++) {
		if (i == 0 ? p->tiers[i].from != 0 : p->tiers[i].from <= p->tiers[i - 1].from)
			return error_set(err, -EINVAL, "tiers", "the first from 0, each higher",
					 "Tier %u begins at %" PRIu64, i, p->tiers[i].from);
	}
	if (p->tier_count == 0)
		return error_set(err, -EINVAL, "tiers", "one from 0 at least", "There is no tier");
	return 0;
}

static const struct body_table price_table = {
	.size = sizeof(struct price),
	.fields = price_fields,
	.nfields = sizeof(price_fields) / sizeof(price_fields[0]),
	.check = check_price,
};

static const struct body_field fields[] = {
	{ .name = "name", .type = BODY_STRING, PLACE(plan, name), .min = 1, .required = true },
	NUMBER(plan, version, 1, INT32_MAX),
	{ .name = "currency",
	  .type = BODY_STRING,
	  PLACE(plan, currency),
	  .min = PLAN_CURRENCY_BYTES - 1,
	  .required = true },
	NUMBER(plan, rounding_ms, 1, MAX_ROUNDING_MS),
	NUMBER(plan, minimum_ms, 0, MAX_ROUNDING_MS),
	{ .name = "bill_boot", .type = BODY_BOOL, PLACE(plan, bill_boot), .required = true },
	{ .name = "support", .type = BODY_STRING, PLACE(plan, support) },
	{ .name = "support_per_mille",
	  .type = BODY_U64,
	  PLACE(plan, support_per_mille),
	  .max = MAX_PER_MILLE },
	{ .name = "support_minimum_nano",
	  .type = BODY_U64,
	  PLACE(plan, support_minimum_nano),
	  .max = INT64_MAX },
	{ .name = "prices",
	  .type = BODY_ARRAY,
	  PLACE(plan, prices),
	  .mark = offsetof(struct plan, price_count),
	  .max = METERS_COUNT,
	  .table = &price_table,
	  .required = true },
};

static int check_plan(void *config, struct error *err)
{
	const struct plan *p = config;

	for (unsigned i = 0; i < p->price_count; i++) {
		if (plan_price(p, (enum meter)p->prices[i].meter) != &p->prices[i])
			return error_set(err, -EINVAL, "prices", "one price for each meter",
					 "%s has two prices", meter_names[p->prices[i].meter]);
	}
	if (!p->support[0] && (p->support_per_mille || p->support_minimum_nano))
		return error_set(err, -EINVAL, "support", "say what it is called",
				 "A price of support that there is not");
	return 0;
}

const struct body_table plan_table = {
	.size = sizeof(struct plan),
	.fields = fields,
	.nfields = sizeof(fields) / sizeof(fields[0]),
	.check = check_plan,
};

const struct price *plan_price(const struct plan *p, enum meter meter)
{
	for (unsigned i = 0; i < p->price_count; i++) {
		if (p->prices[i].meter == (uint32_t)meter)
			return &p->prices[i];
	}
	return NULL;
}

/* --- the two roundings --- */

int64_t plan_billed_ns(const struct plan *p, int64_t ns)
{
	int64_t unit = (int64_t)p->rounding_ms * NS_PER_MS;
	int64_t least = (int64_t)p->minimum_ms * NS_PER_MS;
	int64_t units = ns / unit + (ns % unit != 0);

	if (ns <= 0)
		return 0;
	return units * unit > least ? units * unit : (least + unit - 1) / unit * unit;
}

bool plan_amount(int64_t quantity, uint64_t price_nano, uint64_t per, int64_t *amount_nano,
		 int64_t *remainder)
{
	__int128 exact = (__int128)quantity * (int64_t)price_nano;
	__int128 amount = exact / (int64_t)per, rest = exact % (int64_t)per;

	if (2 * rest > (int64_t)per || (2 * rest == (int64_t)per && (amount & 1)))
		amount++;
	if (amount > INT64_MAX)
		return false;
	*amount_nano = (int64_t)amount;
	if (remainder)
		*remainder = (int64_t)(exact - amount * (int64_t)per);
	return true;
}

int64_t plan_in_tier(const struct price *p, unsigned tier, int64_t quantity)
{
	int64_t from = (int64_t)p->tiers[tier].from;
	int64_t to = tier + 1 < p->tier_count ? (int64_t)p->tiers[tier + 1].from : INT64_MAX;

	if (quantity <= from)
		return 0;
	return (quantity < to ? quantity : to) - from;
}

bool plan_rate(const struct price *p, int64_t quantity, int64_t *amount_nano)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < p->tier_count; i++) {
		int64_t amount, part = plan_in_tier(p, i, quantity);

		if (!plan_amount(part, p->tiers[i].price_nano, p->per, &amount, NULL) ||
		    __builtin_add_overflow(sum, amount, &sum))
			return false;
	}
	*amount_nano = sum;
	return true;
}
