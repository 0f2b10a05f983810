/* console.h - what a guest has said on its serial port: read in parts, and kept short.
 *
 * A position in the output means the same for ever: what is too old becomes a hole, and
 * reading begins behind it. Loop thread.
 */
#ifndef SUPERVISOR_CONSOLE_H
#define SUPERVISOR_CONSOLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/instance.h"

struct wispd;

/* {"text", "from", "next", "end"} of output from a position on; vmm: of what the VMM itself
 * has said. Bytes that are no UTF-8 become "?". NULL and *err. */
json_t *console_read(struct wispd *d, const struct instance *i, bool vmm, int64_t from,
		     struct error *err);

/* The end of that, as a text; null when there is none. The caller's. */
json_t *console_tail(struct wispd *d, const struct instance *i, bool vmm, int64_t bytes);

/* Gives back what is older than the configured number of bytes. */
void console_trim(struct wispd *d, const char *id);

#endif
