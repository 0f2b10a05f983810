/* unhandled.S - ports (1 to 3) and addresses (4 to 7) that nobody answers: reads
 * of every width give ones, writes are lost. In long mode, for the widest. 8: half
 * of a read is the debug exit port's, which would give zeros. */
#define GUEST_LINUX64
#include "tests/guests/guest.inc"

#define NO_PORT	   0x560
#define NO_ADDRESS 0xd0000000	/* in the gap, behind the devices */

main:
	movw	$NO_PORT, %dx
	xorl	%eax, %eax
	outl	%eax, %dx
	inb	%dx, %al
	cmpb	$0xff, %al
	require	e, 1
	inw	%dx, %ax
	cmpw	$0xffff, %ax
	require	e, 2
	inl	%dx, %eax
	cmpl	$0xffffffff, %eax
	require	e, 3

	movl	$NO_ADDRESS, %esi
	movq	$0, (%rsi)
	movb	(%rsi), %al
	cmpb	$0xff, %al
	require	e, 4
	movw	(%rsi), %ax
	cmpw	$0xffff, %ax
	require	e, 5
	movl	(%rsi), %eax
	cmpl	$0xffffffff, %eax
	require	e, 6
	movq	(%rsi), %rax
	cmpq	$-1, %rax
	require	e, 7

	xorl	%eax, %eax
	inl	$DEBUG_EXIT + 2, %eax
	cmpl	$0xffffffff, %eax
	require	e, 8
	xorl	%eax, %eax
	ret
