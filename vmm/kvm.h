/* kvm.h - /dev/kvm: opened, checked, and one virtual machine made from it.
 *
 * Follows Documentation/virt/kvm/api.rst of the kernel. All calls are made on the
 * main thread before the vCPUs start, unless they say otherwise. The order in which
 * a machine is put together matters by milliseconds: see machine.c.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

/* Interrupts (GSIs) that a machine can route. */
enum { KVM_MAX_ROUTES = 640 };

struct kvm_msi_route {
	uint32_t gsi;
	uint64_t address;
	uint32_t data;
};

struct kvm {
	int fd;		 /* /dev/kvm */
	int vm_fd;	 /* -1 until kvm_create_vm() */
	size_t run_size; /* bytes of a vCPU's shared page(s) */
};

/* Opens device, a path or "fd:N" (fd_open), /dev/kvm when it is NULL, and checks everything that wisp needs of it; *err names what is
 * missing and what to do. */
int kvm_open(struct kvm *k, const char *device, struct error *err);

/* Closes what is open; for a zeroed or half-built struct too when its descriptors
 * are -1. */
void kvm_close(struct kvm *k);

int kvm_create_vm(struct kvm *k, struct error *err);

/* Gives the machine its RAM, one memslot a region. Must come before the irqchip
 * and before every ioeventfd: afterwards each memslot costs 7 to 20 ms. */
int kvm_set_memory(const struct kvm *k, const struct gmem *mem, struct error *err);

/* One more memslot, or an empty one in its place. How many there can be. 0 or a negative
 * errno. Main thread; also while the vCPUs run. */
int kvm_set_memslot(const struct kvm *k, const struct memslot *slot);
unsigned kvm_max_memslots(const struct kvm *k);

/* Guest writes of `len` bytes with value `match` to the MMIO address signal fd. */
int kvm_ioeventfd(const struct kvm *k, uint64_t address, uint32_t len, uint64_t match, int fd,
		  struct error *err);

/* Guest writes of any width to the MMIO address signal fd, until unbound. Also while
 * the guest runs; any thread. */
int kvm_notify_bind(const struct kvm *k, uint64_t address, int fd, struct error *err);
void kvm_notify_unbind(const struct kvm *k, uint64_t address, int fd);

/* A signal of fd raises an edge on the interrupt line gsi, until released. Also while
 * the guest runs. */
int kvm_irqfd(const struct kvm *k, uint32_t gsi, int fd, struct error *err);
void kvm_irqfd_release(const struct kvm *k, uint32_t gsi, int fd);

/* Replaces all interrupt routes by these, at most KVM_MAX_ROUTES. 0 or a negative
 * errno. Any thread. */
int kvm_set_routes(const struct kvm *k, const struct kvm_msi_route *routes, unsigned count);

/* The descriptor of a new vCPU, or a negative errno. */
int kvm_create_vcpu(const struct kvm *k, unsigned index, struct error *err);

#endif
