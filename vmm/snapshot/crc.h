/* crc.h - CRC-32C (Castagnoli), as iSCSI and ext4 use it (RFC 3720, 12.1). */
#ifndef VMM_SNAPSHOT_CRC_H
#define VMM_SNAPSHOT_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of len bytes, behind what gave `before` (0: nothing). Any thread. */
uint32_t crc32c(uint32_t before, const void *data, size_t len);

#endif
