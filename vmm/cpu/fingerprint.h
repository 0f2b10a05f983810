/* fingerprint.h - everything on which a CPU template's effect depends.
 *
 * A template that was right once can become wrong by an update of wisp, of the kernel, of
 * the microcode or of the firmware. The fingerprint has all of these beside what the
 * guest sees, so that a change of any shows.
 */
#ifndef VMM_CPU_FINGERPRINT_H
#define VMM_CPU_FINGERPRINT_H

#include <jansson.h>
#include <stdio.h>

#include "vmm/cpu_template.h"

/* Of this host, whose guests are as dump says. The caller owns the reference; NULL when
 * memory is short. */
json_t *fingerprint_take(const struct cpu_template *dump);

/* Says on out which fields differ, of those named in fields (NULL-ended), or of all when
 * fields is NULL. How many, or -EINVAL and *err for a name that is none. */
int fingerprint_compare(json_t *before, json_t *now, const char *const *fields, FILE *out,
			struct error *err);

#endif
