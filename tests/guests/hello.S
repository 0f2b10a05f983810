/* hello.S - says hello on the serial port. */
#include "tests/guests/guest.inc"
#include "tests/guests/print.inc"

main:
	movl	$text, %esi
	call	print
	xorl	%eax, %eax
	ret

text:
	.asciz	"hello\n"
