/* watch.h - watches devices that guests have: what they reach for, where they interrupt, and
 * whether the host is to lose them.
 *
 * An IOMMU stops DMA to what is not the guest's, and says so in the kernel's log; it is told of
 * by an event "device.fault" of the instance that has the device. A guest can make as many as
 * it likes: of each device one event is written in a while, which says how many there were
 * before. A device that is removed while a guest has it is told of by "device.leaving", and
 * ends that guest's VMM: until then the host waits. Interrupts are sent every few seconds
 * (steer.h) to the processors that the guest has for itself, but for those that its own run
 * on; to those near the device where it has none. Loop thread.
 */
#ifndef SUPERVISOR_DEVICE_WATCH_H
#define SUPERVISOR_DEVICE_WATCH_H

#include "vmm/base/error.h"

struct device_watch;
struct wispd;

/* From now on; what was logged before is over. Where there is no such log, nothing is watched. */
int device_watch_create(struct wispd *d, struct device_watch **ret, struct error *err);
void device_watch_destroy(struct device_watch *w); /* accepts NULL */

#endif
