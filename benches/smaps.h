/* smaps.h - the memory of a VMM, its guest's RAM set apart.
 *
 * From /proc/PID/smaps (proc_pid_smaps(5)). Guest RAM is recognised by its size:
 * the neighbouring mappings that together are exactly as large as the guest's
 * memory (a VMM that maps the kernel's file into RAM splits it into several), or
 * the two such groups that are together (RAM around the MMIO gap).
 */
#ifndef BENCHES_SMAPS_H
#define BENCHES_SMAPS_H

#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct smaps {
	int64_t rss_kib;     /* resident, guest RAM included */
	int64_t private_kib; /* resident in no other process, outside guest RAM */
	int64_t dirty_kib;   /* the part of that which was written to: what each
				further VM of the same kind adds */
	int64_t guest_kib;   /* resident of guest RAM */
};

/* 0 and *ret, or a negative errno and *err: -ENOENT when no mapping has the size
 * of the guest's memory. Stop the process first for a consistent view. */
int smaps_read(pid_t pid, uint64_t guest_bytes, struct smaps *ret, struct error *err);

/* The same from text in smaps' format, which is changed. */
int smaps_parse(char *text, uint64_t guest_bytes, struct smaps *ret, struct error *err);

#endif
