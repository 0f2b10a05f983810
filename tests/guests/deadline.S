/* deadline.S - sets a deadline for its local APIC timer, and halts for good: as a guest whose
 * timer never fires.
 */
#include "tests/guests/guest.inc"

#define MSR_TSC_DEADLINE 0x6e0

main:
	movl	$MSR_TSC_DEADLINE, %ecx
	movl	$1, %eax
	xorl	%edx, %edx
	wrmsr
1:	cli
	hlt
	jmp	1b
