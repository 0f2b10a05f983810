/* board.c - the x86 machine as KVM must know it: gap, windows, irqchip. */
#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/layout.h"

void arch_mmio_gap(uint64_t *start, uint64_t *end)
{
	*start = LAYOUT_GAP_START;
	*end = LAYOUT_GAP_END;
}

/* Bits of a physical address (CPUID 0x80000008), as KVM shows them to the guest; at most
 * as many as Linux uses without five levels of page tables. */
static unsigned address_bits(void)
{
	enum { LEAF_SIZES = (int)0x80000008, OLDEST = 36, LINUX_MAX = 46 };
	unsigned eax, ebx, ecx, edx, bits = OLDEST;

	if (__get_cpuid((unsigned)LEAF_SIZES, &eax, &ebx, &ecx, &edx))
		bits = eax & 0xff;
	return bits < LINUX_MAX ? bits : LINUX_MAX;
}

void arch_device_memory(const struct gmem *mem, uint64_t *start, uint64_t *end)
{
	unsigned count;
	const struct gmem_region *last = gmem_regions(mem, &count);

	last += count - 1;
	*start = last->base.v + last->len;
	if (*start < LAYOUT_GAP_END)
		*start = LAYOUT_GAP_END;
	*end = UINT64_C(1) << address_bits();
}

bool arch_virtio_window(unsigned n, struct arch_virtio_window *ret)
{
	if (n >= LAYOUT_MAX_VIRTIO)
		return false;
	*ret = (struct arch_virtio_window){
		.base = LAYOUT_VIRTIO_MMIO + n * LAYOUT_VIRTIO_LEN,
		.len = LAYOUT_VIRTIO_LEN,
		.gsi = LAYOUT_GSI_VIRTIO + n,
	};
	return true;
}

void arch_pci(struct arch_pci *ret)
{
	*ret = (struct arch_pci){
		.ecam = LAYOUT_PCI_ECAM,
		.window = LAYOUT_PCI_WINDOW,
		.first_gsi = LAYOUT_GSI_MSI,
	};
}

/* Documentation/admin-guide/kernel-parameters.rst, virtio_mmio.device= */
int arch_describe_virtio(char *word, size_t len, unsigned n)
{
	struct arch_virtio_window w;

	if (!arch_virtio_window(n, &w))
		return -ENOSPC;
	snprintf(word, len, "virtio_mmio.device=%" PRIu64 "K@%#" PRIx64 ":%" PRIu32, w.len / 1024,
		 w.base, w.gsi);
	return 0;
}

/* Intel's KVM wants two places outside RAM for its own use: three pages for a
 * task segment and one for page tables, for the time before the guest pages.
 * They make a memslot inside KVM, so they come before the irqchip too. */
int arch_vm_init(const struct kvm *kvm, struct error *err)
{
	uint64_t identity = LAYOUT_IDENTITY;

	if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0 &&
	    ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_IDENTITY_MAP_ADDR failed");
	if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR) > 0 &&
	    ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_TSS_ADDR failed");
	return 0;
}

/* Local APICs in the kernel, the IOAPIC in devices/ioapic.c: a guest with no use
 * for the PIC and the PIT gets neither, and nothing registers on KVM's buses. */
int arch_irqchip_init(const struct kvm *kvm, struct error *err)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { LAYOUT_MAX_PINS },
	};

	if (ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return error_errno(err, NULL, NULL, "KVM_CAP_SPLIT_IRQCHIP failed");
	return 0;
}
