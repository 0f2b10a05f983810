/* cpuid.S - who the guest is told it runs on: a hypervisor (1), KVM (2 to 5), and
 * APIC id 0 for the boot processor, by CPUID (6), by its extended topology where
 * there is one (7) and by the local APIC itself (8); whose timer has deadlines (9). */
#include "tests/guests/guest.inc"

main:
	movl	$1, %eax
	cpuid
	testl	$0x80000000, %ecx
	require	nz, 1
	testl	$0x01000000, %ecx
	require	nz, 9
	shrl	$24, %ebx
	require	z, 6

	movl	$0x40000000, %eax
	cpuid
	cmpl	$0x40000001, %eax
	require	ae, 2
	cmpl	$0x4b4d564b, %ebx	/* "KVMKVMKVM" */
	require	e, 3
	cmpl	$0x564b4d56, %ecx
	require	e, 4
	cmpl	$0x4d, %edx
	require	e, 5

	xorl	%eax, %eax
	cpuid
	cmpl	$0xb, %eax
	jb	1f
	movl	$0xb, %eax
	xorl	%ecx, %ecx
	cpuid
	testl	%edx, %edx
	require	z, 7
1:	movl	LAYOUT_LAPIC + 0x20, %eax
	shrl	$24, %eax
	require	z, 8
	ret
