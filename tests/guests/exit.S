/* exit.S - ends with the number that its command line starts with. */
#include "tests/guests/guest.inc"
#include "tests/guests/cmdline.inc"

main:
	movl	$nothing, %edi
	jmp	cmdline_number

nothing:
	.asciz	""
