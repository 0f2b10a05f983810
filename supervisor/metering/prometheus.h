/* prometheus.h - wispd's numbers in the text format 0.0.4 that Prometheus reads.
 *
 * Counters of instances are those of the present start, as they were last sampled
 * (meter.h); those of the host follow from the books. Loop thread.
 */
#ifndef SUPERVISOR_PROMETHEUS_H
#define SUPERVISOR_PROMETHEUS_H

#include "vmm/base/error.h"

struct wispd;

/* The text, from malloc, in *ret. 0 or a negative errno as of store.h. */
int prometheus_text(struct wispd *d, char **ret, struct error *err);

#endif
