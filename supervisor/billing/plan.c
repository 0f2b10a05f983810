/* plan.c - a price plan, read from JSON, and the two roundings there are. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "supervisor/billing/plan.h"

enum { NS_PER_MS = 1000000, MAX_ROUNDING_MS = 24 * 60 * 60 * 1000 };

const struct meter_info meters[METERS_COUNT] = {
	[METER_STARTS] = { "starts", "1", "starts of instances" },
	[METER_VCPU_TIME] = { "vcpu_time", "vCPU-us", "time that vCPUs were allocated" },
	[METER_MEMORY_TIME] = { "memory_time", "MiB-ms", "time that memory was allocated" },
};

/* --- reading --- */

static int refused(struct error *err, const char *field, const char *hint)
{
	return error_set(err, -EINVAL, field, hint, "The plan's %s is missing or wrong", field);
}

static bool number(const json_t *j, const char *name, int64_t least, int64_t most, int64_t *ret)
{
	const json_t *n = json_object_get(j, name);

	if (!json_is_integer(n) || json_integer_value(n) < least || json_integer_value(n) > most)
		return false;
	*ret = json_integer_value(n);
	return true;
}

static bool text(const json_t *j, const char *name, char *buf, size_t size)
{
	const char *s = json_string_value(json_object_get(j, name));

	if (!s || !*s || strlen(s) >= size)
		return false;
	strcpy(buf, s);
	return true;
}

static bool read_tiers(const json_t *j, struct price *ret)
{
	const json_t *tiers = json_object_get(j, "tiers");
	size_t count = json_array_size(tiers);

	if (count == 0 || count > PLAN_MAX_TIERS)
		return false;
	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(tiers, i);
		struct tier *t = &ret->tiers[i];

		if (json_object_size(one) != 2 || !number(one, "from", 0, INT64_MAX, &t->from) ||
		    !number(one, "price_nano", 0, INT64_MAX, &t->price_nano))
			return false;
		if (i == 0 ? t->from != 0 : t->from <= ret->tiers[i - 1].from)
			return false;
	}
	ret->tier_count = (unsigned)count;
	return true;
}

static int meter_find(const char *name)
{
	for (int i = 0; name && i < METERS_COUNT; i++) {
		if (strcmp(meters[i].name, name) == 0)
			return i;
	}
	return -1;
}

static int read_price(const json_t *j, struct plan *p, struct error *err)
{
	int meter = meter_find(json_string_value(json_object_get(j, "meter")));

	if (meter < 0)
		return refused(err, "prices.meter", "starts, vcpu_time or memory_time");
	if (p->prices[meter].per)
		return refused(err, "prices.meter", "one price for each meter");
	if (json_object_size(j) != 3 || !read_tiers(j, &p->prices[meter]))
		return refused(err, "prices.tiers",
			       "1 to 16 of {from, price_nano}, the first from 0, each higher");
	if (!number(j, "per", 1, INT64_MAX, &p->prices[meter].per))
		return refused(err, "prices.per", "how many units the price is for, from 1");
	return 0;
}

static int read_prices(const json_t *j, struct plan *p, struct error *err)
{
	const json_t *prices = json_object_get(j, "prices");
	int r = 0;

	if (!json_is_array(prices))
		return refused(err, "prices", "an array");
	for (size_t i = 0; r == 0 && i < json_array_size(prices); i++)
		r = read_price(json_array_get(prices, i), p, err);
	return r;
}

int plan_parse(const json_t *j, struct plan *ret, struct error *err)
{
	struct plan p = { 0 };
	int r;

	if (!text(j, "name", p.name, sizeof(p.name)))
		return refused(err, "name", "1 to 63 characters");
	if (!number(j, "version", 1, INT32_MAX, &p.version))
		return refused(err, "version", "a number from 1");
	if (!text(j, "currency", p.currency, sizeof(p.currency)) || strlen(p.currency) != 3)
		return refused(err, "currency", "three letters, as ISO 4217 has them");
	if (!number(j, "rounding_ms", 1, MAX_ROUNDING_MS, &p.rounding_ms))
		return refused(err, "rounding_ms", "1 to 86400000");
	if (!number(j, "minimum_ms", 0, MAX_ROUNDING_MS, &p.minimum_ms))
		return refused(err, "minimum_ms", "0 to 86400000");
	if (!json_is_boolean(json_object_get(j, "bill_boot")))
		return refused(err, "bill_boot", "true or false");
	p.bill_boot = json_is_true(json_object_get(j, "bill_boot"));
	if (json_object_size(j) != 7)
		return error_set(
			err, -EINVAL, NULL,
			"name, version, currency, rounding_ms, minimum_ms, bill_boot, prices",
			"The plan has a field that is not known");
	r = read_prices(j, &p, err);
	if (r == 0)
		*ret = p;
	return r;
}

/* --- the two roundings --- */

int64_t plan_billed_ns(const struct plan *p, int64_t ns)
{
	int64_t unit = p->rounding_ms * NS_PER_MS, least = p->minimum_ms * NS_PER_MS;
	int64_t units = ns / unit + (ns % unit != 0);

	if (ns <= 0)
		return 0;
	return units * unit > least ? units * unit : (least + unit - 1) / unit * unit;
}

bool plan_amount(int64_t quantity, int64_t price_nano, int64_t per, int64_t *amount_nano,
		 int64_t *remainder)
{
	__int128 exact = (__int128)quantity * price_nano, amount = exact / per, rest = exact % per;

	if (2 * rest > per || (2 * rest == per && (amount & 1)))
		amount++;
	if (amount > INT64_MAX)
		return false;
	*amount_nano = (int64_t)amount;
	if (remainder)
		*remainder = (int64_t)(exact - amount * per);
	return true;
}
