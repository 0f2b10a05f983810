/* figures.c - tables of sacct, JSON of podman, and the ways in which they write numbers. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/figures.h"

enum { COLUMNS_MAX = 128, US_PER_MS = 1000 };

static const double US_PER_S = 1e6;

/* --- numbers --- */

/* "1-02:03:04", "00:14.668": days, hours, minutes, seconds. Below 0: it is none. */
static int64_t clock_us(const char *text)
{
	double seconds = 0;
	char *end;

	if (strchr(text, '-')) {
		seconds = (double)strtoul(text, &end, 10) * 24;
		text = *end == '-' ? end + 1 : "";
	}
	for (;;) {
		double part = strtod(text, &end);

		if (end == text || part < 0 || part > UINT32_MAX)
			return -1;
		seconds += part;
		if (*end != ':')
			break;
		seconds *= 60;
		text = end + 1;
	}
	return *end ? -1 : (int64_t)(seconds * US_PER_S + 0.5);
}

/* "1h2m3.5s", "19.862ms". Below 0: it is none. */
static int64_t duration_us(const char *text)
{
	static const struct {
		const char *unit;
		double us;
	} units[] = { { "ms", 1e3 },   { "us", 1 },   { "\302\265s", 1 }, { "ns", 1e-3 },
		      { "h", 3600e6 }, { "m", 60e6 }, { "s", 1e6 } };
	const size_t count = sizeof(units) / sizeof(units[0]);
	double us = 0;

	if (!*text)
		return -1;
	while (*text) {
		char *end;
		double part = strtod(text, &end);
		size_t n = 0;

		while (n < count && strncmp(end, units[n].unit, strlen(units[n].unit)) != 0)
			n++;
		if (end == text || part < 0 || n == count)
			return -1;
		us += part * units[n].us;
		text = end + strlen(units[n].unit);
	}
	return us < (double)INT64_MAX ? (int64_t)(us + 0.5) : -1;
}

/* "512M", "1.50G": MiB. Below 0: it is none. */
static int64_t size_mib(const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	double size = strtod(text, &end);
	const char *unit = *end ? strchr(units, *end) : NULL;

	if (end == text || size < 0 || !unit)
		return -1;
	size /= 1024;
	for (; unit > units; unit--)
		size *= 1024;
	return size < (double)INT64_MAX ? (int64_t)size : -1;
}

static void add(json_t *row, const char *member, int64_t value)
{
	if (value >= 0)
		json_object_set_new(row, member, json_integer(value));
}

/* --- sacct --- */

static int64_t whole(const char *text)
{
	char *end;
	int64_t n = strtoll(text, &end, 10);

	return end == text || *end || n > UINT32_MAX ? -1 : n;
}

static void take_elapsed_raw(json_t *row, const char *text)
{
	int64_t seconds = whole(text);

	add(row, "elapsed_ms", seconds < 0 ? -1 : seconds * 1000);
}

static void take_elapsed(json_t *row, const char *text)
{
	int64_t us = clock_us(text);

	add(row, "elapsed_ms", us < 0 ? -1 : us / US_PER_MS);
}

static void take_cpu(json_t *row, const char *text)
{
	add(row, "cpu_us", clock_us(text));
}

static void take_cpus(json_t *row, const char *text)
{
	add(row, "vcpus", whole(text));
}

/* "billing=2,cpu=2,mem=6G,node=1" */
static void take_tres(json_t *row, const char *text)
{
	char *list = strdup(text), *rest = NULL;

	for (char *part = list ? strtok_r(list, ",", &rest) : NULL; part;
	     part = strtok_r(NULL, ",", &rest)) {
		if (strncmp(part, "cpu=", 4) == 0)
			take_cpus(row, part + 4);
		if (strncmp(part, "mem=", 4) == 0)
			add(row, "mem_mib", size_mib(part + 4));
	}
	free(list);
}

static void take_ref(json_t *row, const char *text)
{
	json_object_set_new(row, "ref", json_string(text));
}

typedef void (*take_fn)(json_t *row, const char *text);

/* Of two that say the same the later one counts. */
static take_fn find_column(const char *name)
{
	static const struct {
		const char *name;
		take_fn take;
	} columns[] = {
		{ "JobID", take_ref },	     { "ElapsedRaw", take_elapsed_raw },
		{ "Elapsed", take_elapsed }, { "TotalCPU", take_cpu },
		{ "AllocCPUS", take_cpus },  { "NCPUS", take_cpus },
		{ "AllocTRES", take_tres },
	};

	for (size_t n = 0; n < sizeof(columns) / sizeof(columns[0]); n++)
		if (strcmp(columns[n].name, name) == 0)
			return columns[n].take;
	return NULL;
}

static bool parse_header(char *line, take_fn takes[COLUMNS_MAX])
{
	bool named = false;

	for (unsigned n = 0; n < COLUMNS_MAX; n++) {
		const char *name = strsep(&line, "|");

		takes[n] = name ? find_column(name) : NULL;
		named = named || takes[n] == take_ref;
	}
	return named;
}

static void parse_row(char *line, take_fn takes[COLUMNS_MAX], const char *engine, json_t *list)
{
	json_t *row = json_pack("{s:s}", "engine", engine);

	for (unsigned n = 0; n < COLUMNS_MAX && line; n++) {
		const char *text = strsep(&line, "|");

		if (takes[n] && text[0])
			takes[n](row, text);
	}
	if (json_object_get(row, "ref"))
		json_array_append(list, row);
	json_decref(row);
}

static json_t *parse_table(const char *engine, const char *text)
{
	char *all = strdup(text), *rest = NULL;
	char *line = all ? strtok_r(all, "\n", &rest) : NULL;
	take_fn takes[COLUMNS_MAX];
	json_t *list = line && parse_header(line, takes) ? json_array() : NULL;

	while (list && (line = strtok_r(NULL, "\n", &rest)) != NULL)
		parse_row(line, takes, engine, list);
	free(all);
	return list;
}

/* --- podman --- */

static json_t *parse_stats(const char *engine, json_t *stats)
{
	json_t *list = json_array(), *one;
	size_t n;

	json_array_foreach(stats, n, one)
	{
		const char *id = json_string_value(json_object_get(one, "id"));
		const char *cpu = json_string_value(json_object_get(one, "cpu_time"));
		json_t *row = json_pack("{s:s, s:s*}", "engine", engine, "ref", id);

		if (cpu)
			add(row, "cpu_us", duration_us(cpu));
		if (id)
			json_array_append(list, row);
		json_decref(row);
	}
	return list;
}

json_t *figures_parse(const char *engine, const char *text)
{
	json_t *stats = json_loads(text, 0, NULL), *list;

	list = json_is_array(stats) ? parse_stats(engine, stats) : parse_table(engine, text);
	json_decref(stats);
	return list;
}
