/* metrics_machine.c - what the machine's parts add to the metrics. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "vmm/metrics.h"
#include "vmm/metrics_machine.h"

/* What the counters of a device are called for its kind. */
struct device_names {
	const char *kind;  /* the collection in the API */
	const char *group; /* all devices of the kind */
	bool many;	   /* each has a group of its own besides: "GROUP_ID" */
	const char *read_bytes, *write_bytes, *kicks, *errors; /* NULL: not told */
};

/* clang-format off */
static const struct device_names device_names[] = {
	{ "drives", "block", true,
	  "read_bytes", "write_bytes", "queue_event_count", "execute_fails" },
	{ "network-interfaces", "net", true,
	  "rx_bytes_count", "tx_bytes_count", "queue_event_count", "tx_fails" },
	{ "pmem", "pmem", true,
	  NULL, NULL, "queue_event_count", "event_fails" },
	{ "vsock", "vsock", false,
	  "rx_bytes_count", "tx_bytes_count", "queue_event_count", "conn_event_fails" },
	{ "entropy", "entropy", false,
	  "entropy_bytes", NULL, "entropy_event_count", "entropy_event_fails" },
	{ "balloon", "balloon", false,
	  NULL, NULL, "queue_event_count", "event_fails" },
	{ "hotplug/memory", "memory_hotplug", false,
	  NULL, NULL, "queue_event_count", "queue_event_fails" },
};
/* clang-format on */

enum { DEVICE_NAMES = sizeof(device_names) / sizeof(device_names[0]) };

void metrics_add_exits(json_t *totals, const uint64_t counts[VCPU_EXIT_KINDS])
{
	char name[64];

	for (unsigned i = 0; i < VCPU_EXIT_KINDS; i++) {
		snprintf(name, sizeof(name), "exit_%s", vcpu_exit_name((enum vcpu_exit)i));
		metrics_add(totals, "vcpu", name, counts[i]);
	}
}

static void add_named(json_t *totals, const char *group, const char *name, uint64_t n)
{
	if (name)
		metrics_add(totals, group, name, n);
}

static void add_device(json_t *totals, const char *group, const struct device_names *names,
		       const struct virtio_counters *c)
{
	add_named(totals, group, names->read_bytes, c->read_bytes);
	add_named(totals, group, names->write_bytes, c->write_bytes);
	add_named(totals, group, names->kicks, c->kicks);
	add_named(totals, group, names->errors, c->errors);
	metrics_add(totals, group, "requests_count", c->requests);
	metrics_add(totals, group, "interrupts_count", c->interrupts);
	metrics_add(totals, group, "violations_count", c->violations);
	metrics_add(totals, group, "rejected_count", c->rejected);
}

/* Those of wisp's own devices are as the device calls itself. */
static struct device_names find_names(const char *kind)
{
	for (unsigned k = 0; k < DEVICE_NAMES; k++) {
		if (strcmp(device_names[k].kind, kind) == 0)
			return device_names[k];
	}
	return (struct device_names){
		.group = kind,
		.many = true,
		.read_bytes = "read_bytes",
		.write_bytes = "write_bytes",
		.kicks = "queue_event_count",
		.errors = "event_fails",
	};
}

void metrics_add_devices(json_t *totals, const struct slots *slots)
{
	struct virtio_counters counters;
	struct slot_device d;
	char group[2 * VM_ID_LEN];

	for (unsigned n = 0; slots_running(slots, n, &d); n++) {
		const struct device_names names = find_names(d.collection);

		virtio_dev_counters(d.dev, &counters);
		add_device(totals, names.group, &names, &counters);
		snprintf(group, sizeof(group), "%s_%s", names.group, d.id);
		if (names.many)
			add_device(totals, group, &names, &counters);
	}
}
