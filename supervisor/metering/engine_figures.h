/* engine_figures.h - what another engine's books say of an instance, held against ours.
 *
 * Slurm, Kubernetes and Nomad account for what they start; an instance that an engine owns
 * (life/adopted.h) has that one's word for it, and by that the two are compared:
 *
 *   elapsed   how long its process was there, against its incarnations
 *   cpu       processor time, against what is metered (cpu_used)
 *   vcpus     processors that were given for it, which must not be fewer than it has
 *   mem_mib   the same of memory
 *
 * What differs by more than two ways to look at the same thing is a finding, "engine", which
 * the next figures that fit clear. Nothing is repaired.
 *
 * Loop thread, within a transaction. Errors as of store.h.
 */
#ifndef SUPERVISOR_ENGINE_FIGURES_H
#define SUPERVISOR_ENGINE_FIGURES_H

#include "supervisor/books/instance.h"
#include "supervisor/life/adopted.h"

enum { ENGINE_DETAIL_BYTES = 160 };

struct engine_figures {
	char engine[NAME_BYTES], ref[ADOPTED_REF_BYTES];
	uint64_t elapsed_ms, cpu_us, vcpus, mem_mib;
	bool has_elapsed, has_cpu, has_vcpus, has_mem;
};

/* What differs, in *detail: "" if nothing does. ref: as it is written down, or the first
 * twelve characters of that, as engines shorten ids. 1; 0: no instance is that engine's by
 * this name, and *i is untouched. */
int engine_figures_compare(struct truth *t, const struct engine_figures *f, struct instance *i,
			   char detail[ENGINE_DETAIL_BYTES], struct error *err);

/* Compares, and opens or clears the finding. */
int engine_figures_judge(struct truth *t, const struct engine_figures *f, struct instance *i,
			 char detail[ENGINE_DETAIL_BYTES], struct error *err);

#endif
