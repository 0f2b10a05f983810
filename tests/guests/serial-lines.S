/* serial-lines.S - prints wisp.lines=N lines on COM1 as drivers do: it wants the
 * transmitter's interrupt, halts, and sends 16 bytes a turn until nothing is left; of
 * one line as many turns as the port asks for in one interrupt, of the next one a turn
 * for each. 1: there is no such number.
 *
 * One interrupt that gets lost is the end of it: the test has a time limit.
 */
#include "tests/guests/guest.inc"
#include "tests/guests/cmdline.inc"

#define IER	(LAYOUT_SERIAL + 1)
#define IIR	(LAYOUT_SERIAL + 2)
#define FCR	(LAYOUT_SERIAL + 2)
#define EMPTY	0x02			/* in the IER: wanted; in the IIR: it is */
#define FIFO	16

#define LAPIC_EOI	(LAYOUT_LAPIC + 0xb0)
#define LAPIC_SPURIOUS	(LAYOUT_LAPIC + 0xf0)
#define IOAPIC_WINDOW	(LAYOUT_IOAPIC + 0x10)
#define PIN_LOW		(0x10 + 2 * LAYOUT_GSI_SERIAL)
#define VECTOR		0x40

#define CODE	0x08
#define DATA	0x10

main:
	movl	$lines, %edi
	call	cmdline_number
	movl	%eax, %ebp		/* lines left */
	testl	%ebp, %ebp
	require	nz, 1

	lgdt	gdt_register
	ljmp	$CODE, $1f
1:	movl	$DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss

	movl	$on_interrupt, %eax
	movw	%ax, gate
	movl	$CODE, %ecx
	movw	%cx, gate + 2
	movw	$0x8e00, gate + 4	/* present, an interrupt's */
	shrl	$16, %eax
	movw	%ax, gate + 6
	lidt	idt_register

	movl	$0x1ff, LAPIC_SPURIOUS	/* enabled */
	movl	$PIN_LOW + 1, LAYOUT_IOAPIC
	movl	$0, IOAPIC_WINDOW	/* to the first processor */
	movl	$PIN_LOW, LAYOUT_IOAPIC
	movl	$VECTOR, IOAPIC_WINDOW	/* an edge, not masked */
	movw	$FCR, %dx
	movb	$0x01, %al
	outb	%al, %dx

2:	movl	$line, next
	movl	$LINE_BYTES, left
	movw	$IER, %dx
	movb	$EMPTY, %al
	outb	%al, %dx
3:	cli
	cmpl	$0, left
	je	4f
	sti
	hlt
	jmp	3b
4:	decl	%ebp
	jnz	2b
	xorl	%eax, %eax
	ret

on_interrupt:
	pushal
1:	movw	$IIR, %dx
	inb	%dx, %al
	andb	$0x0f, %al
	cmpb	$EMPTY, %al
	jne	3f

	movl	left, %ecx
	cmpl	$FIFO, %ecx
	jbe	2f
	movl	$FIFO, %ecx
2:	subl	%ecx, left
	movl	next, %esi
	movw	$LAYOUT_SERIAL, %dx
	rep	outsb
	movl	%esi, next
	cmpl	$0, left
	jne	4f
	movw	$IER, %dx
	xorl	%eax, %eax
	outb	%al, %dx
4:	testl	$1, %ebp		/* EBP as the program has it */
	jz	1b
3:	movl	$0, LAPIC_EOI
	popal
	/* Interrupts stay off, and flags do not matter at the only place where they are on.
	 * A KVM that interprets has no IRET for this mode. */
	lret	$4

lines:
	.asciz	"wisp.lines="
line:
	.fill	59, 1, '-'
	.byte	'\n'
	.set	LINE_BYTES, . - line

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_register:
	.word	. - gdt - 1
	.long	gdt
idt_register:
	.word	8 * (VECTOR + 1) - 1
	.long	idt

	.bss
	.balign	8
idt:
	.skip	8 * VECTOR
gate:
	.skip	8
next:
	.skip	4
left:
	.skip	4
