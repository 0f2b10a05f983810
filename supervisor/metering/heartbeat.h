/* heartbeat.h - says regularly, in the ledger, that all who should live do.
 *
 * What a VMM used is billed up to the last such word when nobody saw its end
 * (billing/usage.h). So the interval is what a crash of the host may cost its owner, and a
 * stop of wispd leaves nothing out. Loop thread.
 */
#ifndef SUPERVISOR_HEARTBEAT_H
#define SUPERVISOR_HEARTBEAT_H

#include "vmm/base/error.h"

struct heartbeat;
struct wispd;

/* Begins. To be called once recovery has looked at every VMM. */
int heartbeat_create(struct wispd *d, struct heartbeat **ret, struct error *err);

/* Says it a last time. Accepts NULL. */
void heartbeat_destroy(struct heartbeat *h);

#endif
