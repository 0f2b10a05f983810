/* plan.h - prices: what a unit of each meter costs, and how time is rounded.
 *
 * A plan is published once for each version and never changed; the ledger has it whole, so
 * that an old invoice can be made again from the ledger alone. All numbers are integers:
 * money in billionths ("nano") of the currency's unit.
 *
 *   {"name": "standard", "version": 1, "currency": "EUR",
 *    "rounding_ms": 1000, "minimum_ms": 60000, "bill_boot": true,
 *    "prices": [{"meter": "vcpu_time", "per": 1000000,
 *                "tiers": [{"from": 0, "price_nano": 0}, {"from": 36000000000, "price_nano": 11000}]}]}
 *
 * rounding_ms: time is rounded up to it, once for each start of an instance. minimum_ms:
 * what a start costs at least. bill_boot: whether the time before the guest is up counts.
 * A tier's price is that of the units from its "from" on, up to the next tier's, counted
 * for each tenant and period; a first tier at price 0 is a free quantity. "per": the price
 * is that of so many units. A meter without prices costs nothing.
 *
 * Support is a part of what a plan's lines come to, in thousandths, and at least a fixed
 * amount: "support": "business", "support_per_mille": 30, "support_minimum_nano": 100000000000.
 *
 * Any thread.
 */
#ifndef SUPERVISOR_BILLING_PLAN_H
#define SUPERVISOR_BILLING_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "api/body.h"

/* The order is that of an invoice's lines: new ones come last. */
enum meter {
	METER_STARTS,
	METER_VCPU_TIME,
	METER_MEMORY_TIME,
	METER_CPU_USED,
	METER_MEMORY_PEAK,
	METER_DISK_READ,
	METER_DISK_WRITTEN,
	METER_DISK_OPERATIONS,
	METER_NET_IN,
	METER_NET_OUT,
	METER_DISK_SPACE,
	METER_IMAGE_SPACE,
	METER_SNAPSHOT_SPACE,
	METER_ADDRESS_TIME,
	METER_DEVICE_TIME,
	METER_VOLUME_SPACE,
	METER_PORT_TIME,
	METER_RESERVED_VCPUS,
	METER_RESERVED_MEMORY,
	METER_VCPU_TIME_RESERVED,
	METER_MEMORY_TIME_RESERVED,
	METER_POOL_TIME,
	METER_PROCESSOR_TIME,
	METER_NET_IN_WORLD,
	METER_NET_OUT_WORLD,
	METER_NET_IN_INTERNAL,
	METER_NET_OUT_INTERNAL,
	METERS_COUNT
};

enum meter_kind {
	METER_OF_STATES, /* follows from the moves of instances */
	METER_COUNTED,	 /* a counter of a VMM; amounts add up */
	METER_GREATEST,	 /* the same, but the greatest of the period is what counts */
	METER_HELD,	 /* an amount that is held, times milliseconds */
};

struct meter_info {
	const char *name, *unit;
	enum meter_kind kind;
};

extern const struct meter_info meters[METERS_COUNT];

enum { PLAN_NAME_BYTES = 64, PLAN_CURRENCY_BYTES = 4, PLAN_MAX_TIERS = 16 };

struct tier {
	uint64_t from, price_nano;
};

struct price {
	uint32_t meter; /* enum meter */
	uint64_t per;
	struct tier tiers[PLAN_MAX_TIERS];
	uint32_t tier_count;
};

struct plan {
	char name[PLAN_NAME_BYTES];
	uint64_t version;
	char currency[PLAN_CURRENCY_BYTES];
	uint64_t rounding_ms, minimum_ms;
	bool bill_boot;
	char support[PLAN_NAME_BYTES]; /* what it is called; "": there is none */
	uint64_t support_per_mille, support_minimum_nano;
	struct price prices[METERS_COUNT];
	uint32_t price_count;
};

extern const struct body_table plan_table; /* of struct plan */

/* What a meter costs by the plan; NULL: nothing. */
const struct price *plan_price(const struct plan *p, enum meter meter);

/* What a start that lasted so long is billed as: grows with ns, so that the parts of a
 * start in different periods add up to the whole. */
int64_t plan_billed_ns(const struct plan *p, int64_t ns);

/* How much of a quantity is in a tier. */
int64_t plan_in_tier(const struct price *p, unsigned tier, int64_t quantity);

/* What a quantity costs, over all tiers. False: it does not fit. */
bool plan_rate(const struct price *p, int64_t quantity, int64_t *amount_nano);

/* What a quantity of a tier costs: rounded to the nearest nano-unit, halves to even. The
 * part of a nano-unit that rounding took or gave, in 1/per, is *remainder, which may be
 * NULL. False: it does not fit, and nothing is set. */
bool plan_amount(int64_t quantity, uint64_t price_nano, uint64_t per, int64_t *amount_nano,
		 int64_t *remainder);

#endif
