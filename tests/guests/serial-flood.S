/* serial-flood.S - writes 20000 bytes to COM1 without asking whether it can take
 * them, in strings and one by one, and ends: a console that nobody reads must not
 * hold it up. */
#include "tests/guests/guest.inc"

#define LINES	   200
#define LINE_BYTES 80
#define SINGLES	   4000

main:
	movw	$LAYOUT_SERIAL, %dx
	movl	$LINES, %ebx
1:	movl	$line, %esi
	movl	$LINE_BYTES, %ecx
	rep	outsb
	decl	%ebx
	jnz	1b

	movb	$'.', %al
	movl	$SINGLES, %ecx
2:	outb	%al, %dx
	decl	%ecx
	jnz	2b
	xorl	%eax, %eax
	ret

line:
	.fill	LINE_BYTES - 1, 1, '#'
	.byte	'\n'
