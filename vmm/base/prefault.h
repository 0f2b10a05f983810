/* prefault.h - pages that a process will need, brought in while it waits. */
#ifndef VMM_BASE_PREFAULT_H
#define VMM_BASE_PREFAULT_H

/* The program's code and data, room on the heap and on the caller's stack: what is done
 * later takes no page faults on them. Costs some 900 KiB of private memory until
 * malloc_trim(). Best effort; one thread, once. */
void prefault_process(void);

#endif
