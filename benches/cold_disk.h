/* cold_disk.h - a disk that takes its time, with a file system for files of which nothing
 * is in memory when they are asked for. */
#ifndef BENCHES_COLD_DISK_H
#define BENCHES_COLD_DISK_H

#include "vmm/base/error.h"

/* null_blk: 1 GiB kept in the host's memory, so long for each request; ext4, mounted on
 * the folder in this process's mount namespace. Root. 0 or a negative errno and *err. */
int cold_disk_make(const char *folder, unsigned request_ns, struct error *err);
void cold_disk_remove(const char *folder);

/* The host forgets what it has of a file that nobody has mapped. 0 or a negative errno. */
int cold_disk_forget(const char *file);

#endif
