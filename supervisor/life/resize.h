/* resize.h - a running guest gets memory or disk, or gives memory back: a worker's part.
 *
 * What is wanted is in l->resize, from the books (books/size.h); what came of it is written
 * there, too. Memory: its control group's limit is raised before the guest gets more, and
 * lowered once it has given some back. Disk: file first, then the VMM, which tells the guest,
 * then the agent, which grows the file system; if there is none, or it cannot, the guest does
 * that itself. It bears to be done again. Any thread.
 */
#ifndef SUPERVISOR_RESIZE_H
#define SUPERVISOR_RESIZE_H

#include "supervisor/life/launch.h"

int resize_run(struct launch *l, struct error *err);

#endif
