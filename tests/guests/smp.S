/* smp.S - starts all other processors, and waits until wisp.cpus=N of them, itself
 * included, have each said in memory who they are. 1: there is no such number, or
 * it is above 32; 2: somebody came with an APIC id that is not below N.
 *
 * If one does not come this waits for ever: the test has a time limit.
 */
#include "tests/guests/guest.inc"
#include "tests/guests/cmdline.inc"

#define LAPIC_SPURIOUS	(LAYOUT_LAPIC + 0xf0)
#define LAPIC_ICR	(LAYOUT_LAPIC + 0x300)
#define ICR_PENDING	0x1000
#define ALL_OTHERS_INIT	0xc4500
#define ALL_OTHERS_SIPI	0xc4600	/* and the page to start at */

#define TRAMPOLINE	0x8000
#define HERE		(TRAMPOLINE + here - trampoline)

main:
	movl	$cpus, %edi
	call	cmdline_number
	movl	$32, %ecx
	subl	%eax, %ecx
	cmpl	$32, %ecx
	require	b, 1
	movl	$-1, %ebx		/* those that are wanted: bits 0 to N - 1 */
	shrl	%cl, %ebx

	movl	$trampoline, %esi
	movl	$TRAMPOLINE, %edi
	movl	$trampoline_end - trampoline, %ecx
	rep	movsb

	movl	$0x1ff, LAPIC_SPURIOUS	/* enabled */
	movl	$ALL_OTHERS_INIT, %eax
	call	send
	movl	$ALL_OTHERS_SIPI | TRAMPOLINE >> 12, %eax
	call	send
	call	send			/* twice, as real processors want it */

1:	pause
	movl	HERE, %eax
	cmpl	%ebx, %eax
	je	2f
	notl	%eax
	orl	%ebx, %eax
	cmpl	$-1, %eax
	require	e, 2
	jmp	1b
2:	xorl	%eax, %eax
	ret

/* Sends the interrupt command in EAX. */
send:
	movl	%eax, LAPIC_ICR
1:	testl	$ICR_PENDING, LAPIC_ICR
	jnz	1b
	ret

cpus:
	.asciz	"wisp.cpus="

/* Copied to TRAMPOLINE, where the others start in real mode: each sets the bit of
 * its APIC id. The boot processor's is set from the start. */
	.code16
trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	lock
	btsl	%ebx, here - trampoline
1:	hlt
	jmp	1b
	.balign	4
here:
	.long	1
trampoline_end:
	.code32
