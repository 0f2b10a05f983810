/* clone.S - a guest that is saved, and loaded many times.
 *
 * It touches 24 MiB, says "ready" on COM1 and spins. A copy of it finds that it is one by
 * its generation ID (VMGenID), says "c", and from then on only wakes up every second: with
 * the local APIC's timer, whose interrupt ends the halt.
 */
#include "vmm/arch/x86_64/layout.h"

	.include "guest.inc"

	.set	TOUCHED, 24 << 20
	.set	FIRST_TOUCHED, 0x2000000
	.set	APIC, LAYOUT_LAPIC
	.set	APIC_EOI, APIC + 0xb0
	.set	APIC_SPURIOUS, APIC + 0xf0
	.set	APIC_LVT_TIMER, APIC + 0x320
	.set	APIC_INITIAL_COUNT, APIC + 0x380
	.set	APIC_DIVIDE, APIC + 0x3e0
	.set	TIMER_VECTOR, 32
	.set	TIMER_PERIODIC, 1 << 17
	.set	DIVIDE_BY_128, 0xa
	.set	SECOND, 1000000000 / 128	/* KVM's APIC counts nanoseconds */

guest_start:
	movl	$stack_end, %esp
	movl	$FIRST_TOUCHED, %edi
	movl	$(TOUCHED / 4096), %ecx
1:	movl	%edi, (%edi)
	addl	$4096, %edi
	loop	1b
	movl	LAYOUT_GENERATION, %ebx
	movl	$ready, %esi
	call	say
2:	cmpl	LAYOUT_GENERATION, %ebx
	je	2b
	movl	$copied, %esi
	call	say
	lgdt	gdt_pointer
	ljmp	$8, $3f
3:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$on_timer, %eax
	movw	%ax, gate
	shrl	$16, %eax
	movw	%ax, gate + 6
	lidt	idt_pointer
	movl	$0x1ff, APIC_SPURIOUS		/* on */
	movl	$DIVIDE_BY_128, APIC_DIVIDE
	movl	$(TIMER_PERIODIC | TIMER_VECTOR), APIC_LVT_TIMER
	movl	$SECOND, APIC_INITIAL_COUNT
rest:	sti
4:	hlt
	jmp	4b

/* KVM's emulator, which is all that such a guest has under kvm-pvm, knows no IRET in
 * protected mode: the frame is dropped. */
on_timer:
	movl	$0, APIC_EOI
	incl	wakes
	addl	$12, %esp
	jmp	rest

say:	movw	$LAYOUT_SERIAL, %dx
5:	lodsb
	testb	%al, %al
	jz	6f
	outb	%al, %dx
	jmp	5b
6:	ret

	.section .rodata
ready:	.asciz	"ready\n"
copied:	.asciz	"c\n"

	.section .data
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.balign	8
idt:	.fill	TIMER_VECTOR, 8, 0
gate:	.word	0, 8, 0x8e00, 0
idt_pointer:
	.word	. - idt - 1
	.long	idt
wakes:	.long	0
	.fill	1024, 1, 0
stack_end:
