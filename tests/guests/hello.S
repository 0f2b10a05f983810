/* hello.S - says hello on the serial port. */
#include "tests/guests/guest.inc"

main:
	movl	$text, %esi
	call	print
	xorl	%eax, %eax
	ret

text:
	.asciz	"hello from a tiny guest\n"

#include "tests/guests/print.inc"
