/* metrics_text.c - the metrics as Prometheus reads them.
 *
 * Lines of one metric have to stand together, whatever device they are about, so the
 * groups are walked once for each that sums up others, not in their order.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/metrics_text.h"

enum { NAME_BYTES = 160 };

/* The group that sums up this one, and in *device whose part it is; NULL: none does. */
static const char *sum_of(json_t *groups, const char *group, const char **device)
{
	const char *name;
	json_t *g;

	json_object_foreach(groups, name, g)
	{
		size_t len = strlen(name);

		if (strncmp(group, name, len) != 0 || group[len] != '_')
			continue;
		*device = group + len + 1;
		return name;
	}
	return NULL;
}

static bool has_parts(json_t *groups, const char *group)
{
	const char *name, *device, *sum;
	json_t *g;

	json_object_foreach(groups, name, g)
	{
		sum = sum_of(groups, name, &device);
		if (sum && strcmp(sum, group) == 0)
			return true;
	}
	return false;
}

/* What a name may not have in it becomes "_". */
static void family_name(const char *group, const char *name, bool counter, char buf[NAME_BYTES])
{
	static const char suffix[] = "_count";
	size_t len = strlen(name), end = sizeof(suffix) - 1;

	if (counter && len > end && strcmp(name + len - end, suffix) == 0)
		len -= end;
	snprintf(buf, NAME_BYTES, "wisp_%s_%.*s%s", group, (int)len, name, counter ? "_total" : "");
	for (char *c = buf; *c; c++)
		*c = isalnum((unsigned char)*c) ? *c : '_';
}

static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		fputc(*value == '\n' ? ' ' : *value, out);
	}
	fputc('"', out);
}

static void put_value(FILE *out, const char *family, const char *device, json_int_t value)
{
	fputs(family, out);
	if (device) {
		fputc('{', out);
		put_label(out, "device", device);
		fputc('}', out);
	}
	fprintf(out, " %" JSON_INTEGER_FORMAT "\n", value);
}

/* The lines of those that this group sums up. */
static void put_parts(FILE *out, json_t *groups, const char *group, const char *name,
		      const char *family)
{
	const char *part, *device, *sum;
	json_t *g;

	json_object_foreach(groups, part, g)
	{
		sum = sum_of(groups, part, &device);
		if (sum && strcmp(sum, group) == 0)
			put_value(out, family, device,
				  json_integer_value(json_object_get(g, name)));
	}
}

static void put_group(FILE *out, json_t *groups, const char *group, json_t *numbers, bool counter)
{
	bool parts = has_parts(groups, group);
	char family[NAME_BYTES];
	const char *name;
	json_t *number;

	json_object_foreach(numbers, name, number)
	{
		family_name(group, name, counter, family);
		fprintf(out, "# TYPE %s %s\n", family, counter ? "counter" : "gauge");
		if (parts)
			put_parts(out, groups, group, name, family);
		else
			put_value(out, family, NULL, json_integer_value(number));
	}
}

static void put_groups(FILE *out, json_t *groups, bool counter)
{
	const char *group, *device;
	json_t *numbers;

	json_object_foreach(groups, group, numbers)
	{
		if (!sum_of(groups, group, &device))
			put_group(out, groups, group, numbers, counter);
	}
}

char *metrics_text(const struct metrics *m, const char *id)
{
	json_t *counters = metrics_counters(m), *values = metrics_values(m);
	size_t len = 0;
	char *text = NULL;
	FILE *out = counters && values ? open_memstream(&text, &len) : NULL;

	if (out) {
		fputs("# TYPE wisp_info gauge\nwisp_info{", out);
		put_label(out, "id", id);
		fputc(',', out);
		put_label(out, "version", WISP_VERSION);
		fputs("} 1\n", out);
		put_groups(out, values, false);
		put_groups(out, counters, true);
	}
	if (out && fclose(out) != 0) {
		free(text);
		text = NULL;
	}
	json_decref(counters);
	json_decref(values);
	return text;
}
