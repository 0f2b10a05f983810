/* smaps.c - the memory of a VMM, its guest's RAM set apart. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benches/smaps.h"

struct mapping {
	uint64_t start, end;
	int64_t rss_kib, clean_kib, dirty_kib;
	bool guest;
};

struct table {
	struct mapping *v;
	size_t n, room;
};

/* A run of neighbours, [first, last], that may be guest RAM. */
struct group {
	size_t first, last;
	uint64_t bytes;
	bool found;
};

static const struct {
	const char *name;
	size_t off;
} fields[] = {
	{ "Rss:", offsetof(struct mapping, rss_kib) },
	{ "Private_Clean:", offsetof(struct mapping, clean_kib) },
	{ "Private_Dirty:", offsetof(struct mapping, dirty_kib) },
	{ "Private_Hugetlb:", offsetof(struct mapping, dirty_kib) },
};

static int table_add(struct table *t, uint64_t start, uint64_t end)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct mapping *v = reallocarray(t->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->room = room;
	}
	t->v[t->n++] = (struct mapping){ .start = start, .end = end };
	return 0;
}

static void line_field(struct mapping *m, const char *line)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t len = strlen(fields[i].name);
		void *member = (char *)m + fields[i].off;

		if (strncmp(line, fields[i].name, len) == 0)
			*(int64_t *)member += strtoll(line + len, NULL, 10);
	}
}

/* "START-END PERMISSIONS ..." begins a mapping. */
static bool line_range(const char *line, uint64_t *start, uint64_t *end)
{
	char *at;

	*start = strtoull(line, &at, 16);
	if (at == line || *at != '-')
		return false;
	line = at + 1;
	*end = strtoull(line, &at, 16);
	return at != line && *at == ' ' && *end > *start;
}

static int line_parse(struct table *t, const char *line)
{
	uint64_t start, end;

	if (line_range(line, &start, &end))
		return table_add(t, start, end);
	if (t->n > 0)
		line_field(&t->v[t->n - 1], line);
	return 0;
}

/* The group that starts at mapping i and has `want` bytes, if there is one. */
static struct group group_at(const struct table *t, size_t i, uint64_t want)
{
	struct group g = { .first = i, .last = i };

	for (size_t j = i; j < t->n && g.bytes < want; j++) {
		if (j > i && t->v[j].start != t->v[j - 1].end)
			break;
		g.last = j;
		g.bytes += t->v[j].end - t->v[j].start;
	}
	g.found = g.bytes == want;
	return g;
}

static int64_t group_rss(const struct table *t, const struct group *g)
{
	int64_t sum = 0;

	for (size_t i = g->first; i <= g->last; i++)
		sum += t->v[i].rss_kib;
	return sum;
}

/* Of several groups of that size the one with most of it in memory. */
static struct group group_find(const struct table *t, uint64_t want)
{
	struct group best = { .found = false };

	for (size_t i = 0; i < t->n; i++) {
		struct group g = group_at(t, i, want);

		if (g.found && (!best.found || group_rss(t, &g) > group_rss(t, &best)))
			best = g;
	}
	return best;
}

static void group_mark(struct table *t, const struct group *g)
{
	for (size_t i = g->first; i <= g->last; i++)
		t->v[i].guest = true;
}

/* RAM around the MMIO gap: a group of at least half of the memory that starts at
 * mapping i, and another one elsewhere for the rest. */
static bool mark_pair_at(struct table *t, size_t i, uint64_t guest_bytes)
{
	struct group g = { .first = i, .last = i };

	for (size_t j = i; j < t->n && g.bytes < guest_bytes; j++) {
		struct group rest;

		if (j > i && t->v[j].start != t->v[j - 1].end)
			break;
		g.last = j;
		g.bytes += t->v[j].end - t->v[j].start;
		if (g.bytes < guest_bytes / 2 || g.bytes >= guest_bytes)
			continue;
		rest = group_find(t, guest_bytes - g.bytes);
		if (!rest.found || (rest.first <= g.last && rest.last >= g.first))
			continue;
		group_mark(t, &g);
		group_mark(t, &rest);
		return true;
	}
	return false;
}

static int mark_guest(struct table *t, uint64_t guest_bytes)
{
	struct group whole = group_find(t, guest_bytes);

	if (whole.found) {
		group_mark(t, &whole);
		return 0;
	}
	for (size_t i = 0; i < t->n; i++)
		if (mark_pair_at(t, i, guest_bytes))
			return 0;
	return -ENOENT;
}

static void table_sum(const struct table *t, struct smaps *ret)
{
	*ret = (struct smaps){ 0 };
	for (size_t i = 0; i < t->n; i++) {
		const struct mapping *m = &t->v[i];

		ret->rss_kib += m->rss_kib;
		if (m->guest) {
			ret->guest_kib += m->rss_kib;
			continue;
		}
		ret->private_kib += m->clean_kib + m->dirty_kib;
		ret->dirty_kib += m->dirty_kib;
	}
}

int smaps_parse(char *text, uint64_t guest_bytes, struct smaps *ret, struct error *err)
{
	struct table t = { 0 };
	char *save = NULL;
	int r = 0;

	for (char *line = strtok_r(text, "\n", &save); line && r == 0;
	     line = strtok_r(NULL, "\n", &save))
		r = line_parse(&t, line);
	if (r == 0)
		r = mark_guest(&t, guest_bytes);
	if (r == 0)
		table_sum(&t, ret);
	free(t.v);
	if (r < 0)
		error_set(err, r, NULL, NULL, "no mapping of the size of guest memory (%llu bytes)",
			  (unsigned long long)guest_bytes);
	return r;
}

int smaps_read(pid_t pid, uint64_t guest_bytes, struct smaps *ret, struct error *err)
{
	char path[64], *text = NULL;
	size_t len = 0;
	ssize_t n;
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return error_errno(err, NULL, NULL, "cannot open %s", path);
	n = getdelim(&text, &len, '\0', f);
	if (n <= 0)
		r = error_set(err, -ESRCH, NULL, NULL, "the process ended before %s was read",
			      path);
	else
		r = smaps_parse(text, guest_bytes, ret, err);
	free(text);
	fclose(f);
	return r;
}
