/* choose.h - which functions of the host a request means. Any thread. */
#ifndef SUPERVISOR_DEVICE_CHOOSE_H
#define SUPERVISOR_DEVICE_CHOOSE_H

#include "supervisor/device/preflight.h"

enum { CHOOSE_TEXT_BYTES = 64 };

/* Whether somebody has it, or it is not to be given to anybody. */
typedef bool (*choose_taken_fn)(void *ctx, const struct pci_function *f);

/* Fills p->device and count: one function for each selector, each another one. Of those that
 * fit, one that the host does without, near the node that p->request has, if it has one, and
 * rather a virtual function. -ENOENT: none fits;
 * -EBUSY: all that fit are taken. p->inventory and request are set, and must stay. */
int choose_devices(const char selectors[][CHOOSE_TEXT_BYTES], unsigned count, choose_taken_fn taken,
		   void *ctx, struct preflight *p, struct error *err);

#endif
