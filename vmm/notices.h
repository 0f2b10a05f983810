/* notices.h - from what devices have to tell to events (events.h).
 *
 * A guest can make its devices fail and its balloon change as often as it likes, on any
 * of its processors. So a device only keeps that there is something, one signal says so
 * for all of them, and the main thread asks each what it was: at most every NOTICES_MS.
 */
#ifndef VMM_NOTICES_H
#define VMM_NOTICES_H

#include "vmm/base/loop.h"
#include "vmm/events.h"
#include "vmm/slots.h"

enum { NOTICES_MS = 100 };

struct notices;

/* Of the devices that run in slots; all three must outlive it. 0 and *ret, or a negative
 * errno. Main thread. */
int notices_create(const struct slots *slots, struct loop *loop, const struct event_sink *sink,
		   struct notices **ret);

/* Neither a device that was watched nor the machine around it may run any more. Accepts
 * NULL. */
void notices_destroy(struct notices *n);

/* Before the device is handed over to the machine; NULL: nobody wants to know. */
void notices_watch(struct notices *n, struct virtio_dev *dev);

#endif
