/* trace.h - how long each stage of an instance's start took.
 *
 * Nothing is measured for it: the ledger has the time of each move. Loop thread.
 */
#ifndef SUPERVISOR_TRACE_H
#define SUPERVISOR_TRACE_H

#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"

/* The stages of its creation and of each start, pause and stop, in order: "stage", "incarnation", "us" and
 * "wall_ns", when it began. What is under way, or was cut off by an end of the host's boot,
 * is left out. The caller owns it; NULL and *err. */
json_t *trace_describe(struct truth *t, const struct instance *i, struct error *err);

#endif
