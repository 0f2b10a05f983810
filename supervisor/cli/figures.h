/* figures.h - what engines print of their accounting, as bodies of POST /reconciliations.
 *
 *   slurm    sacct --parsable or --parsable2, with a header: JobID, and of ElapsedRaw, Elapsed,
 *            TotalCPU, AllocCPUS, NCPUS and AllocTRES what there is
 *   podman   podman stats --no-stream --format json: id, cpu_time
 *
 * Columns and members that say nothing here are passed over, and so are values that cannot be
 * read: what is not known is not compared.
 */
#ifndef SUPERVISOR_CLI_FIGURES_H
#define SUPERVISOR_CLI_FIGURES_H

#include <jansson.h>

/* A list, an object a job, step or container; the caller's. NULL: it is neither. */
json_t *figures_parse(const char *engine, const char *text);

#endif
