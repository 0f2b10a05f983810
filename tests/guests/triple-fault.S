/* triple-fault.S - an exception with no IDT, which shuts a processor down and so
 * resets a PC. 1: it went on instead. */
#include "tests/guests/guest.inc"

main:
	lidt	no_idt
	ud2
	exit	$1

no_idt:
	.word	0
	.long	0
