/* page_map.h - what the kernel knows of this process's pages: /proc/self/pagemap.
 *
 * Documentation/admin-guide/mm/pagemap.rst. One entry a page of 4 KiB. Any thread.
 */
#ifndef VMM_SNAPSHOT_PAGE_MAP_H
#define VMM_SNAPSHOT_PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/memory/gmem.h"

/* Bits of an entry. */
#define PAGE_MAP_PRESENT (UINT64_C(1) << 63)
#define PAGE_MAP_SWAPPED (UINT64_C(1) << 62)
#define PAGE_MAP_IS_FILE (UINT64_C(1) << 61) /* a file's page still, not one of our own */

/* For the pages of this memory: a descriptor, which is the caller's, or a negative errno: a
 * jail has no /proc, and memory in one may have been given none (gmem_set_page_map()). */
int page_map_open(const struct gmem *mem);

/* Of the folder in /proc of this process, which must be of procfs. A descriptor, or a
 * negative errno. */
int page_map_open_at(int folder);

/* The entries of so many pages from host on. 0 or a negative errno. */
int page_map_read(int fd, const void *host, size_t pages, uint64_t entry[]);

#endif
