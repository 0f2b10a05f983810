/* cold_disk.c - a disk that takes its time. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "benches/cold_disk.h"
#include "benches/spawn.h"
#include "vmm/base/fd.h"

#define DEVICE "/sys/kernel/config/nullb/wispcold"

/* Kernels after 6.3 name the device after its folder. */
#define MAKE                                                                           \
	"set -e; modprobe null_blk nr_devices=0; d=" DEVICE "; "                       \
	"[ -d /sys/kernel/config/nullb ] || mount -t configfs none "                   \
	"/sys/kernel/config; mkdir $d; echo 1024 >$d/size; echo 1 >$d/memory_backed; " \
	"echo 2 >$d/irqmode; echo 2 >$d/queue_mode; echo %u >$d/completion_nsec; "     \
	"echo 1 >$d/power; dev=/dev/nullb$(cat $d/index); "                            \
	"[ -b $dev ] || dev=/dev/wispcold; mke2fs -q -t ext4 $dev; "                   \
	"mount $dev %s"
#define REMOVE "umount %s; echo 0 >" DEVICE "/power; rmdir " DEVICE

enum { COMMAND_BYTES = PATH_MAX + 1024 };

static int run(const char *command, struct error *err)
{
	return spawn_shell(command, "as root, with null_blk and e2fsprogs, or use --testhost", err);
}

int cold_disk_make(const char *folder, unsigned request_ns, struct error *err)
{
	char command[COMMAND_BYTES];

	snprintf(command, sizeof(command), MAKE, request_ns, folder);
	return run(command, err);
}

void cold_disk_remove(const char *folder)
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint)], command[COMMAND_BYTES];

	snprintf(command, sizeof(command), REMOVE, folder);
	if (run(command, &err) < 0)
		fprintf(stderr, "wisp-bench: the disk stays: %s\n",
			error_line(&err, line, sizeof(line)));
}

int cold_disk_forget(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	fd_close(fd);
	return r;
}
