/* activity.c - the table sample, beside the instances that it speaks of. */
#include <errno.h>

#include "supervisor/books/states.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/activity.h"

/* As the SELECT below has them, after the counters' own column. */
static const char *const sums[] = {
	"cpu_used_us",	      "memory_now_bytes", "memory_peak_bytes", "disk_read_bytes",
	"disk_written_bytes", "net_in_bytes",	  "net_out_bytes",
};

enum { ID, TENANT, NAME, STATE, VCPUS, MEM_MIB, WALL_NS, SUMS };

/* The sum of a counter, NULL when its last sample did not have it (meter.c). */
#define SUM(counter) \
	"iif(s.counters ->> '$." counter "[3]' = 1, s.counters ->> '$." counter "[1]', NULL)"

/* States that a VMM may live in: starting (2) to stopping (7), saving (13, 15), resizing (14). */
static const char select_all[] =
	"SELECT i.id, i.tenant, i.name, i.state, i.vcpus, i.mem_mib, s.wall_ns,"
	" " SUM("cpu_used") ", " SUM("memory_now") ", " SUM("memory_peak") ", " SUM("disk_read") ", " SUM(
		"disk_written") ", " SUM("net_in") ", " SUM("net_out") " FROM instance i LEFT JOIN sample s ON s.instance = i.id AND s.incarnation ="
								       " i.incarnation WHERE (i.state BETWEEN 2 AND 7 OR i.state IN (13, 14, 15)) AND ifnull(?1, tenant) = tenant ORDER BY 1";

static json_t *describe(const struct rows *rows)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:I}", "id", rows_string(rows, ID), "state",
			      states[rows_int(rows, STATE)].name, "vcpus",
			      (json_int_t)rows_int(rows, VCPUS), "mem_mib",
			      (json_int_t)rows_int(rows, MEM_MIB));

	json_object_set_new(j, "tenant", json_string(rows_string(rows, TENANT)));
	json_object_set_new(j, "name", json_string(rows_string(rows, NAME)));
	if (!rows_is_null(rows, WALL_NS))
		json_object_set_new(j, "sampled_wall_ns", json_integer(rows_int(rows, WALL_NS)));
	for (int c = 0; c < (int)(sizeof(sums) / sizeof(sums[0])); c++)
		if (!rows_is_null(rows, SUMS + c))
			json_object_set_new(j, sums[c], json_integer(rows_int(rows, SUMS + c)));
	return j;
}

json_t *activity_describe(struct truth *t, const char *tenant, struct error *err)
{
	json_t *all = json_array();
	struct rows rows;
	int r = store_select(t->store, &rows, err, select_all, "s", tenant);

	if (r == 0) {
		while ((r = rows_next(&rows, err)) > 0)
			json_array_append_new(all, describe(&rows));
		rows_end(&rows);
	}
	if (r == 0)
		return all;
	json_decref(all);
	return NULL;
}
