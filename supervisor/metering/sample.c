/* sample.c - reading counters: small files of the kernel, its links, and lines of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "supervisor/life/companion.h"
#include "supervisor/life/runtime.h"
#include "supervisor/metering/sample.h"
#include "supervisor/network/firewall.h"
#include "supervisor/network/link.h"
#include "vmm/base/fd.h"

enum { FILE_BYTES = 4096, PART_BYTES = 1 << 20, PARTS_MAX = 64, GROUP_BYTES = 256 };

static const int64_t MIB = 1 << 20, BLOCK_BYTES = 512, ADDED_MAX = INT64_C(1) << 50;

const struct counter_info counters[COUNTERS_COUNT] = {
	[COUNTER_CPU_USED] = { "cpu_used", COUNTER_TOTAL, true },
	[COUNTER_MEMORY_PEAK] = { "memory_peak", COUNTER_LEVEL, true },
	[COUNTER_MEMORY_NOW] = { "memory_now", COUNTER_LEVEL, false },
	[COUNTER_DISK_READ] = { "disk_read", COUNTER_ADDED, true },
	[COUNTER_DISK_WRITTEN] = { "disk_written", COUNTER_ADDED, true },
	[COUNTER_DISK_OPERATIONS] = { "disk_operations", COUNTER_ADDED, true },
	[COUNTER_NET_IN] = { "net_in", COUNTER_ADDED, true },
	[COUNTER_NET_OUT] = { "net_out", COUNTER_ADDED, true },
	[COUNTER_SAID_IN] = { "net_in_said", COUNTER_ADDED, false },
	[COUNTER_SAID_OUT] = { "net_out_said", COUNTER_ADDED, false },
	[COUNTER_IN_WORLD] = { "net_in_world", COUNTER_ADDED, true },
	[COUNTER_OUT_WORLD] = { "net_out_world", COUNTER_ADDED, true },
	[COUNTER_IN_INTERNAL] = { "net_in_internal", COUNTER_ADDED, true },
	[COUNTER_OUT_INTERNAL] = { "net_out_internal", COUNTER_ADDED, true },
	[COUNTER_IN_DROPPED] = { "net_in_dropped", COUNTER_ADDED, false },
};

const enum counter link_sums[LINK_VALUES] = {
	[LINK_IN] = COUNTER_NET_IN,
	[LINK_OUT] = COUNTER_NET_OUT,
	[LINK_IN_DROPPED] = COUNTER_IN_DROPPED,
	[LINK_IN_WORLD] = COUNTER_IN_WORLD,
	[LINK_OUT_WORLD] = COUNTER_OUT_WORLD,
	[LINK_IN_INTERNAL] = COUNTER_IN_INTERNAL,
	[LINK_OUT_INTERNAL] = COUNTER_OUT_INTERNAL,
};

static const char own_mounts[] = "/proc/self/mounts";

static void set(struct sample *s, enum counter c, int64_t value)
{
	s->counter[c].reading = READING_DONE;
	s->counter[c].value = value;
}

/* --- control groups --- */

/* Files of which several say the same: the first that is there is taken. Those of a mount are side
 * by side, for looking for it is dear: the kernel prints all mounts. */
static const struct {
	enum counter counter;
	unsigned version;
	const char *controller, *file;
	const char *field; /* of a file of several lines; NULL: the file is the number */
	int64_t divisor;
} sources[] = {
	{ COUNTER_CPU_USED, 2, NULL, "cpu.stat", "usage_usec ", 1 },
	{ COUNTER_MEMORY_PEAK, 2, NULL, "memory.peak", NULL, 1 },
	{ COUNTER_MEMORY_NOW, 2, NULL, "memory.current", NULL, 1 },
	{ COUNTER_MEMORY_PEAK, 1, "memory", "memory.max_usage_in_bytes", NULL, 1 },
	{ COUNTER_MEMORY_NOW, 1, "memory", "memory.usage_in_bytes", NULL, 1 },
	{ COUNTER_CPU_USED, 1, "cpuacct", "cpuacct.usage", NULL, 1000 },
};

enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };

static bool same_mount(size_t a, size_t b)
{
	return sources[a].version == sources[b].version &&
	       (sources[a].version == 2 ||
		strcmp(sources[a].controller, sources[b].controller) == 0);
}

static bool read_number(int folder, const char *path, const char *field, int64_t *ret)
{
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	char text[FILE_BYTES];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at = text;
	char *end;

	fd_close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (field)
		at = strstr(text, field);
	if (!at)
		return false;
	at += field ? strlen(field) : 0;
	errno = 0;
	*ret = strtoll(at, &end, 10);
	return end != at && errno == 0 && *ret >= 0;
}

static bool read_source(int mount, size_t source, const char *group, int64_t *ret)
{
	char path[GROUP_BYTES + FILE_BYTES / 16];

	snprintf(path, sizeof(path), "%s/%.63s", group, sources[source].file);
	return mount >= 0 && read_number(mount, path, sources[source].field, ret);
}

void sample_read_groups(const char *mounts, const char *parent, const char *id, struct sample *ret)
{
	size_t of = SOURCES; /* whose mount is open */
	int mount = -1;

	for (size_t i = 0; i < SOURCES; i++) {
		const enum counter c = sources[i].counter;
		char group[GROUP_BYTES];
		int64_t value, aside = 0;

		if (ret->counter[c].reading == READING_DONE)
			continue;
		ret->counter[c].reading = READING_LOST;
		if (of == SOURCES || !same_mount(of, i)) {
			fd_close(mount);
			mount = cgroup_open_mount(mounts, sources[i].version,
						  sources[i].controller);
			of = i;
		}
		snprintf(group, sizeof(group), "%.127s/%.63s", parent, id);
		if (!read_source(mount, i, group, &value))
			continue;
		/* What serves the VMM works for it; most have nothing that does. */
		snprintf(group, sizeof(group), "%.127s/%.63s" COMPANION_GROUP, parent, id);
		if (c == COUNTER_CPU_USED)
			(void)read_source(mount, i, group, &aside);
		set(ret, c, (value + aside) / sources[i].divisor);
	}
	fd_close(mount);
}

/* Memory is counted above, as far as it is (kind_engine.c). */
static void read_engine_groups(const struct launch *l, struct sample *ret)
{
	static const enum counter above[] = { COUNTER_MEMORY_PEAK, COUNTER_MEMORY_NOW };

	sample_read_groups(own_mounts, l->group, l->id, ret);
	sample_read_groups(own_mounts, l->group, ".", ret);
	for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++)
		if (ret->counter[above[i]].reading == READING_LOST)
			ret->counter[above[i]].reading = READING_NONE;
}

/* --- the VMM's lines --- */

static const struct {
	enum counter counter;
	const char *group, *name;
} members[] = {
	{ COUNTER_DISK_READ, "block", "read_bytes" },
	{ COUNTER_DISK_WRITTEN, "block", "write_bytes" },
	{ COUNTER_DISK_OPERATIONS, "block", "requests_count" },
	{ COUNTER_NET_IN, "net", "rx_bytes_count" },
	{ COUNTER_NET_OUT, "net", "tx_bytes_count" },
};

enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static void lose_lines(struct sample *s)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		s->counter[members[i].counter].reading = READING_LOST;
}

/* A group that the machine has no device for is not there. */
static bool add_line(struct sample *s, const char *text, size_t len)
{
	json_t *line = json_loadb(text, len, 0, NULL);
	bool good = json_is_object(line);

	for (unsigned i = 0; i < MEMBERS && good; i++) {
		const json_t *n =
			json_object_get(json_object_get(line, members[i].group), members[i].name);
		int64_t value = n ? json_integer_value(n) : 0;

		good = (!n || json_is_integer(n)) && value >= 0 && value <= ADDED_MAX &&
		       s->counter[members[i].counter].value <= ADDED_MAX;
		if (good)
			s->counter[members[i].counter].value += value;
	}
	json_decref(line);
	return good;
}

/* The whole lines of a part; how much of it they take. */
static size_t add_part(struct sample *s, const char *text, size_t len, bool *good)
{
	size_t used = 0;
	const char *end;

	while ((end = memchr(text + used, '\n', len - used)) != NULL) {
		size_t size = (size_t)(end - text) - used;

		*good = (size == 0 || add_line(s, text + used, size)) && *good;
		used += size + 1;
	}
	if (used == 0 && len == PART_BYTES) {
		*good = false; /* no line that wisp writes is that long */
		used = len;
	}
	return used;
}

void sample_read_lines(int fd, int64_t lines_from, struct sample *ret)
{
	char *text = malloc(PART_BYTES);
	bool good = text != NULL;
	size_t used = 1;

	ret->lines_from = ret->lines_to = lines_from;
	for (unsigned i = 0; i < MEMBERS; i++)
		set(ret, members[i].counter, 0);
	for (unsigned part = 0; part < PARTS_MAX && text && used > 0; part++) {
		ssize_t n = pread(fd, text, PART_BYTES, ret->lines_to);

		good = n >= 0 && good;
		used = n > 0 ? add_part(ret, text, (size_t)n, &good) : 0;
		ret->lines_to += (int64_t)used;
	}
	free(text);
	if (!good)
		lose_lines(ret);
}

/* --- links --- */

static bool has_taps(const struct launch *l)
{
	for (unsigned i = 0; i < l->nnets; i++)
		if (!network_has_links(&l->nets[i].lease.network))
			return false;
	return l->nnets > 0;
}

static void mark(struct sample *s, enum link_value from, enum reading reading)
{
	for (unsigned v = from; v < LINK_VALUES; v++)
		s->counter[link_sums[v]].reading = reading;
}

/* In a given namespace wispd has no rules that could count, and of some switches neither. */
static void read_classes(const struct launch *l, unsigned n, struct sample *s,
			 struct sample_link *link)
{
	struct class_counters now = { -1, -1, -1, -1 };
	struct error err;

	if (l->given.path[0] || !network_is_classed(&l->nets[n].lease.network))
		mark(s, LINK_IN_WORLD, READING_DARK);
	else if (firewall_count(l->firewall, &l->nets[n].lease, &now, &err) < 0)
		mark(s, LINK_IN_WORLD, READING_LOST);
	link->value[LINK_IN_WORLD] = now.in_world;
	link->value[LINK_OUT_WORLD] = now.out_world;
	link->value[LINK_IN_INTERNAL] = now.in_internal;
	link->value[LINK_OUT_INTERNAL] = now.out_internal;
}

static int count_link(const struct launch *l, unsigned n, struct link_counters *ret,
		      struct error *err)
{
	if (l->given.path[0])
		return netns_count(&l->given, ret, err);
	return link_read(l->nets[n].lease.link, ret, err);
}

static void read_link(const struct launch *l, unsigned n, struct sample *s)
{
	struct sample_link *link = &s->link[s->nlinks];
	struct link_counters now;
	struct error err;

	if (count_link(l, n, &now, &err) < 0) {
		mark(s, LINK_IN, READING_LOST);
		return;
	}
	s->nlinks++;
	link->index = now.index;
	link->value[LINK_IN] = now.tx_bytes;
	link->value[LINK_OUT] = now.rx_bytes;
	link->value[LINK_IN_DROPPED] = now.tx_dropped;
	read_classes(l, n, s, link);
}

/* After the lines: what the VMM has told of has passed. */
static void read_links(const struct launch *l, struct sample *s)
{
	s->by_links = has_taps(l);
	if (!s->by_links) {
		if (l->nnets)
			mark(s, LINK_IN_WORLD, READING_DARK);
		return;
	}
	s->counter[COUNTER_SAID_IN] = s->counter[COUNTER_NET_IN];
	s->counter[COUNTER_SAID_OUT] = s->counter[COUNTER_NET_OUT];
	for (unsigned v = 0; v < LINK_VALUES; v++)
		set(s, link_sums[v], 0);
	for (unsigned n = 0; n < l->nnets; n++)
		read_link(l, n, s);
}

/* --- all of it --- */

/* In whole MiB, as far as they were begun. */
static int64_t disk_mib(const struct launch *l)
{
	struct error err;
	int folder = l->runtime->open_folder(l, &err);
	int64_t bytes = 0;

	if (folder < 0)
		return -1;
	for (unsigned i = 0; i < l->ndrives; i++) {
		const struct launch_drive *d = &l->drives[i];
		struct stat st;

		if (d->root && !d->read_only &&
		    fstatat(folder, d->file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += (int64_t)st.st_blocks * BLOCK_BYTES;
	}
	fd_close(folder);
	return (bytes + MIB - 1) / MIB;
}

/* Of devices that there are not nothing is to be known. */
static void leave_out(const struct launch *l, struct sample *s)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		const bool disk = strcmp(members[i].group, "block") == 0;

		if ((disk ? l->ndrives : l->nnets) == 0 &&
		    s->counter[members[i].counter].value == 0)
			s->counter[members[i].counter].reading = READING_NONE;
	}
}

/* What is in the books needs no room any more. */
static void trim(int fd, int64_t lines_from)
{
	off_t whole = lines_from / FILE_BYTES * FILE_BYTES;

	/* Where files have no holes a line a minute stays. */
	if (whole > 0)
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, whole);
}

static void read_own_lines(const struct launch *l, struct sample *s)
{
	struct error err;
	int fd;

	if (!l->runtime->open_lines)
		return;
	fd = l->runtime->open_lines(l, &err);
	if (fd < 0)
		lose_lines(s);
	if (fd >= 0) {
		sample_read_lines(fd, s->lines_from, s);
		trim(fd, s->lines_from);
	}
	fd_close(fd);
	leave_out(l, s);
}

void sample_take(const struct launch *l, int64_t lines_from, struct sample *ret)
{
	*ret = (struct sample){ .lines_from = lines_from, .lines_to = lines_from };
	ret->disk_mib = disk_mib(l);
	if (l->group[0])
		read_engine_groups(l, ret);
	else if (l->config->cgroup[0])
		sample_read_groups(own_mounts, l->config->cgroup, l->id, ret);
	read_own_lines(l, ret);
	read_links(l, ret);
}
