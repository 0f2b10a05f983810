/* command_top.c - wispctl top: what runs, by how busy it is.
 *
 * wispd samples its VMMs every so often (confirm_interval_ms), and tells sums. Two samples
 * make a rate; until there is another one, the rate of the last two stays.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

enum { TOP_INTERVAL, TOP_COUNT, INTERVAL_S = 2, CELL_BYTES = 32 };

static const double NS_PER_S = 1e9, KIB = 1024, MIB = 1048576, US_PER_PERCENT = 1e4;

static const struct cli_option top_options[] = {
	[TOP_INTERVAL] = { "interval", "SECONDS", "between two looks; by default 2" },
	[TOP_COUNT] = { "count", "N", "so many looks; by default until it is interrupted" },
	{ 0 },
};

/* A cell of the table: a level of the last sample, or the growth of a sum, a second. */
struct cell {
	const char *name, *of;
	const double *unit;
	bool rate;
};

static const struct cell cells[] = {
	{ "cpu_percent", "cpu_used_us", &US_PER_PERCENT, true },
	{ "memory_mib", "memory_now_bytes", &MIB, false },
	{ "peak_mib", "memory_peak_bytes", &MIB, false },
	{ "read_kib_s", "disk_read_bytes", &KIB, true },
	{ "written_kib_s", "disk_written_bytes", &KIB, true },
	{ "in_kib_s", "net_in_bytes", &KIB, true },
	{ "out_kib_s", "net_out_bytes", &KIB, true },
};

static const char *const columns[] = {
	"name",	    "tenant",	  "state",	   "vcpus",    "cpu_percent", "memory_mib",
	"peak_mib", "read_kib_s", "written_kib_s", "in_kib_s", "out_kib_s",   NULL,
};

static double number(const json_t *row, const char *member)
{
	const json_t *v = json_object_get(row, member);

	return v ? (double)json_integer_value(v) : NAN;
}

static json_t *make_cell(const struct cell *c, const json_t *now, const json_t *before)
{
	double seconds =
		(number(now, "sampled_wall_ns") - number(before, "sampled_wall_ns")) / NS_PER_S;
	double n = number(now, c->of) / *c->unit;
	char text[CELL_BYTES] = "-";

	if (c->rate)
		n = seconds > 0 ? (n - number(before, c->of) / *c->unit) / seconds : NAN;
	if (n >= 0) /* not a number: it is not; less than 0: the VMM is another one */
		snprintf(text, sizeof(text), "%.1f", n);
	return json_string(text);
}

/* A member of each row is the row that it was made of; the next ones follow from that. */
static json_t *make_row(json_t *now, const json_t *shown)
{
	const json_t *before = json_object_get(shown, "sample");
	json_t *row = json_object();

	for (unsigned i = 0; columns[i]; i++)
		json_object_set(row, columns[i], json_object_get(now, columns[i]));
	json_object_set(row, "sample", now);
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		const char *name = cells[i].name;

		if (before && number(before, "sampled_wall_ns") == number(now, "sampled_wall_ns"))
			json_object_set(row, name, json_object_get(shown, name));
		else
			json_object_set_new(row, name, make_cell(&cells[i], now, before));
	}
	return row;
}

struct ranked {
	double cpu_percent;
	json_t *row; /* not its own */
};

static int by_cpu(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->cpu_percent;
	double y = ((const struct ranked *)b)->cpu_percent;

	return (x < y) - (x > y);
}

/* The rows of an object as a list, the busiest first. */
static json_t *sorted(json_t *rows)
{
	struct ranked *all = calloc(json_object_size(rows) + 1, sizeof(*all));
	json_t *list = json_array(), *row;
	char text[CELL_BYTES];
	const char *id;
	size_t n = 0;

	if (!all)
		return list;
	json_object_foreach(rows, id, row)
	{
		const char *cpu = cli_text(row, "cpu_percent", text, sizeof(text));

		all[n++] = (struct ranked){ strtod(cpu, NULL), row };
	}
	qsort(all, n, sizeof(*all), by_cpu);
	for (size_t i = 0; i < n; i++)
		json_array_append(list, all[i].row);
	free(all);
	return list;
}

static void show(json_t *rows)
{
	json_t *list = sorted(rows);

	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	printf("%zu running\n", json_array_size(list));
	cli_print_table(list, columns);
	fflush(stdout);
	json_decref(list);
}

/* *shown: the rows of the look before, by id; replaced. */
static int look(struct cli *cli, json_t **shown)
{
	json_t *j = NULL, *rows = json_object(), *one;
	int status = cli_call(cli, "GET", "/activity", NULL, &j);
	char buf[CELL_BYTES];
	size_t i;

	json_array_foreach(json_object_get(j, "activity"), i, one)
	{
		const char *id = cli_text(one, "id", buf, sizeof(buf));

		json_object_set_new(rows, id, make_row(one, json_object_get(*shown, id)));
	}
	if (status == 0 && !cli_print_json(cli, j))
		show(rows);
	json_decref(j);
	json_decref(*shown);
	*shown = rows;
	return status;
}

static int top(struct cli *cli, const struct cli_arguments *a)
{
	const char *interval = a->option[TOP_INTERVAL], *count = a->option[TOP_COUNT];
	struct timespec pause = { .tv_sec = interval ? strtol(interval, NULL, 10) : INTERVAL_S };
	long left = count ? strtol(count, NULL, 10) : -1;
	json_t *shown = json_object();
	int status = look(cli, &shown);

	while (status == 0 && --left != 0) {
		nanosleep(&pause, NULL);
		status = look(cli, &shown);
	}
	json_decref(shown);
	return status;
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "top", "", "show what runs, the busiest first", top_options, -1, 0, 0, top },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_top = { "Activity", commands };
