/* finding.h - findings as they are written down: what does not fit with the books.
 *
 * A finding is a kind, a subject (an instance) and what was seen; a row, and an event when
 * it is opened and one when it is cleared. Each is open at most once. Who opens findings of
 * a kind clears them: those of reconcile.h are about this host's kernel, those of
 * engine_figures.h (FINDING_OF_ENGINES) about other engines' books.
 *
 * Loop thread, within a transaction. Errors as of store.h.
 */
#ifndef SUPERVISOR_FINDING_H
#define SUPERVISOR_FINDING_H

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

#define FINDING_OF_ENGINES "engine"

/* No event when it is open already. */
int finding_open(struct truth *t, const char *kind, const char *subject, const char *detail,
		 struct error *err);

/* No event when it is not open. */
int finding_clear(struct truth *t, const char *kind, const char *subject, struct error *err);

#endif
