/* options.h - the command line of wisp: Firecracker's options and a few more.
 *
 * One const table names every option, what it takes, its default, its help and
 * where it lands; parsing, --help and the test of the man page read that table.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"

enum on_reboot { ON_REBOOT_EXIT, ON_REBOOT_RESTART };

/* Auto: on where all files are known at the start, if the kernel has it. */
enum landlock_choice { LANDLOCK_AUTO, LANDLOCK_ON, LANDLOCK_OFF };

enum { ALLOW_PATHS_MAX = 16 };

/* Strings point into argv or the table's defaults. */
struct options {
	const char *api_sock;
	const char *id;
	const char *config_file;    /* NULL: wait for the API */
	const char *log_path;	    /* NULL: stderr */
	const char *report;	    /* NULL: none */
	const char *metrics_path;   /* NULL: none */
	const char *level;	    /* as log_level_parse() takes it */
	const char *module;	    /* NULL: all of the log */
	const char *seccomp_filter; /* NULL: the built-in filters */
	bool blank;
	uint64_t blank_vcpus, blank_mem_mib;
	const char *seccomp_log; /* NULL: the filters hold */
	const char *kvm;	 /* NULL: /dev/kvm */
	bool no_api, boot_timer, enable_pci, show_level, show_log_origin, no_seccomp;
	uint32_t on_reboot; /* enum on_reboot */
	uint32_t landlock;  /* enum landlock_choice */
	const char *allow_path[ALLOW_PATHS_MAX];
	unsigned allow_path_count;
	bool help, version, check_host, api_spec, show_seccomp, snapshot_version;
	const char *describe_snapshot; /* NULL: none */
	uint64_t max_payload_bytes;
	uint64_t mmds_limit_bytes; /* 0: max_payload_bytes */
	const char *metadata;	   /* NULL: none */
	uint64_t debug_exit_port;  /* 0: none */
	uint64_t ready_fd;	   /* 0: none */
	uint64_t own_proc_fd;	   /* 0: none */
	uint64_t start_time_us, start_time_cpu_us, parent_cpu_time_us;
};

/* Fills *ret from "--name value" and "--name=value". 0, or -EINVAL with err->field
 * the option's name, without dashes, and what would be right. With help or another
 * option set that prints something and exits, nothing else was checked for completeness. */
int options_parse(int argc, char *const argv[], struct options *ret, struct error *err);

/* The text of --help. */
void options_print_help(FILE *out);

/* The name of the option at index, NULL past the last: for the documentation test. */
const char *options_name(size_t index);

#endif
