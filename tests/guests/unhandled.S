/* unhandled.S - ports (1 to 3) and addresses (4 to 6) that nobody answers: reads
 * of every width give ones, writes are lost. */
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

	movl	$0, NO_ADDRESS
	movb	NO_ADDRESS, %al
	cmpb	$0xff, %al
	require	e, 4
	movw	NO_ADDRESS, %ax
	cmpw	$0xffff, %ax
	require	e, 5
	movl	NO_ADDRESS, %eax
	cmpl	$0xffffffff, %eax
	require	e, 6
	xorl	%eax, %eax
	ret
