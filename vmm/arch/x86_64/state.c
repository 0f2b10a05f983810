/* state.c - the registers of a vCPU at power-on. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/state.h"

#define MSR_MISC_ENABLE	  0x1a0
#define MISC_FAST_STRING  (1ull << 0)
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE	  (1ull << 11)
#define MTRR_WRITE_BACK	  6ull
#define CR0_PE		  (1ull << 0)
#define CR0_ET		  (1ull << 4)
#define CR0_PG		  (1ull << 31)
#define CR4_PAE		  (1ull << 5)
#define EFER_LME	  (1ull << 8)
#define EFER_LMA	  (1ull << 10)
#define RFLAGS_ALWAYS_ONE 2ull
#define LAPIC_LVT_LINT0	  0x350
#define LAPIC_LVT_LINT1	  0x360
#define LVT_MODE_MASK	  0x700u
#define LVT_MODE_NMI	  0x400u
#define LVT_MODE_EXTINT	  0x700u
#define LVT_MASKED	  0x10000u
#define PAGE_PRESENT_RW	  0x3ull
#define PAGE_LARGE	  0x80ull
#define GIB		  (1ull << 30)
#define LARGE_PAGE	  (2ull << 20)

/* Selectors that the 64-bit boot protocol of Linux asks for. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, BOOT_TSS = 0x20 };

static const struct kvm_msr_entry power_on_msrs[] = {
	{ .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING },
	/* All memory is write-back unless the page tables say otherwise. */
	{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_WRITE_BACK },
};

enum { POWER_ON_MSRS = sizeof(power_on_msrs) / sizeof(power_on_msrs[0]) };

int state_set_msrs(int vcpu_fd, struct error *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[POWER_ON_MSRS];
	} msrs = { .head.nmsrs = POWER_ON_MSRS };

	memcpy(msrs.entry, power_on_msrs, sizeof(power_on_msrs));

	/* KVM sets them in order and returns how many it took. */
	int n = ioctl(vcpu_fd, KVM_SET_MSRS, &msrs);

	if (n < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_MSRS failed");
	if (n < POWER_ON_MSRS)
		return error_set(err, -EINVAL, NULL, NULL, "KVM refused MSR %#x",
				 power_on_msrs[n].index);
	return 0;
}

static void set_lvt(struct kvm_lapic_state *lapic, unsigned reg, uint32_t mode)
{
	uint32_t lvt;

	memcpy(&lvt, lapic->regs + reg, sizeof(lvt));
	lvt = (lvt & ~(LVT_MODE_MASK | LVT_MASKED)) | mode;
	memcpy(lapic->regs + reg, &lvt, sizeof(lvt));
}

int state_set_lapic(int vcpu_fd, struct error *err)
{
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_LAPIC failed");
	set_lvt(&lapic, LAPIC_LVT_LINT0, LVT_MODE_EXTINT);
	set_lvt(&lapic, LAPIC_LVT_LINT1, LVT_MODE_NMI);
	if (ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_LAPIC failed");
	return 0;
}

/* Flat segments; `l` tells 64-bit code from 32-bit code. */
static struct kvm_segment code_segment(bool l)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = BOOT_CS,
		.type = 0xb, /* execute, read, accessed */
		.present = 1,
		.s = 1,
		.l = l,
		.db = !l,
		.g = 1,
	};
}

static struct kvm_segment data_segment(void)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = BOOT_DS,
		.type = 0x3, /* read, write, accessed */
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
}

static struct kvm_segment task_segment(void)
{
	return (struct kvm_segment){
		.limit = 0x67,
		.selector = BOOT_TSS,
		.type = 0xb, /* busy 32-bit or 64-bit task */
		.present = 1,
	};
}

static void set_segments(struct kvm_sregs *s, bool long_mode)
{
	s->cs = code_segment(long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = data_segment();
	s->tr = task_segment();
}

static void set_pvh_mode(struct kvm_sregs *s)
{
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
}

static void set_long_mode(struct kvm_sregs *s)
{
	s->cr0 = CR0_PE | CR0_ET | CR0_PG;
	s->cr3 = LAYOUT_PAGE_TABLE;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	s->gdt.base = LAYOUT_GDT;
	s->gdt.limit = BOOT_TSS + 16 - 1;
}

int state_set_entry(int vcpu_fd, const struct arch_boot *boot, struct error *err)
{
	bool long_mode = boot->protocol == ARCH_BOOT_LINUX64;
	struct kvm_regs regs = { .rip = boot->entry, .rflags = RFLAGS_ALWAYS_ONE };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_SREGS failed");
	set_segments(&sregs, long_mode);
	if (long_mode) {
		set_long_mode(&sregs);
		regs.rsi = boot->argument;
		regs.rsp = regs.rbp = LAYOUT_BOOT_STACK;
	} else {
		set_pvh_mode(&sregs);
		regs.rbx = boot->argument;
	}
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_SREGS failed");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_REGS failed");
	return 0;
}

/* The descriptors behind the selectors: null, unused, code, data, task. */
static const uint64_t boot_gdt[] = {
	0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull, 0x00008b0000000067ull, 0,
};

/* PML4, then the PDPT, then one page of 2 MiB entries for each GiB. */
static int write_page_tables(struct gmem *mem)
{
	const uint64_t pml4 = LAYOUT_PAGE_TABLE, pdpt = pml4 + 4096, pd = pdpt + 4096;
	uint64_t entry = pdpt | PAGE_PRESENT_RW;
	uint64_t page[512];
	int r;

	r = gmem_zero(mem, gpa(pml4), pd - pml4);
	if (r == 0)
		r = gmem_write(mem, gpa(pml4), &entry, sizeof(entry));
	for (uint64_t g = 0; g < 4 && r == 0; g++) {
		for (uint64_t i = 0; i < 512; i++)
			page[i] = (g * GIB + i * LARGE_PAGE) | PAGE_PRESENT_RW | PAGE_LARGE;
		entry = (pd + g * 4096) | PAGE_PRESENT_RW;
		r = gmem_write(mem, gpa(pdpt + g * 8), &entry, sizeof(entry));
		if (r == 0)
			r = gmem_write(mem, gpa(pd + g * 4096), page, sizeof(page));
	}
	return r;
}

int state_write_long_mode(struct gmem *mem, struct error *err)
{
	int r = gmem_write(mem, gpa(LAYOUT_GDT), boot_gdt, sizeof(boot_gdt));

	if (r == 0)
		r = write_page_tables(mem);
	if (r < 0)
		return error_set(err, r, "mem_size_mib", "give at least 1 MiB",
				 "no room for the boot page tables in guest memory");
	return 0;
}
