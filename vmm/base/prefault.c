/* prefault.c - pages that a process will need, brought in while it waits.
 *
 * A page fault costs microseconds, and a load that meets a hundred of them for the first
 * time spends more on them than on its system calls. Code is shared with all processes of
 * the same program, so only page tables are paid for it.
 */
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/prefault.h"

enum {
	/* Since Linux 5.14; Debian 12's headers have them, others may not. */
	POPULATE_READ = 22,
	POPULATE_WRITE = 23,
	PAGE = 4096,
	CHUNK = 64 * 1024,
	CHUNKS = 14,
	STACK = 64 * 1024,
	KEEP = 8 * 1024 * 1024, /* more than there is */
};

/* The linker's. */
extern char __executable_start[], edata[], end[];

static void populate(char *start, const char *stop, int how)
{
	char *page = start - ((uintptr_t)start & (PAGE - 1));

	(void)madvise(page, (size_t)(stop - page), how);
}

/* Freed blocks stay with the process, and are the next to be handed out. */
static void populate_heap(void)
{
	char *chunk[CHUNKS];

	mallopt(M_TRIM_THRESHOLD, KEEP);
	mallopt(M_MMAP_THRESHOLD, KEEP);
	for (unsigned i = 0; i < CHUNKS; i++) {
		chunk[i] = malloc(CHUNK);
		if (chunk[i])
			populate(chunk[i], chunk[i] + CHUNK, POPULATE_WRITE);
	}
	for (unsigned i = 0; i < CHUNKS; i++)
		free(chunk[i]);
}

static __attribute__((noinline)) void populate_stack(void)
{
	volatile char room[STACK];

	for (size_t i = 0; i < sizeof(room); i += PAGE)
		room[i] = 0;
}

void prefault_process(void)
{
	populate(__executable_start, edata, POPULATE_READ);
	populate(edata, end, POPULATE_WRITE);
	populate_heap();
	populate_stack();
}
