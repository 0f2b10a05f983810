/* memory_handler.h - RAM whose pages another process brings, one by one, as they are
 * touched: Firecracker's protocol, "Uffd" of PUT /snapshot/load.
 *
 * wisp connects to the handler's Unix socket and sends one message: a userfaultfd by
 * SCM_RIGHTS, on which RAM is registered for missing pages, and with it
 *
 *	[{"base_host_virt_addr": N, "size": N, "offset": N, "page_size": N, "page_size_kib": N}]
 *
 * of which offset is where a mapping begins in the memory file; both page sizes are bytes.
 * From then on the handler answers events: a page of its file for each fault, and zeros for
 * what UFFD_EVENT_REMOVE has told it of (the balloon's).
 *
 * A page that is not brought stops whoever touched it, in the kernel, where nothing can
 * take it out. So a thread watches. The handler has died when its process has, or, where
 * that cannot be seen (a jail), when it has closed the connection; the machine may go on
 * until it misses a page, and then the process ends. It also ends when a handler takes no
 * fault for MEMORY_HANDLER_PATIENCE_S. Either way the log says whose fault it was, and the
 * exit status is 1: never is a page made up.
 */
#ifndef VMM_SNAPSHOT_MEMORY_HANDLER_H
#define VMM_SNAPSHOT_MEMORY_HANDLER_H

#include "vmm/base/error.h"
#include "vmm/base/thread_filter.h"
#include "vmm/memory/gmem.h"

enum { MEMORY_HANDLER_PATIENCE_S = 10 };

struct memory_handler;

/* Hands untouched RAM over to the handler that listens at path, and starts the watch. 0 and
 * *ret, or a negative errno and *err (field "mem_backend"). Main thread, before anything is
 * read from RAM or written to it. RAM must outlive it. */
int memory_handler_start(const char *path, struct gmem *mem, const struct thread_filters *filters,
			 struct memory_handler **ret, struct error *err);

/* Ends the watch. Nobody may touch RAM any more. Accepts NULL. */
void memory_handler_destroy(struct memory_handler *h);

#endif
