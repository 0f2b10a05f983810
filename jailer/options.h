/* options.h - the command line of wisp-jailer: Firecracker's options and a few more. */
#ifndef JAILER_OPTIONS_H
#define JAILER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "vmm/base/error.h"

enum { JAIL_CGROUPS_MAX = 32, JAIL_DEVICES_MAX = 8, JAIL_PASS_MAX = 32 };

struct jail_cgroup_value {
	char file[64]; /* "cpu.max" */
	const char *value;
};

/* Strings point into argv or are constant. */
struct jail_options {
	const char *id, *exec_file, *base, *netns, *mount_ns, *parent_cgroup, *prepare;
	uid_t uid;
	gid_t gid;
	unsigned cgroup_version; /* 0: where the controller is found */
	struct jail_cgroup_value cgroup[JAIL_CGROUPS_MAX];
	unsigned cgroup_count;
	const char *device[JAIL_DEVICES_MAX]; /* names below /dev; none: the usual ones */
	unsigned device_count;
	int pass_fd[JAIL_PASS_MAX]; /* for the VMM, 3 or more, each once, in rising order */
	unsigned pass_count;
	int gate_fd;			  /* to wait at before anything is done; 0: none */
	uint64_t no_file, fsize, memlock; /* the last two 0: no limit, and as it was */
	bool system_program, daemonize, new_pid_ns, user_ns, read_only_root, own_proc, cleanup,
		help, version;
	char *const *extra; /* the VMM's own arguments, NULL-ended */
};

/* Fills *ret and checks all that can be checked without looking at the host. 0, or
 * -EINVAL with err->field the option's name. */
int jail_options_parse(int argc, char *argv[], struct jail_options *ret, struct error *err);

void jail_options_print_help(FILE *out);

/* The name of the option at index, NULL past the last: for the documentation test. */
const char *jail_options_name(size_t index);

#endif
