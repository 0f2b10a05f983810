/* machine.h - the machine itself, built from its parts and taken apart again.
 *
 * vm.h is the machine as its user sees it (configured, started, paused); this is
 * what exists between start and end. Main thread throughout.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "devices/stop.h"
#include "devices/virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/config.h"
#include "vmm/console.h"
#include "vmm/devices.h"
#include "vmm/loader/cmdline.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/state.h"
#include "vmm/timeline.h"
#include "vmm/vcpu.h"

struct frame; /* frame.h */
struct machine;

/* What a machine goes on from, in place of a kernel's start. */
struct machine_saved {
	struct state *state;
	int memory_fd;		      /* checked against the state */
	const char *handler;	      /* the socket of who has the memory instead; or NULL */
	const char *working_set;      /* the file of what is to be prefetched; or NULL */
	const struct snapshot_id *id; /* which it must be of */
	bool catch_up; /* the guest's clock goes on from now, not from when it was saved */
	unsigned place[VM_MAX_DEVICES]; /* of each device of the specification */
};

/* What to build. Nothing in it is owned except the devices and the frame, which belong
 * to the machine from the call on, also when it fails. */
struct machine_spec {
	const struct machine_config *config;
	const struct cpu_template *cpu_template; /* NULL: none */
	const char *kvm;			 /* as kvm_open() takes it */
	struct early_cpus *early_cpus;
	const char *kernel_path, *initrd_path; /* for messages */
	int kernel_fd, initrd_fd;	       /* initrd_fd -1: none */
	const struct cmdline *cmdline;	       /* the machine adds its devices to a copy */
	const struct machine_saved *saved;     /* NULL: boot the kernel */
	struct frame *frame;		       /* that fits; NULL: make one */
	struct virtio_dev **devices;
	unsigned device_count;
	bool pci; /* where the devices sit; false: virtio-mmio */
	struct gone_sink gone;
	struct console_ends serial; /* where the serial port leads */
	bool boot_timer;
	int debug_exit_port;
	struct loop *loop;
	struct timeline *timeline;
	const struct thread_filters *filters; /* NULL: no thread is confined */
	enum thread_role role;		      /* the main thread's; THREAD_ROLES: it is already */
	/* Called once on the main thread when the guest ended. */
	struct stop_sink ended;
};

/* Everything in place, no guest instruction executed. */
int machine_create(const struct machine_spec *spec, struct machine **ret, struct error *err);

/* Confines every thread, for good, and lets the vCPUs run. */
int machine_start(struct machine *m, struct error *err);

/* Accepts NULL. Ends the vCPUs, drains the console, frees everything. */
void machine_destroy(struct machine *m);

/* After machine_pause() returns no vCPU runs and no device touches guest memory. */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);

/* While the guest runs, on a machine with PCI: takes a device in any case, and tells the
 * guest of it. Asks the guest for one back; spec.gone hears when it goes. */
int machine_plug(struct machine *m, struct virtio_dev *dev, struct error *err);
int machine_ask_back(struct machine *m, const struct virtio_dev *dev);

/* Appends the sections of all its parts. The machine is paused. */
int machine_save(struct machine *m, struct state *s, struct error *err);

/* Where a device is (devices.h), or -ENODEV. */
int machine_place(const struct machine *m, const struct virtio_dev *dev);

int machine_ctrl_alt_del(struct machine *m);
int machine_power_button(struct machine *m);

/* For the report. */
void machine_exits(const struct machine *m, uint64_t counts[VCPU_EXIT_KINDS]);
struct gmem *machine_memory(const struct machine *m);

#endif
