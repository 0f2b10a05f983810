/* live.h - devices of a running machine, changed as its user asks.
 *
 * The slots' devices are the machine's here: call these after a start only. 0, or a
 * negative errno and *err with Firecracker's text; nothing has changed then. Main
 * thread.
 */
#ifndef VMM_LIVE_H
#define VMM_LIVE_H

#include "vmm/slots.h"

struct virtio_balloon_hinting; /* devices/virtio/balloon.h */
struct virtio_balloon_statistics;
struct virtio_mem_status; /* devices/virtio/mem.h */

/* Another file, or the same one that has grown; other limits. */
int live_patch_drive(struct slots *s, const struct drive_update *c, struct error *err);

/* Other limits. */
int live_patch_net(struct slots *s, const struct net_update *c, struct error *err);
int live_patch_pmem(struct slots *s, const struct pmem_update *c, struct error *err);

/* amount_mib has been checked against the machine's memory. */
int live_patch_balloon(struct slots *s, uint64_t amount_mib, struct error *err);
int live_patch_balloon_statistics(struct slots *s, uint64_t interval_s, struct error *err);
int live_balloon_statistics(struct slots *s, struct virtio_balloon_statistics *ret,
			    struct error *err);

/* A run of free page hinting, which ends by itself with acknowledge. */
int live_start_hinting(struct slots *s, bool acknowledge, struct error *err);
int live_stop_hinting(struct slots *s, struct error *err);
int live_hinting(struct slots *s, struct virtio_balloon_hinting *ret, struct error *err);

/* How much hot-plugged memory the guest should have, and has. */
int live_patch_memory(struct slots *s, uint64_t requested_mib, struct error *err);
int live_memory_status(struct slots *s, struct virtio_mem_status *ret, struct error *err);

#endif
