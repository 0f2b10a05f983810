/* hold.c - one KVM machine that never ends, so that KVM never changes the kernel.
 *
 * The first machine of a host, and the end of the last, make Linux rewrite
 * instructions of its scheduler (the static key of the preempt notifiers); a
 * processor with its local APIC off makes it rewrite instructions of KVM. While one
 * processor rewrites, another that comes by takes a breakpoint. QEMU's emulator (7.2)
 * may go on executing that breakpoint after the rewriting has ended: it translates
 * the instruction and misses the write that comes meanwhile. The processor then takes
 * breakpoints for ever, with half of the test host behind it.
 *
 * The machine held here is the first one, made while one processor is running, and
 * outlives all others. Nothing is left to rewrite while tests run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/testhost/hold.h"
#include "vmm/base/error.h"

enum { APIC_BASE_ENABLE = 1 << 11 };

/* A processor as it comes: its APIC is on, and off by the spurious vector register.
 * Turned off altogether, it counts for both of KVM's keys. */
static int turn_apic_off(int vcpu)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.apic_base &= ~(__u64)APIC_BASE_ENABLE;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

int hold_kvm(struct error *e)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = -1;

	if (vm >= 0 && ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0)
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || turn_apic_off(vcpu) < 0)
		return error_errno(e, "/dev/kvm", NULL, "cannot make a machine to hold");
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}
