/* metrics_machine.c - what the machine's parts add to the metrics. */
#include <stdio.h>
#include <string.h>

#include "vmm/metrics.h"
#include "vmm/metrics_machine.h"

/* What the counters of a device are called for its kind. */
static const struct {
	const char *kind;  /* as slots_counters() gives it */
	const char *group; /* its own group is "GROUP_ID" */
	const char *read_bytes, *write_bytes, *kicks, *errors;
} device_names[] = {
	{ "drives", "block", "read_bytes", "write_bytes", "queue_event_count", "execute_fails" },
	{ "network-interfaces", "net", "rx_bytes_count", "tx_bytes_count", "queue_event_count",
	  "tx_fails" },
	{ "vsock", "vsock", "rx_bytes_count", "tx_bytes_count", "queue_event_count",
	  "conn_event_fails" },
	{ "entropy", "entropy", "entropy_bytes", NULL, "entropy_event_count",
	  "entropy_event_fails" },
	{ "pmem", "pmem", NULL, NULL, "queue_event_count", "event_fails" },
	{ "balloon", "balloon", NULL, NULL, "queue_event_count", "event_fails" },
};

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

static void add_device(json_t *totals, const char *group, unsigned kind,
		       const struct virtio_counters *c)
{
	add_named(totals, group, device_names[kind].read_bytes, c->read_bytes);
	add_named(totals, group, device_names[kind].write_bytes, c->write_bytes);
	add_named(totals, group, device_names[kind].kicks, c->kicks);
	add_named(totals, group, device_names[kind].errors, c->errors);
	metrics_add(totals, group, "requests_count", c->requests);
	metrics_add(totals, group, "interrupts_count", c->interrupts);
	metrics_add(totals, group, "violations_count", c->violations);
	metrics_add(totals, group, "rejected_count", c->rejected);
}

void metrics_add_devices(json_t *totals, const struct slots *slots)
{
	struct slot_counters d;
	char group[2 * VM_ID_LEN];

	for (unsigned n = 0; slots_counters(slots, n, &d); n++) {
		for (unsigned k = 0; k < DEVICE_NAMES; k++) {
			if (strcmp(device_names[k].kind, d.kind) != 0)
				continue;
			add_device(totals, device_names[k].group, k, &d.counters);
			snprintf(group, sizeof(group), "%s_%s", device_names[k].group, d.id);
			if (strcmp(d.kind, d.id) != 0) /* one of several */
				add_device(totals, group, k, &d.counters);
		}
	}
}
