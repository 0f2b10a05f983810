/* arch.h - the only door to what differs between processor architectures.
 *
 * vmm/ calls these in the order in which they stand here; nothing outside
 * vmm/arch/ includes any other header from it. Main thread, except where noted.
 */
#ifndef VMM_ARCH_ARCH_H
#define VMM_ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/stop.h"
#include "vmm/base/error.h"
#include "vmm/cpu_template.h"
#include "vmm/gsi.h"
#include "vmm/kvm.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/state.h"
#include "vmm/timeline.h"

struct pci_bus;
struct pci_hotplug;
struct serial;
struct arch_platform;
struct arch_cpus;

/* Where guest RAM must leave a hole for devices. */
void arch_mmio_gap(uint64_t *start, uint64_t *end);

/* The guest addresses behind RAM, up to the last that this host's processors have. */
void arch_device_memory(const struct gmem *mem, uint64_t *start, uint64_t *end);

/* The window and interrupt line of virtio-mmio device n; false when there are no
 * more. */
struct arch_virtio_window {
	uint64_t base;
	uint64_t len;
	uint32_t gsi;
};
bool arch_virtio_window(unsigned n, struct arch_virtio_window *ret);

/* Where a machine with PCI has its configuration space (PCI_ECAM_LEN bytes) and the
 * memory of its BARs (PCI_WINDOW_LEN), and the first interrupt that no pin of an
 * interrupt controller has. */
struct arch_pci {
	uint64_t ecam;
	uint64_t window;
	uint32_t first_gsi;
};
void arch_pci(struct arch_pci *ret);

/* Settings of a VM just created, before it has memory. */
int arch_vm_init(const struct kvm *kvm, struct error *err);

/* The interrupt controllers inside KVM: after the memslots, before the vCPUs. */
int arch_irqchip_init(const struct kvm *kvm, struct error *err);

/* The devices that every machine of this architecture has. */
struct arch_platform_config {
	/* Must outlive the platform. */
	const struct kvm *kvm;
	const struct gmem *mem; /* with the kernel in it */
	struct gsi_table *gsi;
	struct pci_bus *pci; /* NULL: none */

	struct bus *pio, *mmio; /* the devices put themselves on these */
	struct stop_sink stop;
	struct timeline *timeline; /* the boot timer marks TIMELINE_INIT */
	unsigned virtio_devices;   /* that will have an interrupt line */
	bool boot_timer;
	int debug_exit_port; /* 0: none */
};
int arch_platform_create(const struct arch_platform_config *config, struct arch_platform **ret,
			 struct error *err);
void arch_platform_destroy(struct arch_platform *p); /* accepts NULL */

/* Binds the devices' interrupt lines to KVM: after the vCPUs. */
int arch_platform_connect(struct arch_platform *p, struct error *err);

/* Saves or loads the sections of these devices. Loading: after arch_platform_connect(),
 * before the guest runs. */
void arch_platform_state(struct arch_platform *p, struct state *s);

/* Tells the guest that it is a copy of another one: with its state in place, before it
 * runs. 0 or a negative errno. */
int arch_platform_renew(struct arch_platform *p);

/* Tells its drivers to look at their devices, with all interrupt routes in place; it may
 * run already. */
void arch_platform_wake(struct arch_platform *p);

/* The first serial port, for the console. Owned by the platform. */
struct serial *arch_platform_serial(struct arch_platform *p);

/* Where PCI devices come and go, on a machine with PCI. Owned by the platform. */
struct pci_hotplug *arch_platform_hotplug(struct arch_platform *p);

/* Presses keys on the outside of the machine. */
int arch_ctrl_alt_del(struct arch_platform *p);
int arch_power_button(struct arch_platform *p);

/* The kernel, its initrd and everything that describes the machine to it, put
 * into guest memory; and in *ret how the first vCPU starts. */
struct arch_boot_config {
	struct gmem *mem;
	int kernel_fd, initrd_fd;	       /* initrd_fd -1: none */
	const char *kernel_path, *initrd_path; /* for messages */
	const char *cmdline;
	unsigned vcpus, virtio_devices; /* virtio-mmio ones */
	bool pci;
};
struct arch_boot {
	enum { ARCH_BOOT_PVH, ARCH_BOOT_LINUX64 } protocol;
	uint64_t entry;
	uint64_t argument; /* guest address of start_info or boot_params */
};
int arch_boot_load(const struct arch_boot_config *config, struct arch_boot *ret, struct error *err);

/* Appends to the command line what the kernel must be told of device n. */
int arch_describe_virtio(char *word, size_t len, unsigned n);

/* The template of this name. 0 and *ret, or -EOPNOTSUPP when it is not for the processor
 * of this host. */
int arch_named_template(enum cpu_template_name name, struct cpu_template *ret, struct error *err);

/* The same whatever the host: to be looked at. */
void arch_make_template(enum cpu_template_name name, struct cpu_template *ret);

/* What a guest of one vCPU with this template (NULL: none) has in CPUID and MSRs when it
 * starts, as a template that leaves no bit open. 0 or a negative errno. */
int arch_cpu_dump(const struct cpu_template *template, struct cpu_template *ret, struct error *err);

/* What KVM can show a guest of its processors here. Any thread. */
int arch_cpus_create(const struct kvm *kvm, struct arch_cpus **ret, struct error *err);
void arch_cpus_destroy(struct arch_cpus *cpus); /* accepts NULL */

/* What this guest's processors look like; decided once a machine. */
struct arch_cpu_config {
	unsigned vcpus;
	bool smt;			     /* two threads a core */
	const struct cpu_template *template; /* NULL: none; must outlive the vCPUs' start */
};
int arch_cpus_describe(struct arch_cpus *cpus, const struct kvm *kvm,
		       const struct arch_cpu_config *config, struct error *err);

/* Gives vCPU i its CPUID. */
int arch_vcpu_identify(struct arch_cpus *cpus, int vcpu_fd, unsigned i, struct error *err);

/* The same and its state at power-on; the first one is left at the kernel's entry, the
 * others wait to be started by it. */
int arch_vcpu_init(struct arch_cpus *cpus, int vcpu_fd, unsigned i, const struct arch_boot *boot,
		   struct error *err);

/* Saves or loads what vCPU i is in the middle of, CPUID included. Saving: the vCPU is
 * paused. Loading: in place of arch_vcpu_init(), and sooner done behind
 * arch_vcpu_identify(); its counter of time goes on as if passed_ns had passed, which is
 * the same for all. *err names what KVM refuses. */
int arch_vcpu_state(const struct kvm *kvm, const struct arch_cpus *cpus, int vcpu_fd, unsigned i,
		    uint64_t passed_ns, struct state *s, struct error *err);

/* The time since a state was saved, when it says that; else 0. */
uint64_t arch_clock_passed_ns(struct state *s);

/* The same of what the guest expects of all its processors: loading compares that with
 * the host's, and *err names what is missing here. vcpu_fd: any one's. */
int arch_cpu_model_state(const struct arch_cpus *cpus, int vcpu_fd, struct state *s,
			 struct error *err);

/* The same of the machine's clock. Loading: after the vCPUs. catch_up: the time that has
 * passed since the state was saved has passed for the guest, too. */
int arch_clock_state(const struct kvm *kvm, bool catch_up, struct state *s, struct error *err);

/* Tells a guest's watchdogs that vCPU i did not run for a while. */
void arch_vcpu_forgive(int vcpu_fd);

/* Instructions a second that a simple loop of guest kernel code reaches here, in
 * a VM made for it: a measure of the host, not of a machine. */
int arch_probe_speed(uint64_t *ret, struct error *err);

#endif
