/* plot.h - the phases of a run as stacked bars, one a VMM, drawn by gnuplot. */
#ifndef BENCHES_PLOT_H
#define BENCHES_PLOT_H

#include "benches/report.h"
#include "vmm/base/error.h"

struct plot_phase {
	const char *metric; /* a duration in us; phases add up to the bar */
	const char *label;
};

/* Draws medians to path, whose name ends in .svg or .png. phases ends with a NULL
 * metric; those that no VMM has are left out. 0, or a negative errno and *err. */
int plot_phases(const struct report *r, const struct plot_phase *phases, const char *title,
		const char *path, struct error *err);

/* Whether the name of a plot is one that plot_phases() can write. */
int plot_check(const char *path, struct error *err);

#endif
