/* linux64.S - checks what Linux's 64-bit entry promises: long mode (1 to 3), the
 * segments (4 to 6), 4 GiB mapped to themselves (7, 8), and in boot_params the
 * header (9, 10), e820 (11, 12), a command line that starts with "linux64" and ends (13, 14),
 * RSDP (15). */
#define GUEST_LINUX64
#include "tests/guests/guest.inc"

#define EFER		0xc0000080
#define EFER_LMA	0x400
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define BOOT_CS		0x10
#define BOOT_DS		0x18

#define PARAMS_RSDP	0x70
#define PARAMS_E820_COUNT 0x1e8
#define PARAMS_BOOT_FLAG 0x1fe
#define PARAMS_MAGIC	0x202
#define PARAMS_CMDLINE	0x228
#define PARAMS_E820	0x2d0	/* entries of 20 bytes: base, length, type */
#define MAX_CMDLINE	2048

main:
	movl	$EFER, %ecx
	rdmsr
	testl	$EFER_LMA, %eax
	require	nz, 1
	movq	%cr0, %rax
	testl	$CR0_PG, %eax
	require	nz, 2
	movq	%cr4, %rax
	testl	$CR4_PAE, %eax
	require	nz, 3

	movl	%cs, %eax
	cmpl	$BOOT_CS, %eax
	require	e, 4
	movl	%ds, %eax
	cmpl	$BOOT_DS, %eax
	require	e, 5
	movl	%eax, %ss		/* from the GDT, which must be there */
	movl	%ss, %eax
	cmpl	$BOOT_DS, %eax
	require	e, 6

	/* The far end: the local APIC's version register, near 4 GiB. */
	movl	$LAYOUT_LAPIC + 0x30, %edx
	movl	(%rdx), %eax
	testl	%eax, %eax
	require	nz, 7
	incl	%eax
	require	nz, 8

	cmpw	$0xaa55, PARAMS_BOOT_FLAG(%rsi)
	require	e, 9
	cmpl	$0x53726448, PARAMS_MAGIC(%rsi)	/* "HdrS" */
	require	e, 10
	cmpb	$2, PARAMS_E820_COUNT(%rsi)
	require	ae, 11
	movq	PARAMS_E820(%rsi), %rax
	testq	%rax, %rax
	require	z, 12
	cmpl	$1, PARAMS_E820 + 16(%rsi)
	require	e, 12

	movl	PARAMS_CMDLINE(%rsi), %edi
	movabsq	$0x20343678756e696c, %rax	/* "linux64 " */
	cmpq	%rax, (%rdi)
	require	e, 13
	movl	$MAX_CMDLINE, %ecx
	xorb	%al, %al
	repne	scasb
	require	e, 14

	movq	PARAMS_RSDP(%rsi), %rdx
	movabsq	$0x2052545020445352, %rax	/* "RSD PTR " */
	cmpq	%rax, (%rdx)
	require	e, 15
	xorl	%eax, %eax
	ret
