/* serial-echo.S - sends back what it gets on COM1, until it gets a q. */
#include "tests/guests/guest.inc"

#define LINE_STATUS (LAYOUT_SERIAL + 5)

main:
1:	movw	$LINE_STATUS, %dx	/* a byte has come? */
	inb	%dx, %al
	testb	$0x01, %al
	jz	1b
	movw	$LAYOUT_SERIAL, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	je	3f
	movb	%al, %ah
	movw	$LINE_STATUS, %dx	/* one may go? */
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movb	%ah, %al
	movw	$LAYOUT_SERIAL, %dx
	outb	%al, %dx
	jmp	1b
3:	xorl	%eax, %eax
	ret
