/* hlt-loop.S - says that it halts, and halts for good: only the VMM can end it. */
#include "tests/guests/guest.inc"
#include "tests/guests/print.inc"

main:
	movl	$text, %esi
	call	print
1:	cli
	hlt
	jmp	1b

text:
	.asciz	"halted\n"
