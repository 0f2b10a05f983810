/* idle.S - a guest that says "ready" on COM1 and halts for good, so that its VMM
 * can be looked at. */
	.include "guest.inc"

guest_start:
	movl	$text, %esi
	movw	$0x3f8, %dx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	cli
	hlt
	jmp	2b

text:
	.asciz	"ready\n"
