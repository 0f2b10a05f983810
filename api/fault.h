/* fault.h - errors as a client of the API, or a reader of stderr, sees them. */
#ifndef API_FAULT_H
#define API_FAULT_H

#include <stddef.h>

#include "vmm/base/error.h"

enum { FAULT_LINE_BYTES = 1024 }; /* enough for any struct error */

/* "text (field: hint)" into buf; returns buf. Any thread. */
const char *fault_line(const struct error *e, char *buf, size_t len);

/* {"fault_message": message}, to be freed; NULL when memory is short. Bytes that
 * are not UTF-8 become "?". */
char *fault_json(const char *message);

/* Puts Firecracker's introduction before what says that a body is not as it should be;
 * leaves every other error as it is. */
void fault_introduce(struct error *err);

#endif
