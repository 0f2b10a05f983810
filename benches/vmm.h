/* vmm.h - the monitors that are compared, behind one table.
 *
 * Each knows where its program is, how to say "this machine" on its command line
 * (and in a configuration file), and which exit status means that the guest ended
 * as planned. Nothing else in the harness knows one VMM from another.
 */
#ifndef BENCHES_VMM_H
#define BENCHES_VMM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "benches/argv.h"
#include "benches/options.h"
#include "vmm/base/error.h"

enum {
	VMM_EXIT_PORT = 0xf4, /* the debug exit port, where a VMM has one */
};

#define VMM_GUEST_MAC "06:00:0a:00:00:02"

/* What every VMM is asked to run. Strings belong to the caller. */
struct machine {
	const char *kernel;
	const char *initrd;  /* NULL: none */
	const char *disk;    /* a raw image, attached read-only; NULL: none */
	const char *vsock;   /* the Unix socket of a vsock, guest CID 3; NULL: none */
	const char *tap;     /* the network, with this tap of the host's; NULL: none */
	const char *cmdline; /* of the kernel; a VMM may add to it */
	unsigned mem_mib, vcpus;
	const char *huge_pages;	  /* of wisp's machine-config; NULL: its default */
	const char *qemu_machine; /* the value of QEMU's -M */
	const char *qemu_cpu;	  /* the value of QEMU's -cpu */
	const char *io_engine;	  /* of the disk in a configuration file; NULL: default */
	const char *qemu_drive;	  /* more of the disk's -drive, with an iothread; NULL: none */
	const char *report;	  /* where wisp writes its own report; NULL: nowhere */
};

struct vmm_ops {
	const char *name;
	bool unix_vsock; /* its vsocks are Unix sockets on the host */
	/* The program, or an error with the option that names one. */
	int (*locate)(const struct options *o, char path[static PATH_MAX], struct error *err);
	/* Its command line for the machine; files it needs go into dir. 0, or a
	 * negative errno and *err with *ret to be freed all the same. */
	int (*command)(const struct machine *m, const char *program, const char *dir,
		       struct argv *ret, struct error *err);
	/* Whether an exit code is that of a guest that wrote value to VMM_EXIT_PORT or,
	 * where there is no such port, switched itself off. */
	bool (*ended_well)(int exit_code, unsigned value);
};

extern const struct vmm_ops vmm_wisp, vmm_qemu, vmm_firecracker;

/* NULL-ended, in the order of the report. */
extern const struct vmm_ops *const vmm_all[];

/* A file beside the running program: relative is "wisp" or "../images/x". 0, or
 * -ENOENT with path filled all the same. */
int vmm_beside(const char *relative, char path[static PATH_MAX]);

/* Writes the machine as a Firecracker configuration file, DIR/config.json. */
int vmm_write_config(const struct machine *m, const char *dir, char path[static PATH_MAX],
		     struct error *err);

#endif
