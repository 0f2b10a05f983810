/* doctor.h - what is wrong with this host and these books, and what to do. Loop thread. */
#ifndef SUPERVISOR_DOCTOR_H
#define SUPERVISOR_DOCTOR_H

#include <jansson.h>

#include "vmm/base/error.h"

struct wispd;

/* {"healthy", "findings": [{"check", "ok", "what", "remedy"}]}; NULL and *err. */
json_t *doctor_examine(struct wispd *d, struct error *err);

#endif
