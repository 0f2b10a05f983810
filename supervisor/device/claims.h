/* claims.h - who has which device of the host: the books.
 *
 * A claim is written with its instance, in one transaction, before the device is touched. It
 * says what driver the device had. Each time that the device is about to be used it is noted
 * as used; only a proof after that lets it go to somebody else. What was not proven is
 * quarantined: nobody gets it until an admin has it proven.
 *
 * Loop thread. (T): within a transaction. Errors as of store.h.
 */
#ifndef SUPERVISOR_CLAIMS_H
#define SUPERVISOR_CLAIMS_H

#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/device/choose.h"
#include "supervisor/device/fault.h"
#include "supervisor/life/launch.h"

struct wispd;

/* (T) Chooses, checks and claims devices for an instance that was just written, and keeps
 * the decision record. -ENXIO: the preflight refuses, err->text and hint say which row. */
int claims_make(struct wispd *d, const struct instance *i,
		const char selectors[][CHOOSE_TEXT_BYTES], unsigned count, struct error *err);
/* (T) They are nobody's any more; what was not proven since its use is quarantined. */
int claims_drop(struct wispd *d, const struct instance *i, struct error *err);

int claims_load(struct wispd *d, const char *instance, struct launch *l, struct error *err);
/* Writes down what became of the devices of a launch, in a transaction of its own. */
int claims_report(struct wispd *d, const struct launch *l, struct error *err);

/* (T) What the kernel's log tells of a device; the event is its instance's, which is told, or
 * "". before: how many such faults no event tells of. */
int claims_tell_fault(struct wispd *d, const struct fault *f, unsigned before,
		      char instance[INSTANCE_ID_BYTES], struct error *err);

/* Adds to what is told of a function: "state", "reason" and, to those who may see it (tenant
 * NULL: all), "instance". */
int claims_describe(struct wispd *d, const char *tenant, json_t *function, struct error *err);

/* Adds those that somebody has, or that are in quarantine, and that this host has not any more;
 * address: one alone, NULL: all. */
int claims_add_missing(struct wispd *d, const char *tenant, const struct inventory *v,
		       const char *address, json_t *list, struct error *err);

/* The decision record of an instance; the caller owns it. NULL and *err. */
json_t *claims_explain(struct wispd *d, const struct instance *i, struct error *err);

/* -EBUSY: an instance has the device. */
int claims_check_free(struct wispd *d, const char *address, struct error *err);

/* What is to be proven, and what it was before; -ENOENT: it is not in quarantine; -EBUSY: an
 * instance still has it. */
int claims_quarantined(struct wispd *d, const char *address, struct launch_device *ret,
		       struct error *err);
/* (T) It was proven: nothing is against it any more. */
int claims_release(struct wispd *d, const struct launch_device *device, const char *actor,
		   struct error *err);

#endif
