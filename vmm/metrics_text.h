/* metrics_text.h - the metrics as Prometheus reads them.
 *
 * The numbers of metrics.h, all of them since the beginning, in the text exposition
 * format 0.0.4. A counter is wisp_GROUP_NAME_total (without the "_count" that ends some
 * names), what stands for itself wisp_GROUP_NAME. Of devices that there may be several
 * of, each has its line, told apart by the label "device", and there is no sum.
 *
 *   # TYPE wisp_block_read_bytes_total counter
 *   wisp_block_read_bytes_total{device="root"} 4096
 */
#ifndef VMM_METRICS_TEXT_H
#define VMM_METRICS_TEXT_H

#include "vmm/metrics.h"

#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The text, to be freed, of the instance id; NULL when memory is short. Main thread. */
char *metrics_text(const struct metrics *m, const char *id);

#endif
