/* metrics_machine.h - what the machine's parts add to the metrics. Main thread. */
#ifndef VMM_METRICS_MACHINE_H
#define VMM_METRICS_MACHINE_H

#include <jansson.h>

#include "vmm/slots.h"
#include "vmm/vcpu.h"

void metrics_add_exits(json_t *totals, const uint64_t counts[VCPU_EXIT_KINDS]);

/* Each device that runs by itself ("block_root"), and all of a kind together ("block"). */
void metrics_add_devices(json_t *totals, const struct slots *slots);

#endif
