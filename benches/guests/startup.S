/* startup.S - a guest that says one thing and ends.
 *
 * 0x2a to the debug exit port ends a VMM that has one. Another gets a reset by the
 * keyboard controller; and one that has neither, a triple fault.
 */
	.include "guest.inc"

guest_start:
	movb	$0x2a, %al
	outb	%al, $0xf4
	movb	$0xfe, %al
	outb	%al, $0x64
	lidt	no_idt
	int3
1:	hlt
	jmp	1b

no_idt:
	.word	0
	.long	0
