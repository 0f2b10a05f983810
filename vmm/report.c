/* report.c - what a run cost, as JSON.
 *
 * Memory is what the kernel says of this process (proc(5), smaps): the private
 * pages of every mapping, with those of guest RAM apart, told by their address.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "vmm/report.h"

struct memory_use {
	uint64_t guest_resident_kib;
	uint64_t vmm_private_kib, vmm_resident_kib;
};

/* The value of a "Name:  123 kB" line, or 0 when it is another's. */
static uint64_t kib_of(const char *line, const char *name)
{
	size_t len = strlen(name);

	return strncmp(line, name, len) == 0 ? strtoull(line + len, NULL, 10) : 0;
}

/* One line of the mapping under way. */
static void add_line(struct memory_use *use, bool guest, const char *line)
{
	uint64_t resident = kib_of(line, "Rss:");

	if (guest) {
		use->guest_resident_kib += resident;
		return;
	}
	use->vmm_resident_kib += resident;
	use->vmm_private_kib += kib_of(line, "Private_Clean:") + kib_of(line, "Private_Dirty:");
}

/* "7f00aa000-7f00ab000 rw-p ..." opens a mapping: true, and where it starts. */
static bool mapping_start(const char *line, void **ret)
{
	char dash;

	return sscanf(line, "%p%c", ret, &dash) == 2 && dash == '-';
}

static bool measure_memory(const struct gmem *mem, struct memory_use *use)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool guest = false;
	gpa_t unused;

	if (!f)
		return false;
	*use = (struct memory_use){ 0 };
	while (fgets(line, sizeof(line), f)) {
		void *start;

		if (mapping_start(line, &start))
			guest = gmem_address(mem, start, &unused);
		else
			add_line(use, guest, line);
	}
	fclose(f);
	return true;
}

static json_t *timeline_json(const struct timeline *t)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < TIMELINE_STAGES; i++) {
		int64_t us = timeline_since_exec(t, (enum timeline_stage)i);

		json_object_set_new(o, timeline_name((enum timeline_stage)i),
				    us < 0 ? json_null() : json_integer(us));
	}
	return o;
}

static json_t *exits_json(const uint64_t exits[VCPU_EXIT_KINDS])
{
	json_t *o = json_object();
	uint64_t total = 0;

	for (unsigned i = 0; i < VCPU_EXIT_KINDS; i++) {
		total += exits[i];
		json_object_set_new(o, vcpu_exit_name((enum vcpu_exit)i),
				    json_integer((json_int_t)exits[i]));
	}
	json_object_set_new(o, "total", json_integer((json_int_t)total));
	return o;
}

static json_t *device_json(const struct slot_device *d)
{
	struct virtio_counters counters, *c = &counters;

	virtio_dev_counters(d->dev, c);
	return json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", d->collection, "id",
		d->id, "requests", (json_int_t)c->requests, "read_bytes", (json_int_t)c->read_bytes,
		"write_bytes", (json_int_t)c->write_bytes, "errors", (json_int_t)c->errors, "kicks",
		(json_int_t)c->kicks, "interrupts", (json_int_t)c->interrupts, "violations",
		(json_int_t)c->violations, "rejected", (json_int_t)c->rejected);
}

static json_t *devices_json(const struct slots *slots)
{
	json_t *a = json_array();
	struct slot_device d;

	for (unsigned n = 0; slots_running(slots, n, &d); n++)
		json_array_append_new(a, device_json(&d));
	return a;
}

static json_t *memory_json(const struct gmem *mem)
{
	struct memory_use use;

	if (!mem || !measure_memory(mem, &use))
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I}", "guest", (json_int_t)(gmem_size(mem) >> 10),
			 "guest_resident", (json_int_t)use.guest_resident_kib, "vmm_private",
			 (json_int_t)use.vmm_private_kib, "vmm_resident",
			 (json_int_t)use.vmm_resident_kib);
}

int report_write(const struct report *r, int fd)
{
	/* Memory first: building the rest uses some. */
	json_t *memory = memory_json(r->memory);
	json_t *o = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "id", r->id, "restarts",
			      (json_int_t)r->restarts, "timeline_us", timeline_json(r->timeline),
			      "exits", exits_json(r->exits), "devices", devices_json(r->slots),
			      "memory_kib", memory);
	int ret = 0;

	if (!o)
		return -ENOMEM;
	if (json_dumpfd(o, fd, 0) < 0 || dprintf(fd, "\n") < 0)
		ret = -EIO;
	json_decref(o);
	return ret;
}
